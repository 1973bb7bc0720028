//! A segment of a track: what it is called, when it is shown, and its parts, in memory or on disk.

use bytes::{Bytes, BytesMut};
use weir_media::MediaTime;

use crate::store::clock::{media_time, seconds};
use crate::store::part::Part;

#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// The run of the server that made the segment. It stands in the segment's name beside the number, because after a crash a number may
    /// come again with other bytes. If it is 0, the name is the number alone.
    pub(crate) run: u64,
    /// The number of the track's init segment that this segment needs.
    pub(crate) init: u32,
    /// How many discontinuities of the rendition lie before this segment.
    pub(crate) breaks: u64,
    /// When the rendition's decoder configurations of this segment came into force. DASH's Period begins there.
    pub(crate) period_start: MediaTime,
    /// When the first frame is shown.
    pub(crate) start_ticks: u64,
    pub(crate) timescale: u32,
    pub(crate) duration_ticks: u64,
    /// The parts in order. There are none if the segment is on disk only.
    pub(crate) parts: Vec<Part>,
    /// The first part from which on playlists list none. None means that they list all parts.
    pub(crate) unlisted_from: Option<usize>,
    pub(crate) samples: u64,
    /// Whether the segment begins with a keyframe.
    pub(crate) independent: bool,
    pub(crate) bytes: usize,
    /// Whether all parts have come. The segment may be on disk only since then.
    pub(crate) complete: bool,
    /// All parts as one piece, which is made when somebody asks for it for the first time.
    whole: Option<Bytes>,
    /// Whether the same bytes are on disk.
    pub(crate) saved: bool,
}

impl Segment {
    /// A segment that an index tells of. Its times are still to be filled in.
    pub(crate) fn on_disk(number: u64, run: u64, init: u32) -> Self {
        Self {
            number,
            run,
            init,
            breaks: 0,
            period_start: MediaTime::ZERO,
            start_ticks: 0,
            timescale: 1,
            duration_ticks: 0,
            parts: Vec::new(),
            unlisted_from: None,
            samples: 0,
            independent: false,
            bytes: 0,
            complete: true,
            whole: None,
            saved: true,
        }
    }

    /// A segment that begins.
    pub(crate) fn open(number: u64, init: u32, start_ticks: u64, timescale: u32) -> Self {
        Self { start_ticks, timescale, complete: false, saved: false, ..Self::on_disk(number, 0, init) }
    }

    /// The file's name without ".m4s".
    pub(crate) fn name(&self) -> String {
        if self.run == 0 { self.number.to_string() } else { format!("{}-{}", self.number, self.run) }
    }

    /// A copy that says the same of the segment, and does not hold its bytes.
    pub(crate) fn without_bytes(&self) -> Self {
        Self { parts: self.parts.iter().map(Part::without_bytes).collect(), whole: None, ..*self }
    }

    pub(crate) fn start(&self) -> MediaTime {
        media_time(self.start_ticks, self.timescale)
    }

    pub(crate) fn end(&self) -> MediaTime {
        media_time(self.start_ticks + self.duration_ticks, self.timescale)
    }

    pub(crate) fn seconds(&self) -> f64 {
        seconds(self.duration_ticks, self.timescale)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The parts that playlists list. A frame may be too long for parts of the length that was announced. Then the parts before it are
    /// listed until the segment is whole, and none after that: a whole segment has all its parts listed, or none.
    pub(crate) fn listed_parts(&self) -> &[Part] {
        match self.unlisted_from {
            Some(_) if self.complete => &[],
            Some(from) => self.parts.get(..from).unwrap_or(&self.parts),
            None => &self.parts,
        }
    }

    /// Whether a media playlist has the segment, or parts of it.
    pub(crate) fn is_listed(&self) -> bool {
        self.has_begun() && (self.complete || !self.listed_parts().is_empty())
    }

    /// The length of what a media playlist has of the segment.
    pub(crate) fn listed_seconds(&self) -> f64 {
        match self.complete {
            true => self.seconds(),
            false => seconds(self.listed_parts().iter().map(|part| part.duration_ticks).sum(), self.timescale),
        }
    }

    /// Whether the segment has samples. One without samples does not exist yet.
    pub(crate) fn has_begun(&self) -> bool {
        self.samples > 0
    }

    pub(crate) fn is_on_disk_only(&self) -> bool {
        self.saved && self.parts.is_empty()
    }

    /// The whole segment, once it is complete and while it is in memory.
    ///
    /// Its parts are put together when somebody asks, and not before: most segments of most streams are never asked for, and players at low
    /// latency ask only for parts. From then on the parts are slices of the whole, so that they take no memory beside it.
    pub(crate) fn body(&mut self) -> Option<Bytes> {
        if !self.complete || self.parts.is_empty() {
            return None;
        }
        if let Some(whole) = &self.whole {
            return Some(whole.clone());
        }
        let mut body = BytesMut::with_capacity(self.bytes);
        for part in &self.parts {
            part.put(&mut body);
        }
        let body = body.freeze();
        let mut at = 0;
        for part in &mut self.parts {
            let end = at + part.bytes;
            part.set_body(body.slice(at..end));
            at = end;
        }
        self.whole = Some(body.clone());
        Some(body)
    }

    /// Drops the bytes of a segment that is on disk. Returns how many bytes became free.
    pub(crate) fn leave_memory(&mut self) -> usize {
        self.whole = None;
        let in_memory = !std::mem::take(&mut self.parts).is_empty();
        if in_memory { self.bytes } else { 0 }
    }
}

//! A segment of a track: what it is called, when it is shown, and its parts, in memory or on disk.

use bytes::{Bytes, BytesMut};
use weir_media::MediaTime;

use crate::store::clock::{media_time, seconds};
use crate::store::part::Part;

#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// Stands in its name beside the number, because after a crash a number may come again with other bytes; 0 stands for
    /// itself.
    pub(crate) run: u64,
    /// Which of the track's init segments it needs.
    pub(crate) init: u32,
    /// How many discontinuities of the rendition lie before it.
    pub(crate) breaks: u64,
    /// When the rendition's present decoder configurations came into force: DASH's Period begins there.
    pub(crate) period_start: MediaTime,
    /// When its first frame is shown.
    pub(crate) start_ticks: u64,
    pub(crate) timescale: u32,
    pub(crate) duration_ticks: u64,
    /// None where the segment is on disk only.
    pub(crate) parts: Vec<Part>,
    /// From which of its parts on playlists list none; None where they list all.
    pub(crate) unlisted_from: Option<usize>,
    pub(crate) samples: u64,
    /// Begins with a keyframe.
    pub(crate) independent: bool,
    pub(crate) bytes: usize,
    /// Its parts are all there, or were: it may be on disk only.
    pub(crate) complete: bool,
    /// All parts in one, from the first time on that somebody asked for it.
    whole: Option<Bytes>,
    /// The same bytes are on disk.
    pub(crate) saved: bool,
}

impl Segment {
    /// One that an index tells of, its times still to be filled in.
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

    /// One that begins.
    pub(crate) fn open(number: u64, init: u32, start_ticks: u64, timescale: u32) -> Self {
        Self { start_ticks, timescale, complete: false, saved: false, ..Self::on_disk(number, 0, init) }
    }

    /// What stands before ".m4s".
    pub(crate) fn name(&self) -> String {
        if self.run == 0 { self.number.to_string() } else { format!("{}-{}", self.number, self.run) }
    }

    /// What is said of it, without what it takes memory for.
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

    /// The parts that playlists list. When a frame was too long to make parts of the length that was announced, those before it
    /// are listed until the segment is whole, and then none: parts make up their segment, or there are none of it.
    pub(crate) fn listed_parts(&self) -> &[Part] {
        match self.unlisted_from {
            Some(_) if self.complete => &[],
            Some(from) => self.parts.get(..from).unwrap_or(&self.parts),
            None => &self.parts,
        }
    }

    /// Whether a media playlist has it.
    pub(crate) fn is_listed(&self) -> bool {
        self.has_begun() && (self.complete || !self.listed_parts().is_empty())
    }

    /// As much of it as a media playlist has.
    pub(crate) fn listed_seconds(&self) -> f64 {
        match self.complete {
            true => self.seconds(),
            false => seconds(self.listed_parts().iter().map(|part| part.duration_ticks).sum(), self.timescale),
        }
    }

    /// A segment without samples does not exist yet.
    pub(crate) fn has_begun(&self) -> bool {
        self.samples > 0
    }

    pub(crate) fn is_on_disk_only(&self) -> bool {
        self.saved && self.parts.is_empty()
    }

    /// All of it, once it is complete and while it is in memory.
    ///
    /// Parts are put together when somebody asks, not before: most segments of most streams are never asked for, and of low
    /// latency only their parts are. From then on parts are slices, so that they cost no memory beside the segment.
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

    /// Of one that is on disk. Returns the bytes that are free.
    pub(crate) fn leave_memory(&mut self) -> usize {
        self.whole = None;
        let in_memory = !std::mem::take(&mut self.parts).is_empty();
        if in_memory { self.bytes } else { 0 }
    }
}

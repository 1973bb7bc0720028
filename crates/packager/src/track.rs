//! A track of a rendition: its segments in order, which of them playlists show, and what leaves memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use weir_media::codec::captions::Captions;
use weir_media::{MediaKind, TrackInfo};

use crate::answer::Rendered;
use crate::clock::seconds;
use crate::dvr::Backlog;
use crate::segment::Segment;

/// Parts, but the last of a segment, last so much of the part target at least (RFC 8216bis, 4.4.4.9).
const PART_SHARE_MIN: f64 = 0.85;

#[derive(Clone, Debug)]
pub(crate) struct Init {
    pub(crate) body: Bytes,
    pub(crate) info: Arc<TrackInfo>,
}

/// One track of a rendition.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) kind: MediaKind,
    pub(crate) inits: BTreeMap<u32, Init>,
    /// Consecutive numbers; the last may be open.
    pub(crate) segments: VecDeque<Segment>,
    /// The oldest segment that playlists show: older ones are kept for those who read an older playlist.
    pub(crate) first_listed: u64,
    /// The rendition has such a track now.
    pub(crate) live: bool,
    /// Closed captions that its pictures have carried so far.
    pub(crate) captions: Captions,
    rendered: [Option<(u64, Rendered)>; 2],
}

impl Track {
    const PARTS_TARGETS: u64 = 3;
    /// The least that a live playlist may hold (RFC 8216bis, 6.2.2).
    const LISTED_TARGETS_MIN: u64 = 3;

    pub(crate) fn new(kind: MediaKind) -> Self {
        let (inits, segments) = (BTreeMap::new(), VecDeque::new());
        Self {
            kind,
            inits,
            segments,
            first_listed: 0,
            live: true,
            captions: Captions::default(),
            rendered: [None, None],
        }
    }

    /// Segments, newest first, each with the seconds of media that follow it. A pause of the source is no media: players
    /// count what they can play.
    fn followed(&self) -> impl Iterator<Item = (&Segment, f64)> {
        self.segments.iter().rev().scan(0.0, |after, segment| {
            let behind = *after;
            *after += segment.seconds();
            Some((segment, behind))
        })
    }

    /// How many of the oldest listed segments have at least so much media behind them.
    pub(crate) fn count_before(&self, seconds: u64) -> usize {
        let newer = self.followed().take_while(|(segment, behind)| {
            segment.number >= self.first_listed && (*behind < seconds as f64 || !segment.is_complete())
        });
        self.listed().count() - newer.count()
    }

    /// Parts are listed in three target durations before the playlist's end, as the specification has it: from this segment on.
    pub(crate) fn parts_from(&self, target_seconds: u64) -> u64 {
        let near = self.followed().take_while(|(_, behind)| *behind < (target_seconds * Self::PARTS_TARGETS) as f64);
        near.last().map_or(0, |(segment, _)| segment.number)
    }

    /// No part that is listed is longer. It is what was asked for, unless pictures are slower than that; one long pause
    /// between two pictures raises it only for as long as the part is listed, because players keep a distance by it.
    /// Where whole frames fill it badly (four of 15 fps are 267 ms) it is what they do fill: parts have to last 85 % of it.
    pub(crate) fn part_target(&self, asked: Duration, target_seconds: u64) -> Duration {
        let from = self.parts_from(target_seconds);
        let (mut longest, mut fullest) = (0.0_f64, 0.0_f64);
        for segment in self.segments.iter().rev().take_while(|segment| segment.number >= from) {
            // A segment's last part ends with it, full or not.
            let full = segment.parts.len().saturating_sub(usize::from(segment.is_complete()));
            for (index, part) in segment.parts.iter().enumerate() {
                let length = seconds(part.duration_ticks, segment.timescale);
                longest = longest.max(length);
                fullest = if index < full { fullest.max(length) } else { fullest };
            }
        }
        let filled = fullest > 0.0 && longest < asked.as_secs_f64() * PART_SHARE_MIN;
        if filled { up_to_hundredths(longest) } else { asked.max(Duration::from_secs_f64(longest)) }
    }

    /// What playlists show, oldest first, the open segment last.
    pub(crate) fn listed(&self) -> impl DoubleEndedIterator<Item = &Segment> + Clone {
        self.segments.iter().filter(|segment| segment.number >= self.first_listed)
    }

    /// What DASH shows, and what is measured.
    pub(crate) fn complete(&self) -> impl DoubleEndedIterator<Item = &Segment> + Clone {
        self.listed().filter(|segment| segment.is_complete())
    }

    pub(crate) fn segment(&self, number: u64) -> Option<&Segment> {
        let first = self.segments.front()?.number;
        self.segments.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    pub(crate) fn segment_mut(&mut self, number: u64) -> Option<&mut Segment> {
        let first = self.segments.front()?.number;
        self.segments.get_mut(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// The newest segment and its newest part, as rendition reports and blocking requests count: a segment without parts
    /// does not exist yet.
    pub(crate) fn newest(&self) -> Option<(u64, usize)> {
        let newest = self.segments.iter().rev().find(|segment| segment.has_begun())?;
        Some((newest.number, newest.parts.len().saturating_sub(1)))
    }

    pub(crate) fn info(&self) -> Option<&Arc<TrackInfo>> {
        let init = self.segments.back().map(|segment| segment.init)?;
        self.inits.get(&init).map(|init| &init.info)
    }

    /// Takes over what changed in the track that this one mirrors, `room` segments at most. Returns whether that was all.
    pub(crate) fn follow(&mut self, live: &Self, room: usize) -> bool {
        (self.live, self.captions, self.first_listed) = (live.live, live.captions, live.first_listed);
        if !self.inits.keys().eq(live.inits.keys()) {
            self.inits.clone_from(&live.inits);
        }
        // What was open is another one now, or never came to be; what was complete stays as it is.
        while self.segments.pop_back_if(|newest| !newest.is_complete()).is_some() {}
        while self.segments.pop_front_if(|oldest| oldest.number < live.first_listed).is_some() {}
        let next = self.segments.back().map_or(live.first_listed, |newest| newest.number + 1);
        let known = live.segments.partition_point(|segment| segment.number < next);
        self.segments.extend(live.segments.iter().skip(known).take(room).map(Segment::without_bytes));
        live.segments.len() <= known + room
    }

    /// Forgets the parts of what comes before that number.
    pub(crate) fn forget_parts(&mut self, before: u64) {
        let older = self.segments.iter_mut().rev().skip_while(|segment| segment.number >= before);
        older.take_while(|segment| !segment.parts.is_empty()).for_each(|segment| segment.parts = Vec::new());
    }

    pub(crate) fn rendered(&self, version: u64, skip: bool) -> Option<&Rendered> {
        let (at, rendered) = self.rendered[usize::from(skip)].as_ref()?;
        (*at == version).then_some(rendered)
    }

    pub(crate) fn keep_rendered(&mut self, version: u64, skip: bool, rendered: Rendered) {
        self.rendered[usize::from(skip)] = Some((version, rendered));
    }

    /// Moves the beginning of the playlist, never back, and not so far that too little is left.
    pub(crate) fn list_from(&mut self, window: Duration, target_seconds: u64) {
        let Some(end) = self.segments.back().map(Segment::end) else { return };
        let least = (target_seconds * Self::LISTED_TARGETS_MIN) as f64;
        let mut kept = 0.0;
        let mut first = self.segments.back().map_or(0, |newest| newest.number);
        for segment in self.segments.iter().rev() {
            if segment.is_complete() && kept >= least && end.since(segment.start()) > window {
                break;
            }
            kept += if segment.is_complete() { segment.seconds() } else { 0.0 };
            first = segment.number;
        }
        self.first_listed = self.first_listed.max(first);
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<Segment> {
        let oldest = self.segments.pop_front()?;
        if let Some(next) = self.segments.front() {
            self.first_listed = self.first_listed.max(next.number);
            let needed = next.init;
            self.inits.retain(|number, _| *number >= needed);
        }
        Some(oldest)
    }

    /// The oldest segment that takes memory.
    pub(crate) fn first_in_memory(&self) -> Option<(usize, &Segment)> {
        let index = self.segments.partition_point(Segment::is_on_disk_only);
        Some((index, self.segments.get(index)?))
    }

    /// Takes what is complete and older than `kept` out of memory. What is not on disk by now is gone, and with it all that is
    /// older: a playlist has no holes. Returns the bytes that are free.
    pub(crate) fn leave_memory(&mut self, rendition: &str, kept: Duration, backlog: &mut Backlog) -> usize {
        let Some(end) = self.segments.back().map(Segment::end) else { return 0 };
        let mut freed = 0;
        while let Some((index, oldest)) = self.first_in_memory()
            && oldest.is_complete()
            && end.since(oldest.end()) > kept
        {
            freed += self.leave_memory_at(index, rendition, Some(&mut *backlog));
        }
        freed
    }

    pub(crate) fn leave_memory_at(
        &mut self,
        index: usize,
        rendition: &str,
        mut backlog: Option<&mut Backlog>,
    ) -> usize {
        let Some(segment) = self.segments.get_mut(index) else { return 0 };
        if segment.saved {
            return segment.leave_memory();
        }
        let popped: Vec<Segment> = std::iter::from_fn(|| self.pop_oldest()).take(index + 1).collect();
        popped.iter().map(|segment| forget(segment, rendition, self.kind, &mut backlog)).sum()
    }
}

/// RTMP's milliseconds make the same four frames 266 or 267 ms long: what is announced shall not follow that.
fn up_to_hundredths(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 100.0).ceil() as u64 * 10)
}

/// What is to be done when a segment has left the window; returns the bytes of memory that it took.
pub(crate) fn forget(segment: &Segment, rendition: &str, kind: MediaKind, backlog: &mut Option<&mut Backlog>) -> usize {
    if let Some(backlog) = backlog {
        backlog.left(rendition, kind, segment);
    }
    if segment.is_on_disk_only() { 0 } else { segment.bytes }
}

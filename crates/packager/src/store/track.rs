//! A track of a rendition: its segments in order, which of them playlists show, and what leaves memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use weir_media::codec::captions::Captions;
use weir_media::{MediaTime, TrackInfo};

use crate::store::backlog::Backlog;
use crate::store::rendered::Rendered;
use crate::store::segment::Segment;
use crate::store::track_name::TrackName;

#[derive(Clone, Debug)]
pub(crate) struct Init {
    pub(crate) body: Bytes,
    pub(crate) info: Arc<TrackInfo>,
}

/// One track of a rendition.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) name: TrackName,
    pub(crate) inits: BTreeMap<u32, Init>,
    /// The segments, whose numbers are consecutive. The last one may be open.
    pub(crate) segments: VecDeque<Segment>,
    /// The number of the oldest segment that playlists show. Older ones are kept for those who read an older playlist.
    pub(crate) first_listed: u64,
    /// Where another run of the server went on: the number of its first segment, and the time that is missing before it. The missing time
    /// makes no segment older, because only a clock that may have been set says whether it has passed.
    restarts: VecDeque<(u64, Duration)>,
    /// Whether a rendition has this track now.
    pub(crate) live: bool,
    /// The closed captions that the track's pictures have carried so far.
    pub(crate) captions: Captions,
    rendered: [Option<(u64, Rendered)>; 2],
}

impl Track {
    const PARTS_TARGETS: u64 = 3;
    /// A live playlist may hold no less than three target durations (RFC 8216bis, 6.2.2).
    const LISTED_TARGETS_MIN: u64 = 3;

    pub(crate) fn new(name: TrackName) -> Self {
        let (inits, segments) = (BTreeMap::new(), VecDeque::new());
        Self {
            name,
            inits,
            segments,
            first_listed: 0,
            restarts: VecDeque::new(),
            live: true,
            captions: Captions::default(),
            rendered: [None, None],
        }
    }

    /// The segments, newest first, each with the seconds of media that follow it. A pause of the source is not media, because players count
    /// what they can play.
    fn followed(&self) -> impl Iterator<Item = (&Segment, f64)> {
        self.segments.iter().rev().scan(0.0, |after, segment| {
            let behind = *after;
            *after += segment.listed_seconds();
            Some((segment, behind))
        })
    }

    /// How many of the oldest listed segments are followed by at least so much media.
    pub(crate) fn count_before(&self, seconds: u64) -> usize {
        let newer = self.followed().take_while(|(segment, behind)| {
            segment.number >= self.first_listed && (*behind < seconds as f64 || !segment.is_complete())
        });
        let listed = self.segments.back().map_or(0, |newest| newest.number + 1 - self.first_listed);
        usize::try_from(listed).unwrap_or(0).saturating_sub(newer.count())
    }

    /// The segment from which on parts are listed. As the specification has it, they are listed in the last three target durations of the
    /// playlist.
    pub(crate) fn parts_from(&self, target_seconds: u64) -> u64 {
        let near = self.followed().take_while(|(_, behind)| *behind < (target_seconds * Self::PARTS_TARGETS) as f64);
        near.last().map_or(0, |(segment, _)| segment.number)
    }

    /// The segments that playlists show, oldest first. The open one is the last.
    pub(crate) fn listed(&self) -> impl DoubleEndedIterator<Item = &Segment> + Clone {
        self.segments.iter().filter(|segment| segment.number >= self.first_listed)
    }

    /// The complete ones of the segments that playlists show. DASH shows these, and they are what is measured.
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

    /// The newest segment and its newest part, as rendition reports and blocking requests count them. There is no part if none of the
    /// segment is listed. A segment of which nothing is listed does not exist yet.
    pub(crate) fn newest(&self) -> Option<(u64, Option<usize>)> {
        let newest = self.segments.iter().rev().find(|segment| segment.is_listed())?;
        Some((newest.number, newest.listed_parts().len().checked_sub(1)))
    }

    /// Whether more of the track is to come than is listed.
    pub(crate) fn is_coming(&self) -> bool {
        self.live && self.segments.back().is_some_and(Segment::has_begun)
    }

    /// The track's properties as of the newest segment that is listed.
    pub(crate) fn info(&self) -> Option<&Arc<TrackInfo>> {
        let init = self.segments.iter().rev().find(|segment| segment.is_listed())?.init;
        self.inits.get(&init).map(|init| &init.info)
    }

    /// Takes over what changed in the track that this one mirrors, but `room` new segments at most. Returns whether that was all.
    pub(crate) fn follow(&mut self, live: &Self, room: usize) -> bool {
        (self.live, self.captions, self.first_listed) = (live.live, live.captions, live.first_listed);
        if !self.inits.keys().eq(live.inits.keys()) {
            self.inits.clone_from(&live.inits);
        }
        // A segment that was open has changed since, or never came to be. One that was complete stays as it is.
        while self.segments.pop_back_if(|newest| !newest.is_complete()).is_some() {}
        while self.segments.pop_front_if(|oldest| oldest.number < live.first_listed).is_some() {}
        let next = self.segments.back().map_or(live.first_listed, |newest| newest.number + 1);
        let known = live.segments.partition_point(|segment| segment.number < next);
        self.segments.extend(live.segments.iter().skip(known).take(room).map(Segment::without_bytes));
        live.segments.len() <= known + room
    }

    /// Forgets the parts of the segments before that number.
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

    /// Adds a segment that begins.
    pub(crate) fn push(&mut self, segment: Segment) {
        match self.segments.back() {
            None => self.first_listed = segment.number,
            Some(before) if before.run != segment.run => {
                self.restarts.push_back((segment.number, segment.start().since(before.end())));
            }
            Some(_) => {}
        }
        self.segments.push_back(segment);
    }

    /// Takes over what an earlier run of the server left.
    pub(crate) fn restore(&mut self, inits: BTreeMap<u32, Init>, segments: VecDeque<Segment>, first_listed: u64) {
        self.inits = inits;
        segments.into_iter().for_each(|segment| self.push(segment));
        self.first_listed = first_listed;
    }

    /// How long before the track's end `time` is, which lies in the segment of that number. Only time that the server has seen pass counts.
    fn age(&self, number: u64, time: MediaTime) -> Duration {
        let end = self.segments.back().map_or(time, Segment::end);
        let unseen: Duration = self.restarts.iter().filter(|(first, _)| *first > number).map(|(_, gap)| *gap).sum();
        end.since(time).saturating_sub(unseen)
    }

    /// Moves the beginning of the playlist forward to the window, but not so far that too little is left. It never moves back.
    pub(crate) fn list_from(&mut self, window: Duration, target_seconds: u64) {
        let least = (target_seconds * Self::LISTED_TARGETS_MIN) as f64;
        let (mut kept, mut last_to_go) = (0.0, None);
        for segment in self.segments.iter().rev() {
            if segment.is_complete() && kept >= least {
                last_to_go = Some(segment.number);
                break;
            }
            kept += if segment.is_complete() { segment.seconds() } else { 0.0 };
        }
        let Some(last_to_go) = last_to_go else { return };
        while self.first_listed <= last_to_go
            && self.segment(self.first_listed).is_none_or(|oldest| self.age(oldest.number, oldest.start()) > window)
        {
            self.first_listed += 1;
        }
    }

    /// Takes the oldest segment out if it is not listed any more, and is older than `kept`.
    pub(crate) fn pop_older(&mut self, kept: Duration) -> Option<Segment> {
        let oldest = self.segments.front().filter(|oldest| oldest.number < self.first_listed)?;
        (self.age(oldest.number, oldest.end()) > kept).then(|| self.pop_oldest())?
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<Segment> {
        let oldest = self.segments.pop_front()?;
        if let Some(next) = self.segments.front() {
            self.first_listed = self.first_listed.max(next.number);
            let (number, needed) = (next.number, next.init);
            self.inits.retain(|number, _| *number >= needed);
            self.restarts.retain(|(first, _)| *first > number);
        }
        Some(oldest)
    }

    /// The oldest segment that takes memory, and its place.
    pub(crate) fn first_in_memory(&self) -> Option<(usize, &Segment)> {
        let index = self.segments.partition_point(Segment::is_on_disk_only);
        Some((index, self.segments.get(index)?))
    }

    /// Takes segments that are complete and older than `kept` out of memory. One that is not on disk by now is gone, and with it all that
    /// are older, because a playlist has no holes. Returns how many bytes became free.
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
        popped.iter().map(|segment| forget(segment, rendition, self.name, &mut backlog)).sum()
    }
}

/// Does what is to be done when a segment has left the window. Returns how many bytes of memory it took.
pub(crate) fn forget(
    segment: &Segment,
    rendition: &str,
    track: TrackName,
    backlog: &mut Option<&mut Backlog>,
) -> usize {
    if let Some(backlog) = backlog {
        backlog.left(rendition, track, segment);
    }
    if segment.is_on_disk_only() { 0 } else { segment.bytes }
}

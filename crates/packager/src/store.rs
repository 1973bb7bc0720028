//! The segment store: every track's segments and parts, bounded in time and bytes, from which all protocols are served.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use time::OffsetDateTime;
use weir_media::codec::captions::Captions;
use weir_media::{MediaKind, MediaTime, TrackInfo};

use crate::PackagerConfig;
use crate::answer::Rendered;
use crate::clock::{media_time, seconds};
use crate::dvr::Backlog;
use crate::listing::Listing;
use crate::part::Part;

/// Parts, but the last of a segment, last so much of the part target at least (RFC 8216bis, 4.4.4.9).
const PART_SHARE_MIN: f64 = 0.85;

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
}

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
    pub(crate) listing: Listing,
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
            listing: Listing::default(),
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

    pub(crate) fn rendered(&self, version: u64, skip: bool) -> Option<&Rendered> {
        let (at, rendered) = self.rendered[usize::from(skip)].as_ref()?;
        (*at == version).then_some(rendered)
    }

    pub(crate) fn keep_rendered(&mut self, version: u64, skip: bool, rendered: Rendered) {
        self.rendered[usize::from(skip)] = Some((version, rendered));
    }

    /// Moves the beginning of the playlist, never back, and not so far that too little is left.
    fn list_from(&mut self, window: Duration, target_seconds: u64) {
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
    fn first_in_memory(&self) -> Option<(usize, &Segment)> {
        let index = self.segments.partition_point(Segment::is_on_disk_only);
        Some((index, self.segments.get(index)?))
    }

    /// Takes what is complete and older than `kept` out of memory. What is not on disk by now is gone, and with it all that is
    /// older: a playlist has no holes. Returns the bytes that are free.
    fn leave_memory(&mut self, rendition: &str, kept: Duration, backlog: &mut Backlog) -> usize {
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

    fn leave_memory_at(&mut self, index: usize, rendition: &str, mut backlog: Option<&mut Backlog>) -> usize {
        let Some(segment) = self.segments.get_mut(index) else { return 0 };
        if segment.saved {
            segment.whole = None;
            let in_memory = !std::mem::take(&mut segment.parts).is_empty();
            return if in_memory { segment.bytes } else { 0 };
        }
        let popped: Vec<Segment> = std::iter::from_fn(|| self.pop_oldest()).take(index + 1).collect();
        popped.iter().map(|segment| forget(segment, rendition, self.kind, &mut backlog)).sum()
    }
}

/// RTMP's milliseconds make the same four frames 266 or 267 ms long: what is announced shall not follow that.
fn up_to_hundredths(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 100.0).ceil() as u64 * 10)
}

/// What the packaging of a rendition does to the store. All that one frame causes is applied at once, so that nobody sees a
/// segment that ended without the one that follows.
#[derive(Debug)]
pub(crate) enum Change {
    Init { kind: MediaKind, number: u32, init: Init },
    Begin { kind: MediaKind, segment: Segment },
    Part { kind: MediaKind, part: Part },
    End { kind: MediaKind },
    Live { kind: MediaKind, live: bool },
    Captions { kind: MediaKind, captions: Captions },
}

/// What is to be done when a segment has left the window; returns the bytes of memory that it took.
fn forget(segment: &Segment, rendition: &str, kind: MediaKind, backlog: &mut Option<&mut Backlog>) -> usize {
    if let Some(backlog) = backlog {
        backlog.left(rendition, kind, segment);
    }
    if segment.is_on_disk_only() { 0 } else { segment.bytes }
}

#[derive(Debug)]
pub(crate) struct Store {
    config: PackagerConfig,
    pub(crate) renditions: BTreeMap<String, Vec<Track>>,
    /// The wall clock at the stream's time zero.
    pub(crate) zero_at: Option<OffsetDateTime>,
    /// HLS's target duration, one for all playlists. It is what was asked for, and only rises if keyframes are further apart.
    pub(crate) target_seconds: u64,
    /// Rises with every change.
    pub(crate) version: u64,
    /// See [`Segment::run`].
    pub(crate) run: u64,
    /// Where the timeline of an earlier run ended, if this one goes on from it.
    pub(crate) resumed_end: Option<MediaTime>,
    /// What is to be written, where the window reaches beyond memory.
    pub(crate) backlog: Option<Backlog>,
    bytes: usize,
}

impl Store {
    /// Kept beyond the window for those who still read an older playlist (RFC 8216bis, 6.2.2).
    const GRACE: Duration = Duration::from_secs(12);

    pub(crate) fn new(config: PackagerConfig) -> Self {
        let target_seconds = (config.segment_target.as_secs_f64().round() as u64).max(1);
        let renditions = BTreeMap::new();
        Self {
            config,
            renditions,
            zero_at: None,
            target_seconds,
            version: 0,
            run: 0,
            resumed_end: None,
            backlog: None,
            bytes: 0,
        }
    }

    pub(crate) fn config(&self) -> &PackagerConfig {
        &self.config
    }

    pub(crate) fn track(&self, rendition: &str, kind: MediaKind) -> Option<&Track> {
        self.renditions.get(rendition)?.iter().find(|track| track.kind == kind)
    }

    pub(crate) fn track_mut(&mut self, rendition: &str, kind: MediaKind) -> Option<&mut Track> {
        self.renditions.get_mut(rendition)?.iter_mut().find(|track| track.kind == kind)
    }

    /// Writes down what of a track's playlist changes no more.
    pub(crate) fn settle(&mut self, rendition: &str, kind: MediaKind) {
        let (target, zero_at) = (self.target_seconds, self.zero_at);
        let Some(track) = self.track_mut(rendition, kind) else { return };
        let mut listing = std::mem::take(&mut track.listing);
        listing.update(track, track.parts_from(target), target, zero_at);
        track.listing = listing;
    }

    pub(crate) fn apply(&mut self, rendition: &str, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.version += 1;
        let mut ended = false;
        for change in changes {
            ended |= matches!(change, Change::End { .. });
            self.apply_one(rendition, change);
        }
        if ended {
            self.evict();
        }
    }

    fn apply_one(&mut self, rendition: &str, change: Change) {
        match change {
            Change::Init { kind, number, init } => {
                if let Some(backlog) = &mut self.backlog {
                    backlog.add_init(rendition, kind, number);
                }
                self.track_or_new(rendition, kind).inits.insert(number, init);
            }
            Change::Live { kind, live } => {
                if let Some(track) = self.track_mut(rendition, kind) {
                    track.live = live;
                }
            }
            Change::Captions { kind, captions } => self.track_or_new(rendition, kind).captions = captions,
            Change::Begin { kind, mut segment } => {
                segment.run = self.run;
                let track = self.track_or_new(rendition, kind);
                if track.segments.is_empty() {
                    track.first_listed = segment.number;
                }
                track.segments.push_back(segment);
            }
            Change::Part { kind, part } => self.add_part(rendition, kind, part),
            Change::End { kind } => {
                let Some(track) = self.track_mut(rendition, kind) else { return };
                match track.segments.back_mut() {
                    // Nothing came: there never was such a segment, and the next one has its number.
                    Some(open) if open.is_complete() => {}
                    Some(open) if open.parts.is_empty() => drop(track.segments.pop_back()),
                    Some(open) => open.complete = true,
                    None => {}
                }
            }
        }
    }

    fn add_part(&mut self, rendition: &str, kind: MediaKind, part: Part) {
        let bytes = part.bytes;
        let Some(track) = self.track_mut(rendition, kind) else { return };
        let Some(open) = track.segments.back_mut() else { return };
        open.duration_ticks += part.duration_ticks;
        open.independent |= open.samples == 0 && part.independent;
        open.samples += u64::from(part.samples);
        open.bytes += bytes;
        open.parts.push(part);
        let rounded = open.seconds().round() as u64;
        self.target_seconds = self.target_seconds.max(rounded);
        self.bytes += bytes;
    }

    pub(crate) fn track_or_new(&mut self, rendition: &str, kind: MediaKind) -> &mut Track {
        let tracks = self.renditions.entry(rendition.to_owned()).or_default();
        let at = tracks.iter().position(|track| track.kind == kind).unwrap_or_else(|| {
            tracks.push(Track::new(kind));
            tracks.len() - 1
        });
        &mut tracks[at]
    }

    fn evict(&mut self) {
        let (window, target_seconds) = (self.config.window, self.target_seconds);
        let kept = window + Self::GRACE;
        let mut freed = 0;
        let mut backlog = self.backlog.as_mut();
        let tracks =
            self.renditions.iter_mut().flat_map(|(name, tracks)| tracks.iter_mut().map(move |track| (name, track)));
        for (name, track) in tracks {
            track.list_from(window, target_seconds);
            while let (Some(oldest), Some(newest)) = (track.segments.front(), track.segments.back()) {
                if oldest.number >= track.first_listed || newest.end().since(oldest.end()) <= kept {
                    break;
                }
                let Some(oldest) = track.pop_oldest() else { break };
                freed += forget(&oldest, name, track.kind, &mut backlog);
            }
            if let Some(backlog) = &mut backlog {
                freed += track.leave_memory(name, backlog.memory_window + Self::GRACE, backlog);
            }
        }
        self.bytes = self.bytes.saturating_sub(freed);
        while self.bytes > self.config.window_bytes_max {
            let tracks =
                self.renditions.iter_mut().flat_map(|(name, tracks)| tracks.iter_mut().map(move |track| (name, track)));
            let oldest = tracks.filter_map(|(name, track)| {
                let (index, oldest) = track.first_in_memory()?;
                let start = oldest.start();
                (index + 1 < track.segments.len()).then_some((start, index, name, track))
            });
            let Some((_, index, name, track)) = oldest.min_by_key(|(start, ..)| *start) else { break };
            let freed = track.leave_memory_at(index, name, self.backlog.as_mut());
            self.bytes = self.bytes.saturating_sub(freed);
        }
    }
}

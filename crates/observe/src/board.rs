//! The live board: the newest status of every stream and restream that runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::audience::Audience;
use crate::wish::{RestreamView, RestreamWish};
use weir_model::{
    PushStatus, RestreamId, RestreamStatus, SeenStatus, StreamId, StreamStatus, ViewerKind, Viewers, WebrtcStatus,
};

/// The board. Each stage writes to it about once a second, and the API reads it. BTreeMaps keep listings and metrics in order.
#[derive(Debug, Default)]
pub struct Board {
    streams: RwLock<BTreeMap<StreamId, StreamLine>>,
    /// The lines are boxed: ids only rise, so the tree's nodes stay half empty, which would cost half a kilobyte for each free place.
    restreams: RwLock<BTreeMap<RestreamId, Box<RestreamLine>>>,
    workers: RwLock<BTreeMap<StreamId, WorkerLine>>,
    /// The wishes of all restreams that are stored, whether they run or not.
    wishes: RwLock<BTreeMap<RestreamId, Box<RestreamWish>>>,
}

#[derive(Clone, Debug)]
pub struct StreamLine {
    pub name: String,
    pub status: StreamStatus,
    viewers: Arc<ViewerCounts>,
    /// How late a segment was at worst since the history looked last, in milliseconds.
    segment_late_ms: Arc<AtomicU64>,
    segments: Arc<SegmentCounts>,
}

/// How many segments were packaged of each track, by rendition and track.
type SegmentCounts = Mutex<BTreeMap<(String, String), u64>>;

/// How many tracks of a stream have their segments counted. A ladder of 16 renditions with 16 sounds has 32 tracks, because each sound is
/// packaged once. A ladder that is changed for years has had more, and the newest of these are not counted.
const COUNTED_TRACKS_MAX: usize = 256;

#[derive(Clone, Debug)]
pub struct RestreamLine {
    pub status: RestreamStatus,
    /// Connections opened since the restream was started, the first included.
    pub connects: u64,
}

/// The transcoding process of a stream, as last measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkerLine {
    pub pid: u32,
    pub rss_bytes: u64,
    pub cpu_seconds: f64,
    /// The share over the last second or two; 100 is one core.
    pub cpu_percent: f64,
    /// The workers that this stream has had so far, this one included.
    pub starts: u64,
}

/// Viewers with a connection are counted while it lives; viewers who come and go (HLS, DASH) while they keep coming.
#[derive(Debug, Default)]
struct ViewerCounts {
    held: [AtomicU64; ViewerKind::COUNT],
    coming: [Audience; ViewerKind::COUNT],
    /// By viewers who had lost something that they can't do without.
    keyframes_asked: AtomicU64,
    /// By encoders, beside those that were due.
    keyframes_forced: AtomicU64,
    /// How many viewers see which rendition, of those who may be moved from one to another.
    seen: Mutex<BTreeMap<String, u64>>,
    /// How often they were moved.
    moves: AtomicU64,
}

/// Takes note of a stream's viewers who come and go, each time they come.
#[derive(Clone, Debug)]
pub struct ViewerBook {
    counts: Arc<ViewerCounts>,
}

impl ViewerBook {
    /// Notes a viewer. `viewer` is the same number for the same viewer, who is no longer counted when not seen again for `window`.
    pub fn saw(&self, kind: ViewerKind, viewer: u64, window: Duration) {
        if let Some(audience) = self.counts.coming.get(kind as usize) {
            audience.saw(viewer, Instant::now(), window);
        }
    }
}

/// One viewer, who is counted as long as this lives.
#[derive(Debug)]
pub struct Viewer {
    counts: Arc<ViewerCounts>,
    kind: ViewerKind,
    rendition: Option<String>,
}

impl Viewer {
    /// The viewer sees that rendition now.
    pub fn sees(&mut self, rendition: &str) {
        let before = self.rendition.replace(rendition.to_owned());
        if before.as_deref().is_some_and(|before| before != rendition) {
            self.counts.moves.fetch_add(1, Ordering::Relaxed);
        }
        let mut seen = self.counts.seen();
        if let Some(before) = before {
            forget_one(&mut seen, &before);
        }
        *seen.entry(rendition.to_owned()).or_default() += 1;
    }

    /// The viewer has asked for a keyframe so often.
    pub fn asked_for_keyframes(&self, count: u64) {
        self.counts.keyframes_asked.fetch_add(count, Ordering::Relaxed);
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if let Some(count) = self.counts.held.get(self.kind as usize) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(rendition) = &self.rendition {
            forget_one(&mut self.counts.seen(), rendition);
        }
    }
}

fn forget_one(seen: &mut BTreeMap<String, u64>, rendition: &str) {
    if let Some(count) = seen.get_mut(rendition) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            seen.remove(rendition);
        }
    }
}

impl ViewerCounts {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Viewers {
        let now = Instant::now();
        Viewers::counted(|kind| {
            let held = self.held.get(kind as usize).map_or(0, |count| count.load(Ordering::Relaxed));
            held + self.coming.get(kind as usize).map_or(0, |audience| audience.count(now))
        })
    }
}

impl Board {
    pub fn set_stream(&self, id: StreamId, name: &str, status: StreamStatus) {
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        match streams.get_mut(&id) {
            Some(line) => {
                line.status = status;
                if line.name != name {
                    name.clone_into(&mut line.name);
                }
            }
            None => {
                let line = StreamLine {
                    name: name.to_owned(),
                    status,
                    viewers: Arc::default(),
                    segment_late_ms: Arc::default(),
                    segments: Arc::default(),
                };
                streams.insert(id, line);
            }
        }
    }

    pub fn stream(&self, id: StreamId) -> Option<StreamStatus> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.get(&id).map(StreamLine::status_with_viewers)
    }

    /// Counts a viewer of a stream that runs.
    pub fn viewer(&self, id: StreamId, kind: ViewerKind) -> Option<Viewer> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let counts = Arc::clone(&streams.get(&id)?.viewers);
        if let Some(count) = counts.held.get(kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Some(Viewer { counts, kind, rendition: None })
    }

    /// An encoder of the stream was told to make a keyframe, because a viewer asked for one.
    pub fn count_forced_keyframe(&self, id: StreamId) {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = streams.get(&id) {
            line.viewers.keyframes_forced.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The book for viewers who come and go; None while the stream does not run.
    pub fn viewer_book(&self, id: StreamId) -> Option<ViewerBook> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        Some(ViewerBook { counts: Arc::clone(&streams.get(&id)?.viewers) })
    }

    /// Notes that a segment is missing so long after it was due.
    pub fn note_late_segment(&self, id: StreamId, late: Duration) {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = streams.get(&id) {
            let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
            line.segment_late_ms.fetch_max(late_ms, Ordering::Relaxed);
        }
    }

    /// A track of a rendition has a segment more.
    pub fn count_segment(&self, id: StreamId, rendition: &str, track: &str) {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = streams.get(&id) else { return };
        let mut segments = line.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let room = segments.len() < COUNTED_TRACKS_MAX;
        match segments.entry((rendition.to_owned(), track.to_owned())) {
            Entry::Occupied(mut count) => *count.get_mut() += 1,
            Entry::Vacant(first) if room => drop(first.insert(1)),
            Entry::Vacant(_) => {}
        }
    }

    /// Calls `look` for every stream that runs. It must be quick: stages that report wait for it.
    pub fn each_stream(&self, mut look: impl FnMut(StreamId, &StreamLine)) {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.iter().for_each(|(id, line)| look(*id, line));
    }

    /// Calls `look` for every restream that runs; see `each_stream`.
    pub fn each_restream(&self, mut look: impl FnMut(RestreamId, &RestreamStatus)) {
        let restreams = self.restreams.read().unwrap_or_else(PoisonError::into_inner);
        restreams.iter().for_each(|(id, line)| look(*id, &line.status));
    }

    /// Sets a stream's worker; None when it has ended.
    pub fn set_worker(&self, id: StreamId, line: Option<WorkerLine>) {
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        match line {
            Some(line) => workers.insert(id, line),
            None => workers.remove(&id),
        };
    }

    pub fn worker(&self, id: StreamId) -> Option<WorkerLine> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    pub fn forget_stream(&self, id: StreamId) {
        self.set_worker(id, None);
        self.streams.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Puts up a restream that starts to run.
    pub fn set_restream(&self, id: RestreamId, line: RestreamLine) {
        self.restreams.write().unwrap_or_else(PoisonError::into_inner).insert(id, Box::new(line));
    }

    /// Changes one push of a restream that is up.
    pub fn update_push(&self, id: RestreamId, backup: bool, status: PushStatus, connects: u64) {
        let mut restreams = self.restreams.write().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = restreams.get_mut(&id) else { return };
        line.connects += connects;
        if backup {
            line.status.backup = Some(status);
        } else {
            line.status.push = status;
        }
    }

    pub fn restream(&self, id: RestreamId) -> Option<RestreamStatus> {
        let restreams = self.restreams.read().unwrap_or_else(PoisonError::into_inner);
        restreams.get(&id).map(|line| line.status.clone())
    }

    /// Sets the wishes that have changed; None for a restream that was deleted.
    pub fn wish(&self, changed: Vec<(RestreamId, Option<RestreamWish>)>) {
        let mut wishes = self.wishes.write().unwrap_or_else(PoisonError::into_inner);
        for (id, wish) in changed {
            match wish {
                Some(wish) => wishes.insert(id, Box::new(wish)),
                None => wishes.remove(&id),
            };
        }
    }

    /// A restream as it is, merged from what is asked of it and what runs; None where no such restream is stored.
    pub(crate) fn view(&self, id: RestreamId, source: impl FnOnce(StreamId) -> StreamStatus) -> Option<RestreamView> {
        let wish = self.wishes.read().unwrap_or_else(PoisonError::into_inner).get(&id)?.clone();
        Some(wish.merged_with(self.restream(id), &source(wish.stream_id)))
    }

    pub(crate) fn wishes(&self) -> Vec<(RestreamId, RestreamWish)> {
        let wishes = self.wishes.read().unwrap_or_else(PoisonError::into_inner);
        wishes.iter().map(|(id, wish)| (*id, RestreamWish::clone(wish))).collect()
    }

    /// The connections opened since the restream was started; None while it does not run.
    pub(crate) fn connects(&self, id: RestreamId) -> Option<u64> {
        self.restreams.read().unwrap_or_else(PoisonError::into_inner).get(&id).map(|line| line.connects)
    }

    pub fn forget_restream(&self, id: RestreamId) {
        self.restreams.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(crate) fn streams(&self) -> Vec<(StreamId, StreamLine)> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.iter().map(|(id, line)| (*id, line.clone())).collect()
    }

    /// The workers, with the names of their streams.
    pub(crate) fn workers(&self) -> Vec<(String, WorkerLine)> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.iter().filter_map(|(id, line)| Some((streams.get(id)?.name.clone(), *line))).collect()
    }
}

impl StreamLine {
    pub(crate) fn take_segment_late(&self) -> Duration {
        Duration::from_millis(self.segment_late_ms.swap(0, Ordering::Relaxed))
    }

    pub(crate) fn segments(&self) -> BTreeMap<(String, String), u64> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn status_with_viewers(&self) -> StreamStatus {
        let ViewerCounts { keyframes_asked, keyframes_forced, moves, .. } = &*self.viewers;
        let seen = self.viewers.seen();
        let seen =
            seen.iter().map(|(rendition, viewers)| SeenStatus { rendition: rendition.clone(), viewers: *viewers });
        let webrtc = WebrtcStatus {
            keyframes_asked: keyframes_asked.load(Ordering::Relaxed),
            keyframes_forced: keyframes_forced.load(Ordering::Relaxed),
            seen: seen.collect(),
            moves: moves.load(Ordering::Relaxed),
            ..self.status.webrtc.clone()
        };
        StreamStatus { viewers: self.viewers.read(), webrtc, ..self.status.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    #[test]
    fn viewers_are_counted_while_they_live() {
        let board = Board::default();
        let id = StreamId(1);
        assert!(board.viewer(id, ViewerKind::Rtmp).is_none());
        board.set_stream(id, "cam1", StreamStatus::offline(OffsetDateTime::UNIX_EPOCH));
        let mut first = board.viewer(id, ViewerKind::Rtmp);
        let second = board.viewer(id, ViewerKind::Rtmp);
        assert_eq!(board.stream(id).unwrap().viewers.of(ViewerKind::Rtmp), 2);
        first.as_ref().unwrap().asked_for_keyframes(3);
        let seen = || board.stream(id).unwrap().webrtc;
        for (rendition, moves) in [("720p", 0), ("360p", 1), ("360p", 1)] {
            first.as_mut().unwrap().sees(rendition);
            let expected = SeenStatus { rendition: rendition.to_owned(), viewers: 1 };
            assert_eq!((seen().seen, seen().moves), (vec![expected], moves));
        }
        board.count_forced_keyframe(id);
        drop((first, second));
        // A status that is written meanwhile does not disturb the counts.
        board.set_stream(id, "cam1", StreamStatus::offline(OffsetDateTime::UNIX_EPOCH));
        let status = board.stream(id).unwrap();
        assert_eq!(status.viewers, Viewers::default());
        assert_eq!(status.webrtc.seen, []);
        assert_eq!((status.webrtc.keyframes_asked, status.webrtc.keyframes_forced), (3, 1));
    }

    #[test]
    fn segments_are_counted_for_a_bounded_number_of_tracks() {
        let board = Board::default();
        let id = StreamId(1);
        board.count_segment(id, "source", "video");
        board.set_stream(id, "cam1", StreamStatus::offline(OffsetDateTime::UNIX_EPOCH));
        for number in 0..2 * COUNTED_TRACKS_MAX {
            board.count_segment(id, "source", &format!("audio-{number}"));
            board.count_segment(id, "source", "audio-0");
        }
        let counts = board.streams().remove(0).1.segments();
        assert_eq!(counts.len(), COUNTED_TRACKS_MAX);
        assert_eq!(counts[&("source".to_owned(), "audio-0".to_owned())], 2 * COUNTED_TRACKS_MAX as u64 + 1);
    }

    #[test]
    fn who_comes_again_is_one_viewer() {
        let board = Board::default();
        let id = StreamId(1);
        assert!(board.viewer_book(id).is_none());
        board.set_stream(id, "cam1", StreamStatus::offline(OffsetDateTime::UNIX_EPOCH));
        let book = board.viewer_book(id).unwrap();
        let hour = Duration::from_secs(3600);
        for (kind, viewer) in [(ViewerKind::Hls, 7), (ViewerKind::Hls, 7), (ViewerKind::Hls, 8), (ViewerKind::Dash, 7)]
        {
            book.saw(kind, viewer, hour);
        }
        let viewers = board.stream(id).unwrap().viewers;
        let counts = [ViewerKind::Hls, ViewerKind::Dash, ViewerKind::Rtmp].map(|kind| viewers.of(kind));
        assert_eq!(counts, [2, 1, 0]);
    }

    #[test]
    fn updates_to_a_forgotten_restream_go_nowhere() {
        let board = Board::default();
        let now = OffsetDateTime::UNIX_EPOCH;
        board.update_push(RestreamId(1), false, PushStatus::stopped(now), 1);
        assert!(board.restream(RestreamId(1)).is_none());
    }
}

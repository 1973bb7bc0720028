//! The handle on a stream's packager: answers requests, and has renditions followed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, timeout_at};
use weir_hub::{RenditionHub, StreamClock};
use weir_media::MediaKind;
use weir_model::StreamId;
use weir_observe::Observe;

use crate::answer::fnv1a;
use crate::boundaries::Boundaries;
use crate::dvr::{self, Backlog, DvrShelf, ReadFault, Restored, Resume, StreamShelf, TrackKey};
use crate::following::Following;
use crate::growing::Growing;
use crate::rendition_writer::RenditionWriter;
use crate::request::{Query, Target, is_token};
use crate::segment::Segment;
use crate::sounds::{Cutting, Sounds};
use crate::store::Store;
use crate::texts::Texts;
use crate::track::Track;
use crate::track_name::TrackName;
use crate::ts::Recipe;
use crate::ts_press::{TsPress, TsSegmentId, Unmade};
use crate::wall_time::steady_now;
use crate::{Answer, Cache, Cuts, PackagerConfig};

const TYPE_VIDEO: &str = "video/mp4";
const TYPE_AUDIO: &str = "audio/mp4";
const TYPE_TS: &str = "video/mp2t";

/// A request waits three target durations at most, then it is told to come again.
const WAIT_TARGETS: u64 = 3;

/// Clones share it; one per stream, for as long as the stream exists, so that numbers never go back.
#[derive(Clone, Debug)]
pub struct Packager {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: PackagerConfig,
    pub(crate) stream_id: StreamId,
    pub(crate) observe: Observe,
    pub(crate) clock: StreamClock,
    // std mutexes: no await while they are held. The store's is the one that media waits for: nothing is written under it.
    store: Mutex<Store>,
    /// Locked before the store, where both are.
    pub(crate) cutting: Mutex<Cutting>,
    /// Writers of renditions that are not followed now: who comes back goes on where it stopped.
    pub(crate) parked: Mutex<BTreeMap<String, RenditionWriter>>,
    pub(crate) followed: Mutex<BTreeSet<String>>,
    pub(crate) version: watch::Sender<u64>,
    /// Where the window reaches beyond memory.
    shelf: Option<Arc<StreamShelf>>,
    /// Set when what an earlier run left on disk is in the store.
    restored: OnceCell<()>,
    /// Where renditions of an earlier run go on.
    pub(crate) resumes: Mutex<BTreeMap<String, Resume>>,
    pub(crate) texts: Texts,
    pub(crate) ts_press: TsPress,
    /// Names mean the same bytes for as long as this packager lives, not beyond: tags are made with this.
    epoch: u64,
}

impl Packager {
    pub fn new(config: PackagerConfig, stream_id: StreamId, observe: Observe, clock: StreamClock) -> Self {
        Self::with((config, stream_id, observe, clock), None, 0)
    }

    /// One that shares its names with no other run of the server, and whose window reaches onto a shelf if it is long. What
    /// is there already is gone on from.
    pub fn open(
        config: PackagerConfig,
        stream_id: StreamId,
        (observe, clock): (Observe, StreamClock),
        shelf: Option<&DvrShelf>,
    ) -> Self {
        let shelf = shelf.filter(|shelf| shelf.is_for(config.bounded().window));
        let run = u64::try_from(steady_now().unix_timestamp_nanos() / 1_000_000).unwrap_or(1).max(1);
        Self::with((config, stream_id, observe, clock), shelf, run)
    }

    fn with(
        (config, stream_id, observe, clock): (PackagerConfig, StreamId, Observe, StreamClock),
        shelf: Option<&DvrShelf>,
        run: u64,
    ) -> Self {
        let config = config.bounded();
        let mut store = Store::new(config);
        store.run = run;
        let boundaries = Boundaries::new(&config, clock.next_number());
        let shared = Shared {
            config,
            stream_id,
            observe,
            clock,
            store: Mutex::new(store),
            cutting: Mutex::new(Cutting { boundaries, sounds: Sounds::default() }),
            parked: Mutex::default(),
            followed: Mutex::default(),
            version: watch::Sender::new(0),
            texts: Texts::new(config),
            ts_press: TsPress::default(),
            shelf: shelf.map(|shelf| Arc::new(shelf.stream(stream_id))),
            restored: OnceCell::new(),
            resumes: Mutex::default(),
            epoch: OffsetDateTime::now_utc().unix_timestamp_nanos() as u64,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Brings the window to disk for as long as it is polled, if there is a shelf.
    pub async fn save(self) {
        if let Some(shelf) = self.shared.shelf.clone() {
            self.shared.restored().await;
            dvr::write(self.shared, shelf).await;
        }
    }

    /// Deletes what the window has on disk; nothing is written any more. Blocks.
    pub fn delete_window(&self) -> std::io::Result<()> {
        self.shared.shelf.as_ref().map_or(Ok(()), |shelf| shelf.delete())
    }

    /// Packages a rendition as `name`, until it is closed. A name that can't stand in a path, or one that is being followed already, is
    /// refused, and said in the log.
    pub async fn run(self, rendition: RenditionHub, name: String, cuts: Cuts) {
        self.shared.restored().await;
        let Some(following) = Following::begin(&self.shared, name, cuts) else { return };
        following.follow(&rendition).await;
    }

    pub fn config(&self) -> &PackagerConfig {
        &self.shared.config
    }

    /// One GET below `/play/<stream>/`. Requests for a playlist or a part that is just to come wait for it here.
    pub async fn answer(&self, path: &str, query: Option<&str>) -> Answer {
        self.answer_to(path, query, None).await
    }

    /// The same for a viewer who is let in by a token: it stands behind every address that the answer names.
    pub async fn answer_to(&self, path: &str, query: Option<&str>, token: Option<&str>) -> Answer {
        let mut answer = self.find(path, query, token).await;
        if let Answer::Found { cache: Cache::Immutable, tag, .. } | Answer::Growing { tag, .. } = &mut answer {
            *tag = self.shared.epoch ^ fnv1a(path.as_bytes());
        }
        answer
    }

    async fn find(&self, path: &str, query: Option<&str>, token: Option<&str>) -> Answer {
        let Some(target) = Target::parse(path) else { return Answer::NotFound };
        let query = match Query::parse(query) {
            Ok(query) => query,
            Err(what) => return Answer::BadRequest(what.to_owned()),
        };
        if token.is_some_and(|token| !is_token(token)) {
            return Answer::BadRequest("the token is malformed".to_owned());
        }
        self.shared.restored().await;
        let PackagerConfig { hls, dash, .. } = self.shared.config;
        match target {
            Target::Playlist { rendition, track } if hls => {
                self.shared.media_playlist(rendition, track, &query, token).await
            }
            Target::Multivariant | Target::TsMultivariant | Target::TsPlaylist { .. } if hls => {
                self.shared.text(path, target, token).await
            }
            Target::Manifest { .. } if dash => self.shared.text(path, target, token).await,
            Target::Part { rendition, track, number, run, part } if hls => {
                let look = || part_file(self.shared.store().track_mut(rendition, track), number, run, part);
                self.shared.until(look).await.unwrap_or(Answer::NotReady)
            }
            Target::Init { rendition, track, number } if hls || dash => {
                let store = self.shared.store();
                let init = store.track(rendition, track).and_then(|known| known.inits.get(&number));
                file(track, init.map(|init| init.body.clone()))
            }
            Target::Segment { rendition, track, number, run } if hls || dash => {
                self.segment(rendition, track, number, run).await
            }
            Target::TsSegment { rendition, number, run } if hls => {
                let id = TsSegmentId { rendition: rendition.to_owned(), number, run };
                let recipe = || Recipe::of(&self.shared.store(), rendition, number, run);
                let made = self.shared.ts_press.get(&self.shared, id, recipe).await;
                made.map_or_else(Answer::from, |body| found(TYPE_TS, body))
            }
            _ => Answer::NotFound,
        }
    }

    async fn segment(&self, rendition: &str, track: TrackName, number: u64, run: u64) -> Answer {
        let on_disk = {
            let mut store = self.shared.store();
            let patience = Duration::from_secs(store.target_seconds() * WAIT_TARGETS);
            let segment = store.track_mut(rendition, track).and_then(|known| known.segment_mut(number));
            match segment.filter(|segment| segment.run == run) {
                Some(segment) if segment.is_on_disk_only() => TrackKey::new(rendition, track).file(segment),
                Some(segment) if !segment.is_complete() && segment.has_begun() => {
                    let segment = Growing::new(&self.shared, rendition, track, (number, run), patience);
                    return Answer::Growing { content_type: content_type(track), segment: Box::new(segment), tag: 0 };
                }
                found => return file(track, found.and_then(Segment::body)),
            }
        };
        self.shared.read(on_disk).await.map_or_else(Answer::from, |body| file(track, Some(body)))
    }
}

impl Shared {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks `look` after every change of the store, until it knows an answer; None when time is up.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        // Most need not wait, and setting up for it costs more than looking.
        if let Some(found) = look() {
            return Some(found);
        }
        let mut version = self.version.subscribe();
        let seconds = self.store().target_seconds() * WAIT_TARGETS;
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            version.mark_unchanged();
            if let Some(found) = look() {
                return Some(found);
            }
            // The sender lives as long as we do.
            timeout_at(deadline, version.changed()).await.ok()?.ok()?;
        }
    }

    /// A file of the window on disk.
    pub(crate) async fn read(&self, path: PathBuf) -> Result<Bytes, Unmade> {
        let shelf = self.shelf.clone().ok_or(Unmade::Gone)?;
        shelf.read(path).await.map_err(|fault| match fault {
            ReadFault::Busy => Unmade::Busy,
            ReadFault::Gone => Unmade::Gone,
        })
    }

    /// Takes what an earlier run left, once; whoever comes first does it for all.
    async fn restored(&self) {
        let Some(shelf) = &self.shelf else { return };
        self.restored.get_or_init(|| self.restore(shelf)).await;
    }

    async fn restore(&self, shelf: &Arc<StreamShelf>) {
        let on_disk = Arc::clone(shelf);
        let zero_at = self.clock.zero_at();
        let read = move || dvr::read(&on_disk, zero_at);
        let restored = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(restored)) => restored,
            Ok(Err(error)) => {
                tracing::error!(stream_id = %self.stream_id, %error, "the window on disk can't be read: it begins anew");
                Restored::default()
            }
            Err(_) => Restored::default(),
        };
        shelf.count(restored.disk_bytes());
        let (resumes, version) = {
            let mut cutting = lock(&self.cutting);
            let mut store = self.store();
            let ended = restored.put(&mut store);
            if !ended.resumes.is_empty() {
                cutting.boundaries = Boundaries::new(&self.config, 0);
                cutting.boundaries.resume(ended.next_number, ended.breaks);
                cutting.boundaries.announced(store.target);
                self.clock.take_number(ended.next_number.saturating_sub(1), false);
            }
            for (rendition, tracks) in &ended.resumes {
                for (track, resume) in tracks.iter().filter(|(track, _)| track.kind == MediaKind::Audio) {
                    cutting.sounds.resume(rendition, *track, *resume);
                }
            }
            store.backlog = Some(Backlog::new(shelf.memory_window()));
            (ended.resumes, store.version)
        };
        *lock(&self.resumes) = resumes;
        self.version.send_replace(version);
    }
}

impl From<Unmade> for Answer {
    fn from(unmade: Unmade) -> Self {
        match unmade {
            Unmade::Busy => Self::NotReady,
            Unmade::Gone => Self::NotFound,
        }
    }
}

fn found(content_type: &'static str, body: Bytes) -> Answer {
    Answer::Found { content_type, body, cache: Cache::Immutable, tag: 0, compressed: None }
}

fn file(track: TrackName, body: Option<Bytes>) -> Answer {
    body.map_or(Answer::NotFound, |body| found(content_type(track), body))
}

fn content_type(track: TrackName) -> &'static str {
    if track.kind == MediaKind::Video { TYPE_VIDEO } else { TYPE_AUDIO }
}

/// A part; None as long as it is just to come.
fn part_file(track: Option<&mut Track>, number: u64, run: u64, part: usize) -> Option<Answer> {
    let Some(track) = track else { return Some(Answer::NotFound) };
    let name = track.name;
    let segment = track.segment_mut(number).filter(|segment| segment.run == run);
    let Some(segment) = segment else { return Some(Answer::NotFound) };
    let (is_complete, count) = (segment.is_complete(), segment.parts.len());
    match segment.parts.get_mut(part) {
        Some(part) => Some(file(name, Some(part.body()))),
        None if is_complete || part > count => Some(Answer::NotFound),
        None => None,
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

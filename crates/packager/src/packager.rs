//! The handle on a stream's packager: answers requests, and has renditions followed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, timeout_at};
use weir_hub::StreamHub;
use weir_media::{MediaKind, MediaTime};
use weir_model::StreamId;
use weir_observe::Observe;

use crate::answer::{Rendered, fnv1a};
use crate::boundaries::Boundaries;
use crate::dvr::{self, Backlog, DvrShelf, ReadFault, Restored, Resume, StreamShelf, TrackKey};
use crate::following::Following;
use crate::growing::Growing;
use crate::reload::{check_until, is_reached};
use crate::rendition_writer::RenditionWriter;
use crate::request::{Query, Target};
use crate::segment::Segment;
use crate::store::Store;
use crate::track::Track;
use crate::ts_cache::TsCache;
use crate::{Answer, Cache, PackagerConfig, dash, hls, ts};

const TYPE_HLS: &str = "application/vnd.apple.mpegurl";
const TYPE_DASH: &str = "application/dash+xml";
const TYPE_VIDEO: &str = "video/mp4";
const TYPE_AUDIO: &str = "audio/mp4";
const TYPE_TS: &str = "video/mp2t";

/// A request waits three target durations at most, then it is told to come again.
const WAIT_TARGETS: u64 = 3;
/// The manifest says what time it is: one that is given out again must not be wrong by more than this.
const TEXT_AGE_MAX: Duration = Duration::from_millis(100);

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
    // std mutexes: no await while they are held. The store's is held for a few parts a second, and to write a playlist once
    // per version.
    store: Mutex<Store>,
    pub(crate) boundaries: Mutex<Boundaries>,
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
    /// What the hub's times need to stand on this timeline, which an earlier run may have begun.
    pub(crate) shift: Mutex<Option<MediaTime>>,
    /// Locked before the store, where both are, and while a segment is made: who asks for the same one waits for it.
    ts_cache: Mutex<TsCache>,
    /// Playlists of MPEG-TS as they were written last, with the version.
    ts_rendered: Mutex<BTreeMap<String, (u64, Rendered)>>,
    /// The multivariant playlist and both manifests as they were written last, with the version and the time of that.
    rendered: Mutex<[Option<(u64, Instant, Rendered)>; 3]>,
    /// Names mean the same bytes for as long as this packager lives, not beyond: tags are made with this.
    epoch: u64,
}

impl Packager {
    pub fn new(config: PackagerConfig, stream_id: StreamId, observe: Observe) -> Self {
        Self::with(config, stream_id, observe, None, 0)
    }

    /// One that shares its names with no other run of the server, and whose window reaches onto a shelf if it is long. What
    /// is there already is gone on from.
    pub fn open(config: PackagerConfig, stream_id: StreamId, observe: Observe, shelf: Option<&DvrShelf>) -> Self {
        let shelf = shelf.filter(|shelf| shelf.is_for(config.bounded().window));
        let run = u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(1).max(1);
        Self::with(config, stream_id, observe, shelf, run)
    }

    fn with(config: PackagerConfig, stream_id: StreamId, observe: Observe, shelf: Option<&DvrShelf>, run: u64) -> Self {
        let config = config.bounded();
        let mut store = Store::new(config);
        store.run = run;
        let mut boundaries = Boundaries::new(config.segment_target);
        // Seconds since 1970: segments take a second at least, so that numbers never go back over a restart.
        boundaries.begin_at(run / 1000, 0);
        let shared = Shared {
            config,
            stream_id,
            observe,
            store: Mutex::new(store),
            boundaries: Mutex::new(boundaries),
            parked: Mutex::default(),
            followed: Mutex::default(),
            version: watch::Sender::new(0),
            ts_cache: Mutex::default(),
            ts_rendered: Mutex::default(),
            shelf: shelf.map(|shelf| Arc::new(shelf.stream(stream_id))),
            restored: OnceCell::new(),
            resumes: Mutex::default(),
            shift: Mutex::default(),
            rendered: Mutex::default(),
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

    /// Packages the rendition that the hub knows as `in_hub`, as `name`, until it is closed. A name that can't stand in a path, or one that is being followed already,
    /// is refused, and said in the log.
    pub async fn run(self, hub: StreamHub, in_hub: String, name: String) {
        self.shared.restored().await;
        let Some(following) = Following::begin(&self.shared, name) else { return };
        following.follow(&hub, &hub.rendition(&in_hub)).await;
    }

    pub fn config(&self) -> &PackagerConfig {
        &self.shared.config
    }

    /// One GET below `/play/<stream>/`. Requests for a playlist or a part that is just to come wait for it here.
    pub async fn answer(&self, path: &str, query: Option<&str>) -> Answer {
        let mut answer = self.find(path, query).await;
        if let Answer::Found { cache: Cache::Immutable, tag, .. } | Answer::Growing { tag, .. } = &mut answer {
            *tag = self.shared.epoch ^ fnv1a(path.as_bytes());
        }
        answer
    }

    async fn find(&self, path: &str, query: Option<&str>) -> Answer {
        let Some(target) = Target::parse(path) else { return Answer::NotFound };
        let query = match Query::parse(query) {
            Ok(query) => query,
            Err(what) => return Answer::BadRequest(what.to_owned()),
        };
        self.shared.restored().await;
        let config = &self.shared.config;
        match target {
            Target::Multivariant if config.hls => self.multivariant(&query),
            Target::Playlist { rendition, kind } if config.hls => {
                self.wait(|store| playlist(store, rendition, kind, &query)).await
            }
            Target::Manifest { low_latency } if config.dash => self.manifest(&query, low_latency),
            Target::Part { rendition, kind, number, run, part } if config.hls => {
                self.wait(|store| part_file(store.track_mut(rendition, kind), number, run, part)).await
            }
            Target::Init { rendition, kind, number } if config.hls || config.dash => {
                let store = self.shared.store();
                let init = store.track(rendition, kind).and_then(|track| track.inits.get(&number));
                file(kind, init.map(|init| init.body.clone()))
            }
            Target::Segment { rendition, kind, number, run } if config.hls || config.dash => {
                self.segment(rendition, kind, number, run).await
            }
            Target::TsMultivariant if config.hls => {
                let write = |store: &Store| ts::multivariant(store, &query.suffix);
                self.wait(|store| self.ts_playlist(store, "", &query, write)).await
            }
            Target::TsPlaylist { rendition } if config.hls => {
                let write = |store: &Store| ts::media(store, rendition, &query.suffix);
                self.wait(|store| self.ts_playlist(store, rendition, &query, write)).await
            }
            Target::TsSegment { rendition, number, run } if config.hls => self.ts_segment(rendition, number, run).await,
            _ => Answer::NotFound,
        }
    }

    /// The playlist of a rendition, or of all where there is no name. None as long as its first segment is just to come: a
    /// player of old that is told to come again, or gets a list of nothing, gives up.
    fn ts_playlist(
        &self,
        store: &Store,
        name: &str,
        query: &Query,
        write: impl FnOnce(&Store) -> Result<String, ts::Missing>,
    ) -> Option<Answer> {
        let shared = query.suffix.is_empty();
        let mut kept = lock(&self.shared.ts_rendered);
        if let Some((_, rendered)) = kept.get(name).filter(|(version, _)| shared && *version == store.version) {
            return Some(rendered.answer(TYPE_HLS, Cache::Playlist));
        }
        let text = match write(store) {
            Ok(text) => text,
            Err(ts::Missing::Yet) => {
                let coming = store.renditions.values().flatten().any(|track| track.live && track.newest().is_some());
                return (!coming).then_some(Answer::NotReady);
            }
            Err(ts::Missing::Forever) => return Some(Answer::NotFound),
        };
        let rendered = Rendered::new(text);
        if !shared {
            return Some(rendered.answer_to_one(TYPE_HLS, Cache::Playlist));
        }
        let answer = rendered.answer(TYPE_HLS, Cache::Playlist);
        // Only names of renditions come here, which are few.
        kept.insert(name.to_owned(), (store.version, rendered));
        Some(answer)
    }

    /// Made when it is first asked for: some milliseconds for a segment of 1 MB, once.
    async fn ts_segment(&self, rendition: &str, number: u64, run: u64) -> Answer {
        let Some(mut recipe) = ts::Recipe::of(&self.shared.store(), rendition, number, run) else {
            return Answer::NotFound;
        };
        if let Some(body) = lock(&self.shared.ts_cache).get(rendition, (number, run)) {
            return found(TYPE_TS, body, Cache::Immutable);
        }
        for path in recipe.files() {
            match self.read(path.clone()).await {
                Ok(body) => recipe.give(&path, &body),
                Err(fault) => return fault,
            }
        }
        let mut cache = lock(&self.shared.ts_cache);
        // Somebody else may have made it meanwhile.
        if let Some(body) = cache.get(rendition, (number, run)) {
            return found(TYPE_TS, body, Cache::Immutable);
        }
        match recipe.make() {
            Ok(body) => {
                cache.put(rendition, (number, run), body.clone());
                found(TYPE_TS, body, Cache::Immutable)
            }
            Err(error) => {
                tracing::warn!(stream_id = %self.shared.stream_id, rendition, number, %error, "a segment can't be MPEG-TS");
                Answer::NotFound
            }
        }
    }

    async fn segment(&self, rendition: &str, kind: MediaKind, number: u64, run: u64) -> Answer {
        let on_disk = {
            let mut store = self.shared.store();
            let patience = Duration::from_secs(store.target_seconds * WAIT_TARGETS);
            let segment = store.track_mut(rendition, kind).and_then(|track| track.segment_mut(number));
            match segment.filter(|segment| segment.run == run) {
                Some(segment) if segment.is_on_disk_only() => TrackKey::new(rendition, kind).file(segment),
                Some(segment) if !segment.is_complete() && segment.has_begun() => {
                    let segment = Growing::new(&self.shared, rendition, kind, (number, run), patience);
                    return Answer::Growing { content_type: content_type(kind), segment: Box::new(segment), tag: 0 };
                }
                found => return file(kind, found.and_then(Segment::body)),
            }
        };
        match self.read(on_disk).await {
            Ok(body) => file(kind, Some(body)),
            Err(fault) => fault,
        }
    }

    /// A file of the window on disk, or what to answer instead.
    async fn read(&self, path: PathBuf) -> Result<Bytes, Answer> {
        let Some(shelf) = self.shared.shelf.clone() else { return Err(Answer::NotFound) };
        shelf.read(path).await.map_err(|fault| match fault {
            ReadFault::Busy => Answer::NotReady,
            ReadFault::Gone => Answer::NotFound,
        })
    }

    fn multivariant(&self, query: &Query) -> Answer {
        let write = |store: &Store| hls::is_ready(store).then(|| hls::multivariant(store, &query.suffix));
        self.written_once(0, query, TYPE_HLS, Cache::Playlist, write)
    }

    fn manifest(&self, query: &Query, low_latency: bool) -> Answer {
        let write = |store: &Store| dash::manifest(store, OffsetDateTime::now_utc(), &query.suffix, low_latency);
        let (place, cache) = if low_latency { (2, Cache::Playlist) } else { (1, Cache::Short) };
        self.written_once(place, query, TYPE_DASH, cache, write)
    }

    /// What `write` makes of the store; for those without a token, what it made last if that still holds.
    fn written_once(
        &self,
        place: usize,
        query: &Query,
        content_type: &'static str,
        cache: Cache,
        write: impl FnOnce(&Store) -> Option<String>,
    ) -> Answer {
        let store = self.shared.store();
        let version = store.version;
        if !query.suffix.is_empty() {
            return write(&store)
                .map_or(Answer::NotReady, |text| Rendered::new(text).answer_to_one(content_type, cache));
        }
        let mut kept = lock(&self.shared.rendered);
        if let Some((at, when, rendered)) = &kept[place]
            && *at == version
            && when.elapsed() < TEXT_AGE_MAX
        {
            return rendered.answer(content_type, cache);
        }
        let Some(text) = write(&store) else { return Answer::NotReady };
        let rendered = Rendered::new(text);
        let answer = rendered.answer(content_type, cache);
        kept[place] = Some((version, Instant::now(), rendered));
        answer
    }

    /// Asks `look` after every change of the store, until it knows an answer or time is up.
    async fn wait(&self, mut look: impl FnMut(&mut Store) -> Option<Answer>) -> Answer {
        // Most need not wait, and setting up for it costs more than looking.
        if let Some(answer) = look(&mut self.shared.store()) {
            return answer;
        }
        let mut version = self.shared.version.subscribe();
        let seconds = self.shared.store().target_seconds * WAIT_TARGETS;
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            version.mark_unchanged();
            if let Some(answer) = look(&mut self.shared.store()) {
                return answer;
            }
            // The sender lives as long as we do.
            if timeout_at(deadline, version.changed()).await.is_err() {
                return Answer::NotReady;
            }
        }
    }
}

impl Shared {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what an earlier run left, once; whoever comes first does it for all.
    async fn restored(&self) {
        let Some(shelf) = &self.shelf else { return };
        self.restored.get_or_init(|| self.restore(shelf)).await;
    }

    async fn restore(&self, shelf: &Arc<StreamShelf>) {
        let (on_disk, window) = (Arc::clone(shelf), self.config.window);
        let read = move || dvr::read(&on_disk, window, OffsetDateTime::now_utc());
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
            let mut store = self.store();
            let ended = restored.put(&mut store);
            if !ended.resumes.is_empty() {
                let mut boundaries = Boundaries::new(self.config.segment_target);
                boundaries.begin_at(ended.next_number, ended.breaks);
                *lock(&self.boundaries) = boundaries;
                store.resumed_end = Some(ended.end);
            }
            store.backlog = Some(Backlog::new(shelf.memory_window()));
            (ended.resumes, store.version)
        };
        *lock(&self.resumes) = resumes;
        self.version.send_replace(version);
    }
}

fn found(content_type: &'static str, body: Bytes, cache: Cache) -> Answer {
    Answer::Found { content_type, body, cache, tag: 0, compressed: None }
}

fn file(kind: MediaKind, body: Option<Bytes>) -> Answer {
    body.map_or(Answer::NotFound, |body| found(content_type(kind), body, Cache::Immutable))
}

fn content_type(kind: MediaKind) -> &'static str {
    if kind == MediaKind::Video { TYPE_VIDEO } else { TYPE_AUDIO }
}

/// A media playlist; None as long as it has to wait.
fn playlist(store: &mut Store, rendition: &str, kind: MediaKind, query: &Query) -> Option<Answer> {
    let Some(track) = store.track(rendition, kind) else { return Some(Answer::NotFound) };
    let Some(newest) = track.newest() else { return Some(Answer::NotReady) };
    if let Some(until) = query.until {
        let part_target = track.part_target(store.config().part_target, store.target_seconds);
        if let Err(what) = check_until(track, newest, until, part_target) {
            return Some(Answer::BadRequest(what.to_owned()));
        }
        if !is_reached(track, newest, until) {
            return None;
        }
    }
    // Written once for all who ask, unless every address in it carries the asker's token.
    let (version, shared) = (store.version, query.suffix.is_empty());
    if let Some(rendered) = shared.then(|| track.rendered(version, query.skip)).flatten() {
        return Some(rendered.answer(TYPE_HLS, Cache::Playlist));
    }
    store.settle(rendition, kind);
    let track = store.track(rendition, kind)?;
    let rendered = Rendered::new(hls::media(store, rendition, track, query.skip, &query.suffix));
    if !shared {
        return Some(rendered.answer_to_one(TYPE_HLS, Cache::Playlist));
    }
    let answer = rendered.answer(TYPE_HLS, Cache::Playlist);
    if let Some(track) = store.track_mut(rendition, kind) {
        track.keep_rendered(version, query.skip, rendered);
    }
    Some(answer)
}

/// A part; None as long as it is just to come.
fn part_file(track: Option<&mut Track>, number: u64, run: u64, part: usize) -> Option<Answer> {
    let Some(track) = track else { return Some(Answer::NotFound) };
    let kind = track.kind;
    let segment = track.segment_mut(number).filter(|segment| segment.run == run);
    let Some(segment) = segment else { return Some(Answer::NotFound) };
    let (is_complete, count) = (segment.is_complete(), segment.parts.len());
    match segment.parts.get_mut(part) {
        Some(part) => Some(file(kind, Some(part.body()))),
        None if is_complete || part > count => Some(Answer::NotFound),
        None => None,
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

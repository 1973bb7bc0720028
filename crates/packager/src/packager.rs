//! The handle on a stream's packager: it answers requests, and has renditions followed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::OnceCell;
use weir_hub::{RenditionHub, StreamClock};
use weir_media::MediaKind;
use weir_model::StreamId;
use weir_observe::Observe;

use crate::answer::{Answer, Cache};
use crate::config::{Cuts, PackagerConfig};
use crate::cut::cutter::Cutter;
use crate::cut::following::Following;
use crate::growing::Growing;
use crate::request::{Query, Target, is_token};
use crate::shelf::{self, DvrShelf, Restored, StreamShelf};
use crate::store::Store;
use crate::store::backlog::{Backlog, TrackKey};
use crate::store::live::{Live, WAIT_TARGETS};
use crate::store::rendered::fnv1a;
use crate::store::segment::Segment;
use crate::store::track::Track;
use crate::store::track_name::TrackName;
use crate::texts::Texts;
use crate::ts::Recipe;
use crate::ts::press::{TsPress, TsSegmentId, Unmade};
use crate::wall_time::steady_now;

const TYPE_VIDEO: &str = "video/mp4";
const TYPE_AUDIO: &str = "audio/mp4";
const TYPE_TS: &str = "video/mp2t";

/// The packager of one stream. A clone is the same packager. There is one as long as the stream exists, so that numbers never go back.
#[derive(Clone, Debug)]
pub struct Packager {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    live: Arc<Live>,
    cutter: Arc<Cutter>,
    /// The disk's part of the window. None if the window does not reach beyond memory.
    shelf: Option<Arc<StreamShelf>>,
    /// This is set once the store has what an earlier run left on disk.
    restored: OnceCell<()>,
    texts: Texts,
    ts_press: TsPress,
    /// A name means the same bytes as long as this packager lives, and not beyond that. So tags are made with this number, which no other
    /// packager has.
    epoch: u64,
}

impl Packager {
    pub fn new(config: PackagerConfig, stream_id: StreamId, observe: Observe, clock: StreamClock) -> Self {
        Self::with((config, stream_id, observe, clock), None, 0)
    }

    /// A packager whose names no other run of the server has had, and whose window reaches onto a shelf if it is long. It goes on from what
    /// is on the shelf already.
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
        let live = Arc::new(Live::new(stream_id, observe, store));
        let shelf = shelf.map(|shelf| Arc::new(shelf.stream(stream_id)));
        let shared = Shared {
            cutter: Arc::new(Cutter::new(config, clock, Arc::clone(&live))),
            live,
            ts_press: TsPress::new(stream_id, shelf.clone()),
            shelf,
            restored: OnceCell::new(),
            texts: Texts::new(config),
            epoch: OffsetDateTime::now_utc().unix_timestamp_nanos() as u64,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Brings the window to disk as long as this future is polled, if there is a shelf.
    pub async fn save(self) {
        if let Some(shelf) = self.shared.shelf.clone() {
            self.shared.restored().await;
            shelf::write(Arc::clone(&self.shared.live), shelf).await;
        }
    }

    /// Deletes what the window has on disk. Nothing is written after that. This blocks.
    pub fn delete_window(&self) -> std::io::Result<()> {
        self.shared.shelf.as_ref().map_or(Ok(()), |shelf| shelf.delete())
    }

    /// Packages a rendition as `name`, until it is closed. A name that can't stand in a path, or that is followed already, is refused, and
    /// the log tells so.
    pub async fn run(self, rendition: RenditionHub, name: String, cuts: Cuts) {
        self.shared.restored().await;
        let Some(following) = Following::begin(&self.shared.cutter, name, cuts) else { return };
        following.follow(&rendition).await;
    }

    pub fn config(&self) -> &PackagerConfig {
        &self.shared.cutter.config
    }

    /// Answers one GET below `/play/<stream>/`. A request for a playlist or a part that is just about to come waits for it here.
    pub async fn answer(&self, path: &str, query: Option<&str>) -> Answer {
        self.answer_to(path, query, None).await
    }

    /// Answers a viewer who is let in by a token, which then stands behind every address that the answer names.
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
        let PackagerConfig { hls, dash, .. } = self.shared.cutter.config;
        match target {
            Target::Playlist { rendition, track } if hls => {
                self.shared.texts.media_playlist(&self.shared.live, (rendition, track), &query, token).await
            }
            Target::Multivariant | Target::TsMultivariant | Target::TsPlaylist { .. } if hls => {
                self.shared.texts.text(&self.shared.live, path, target, token).await
            }
            Target::Manifest { .. } if dash => self.shared.texts.text(&self.shared.live, path, target, token).await,
            Target::Part { rendition, track, number, run, part } if hls => {
                let look = || part_file(self.shared.live.store().track_mut(rendition, track), number, run, part);
                self.shared.live.until(look).await.unwrap_or(Answer::NotReady)
            }
            Target::Init { rendition, track, number } if hls || dash => {
                let store = self.shared.live.store();
                let init = store.track(rendition, track).and_then(|known| known.inits.get(&number));
                file(track, init.map(|init| init.body.clone()))
            }
            Target::Segment { rendition, track, number, run } if hls || dash => {
                self.segment(rendition, track, number, run).await
            }
            Target::TsSegment { rendition, number, run } if hls => {
                let id = TsSegmentId { rendition: rendition.to_owned(), number, run };
                let recipe = || Recipe::of(&self.shared.live.store(), rendition, number, run);
                let made = self.shared.ts_press.get(id, recipe).await;
                made.map_or_else(Answer::from, |body| found(TYPE_TS, body))
            }
            _ => Answer::NotFound,
        }
    }

    async fn segment(&self, rendition: &str, track: TrackName, number: u64, run: u64) -> Answer {
        let on_disk = {
            let mut store = self.shared.live.store();
            let patience = Duration::from_secs(store.target_seconds() * WAIT_TARGETS);
            let segment = store.track_mut(rendition, track).and_then(|known| known.segment_mut(number));
            match segment.filter(|segment| segment.run == run) {
                Some(segment) if segment.is_on_disk_only() => TrackKey::new(rendition, track).file(segment),
                Some(segment) if !segment.is_complete() && segment.has_begun() => {
                    let segment = Growing::new(&self.shared.live, rendition, track, (number, run), patience);
                    return Answer::Growing { content_type: content_type(track), segment: Box::new(segment), tag: 0 };
                }
                found => return file(track, found.and_then(Segment::body)),
            }
        };
        self.shared.ts_press.read(on_disk).await.map_or_else(Answer::from, |body| file(track, Some(body)))
    }
}

impl Shared {
    /// Takes what an earlier run left, once. Whoever comes first does it for all.
    async fn restored(&self) {
        let Some(shelf) = &self.shelf else { return };
        self.restored.get_or_init(|| self.restore(shelf)).await;
    }

    async fn restore(&self, shelf: &Arc<StreamShelf>) {
        let on_disk = Arc::clone(shelf);
        let zero_at = self.cutter.clock.zero_at();
        let read = move || shelf::read(&on_disk, zero_at);
        let restored = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(restored)) => restored,
            Ok(Err(error)) => {
                tracing::error!(stream_id = %self.live.stream_id, %error, "the window on disk can't be read: it begins anew");
                Restored::default()
            }
            Err(_) => Restored::default(),
        };
        shelf.count(restored.disk_bytes());
        let version = self.cutter.resume(|store| {
            let ended = restored.put(store);
            store.backlog = Some(Backlog::new(shelf.memory_window()));
            ended
        });
        self.live.version.send_replace(version);
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

/// The answer for a part. None means that the part is just about to come.
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

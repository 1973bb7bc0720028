//! A stream in a box for tests: synthetic frames go in, and playlists and files come out, and can be written to disk.

pub(crate) mod checker;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use weir_hub::{Publisher, StreamClock, StreamHub, Tracks, WindowLimits};
use weir_media::{Frame, MediaKind, MediaTime, TrackInfo};
use weir_model::StreamId;
use weir_observe::Observe;
use weir_packager::{Answer, Cache, Cuts, Packager, PackagerConfig};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

pub(crate) struct Rig {
    pub(crate) hub: StreamHub,
    pub(crate) observe: Observe,
    pub(crate) packager: Packager,
    pub(crate) running: JoinHandle<()>,
}

impl Rig {
    /// A rig with that configuration. This returns when the packager follows the source.
    pub(crate) async fn new(config: PackagerConfig) -> Self {
        Self::by(StreamClock::begun(OffsetDateTime::now_utc(), 0), config).await
    }

    /// A rig whose stream has that clock.
    pub(crate) async fn by(clock: StreamClock, config: PackagerConfig) -> Self {
        let observe = Observe::new();
        Self::of(Packager::new(config, StreamId(7), observe.clone(), clock.clone()), observe, clock).await
    }

    /// A rig of a packager that has been made already.
    pub(crate) async fn of(packager: Packager, observe: Observe, clock: StreamClock) -> Self {
        // Frames are written faster than real time, and none may fall out of the window before it is read.
        let hub = StreamHub::on(clock, WindowLimits { duration: Duration::from_secs(36_000), ..WindowLimits::FRAMES });
        let running = tokio::spawn(packager.clone().run(hub.source(), "source".to_owned(), Cuts::AtKeyframes));
        tokio::task::yield_now().await;
        Self { hub, observe, packager, running }
    }

    pub(crate) fn publisher(&self) -> Publisher {
        self.hub.publish_source(Instant::now())
    }

    /// Has another rendition packaged from now on.
    pub(crate) fn follow(&self, name: &str, cuts: Cuts) -> JoinHandle<()> {
        tokio::spawn(self.packager.clone().run(self.hub.rendition(name), name.to_owned(), cuts))
    }

    /// Closes the stream and waits until all is packaged.
    pub(crate) async fn finish(&mut self) {
        self.hub.close();
        (&mut self.running).await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Bytes {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let token = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("token=")));
        match self.packager.answer_to(path, query, token).await {
            Answer::Found { body, .. } => body,
            other => panic!("{path}: {other:?}"),
        }
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        String::from_utf8(self.get(path).await.to_vec()).unwrap()
    }

    /// A track's playlist with everything that it says, after it was checked against the specification.
    pub(crate) async fn checked(&self, path: &str) -> checker::Playlist {
        let text = self.text(path).await;
        checker::check(&text).unwrap_or_else(|wrong| panic!("{path}: {wrong}\n{text}"))
    }

    /// Writes one file of an init segment and the segments that need it, as an MSE player would append them.
    pub(crate) async fn append(&self, folder: &Path, path: &str, init: &str) -> std::path::PathBuf {
        let mut bytes = self.get(&format!("source/{init}")).await.to_vec();
        for segment in self.checked(path).await.complete().filter(|segment| segment.map == init) {
            bytes.extend_from_slice(&self.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await);
        }
        let file = folder.join(init.replace('/', "-"));
        std::fs::write(&file, bytes).unwrap();
        file
    }

    /// Writes the playlists and everything that they name below a folder.
    pub(crate) async fn dump(&self, folder: &Path, playlists: &[&str]) {
        for path in playlists {
            let mut text = self.text(path).await;
            let playlist = checker::check(&text).unwrap();
            for uri in playlist.uris() {
                let file = folder.join("source").join(&uri);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, self.get(&format!("source/{uri}")).await).unwrap();
            }
            text.push_str("#EXT-X-ENDLIST\n");
            let file = folder.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
    }
}

pub(crate) fn tracks_of(source: &SyntheticSource) -> Tracks {
    source.tracks().into_iter().map(Arc::new).collect()
}

pub(crate) fn add(tracks: &mut Tracks, track: TrackInfo) {
    tracks.put(Arc::new(track));
}

pub(crate) fn kind_of(frame: &Frame) -> MediaKind {
    if frame.track == weir_media::TrackId::SOURCE_VIDEO { MediaKind::Video } else { MediaKind::Audio }
}

/// Writes frames that are moved to begin at `at`, with times in whole milliseconds, as RTMP counts them.
pub(crate) async fn write(publisher: &mut Publisher, frames: Vec<Frame>, at: MediaTime) {
    for frame in frames {
        let moved = |time: MediaTime| MediaTime::from_millis((time + at).as_millis());
        publisher.write(Frame { dts: moved(frame.dts), pts: moved(frame.pts), ..frame }, Instant::now());
        // The packager reads each frame before the next one comes, as it does in life.
        tokio::task::yield_now().await;
    }
}

/// Publishes so many seconds of a synthetic source, from `at` on.
pub(crate) async fn publish(publisher: &mut Publisher, config: SyntheticConfig, at: f64, seconds: f64) {
    let mut source = SyntheticSource::new(config);
    publisher.set_tracks(tracks_of(&source));
    let frames = source.frames_until(time(seconds));
    write(publisher, frames, time(at)).await;
}

pub(crate) fn time(seconds: f64) -> MediaTime {
    MediaTime::from_nanos((seconds * 1e9) as i64)
}

pub(crate) fn is_immutable(answer: &Answer) -> bool {
    matches!(answer, Answer::Found { cache: Cache::Immutable, .. })
}

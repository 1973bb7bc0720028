//! A disk that is really full: it is a small file system, which somebody else fills to its last byte.

use crate::support;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::{Rig, time, tracks_of, write};
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use weir_hub::{Publisher, StreamClock, StreamHub, WindowLimits};
use weir_model::{EventKind, StreamId};
use weir_observe::Observe;
use weir_packager::{DvrLimits, DvrShelf, Packager, PackagerConfig, RecordingLimits, Recordings, SpaceLimits, record};
use weir_testkit::ffmpeg;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

const VIDEO: &str = "source/video.m3u8";
const SOON: Duration = Duration::from_secs(20);
/// There is no budget, so only the disk itself says no.
const SPACE: SpaceLimits = SpaceLimits { max_bytes: u64::MAX / 2, min_free_bytes: 0 };
const STREAM: StreamId = StreamId(7);

/// A file system of 16 MiB in memory, which is unmounted when this is dropped.
struct SmallDisk {
    at: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts the file system. None if this user may not mount, which is printed.
    fn mount() -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "weir-test"]).arg(at.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { at }),
            Ok(output) => {
                eprintln!("skipped: no small disk: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("skipped: no small disk: {error}");
                None
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.path().join(name)
    }

    /// Writes somebody else's file, which takes all the space that there is.
    fn fill(&self) {
        let mut file = File::create(self.path("someone-elses")).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[7; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    fn free(&self) {
        std::fs::remove_file(self.path("someone-elses")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It is unmounted lazily, because a file may still be open.
        let _ = Command::new("umount").arg("--lazy").arg(self.at.path()).status();
    }
}

/// A source of two small pictures a second.
fn slow() -> SyntheticSource {
    SyntheticSource::new(SyntheticConfig { fps: (2, 1), gop_frames: 4, audio: None, ..SyntheticConfig::default() })
}

fn start_of(source: &SyntheticSource, hub: &StreamHub) -> Publisher {
    let mut publisher = hub.publish_source(std::time::Instant::now());
    publisher.set_tracks(tracks_of(source));
    publisher
}

fn reasons(observe: &Observe, kind: EventKind) -> Vec<String> {
    let events = observe.events().since(None, usize::MAX);
    let of_kind = events.iter().filter(|event| event.kind == kind);
    of_kind
        .map(|event| event.fields.get("reason").map_or(String::new(), |reason| reason.as_str().unwrap().to_owned()))
        .collect()
}

/// Publishes two seconds every now and then, until there is an event of that kind.
async fn publish_until(
    publisher: &mut Publisher,
    source: &mut SyntheticSource,
    at: &mut f64,
    observe: &Observe,
    kind: EventKind,
) {
    let published = async {
        while reasons(observe, kind).is_empty() {
            *at += 2.0;
            write(publisher, source.frames_until(time(*at)), time(0.0)).await;
            // This is slow enough not to fill the disk again.
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(SOON, published).await.unwrap_or_else(|_| panic!("no {kind}"));
}

#[tokio::test]
async fn a_window_loses_its_past_and_not_its_live_edge() {
    let Some(disk) = SmallDisk::mount() else { return };
    let limits = DvrLimits { space: SPACE, memory_window: Duration::from_secs(12) };
    let shelf = DvrShelf::open(disk.path("dvr"), limits).unwrap();
    let config = PackagerConfig { window: Duration::from_secs(3600), ..PackagerConfig::default() };
    let observe = Observe::new();
    let clock = StreamClock::begun(OffsetDateTime::now_utc(), 0);
    let packager = Packager::open(config, STREAM, (observe.clone(), clock.clone()), Some(&shelf));
    let saving = tokio::spawn(packager.clone().save());
    let rig = Rig::of(packager, observe.clone(), clock).await;
    let mut source = slow();
    let mut publisher = start_of(&source, &rig.hub);
    let mut at = 0.0;
    for _ in 0..20 {
        at += 2.0;
        write(&mut publisher, source.frames_until(time(at)), time(0.0)).await;
        sleep(Duration::from_millis(5)).await;
    }
    assert!(rig.checked(VIDEO).await.complete().count() >= 18, "the window reaches onto disk");

    disk.fill();
    publish_until(&mut publisher, &mut source, &mut at, &observe, EventKind::DvrDiskFull).await;
    let mut last = rig.checked(VIDEO).await;
    for _ in 0..30 {
        at += 2.0;
        write(&mut publisher, source.frames_until(time(at)), time(0.0)).await;
        let now = rig.checked(VIDEO).await;
        let newest = |list: &support::checker::Playlist| list.complete().last().map(|segment| segment.number).unwrap();
        assert_eq!(newest(&now), newest(&last) + 1, "live as ever");
        for segment in now.complete().skip(now.complete().count() - 3) {
            rig.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await;
        }
        last = now;
    }

    disk.free();
    publish_until(&mut publisher, &mut source, &mut at, &observe, EventKind::DvrDiskRecovered).await;
    let after = rig.checked(VIDEO).await;
    assert_eq!(after.discontinuities, 0);
    for segment in after.complete() {
        rig.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await;
    }
    assert_eq!(reasons(&observe, EventKind::DvrDiskFull).len(), 1, "{:?}", reasons(&observe, EventKind::DvrDiskFull));
    saving.abort();
}

#[tokio::test]
async fn a_recording_goes_on_in_another_file_when_there_is_room_again() {
    let Some(disk) = SmallDisk::mount() else { return };
    let limits = RecordingLimits { space: SPACE, file_duration: Duration::from_secs(3600) };
    let recordings = Recordings::open(disk.path("recordings"), limits).unwrap();
    let observe = Observe::new();
    let hub = StreamHub::new(WindowLimits { duration: Duration::from_secs(36_000), ..WindowLimits::FRAMES });
    let (stop, stopped) = oneshot::channel::<()>();
    let recording =
        tokio::spawn(record(hub.source(), STREAM, "cam1".to_owned(), recordings.clone(), observe.clone(), stopped));
    let mut source = slow();
    let mut publisher = start_of(&source, &hub);
    let mut at = 0.0;
    publish_until(&mut publisher, &mut source, &mut at, &observe, EventKind::RecordingStarted).await;
    for _ in 0..5 {
        at += 2.0;
        write(&mut publisher, source.frames_until(time(at)), time(0.0)).await;
        sleep(Duration::from_millis(20)).await;
    }

    disk.fill();
    publish_until(&mut publisher, &mut source, &mut at, &observe, EventKind::RecordingDiskFull).await;
    // The recorder tries again and again, and tells of it once.
    let tries = Duration::from_millis(4500);
    let start = tokio::time::Instant::now();
    while start.elapsed() < tries {
        at += 2.0;
        write(&mut publisher, source.frames_until(time(at)), time(0.0)).await;
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(reasons(&observe, EventKind::RecordingDiskFull).len(), 1);
    assert_eq!(reasons(&observe, EventKind::RecordingRecovered).len(), 0);
    assert_eq!(recordings.list(None, 0, 10).len(), 1, "no empty files");

    disk.free();
    publish_until(&mut publisher, &mut source, &mut at, &observe, EventKind::RecordingRecovered).await;
    at += 8.0;
    write(&mut publisher, source.frames_until(time(at)), time(0.0)).await;
    sleep(Duration::from_millis(100)).await;
    drop(stop);
    recording.await.unwrap();
    let found = recordings.list(None, 0, 10);
    assert_eq!(found.len(), 2, "{found:?}");
    let beside = tempfile::tempdir().unwrap();
    for recording in found {
        assert!(recording.duration.unwrap() > Duration::from_secs(2), "{recording:?}");
        assert_plays(&recordings, recording.id, beside.path());
    }
}

fn assert_plays(recordings: &Recordings, id: i64, folder: &Path) {
    let file = folder.join(format!("{id}.mp4"));
    io::copy(&mut recordings.open_file(id).unwrap(), &mut File::create(&file).unwrap()).unwrap();
    assert_eq!(ffmpeg::decode_errors(&file), "");
    assert!(ffmpeg::packet_times_ms(&file, "v").len() >= 4);
}

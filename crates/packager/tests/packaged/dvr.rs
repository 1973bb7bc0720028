//! The window beyond memory, over restarts of the server, and on disks that are full, slow, limited or damaged.

use crate::support;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use support::{Rig, checker, publish, time, tracks_of, write};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use weir_hub::{Publisher, StreamClock};
use weir_media::MediaTime;
use weir_model::{EventKind, StreamId};
use weir_observe::Observe;
use weir_packager::{Answer, Disk, DvrLimits, DvrShelf, Packager, PackagerConfig, RealDisk, SpaceLimits};
use weir_testkit::ffmpeg;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

const VIDEO: &str = "source/video.m3u8";
const AUDIO: &str = "source/audio.m3u8";
/// So much of the window is kept in memory. It is the least that a window may be.
const MEMORY: Duration = Duration::from_secs(12);
/// So many segments of a track may be in memory. `MEMORY` and 12 s for those who read an older playlist are 12 segments of 2 s. There is
/// also the one that is open, and one that is about to leave.
const IN_MEMORY_MAX: usize = 14;

/// A real disk that fails on demand.
#[derive(Debug, Default)]
struct FaultyDisk {
    full: AtomicBool,
    /// Writes wait while this is true.
    stuck: (Mutex<bool>, Condvar),
}

impl FaultyDisk {
    fn set_stuck(&self, stuck: bool) {
        *self.stuck.0.lock().unwrap() = stuck;
        self.stuck.1.notify_all();
    }

    fn check(&self) -> io::Result<()> {
        let guard = self.stuck.0.lock().unwrap();
        drop(self.stuck.1.wait_while(guard, |stuck| *stuck).unwrap());
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for FaultyDisk {
    fn write(&self, path: &Path, body: &[u8]) -> io::Result<()> {
        self.check().and_then(|()| RealDisk.write(path, body))
    }
    fn append(&self, path: &Path, body: &[u8]) -> io::Result<()> {
        if let Err(error) = self.check() {
            // A full disk writes half of the line, and fails.
            RealDisk.append(path, &body[..body.len() / 2])?;
            return Err(error);
        }
        RealDisk.append(path, body)
    }
    fn replace(&self, path: &Path, body: &[u8]) -> io::Result<()> {
        self.check().and_then(|()| RealDisk.replace(path, body))
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealDisk.read(path)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn files(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        RealDisk.files(folder)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }
}

struct Server {
    rig: Rig,
    disk: Arc<FaultyDisk>,
    root: PathBuf,
    saving: JoinHandle<()>,
    /// The stream's time when the server began.
    begins: MediaTime,
}

impl Server {
    async fn start(root: &Path, window_seconds: u64, max_bytes: u64) -> Self {
        Self::with_memory(root, window_seconds, max_bytes, MEMORY).await
    }

    async fn with_memory(root: &Path, window_seconds: u64, max_bytes: u64, memory_window: Duration) -> Self {
        let disk = Arc::new(FaultyDisk::default());
        let space = SpaceLimits { max_bytes, min_free_bytes: 0 };
        let shelf = DvrShelf::on(Arc::<FaultyDisk>::clone(&disk), root.to_owned(), DvrLimits { space, memory_window });
        let config = PackagerConfig { window: Duration::from_secs(window_seconds), ..PackagerConfig::default() };
        let observe = Observe::new();
        // This is a server whose last version kept no marks of clocks, so the window says what its clock was.
        let mark = shelf.clock_mark(StreamId(7)).unwrap();
        let clock = mark.map_or_else(
            || StreamClock::begun(OffsetDateTime::now_utc(), 0),
            |mark| StreamClock::resumed(&mark, config.slot()),
        );
        let since_zero = clock.time_at(Instant::now());
        let begins = if mark.is_some() { time(since_zero.as_secs_f64()) } else { MediaTime::ZERO };
        let packager = Packager::open(config, StreamId(7), (observe.clone(), clock.clone()), Some(&shelf));
        let saving = tokio::spawn(packager.clone().save());
        let rig = Rig::of(packager, observe, clock).await;
        // What an earlier run left is read before anyone publishes, as it is in life.
        rig.packager.answer("master.m3u8", None).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        Self { rig, disk, root: root.to_owned(), saving, begins }
    }

    /// Ends the server as a crash would: nothing more is written.
    async fn kill(self) {
        self.saving.abort();
        self.rig.running.abort();
        let _ = self.saving.await;
        let _ = self.rig.running.await;
    }

    fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = RealDisk.files(&self.root).unwrap();
        files.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "m4s"));
        files
    }

    fn events(&self, kind: EventKind) -> usize {
        self.rig.observe.events().since(None, usize::MAX).iter().filter(|event| event.kind == kind).count()
    }

    /// Publishes up to `to` seconds after the server began, as fast as the disk takes it.
    async fn publish(&self, publisher: &mut Publisher, source: &mut SyntheticSource, to: f64) {
        write(publisher, source.frames_until(time(to)), self.begins).await;
        self.saved().await;
    }

    /// Waits until all complete segments are on disk.
    async fn saved(&self) {
        let (mut wanted, mut there) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..2_000 {
            wanted = BTreeSet::new();
            for path in [VIDEO, AUDIO] {
                if let Answer::Found { .. } = self.rig.packager.answer(path, None).await {
                    wanted.extend(self.rig.checked(path).await.complete().map(|segment| segment.uri.clone().unwrap()));
                }
            }
            let folder = self.root.join("7/source");
            there = self
                .files()
                .iter()
                .map(|(path, _)| path.strip_prefix(&folder).unwrap().display().to_string())
                .collect();
            if wanted.is_subset(&there) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("not on disk: {:?}", wanted.difference(&there));
    }

    async fn wait_event(&self, kind: EventKind) {
        tokio::time::timeout(Duration::from_secs(15), async {
            let mut events = self.rig.observe.events().subscribe(Some(0));
            while events.next().await.kind != kind {}
        })
        .await
        .unwrap_or_else(|_| panic!("no {kind}"));
    }
}

/// A source of two small pictures a second.
fn slow() -> SyntheticConfig {
    SyntheticConfig { fps: (2, 1), gop_frames: 4, audio: None, ..SyntheticConfig::default() }
}

fn start_of(source: &SyntheticSource, server: &Server) -> Publisher {
    let mut publisher = server.rig.publisher();
    publisher.set_tracks(tracks_of(source));
    publisher
}

#[tokio::test]
async fn two_hours_play_from_their_start_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Duration::from_secs(600);
    let server = Server::with_memory(folder.path(), 7200, u64::MAX / 2, memory).await;
    let mut source = SyntheticSource::new(slow());
    let mut publisher = start_of(&source, &server);
    // This is a quarter of an hour more than the window.
    for to in 1..=27 {
        server.publish(&mut publisher, &mut source, f64::from(to) * 300.0).await;
    }
    let before = server.rig.checked(VIDEO).await;
    assert!((3_595..=3_602).contains(&before.complete().count()), "{}", before.complete().count());
    assert!(server.files().len() <= 3_610, "what left the window is deleted: {}", server.files().len());
    let first = before.segments[0].clone();
    let body = server.rig.get(&format!("source/{}", first.uri.as_ref().unwrap())).await;
    server.kill().await;

    let server = Server::with_memory(folder.path(), 7200, u64::MAX / 2, memory).await;
    let offline = server.rig.checked(VIDEO).await;
    checker::check_reload(&before, &offline)
        .unwrap_or_else(|wrong| assert!(wrong.contains("hint") || wrong.contains("part"), "{wrong}"));
    assert_eq!(offline.segments[0].uri, first.uri, "from its start, with nobody publishing");
    assert_eq!(server.rig.get(&format!("source/{}", first.uri.as_ref().unwrap())).await, body);
    server.rig.text("master.m3u8").await;

    let mut source = SyntheticSource::new(slow());
    let mut publisher = start_of(&source, &server);
    server.publish(&mut publisher, &mut source, 10.5).await;
    let after = server.rig.checked(VIDEO).await;
    assert_eq!(after.discontinuities, 1, "where the timeline broke");
    assert!(after.media_sequence >= before.media_sequence);
    assert_eq!(after.discontinuity_sequence, before.discontinuity_sequence);
    let left = 3_600 - 6;
    assert!(after.complete().count() >= left, "{}", after.complete().count());
    // No name comes twice, and all that is named is there.
    let mut names = BTreeSet::new();
    for segment in after.complete() {
        assert!(names.insert(segment.uri.clone()), "{:?} twice", segment.uri);
    }
    for segment in after.complete().step_by(97) {
        let body = server.rig.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await;
        assert!(checker::chunks(&body)[0].2, "segment {} begins with a keyframe", segment.number);
    }
    let manifest = server.rig.text("manifest.mpd").await;
    assert_eq!(manifest.matches("<Period ").count(), 2, "{manifest}");
    assert!(manifest.contains("timeShiftBufferDepth=\"PT7200S\""));
    assert!(manifest.len() < 4_000, "equal segments share a row: {}", manifest.len());
}

#[tokio::test]
async fn numbers_never_go_back_over_many_restarts_and_decoders_take_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut last: Option<checker::Playlist> = None;
    let mut names = BTreeSet::new();
    for run in 0..4_u64 {
        let server = Server::start(folder.path(), 300, u64::MAX / 2).await;
        let mut source = SyntheticSource::new(SyntheticConfig::default());
        let mut publisher = start_of(&source, &server);
        server.publish(&mut publisher, &mut source, 9.0).await;
        for path in [VIDEO, AUDIO] {
            let playlist = server.rig.checked(path).await;
            assert_eq!(playlist.discontinuities, run, "{path}");
            assert_eq!(playlist.discontinuity_sequence, 0);
            assert!(playlist.complete().count() as u64 >= 4 * (run + 1), "{path}");
        }
        let playlist = server.rig.checked(VIDEO).await;
        if let Some(last) = &last {
            assert_eq!(playlist.media_sequence, last.media_sequence);
            assert!(playlist.segments.len() > last.segments.len());
        }
        let audio = server.rig.checked(AUDIO).await;
        assert_eq!(audio.media_sequence, playlist.media_sequence, "picture and sound count alike");
        // An address that was ever told, even that of a part, never stands for anything else.
        let old = last.as_ref().map_or(Vec::new(), |last| last.segments.clone());
        let known: BTreeSet<_> = old.iter().filter_map(|segment| segment.uri.clone()).collect();
        let told = playlist.uris().into_iter().filter(|uri| !uri.contains("init") && !known.contains(uri));
        for uri in told {
            assert!(names.insert(uri.clone()), "{uri} was told before");
        }
        if run == 3 {
            let dump = tempfile::tempdir().unwrap();
            server.rig.dump(dump.path(), &[VIDEO, AUDIO]).await;
            assert_eq!(ffmpeg::decode_errors(&dump.path().join(VIDEO)), "");
            assert_eq!(ffmpeg::decode_errors(&dump.path().join(AUDIO)), "");
        }
        last = Some(playlist);
        server.kill().await;
    }
}

/// Changes the index to what it would be if the clock had been set forward by so many hours since the index was written.
fn set_clock_forward(root: &Path, hours: i128) {
    let index = root.join("7/index");
    let text = std::fs::read_to_string(&index).unwrap();
    let moved = text.lines().map(|line| match line.strip_prefix("z ") {
        None => format!("{line}\n"),
        Some(zero) => {
            let zero: i128 = zero.split(' ').next().unwrap().parse().unwrap();
            let line = format!("z {}", zero - hours * 3_600_000_000_000);
            // The checksum is FNV-1a, as in every line.
            let sum = line.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
            format!("{line} {sum:016x}\n")
        }
    });
    std::fs::write(&index, moved.collect::<String>()).unwrap();
}

#[tokio::test]
async fn a_clock_that_is_set_deletes_nothing_and_numbers_go_on() {
    for hours in [-24, 24, 24 * 400] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), 60, u64::MAX / 2).await;
        let mut source = SyntheticSource::new(slow());
        let mut publisher = start_of(&source, &server);
        server.publish(&mut publisher, &mut source, 30.5).await;
        let before = server.rig.checked(VIDEO).await;
        server.kill().await;
        set_clock_forward(folder.path(), hours);

        let server = Server::start(folder.path(), 60, u64::MAX / 2).await;
        let offline = server.rig.checked(VIDEO).await;
        assert_eq!(offline.segments[0].uri, before.segments[0].uri, "{hours} h");
        let mut source = SyntheticSource::new(slow());
        let mut publisher = start_of(&source, &server);
        server.publish(&mut publisher, &mut source, 20.5).await;
        let after = server.rig.checked(VIDEO).await;
        assert_eq!((after.media_sequence, after.discontinuities), (before.media_sequence, 1), "{hours} h");
        let numbers: Vec<u64> = after.segments.iter().map(|segment| segment.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{hours} h: {numbers:?}");
        assert!(after.segments.windows(2).all(|pair| pair[0].date < pair[1].date), "{hours} h: time goes back");
        for segment in after.complete() {
            server.rig.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await;
        }
        assert_eq!(after.target, before.target, "{hours} h");
        // The window grows old by the time that the server sees pass.
        server.publish(&mut publisher, &mut source, 61.5).await;
        let later = server.rig.checked(VIDEO).await;
        assert!(later.media_sequence >= numbers[numbers.len() / 2], "{hours} h: {}", later.media_sequence);
        server.kill().await;
    }
}

#[tokio::test]
async fn a_full_disk_costs_the_window_and_not_the_live_edge() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 3600, u64::MAX / 2).await;
    let mut source = SyntheticSource::new(slow());
    let mut publisher = start_of(&source, &server);
    for to in 1..=10 {
        server.publish(&mut publisher, &mut source, f64::from(to) * 10.0).await;
    }
    let on_disk = server.files().len();
    assert!(on_disk >= 49, "{on_disk}");

    server.disk.full.store(true, Ordering::SeqCst);
    let mut last = server.rig.checked(VIDEO).await;
    for to in 101..200 {
        write(&mut publisher, source.frames_until(time(f64::from(to))), time(0.0)).await;
        let now = server.rig.checked(VIDEO).await;
        assert!(now.media_sequence >= last.media_sequence && now.segments.len() >= 6, "live as ever");
        last = now;
    }
    server.wait_event(EventKind::DvrDiskFull).await;
    assert!(last.segments.len() <= IN_MEMORY_MAX, "only memory is left: {}", last.segments.len());
    for segment in last.complete() {
        server.rig.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await;
    }

    server.disk.full.store(false, Ordering::SeqCst);
    server.saved().await;
    server.wait_event(EventKind::DvrDiskRecovered).await;
    for to in 20..=25 {
        server.publish(&mut publisher, &mut source, f64::from(to) * 10.0).await;
    }
    let after = server.rig.checked(VIDEO).await;
    assert_eq!(after.media_sequence, last.media_sequence, "it grows again");
    assert!(after.segments.len() > IN_MEMORY_MAX + 5);
    assert_eq!((server.events(EventKind::DvrDiskFull), server.events(EventKind::DvrDiskRecovered)), (1, 1));
    assert_eq!(after.discontinuities, 0);
    // Lines of the index that were torn meanwhile do no harm.
    server.kill().await;
    let server = Server::start(folder.path(), 3600, u64::MAX / 2).await;
    assert_eq!(server.rig.checked(VIDEO).await.media_sequence, after.media_sequence);
}

#[tokio::test]
async fn a_short_fault_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 3600, u64::MAX / 2).await;
    let mut source = SyntheticSource::new(slow());
    let mut publisher = start_of(&source, &server);
    server.publish(&mut publisher, &mut source, 20.0).await;
    let before = server.rig.checked(VIDEO).await;
    server.disk.full.store(true, Ordering::SeqCst);
    write(&mut publisher, source.frames_until(time(26.0)), time(0.0)).await;
    server.wait_event(EventKind::DvrDiskFull).await;
    server.disk.full.store(false, Ordering::SeqCst);
    server.saved().await;
    let after = server.rig.checked(VIDEO).await;
    assert!(after.segments.len() > 6 && after.media_sequence >= before.media_sequence);
}

#[tokio::test]
async fn a_disk_that_hangs_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 3600, u64::MAX / 2).await;
    let mut source = SyntheticSource::new(slow());
    let mut publisher = start_of(&source, &server);
    server.publish(&mut publisher, &mut source, 20.0).await;
    server.disk.set_stuck(true);
    write(&mut publisher, source.frames_until(time(100.0)), time(0.0)).await;
    server.wait_event(EventKind::DvrDiskFull).await;
    let during = server.rig.checked(VIDEO).await;
    assert!((6..=IN_MEMORY_MAX).contains(&during.segments.len()), "{}", during.segments.len());
    server.disk.set_stuck(false);
    server.saved().await;
    server.wait_event(EventKind::DvrDiskRecovered).await;
}

#[tokio::test]
async fn the_limit_is_never_passed() {
    let folder = tempfile::tempdir().unwrap();
    // 2 s of 100 kbps are 25 kB, so 40 segments fit.
    let max = 1_000_000;
    let config = SyntheticConfig { video_bitrate_bps: Some(100_000), ..slow() };
    let server = Server::start(folder.path(), 3600, max).await;
    let mut source = SyntheticSource::new(config);
    let mut publisher = start_of(&source, &server);
    for to in 1..=20 {
        server.publish(&mut publisher, &mut source, f64::from(to) * 10.0).await;
        let used: u64 = server.files().iter().map(|(_, bytes)| bytes).sum();
        assert!(used <= max, "{used}");
    }
    let listed = server.rig.checked(VIDEO).await.complete().count();
    assert!((20..=40).contains(&listed), "as much as fits: {listed}");
    server.kill().await;
    let server = Server::start(folder.path(), 3600, max).await;
    let restored = server.rig.checked(VIDEO).await.complete().count();
    assert!(restored + 2 >= listed, "{restored}");
}

#[tokio::test]
async fn damage_costs_what_is_damaged_and_what_is_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 3600, u64::MAX / 2).await;
    let mut publisher = server.rig.publisher();
    publish(&mut publisher, SyntheticConfig::default(), 0.0, 30.5).await;
    server.saved().await;
    let before = server.rig.checked(VIDEO).await;
    let complete: Vec<_> = before.complete().cloned().collect();
    server.kill().await;
    let stream = folder.path().join("7");
    // One file of the picture is missing, one is cut short, and one is of a segment that nobody knows. The sound's newest file is missing.
    std::fs::remove_file(stream.join("source").join(complete[2].uri.as_ref().unwrap())).unwrap();
    std::fs::write(stream.join("source").join(complete[4].uri.as_ref().unwrap()), b"short").unwrap();
    std::fs::write(stream.join("source/video/999-1.m4s"), b"orphan").unwrap();
    let last = complete.last().unwrap().uri.as_ref().unwrap().replace("video/", "audio/");
    std::fs::remove_file(stream.join("source").join(last)).unwrap();
    let mut index = std::fs::read(stream.join("index")).unwrap();
    index.extend_from_slice(b"s source video 9");
    std::fs::write(stream.join("index"), index).unwrap();

    let server = Server::start(folder.path(), 3600, u64::MAX / 2).await;
    let video = server.rig.checked(VIDEO).await;
    assert_eq!(video.segments[0].uri, complete[5].uri);
    assert_eq!(video.segments.len(), complete.len() - 6, "and ends where the sound ends");
    assert!(server.rig.packager.answer(AUDIO, None).await != Answer::NotFound);
    assert!(!stream.join("source/video/999-1.m4s").exists());
}

#[tokio::test]
async fn windows_of_deleted_streams_are_cleaned() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["7/index", "7/source/video/1.m4s", "8/index", "junk/x", "9"] {
        RealDisk.write(&folder.path().join(path), b"x").unwrap();
    }
    let space = SpaceLimits { max_bytes: 1, min_free_bytes: 0 };
    let limits = DvrLimits { space, memory_window: MEMORY };
    let shelf = DvrShelf::open(folder.path().to_owned(), limits).unwrap();
    shelf.clean(&BTreeSet::from([StreamId(7), StreamId(3)])).unwrap();
    let left: Vec<_> = RealDisk.files(folder.path()).unwrap().into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, ["7/index", "7/source/video/1.m4s"].map(|path| folder.path().join(path)));
    shelf.remove(StreamId(7)).unwrap();
    assert!(RealDisk.files(folder.path()).unwrap().is_empty());
    assert!(!shelf.is_for(MEMORY) && shelf.is_for(MEMORY + Duration::from_secs(1)));
}

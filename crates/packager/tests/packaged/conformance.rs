//! Everything that a stream serves keeps the rules of `weir_testkit::conformance` at every moment, whatever its source does.

use crate::support;

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use support::{Rig, kind_of, tracks_of, write};
use weir_hub::Publisher;
use weir_media::{Frame, MediaKind, MediaTime};
use weir_packager::{Answer, Cuts, Packager, PackagerConfig};
use weir_testkit::conformance::{Rule, Watcher, caption_bytes};
use weir_testkit::frames::{SyntheticAudio, SyntheticConfig, SyntheticSource};

/// The watcher looks so often: several times a segment, and seldom enough that new parts have come.
const LOOK_EVERY: Duration = Duration::from_millis(500);

fn watcher(packager: &Packager) -> Watcher<impl FnMut(&str) -> Option<Vec<u8>> + use<>> {
    let packager = packager.clone();
    let fetch = move |path: &str| {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        // What can be answered is answered at once. Nothing is written while a request waits, so a wait would have no end.
        match pin!(packager.answer(path, query)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Answer::Found { body, .. }) => Some(body.to_vec()),
            _ => None,
        }
    };
    // Media is written as fast as it can be, so the wall clock says nothing here.
    Watcher::new(fetch).without_clock()
}

/// The violations that the watcher found, each under the name of the case.
fn violations<F: FnMut(&str) -> Option<Vec<u8>>>(case: &str, watcher: &Watcher<F>) -> Vec<String> {
    watcher.violations().found().iter().map(|found| format!("{case}: {found}")).collect()
}

/// The same, except for rules that can't be kept if frames have all kinds of lengths.
fn violations_but<F: FnMut(&str) -> Option<Vec<u8>>>(
    excused: &[Rule],
    case: &str,
    watcher: &Watcher<F>,
) -> Vec<String> {
    let found = watcher.violations().found().iter().filter(|found| !excused.contains(&found.rule));
    found.map(|found| format!("{case}: {found}")).collect()
}

/// These rules can't be kept if a frame lasts too long for a part: its segment is not listed in parts.
const IN_PARTS: &[Rule] = &[Rule::PartsListed, Rule::PreloadHint];

/// Publishes so many seconds of the source from `at` on, and has the watcher look all the time.
async fn publish_watched<F: FnMut(&str) -> Option<Vec<u8>>>(
    publisher: &mut Publisher,
    source: SyntheticConfig,
    (at, seconds): (f64, f64),
    keep: impl Fn(&Frame) -> bool,
    watcher: &mut Watcher<F>,
) {
    let mut source = SyntheticSource::new(source);
    publisher.set_tracks(tracks_of(&source));
    let mut until = Duration::ZERO;
    while until.as_secs_f64() < seconds {
        until += LOOK_EVERY;
        let frames = source.frames_until(support::time(until.as_secs_f64().min(seconds)));
        write(publisher, frames.into_iter().filter(&keep).collect(), support::time(at)).await;
        watcher.look();
    }
}

fn with(fps: (u32, u32), gop_frames: u32, sample_rate_hz: u32) -> SyntheticConfig {
    let audio = Some(SyntheticAudio { sample_rate_hz, channels: 2 });
    SyntheticConfig { fps, gop_frames, audio, ..SyntheticConfig::default() }
}

#[tokio::test]
async fn steady_sources_of_all_rates() {
    let mut wrong = Vec::new();
    for (fps, gop_frames, sample_rate_hz) in [
        ((30, 1), 60, 48_000),
        ((30_000, 1001), 60, 44_100),
        ((25, 1), 50, 48_000),
        ((24, 1), 24, 32_000),
        ((60, 1), 60, 96_000),
        ((50, 1), 175, 48_000),
        ((15, 1), 30, 22_050),
        ((12, 1), 24, 48_000),
        ((10, 1), 50, 16_000),
        ((5, 1), 10, 8_000),
    ] {
        let rig = Rig::new(PackagerConfig::default()).await;
        let mut watcher = watcher(&rig.packager);
        let source = with(fps, gop_frames, sample_rate_hz);
        publish_watched(&mut rig.publisher(), source, (0.0, 30.0), |_| true, &mut watcher).await;
        wrong.extend(violations(&format!("{fps:?}, GOP {gop_frames}, {sample_rate_hz} Hz"), &watcher));
        assert!(watcher.segments_checked() >= 10);
        assert_eq!(watcher.playlist("source/video.m3u8").unwrap().discontinuities(), 0);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn publishers_that_come_back() {
    let mut wrong = Vec::new();
    for away in [0.0, 0.04, 0.3, 0.7, 1.2, 2.0, 5.0, 20.0] {
        let rig = Rig::new(PackagerConfig { window: Duration::from_secs(30), ..PackagerConfig::default() }).await;
        let mut watcher = watcher(&rig.packager);
        for session in 0..8 {
            let at = f64::from(session) * (3.5 + away);
            let source = SyntheticConfig::default();
            publish_watched(&mut rig.publisher(), source, (at, 3.5), |_| true, &mut watcher).await;
        }
        wrong.extend(violations_but(IN_PARTS, &format!("away for {away} s"), &watcher));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn sound_that_comes_back_before_the_picture() {
    for (away, sooner) in [(0.3, 0.05), (5.0, 0.02), (20.0, 0.02)] {
        let rig = Rig::new(PackagerConfig { window: Duration::from_secs(60), ..PackagerConfig::default() }).await;
        let mut watcher = watcher(&rig.packager);
        for session in 0..3 {
            let at = f64::from(session) * (3.5 + away);
            let source = SyntheticConfig::default();
            if session > 0 {
                let sound = SyntheticSource::new(source.clone()).frames_until(support::time(sooner));
                let sound = sound.into_iter().filter(|frame| kind_of(frame) == MediaKind::Audio);
                write(&mut rig.publisher(), sound.collect(), support::time(at - sooner)).await;
            }
            publish_watched(&mut rig.publisher(), source, (at, 3.5), |_| true, &mut watcher).await;
        }
        let found = violations_but(IN_PARTS, &format!("away for {away} s, sound {sooner} s sooner"), &watcher);
        assert!(found.is_empty(), "\n{}", found.join("\n"));
    }
}

/// The picture rates that encoders make, as fractions.
const RATES: [(u32, u32); 11] =
    [(8, 1), (10, 1), (12, 1), (15, 1), (24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (30, 1), (50, 1), (60, 1)];

/// One encoder publishes to one stream, and comes back each time with another rate and another GOP.
#[tokio::test]
async fn encoders_that_come_back_as_others() {
    let mut wrong = Vec::new();
    for (case, away) in [(1_u32, 0.3), (4, 0.7), (10, 2.5)] {
        let rig = Rig::new(PackagerConfig { window: Duration::from_secs(60), ..PackagerConfig::default() }).await;
        let mut watcher = watcher(&rig.packager);
        let mut at = 0.0;
        for session in 0..RATES.len() as u32 {
            let fps = RATES[((session * 4 + case) % RATES.len() as u32) as usize];
            let gop_seconds = (session * 3 + case - 1) % 10 + 1;
            let gop_frames = (fps.0 * gop_seconds).div_ceil(fps.1);
            let sample_rate_hz = [48_000, 44_100, 32_000][session as usize % 3];
            let source = with(fps, gop_frames, sample_rate_hz);
            publish_watched(&mut rig.publisher(), source, (at, 10.1), |_| true, &mut watcher).await;
            at += 10.1 + away;
        }
        let target = watcher.playlist("source/video.m3u8").unwrap().target_seconds;
        assert_eq!(target, u64::from(case.max(2)), "the first GOP says it");
        wrong.extend(violations_but(IN_PARTS, &format!("GOP of {case} s first, away for {away} s"), &watcher));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// There are rates at which no number of pictures makes a part, and pictures that come at any time.
#[tokio::test]
async fn pictures_that_make_no_parts_are_served_in_segments() {
    let mut wrong = Vec::new();
    for (name, lengths) in [
        ("6 a second", vec![167, 166, 167]),
        ("9 a second", vec![111]),
        ("now and then a late one", vec![33, 33, 34, 33, 33, 34, 33, 33, 34, 33, 33, 34, 33, 100, 33, 34, 33, 120, 33]),
        ("anything", vec![16, 200, 33, 41, 90, 16, 16, 130, 17, 17, 400, 20, 66, 33, 180, 33]),
        ("slower and slower", (1..40).map(|step| step * 10).collect()),
    ] {
        let rig = Rig::new(PackagerConfig { window: Duration::from_secs(30), ..PackagerConfig::default() }).await;
        let mut watcher = watcher(&rig.packager);
        let mut source = SyntheticSource::new(SyntheticConfig { audio: None, ..with((30, 1), 15, 48_000) });
        let mut publisher = rig.publisher();
        publisher.set_tracks(tracks_of(&source));
        let frames = source.frames_until(support::time(20.0));
        let (mut at, mut lengths) = (0, lengths.into_iter().cycle());
        for frames in frames.chunks(10) {
            let moved = frames.iter().map(|frame| {
                let moved = Frame { dts: MediaTime::from_millis(at), pts: MediaTime::from_millis(at), ..frame.clone() };
                at += lengths.next().unwrap();
                moved
            });
            write(&mut publisher, moved.collect(), MediaTime::ZERO).await;
            watcher.look();
        }
        wrong.extend(violations_but(IN_PARTS, name, &watcher));
        assert!(watcher.segments_checked() >= 5, "{name}");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Says which frames are sent.
type Keep<'a> = &'a dyn Fn(&Frame) -> bool;

#[tokio::test]
async fn tracks_that_are_missing_or_fall_silent() {
    let mut wrong = Vec::new();
    let video = |frame: &Frame| kind_of(frame) == MediaKind::Video;
    let within = |from: f64, to: f64, frame: &Frame| frame.dts >= support::time(from) && frame.dts < support::time(to);
    let cases: [(&str, bool, Keep<'_>); 6] = [
        ("no sound", false, &|_| true),
        ("sound that never comes", true, &video),
        ("sound that pauses for 0.8 s", true, &|frame| video(frame) || !within(5.0, 5.8, frame)),
        ("sound that pauses for 4 s", true, &|frame| video(frame) || !within(5.0, 9.0, frame)),
        ("sound that begins late", true, &|frame| video(frame) || !within(0.0, 5.0, frame)),
        ("pictures that pause for 1.5 s", true, &|frame| !video(frame) || !within(5.0, 6.5, frame)),
    ];
    for (name, has_sound, keep) in cases {
        let rig = Rig::new(PackagerConfig { window: Duration::from_secs(30), ..PackagerConfig::default() }).await;
        let mut watcher = watcher(&rig.packager);
        let audio = SyntheticConfig::default().audio.filter(|_| has_sound);
        let source = SyntheticConfig { audio, ..SyntheticConfig::default() };
        publish_watched(&mut rig.publisher(), source, (0.0, 16.0), keep, &mut watcher).await;
        wrong.extend(violations(name, &watcher));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_configuration_that_changes() {
    let rig = Rig::new(PackagerConfig { window: Duration::from_secs(30), ..PackagerConfig::default() }).await;
    let mut watcher = watcher(&rig.packager);
    for (index, width) in [320, 640, 320].into_iter().enumerate() {
        let source = SyntheticConfig { width, ..SyntheticConfig::default() };
        publish_watched(&mut rig.publisher(), source, (index as f64 * 5.5, 5.5), |_| true, &mut watcher).await;
    }
    watcher.assert_valid();
    assert_eq!(watcher.playlist("source/video.m3u8").unwrap().discontinuities(), 2);
    assert_eq!(watcher.manifest().unwrap().periods.len(), 3);
}

#[tokio::test]
async fn renditions_beside_the_source() {
    let rig = Rig::new(PackagerConfig { window: Duration::from_secs(30), ..PackagerConfig::default() }).await;
    let mut watcher = watcher(&rig.packager);
    let mut made = rig.hub.publish_rendition("360p");
    rig.follow("360p", Cuts::ByClock);
    tokio::task::yield_now().await;
    let mut publisher = rig.publisher();
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    let small = SyntheticConfig { width: 160, height: 90, audio: None, ..SyntheticConfig::default() };
    let mut follower = SyntheticSource::new(small);
    publisher.set_tracks(tracks_of(&source));
    made.set_tracks(tracks_of(&follower));
    for half in 1..=60 {
        write(&mut publisher, source.frames_until(support::time(f64::from(half) / 2.0)), MediaTime::ZERO).await;
        // The transcoder is a second behind.
        write(&mut made, follower.frames_until(support::time(f64::from(half) / 2.0 - 1.0)), MediaTime::ZERO).await;
        watcher.look();
    }
    watcher.assert_valid();
    assert!(watcher.playlist("360p/video.m3u8").unwrap().complete().count() > 4);
}

#[tokio::test]
async fn a_rendition_that_begins_after_a_break() {
    let rig = Rig::new(PackagerConfig { window: Duration::from_secs(60), ..PackagerConfig::default() }).await;
    let mut watcher = watcher(&rig.packager);
    let source = SyntheticConfig::default();
    publish_watched(&mut rig.publisher(), source.clone(), (0.0, 5.0), |_| true, &mut watcher).await;
    publish_watched(&mut rig.publisher(), source.clone(), (25.0, 8.0), |_| true, &mut watcher).await;
    let mut made = rig.hub.publish_rendition("360p");
    rig.follow("360p", Cuts::ByClock);
    tokio::task::yield_now().await;
    publish_watched(&mut made, SyntheticConfig { audio: None, ..source }, (29.0, 4.0), |_| true, &mut watcher).await;
    watcher.assert_valid();
    let made = watcher.playlist("360p/video.m3u8").unwrap();
    assert_eq!(made.discontinuity_sequence, 1, "it counts the break before its time");
}

#[tokio::test]
async fn silence_stands_where_sound_is_missing() {
    let mut rig = Rig::new(PackagerConfig { window: Duration::from_secs(30), ..PackagerConfig::default() }).await;
    let mut watcher = watcher(&rig.packager);
    let keep = |frame: &Frame| {
        let missing = support::time(3.0)..support::time(8.0);
        kind_of(frame) == MediaKind::Video || !missing.contains(&frame.dts)
    };
    publish_watched(&mut rig.publisher(), SyntheticConfig::default(), (0.0, 12.0), keep, &mut watcher).await;
    rig.finish().await;
    let folder = tempfile::tempdir().unwrap();
    rig.dump(folder.path(), &["source/audio.m3u8"]).await;
    let file = folder.path().join("source/audio.m3u8");
    assert_eq!(weir_testkit::ffmpeg::decode_errors(&file), "");
    let times = weir_testkit::ffmpeg::packet_times_ms(&file, "a");
    assert!(times.windows(2).all(|pair| (20..=45).contains(&(pair[1] - pair[0]))), "{times:?}");
}

/// An SEI message with constructs of CEA-608 and CEA-708: CC1, CC3 and service 1.
const CAPTIONS: &[u8] = b"\x06\x04\x14\xB5\x00\x31GA94\x03\x43\xFF\xFC\x94\x20\xFD\x15\x2C\xFF\x02\x21\xFF\x80";

#[tokio::test]
async fn captions_are_kept_and_signalled_once_seen() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut watcher = watcher(&rig.packager);
    let mut publisher = rig.publisher();
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    publisher.set_tracks(tracks_of(&source));
    let mut sent = Vec::new();
    for half in 1..=16 {
        let mut frames = source.frames_until(support::time(f64::from(half) / 2.0));
        for frame in frames.iter_mut().filter(|frame| half > 5 && kind_of(frame) == MediaKind::Video) {
            let mut payload = bytes::BytesMut::new();
            weir_media::codec::nal::put_unit(&mut payload, CAPTIONS);
            payload.extend_from_slice(&frame.payload);
            frame.payload = payload.freeze();
            sent.extend_from_slice(CAPTIONS);
        }
        write(&mut publisher, frames, MediaTime::ZERO).await;
        watcher.look();
        if half == 5 {
            assert!(!rig.text("master.m3u8").await.contains("CAPTIONS"), "none seen, none told");
        }
    }
    watcher.assert_valid();
    let master = rig.text("master.m3u8").await;
    for id in ["CC1", "CC3", "SERVICE1"] {
        let line = format!(
            "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"captions\",NAME=\"{id}\",AUTOSELECT=YES,INSTREAM-ID=\"{id}\"\n"
        );
        assert!(master.contains(&line), "{master}");
    }
    assert!(master.contains(",CLOSED-CAPTIONS=\"captions\"\nsource/video.m3u8"), "{master}");
    let manifest = rig.text("manifest.mpd").await;
    for (scheme, value) in [("608", "CC1=und;CC3=und"), ("708", "1=lang:und")] {
        let line = format!("<Accessibility schemeIdUri=\"urn:scte:dash:cc:cea-{scheme}:2015\" value=\"{value}\"/>");
        assert!(manifest.contains(&line), "{manifest}");
    }
    let mut kept = Vec::new();
    for segment in rig.checked("source/video.m3u8").await.complete() {
        kept.extend(caption_bytes(&rig.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await));
    }
    assert!(kept.len() > 100 * CAPTIONS.len() && sent.starts_with(&kept), "{} of {} bytes", kept.len(), sent.len());
}

#[test]
fn rules_say_where_they_stand() {
    for rule in Rule::ALL {
        assert!(rule.text().contains(": "), "{rule:?}");
    }
}

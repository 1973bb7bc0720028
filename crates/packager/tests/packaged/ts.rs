//! HLS with MPEG-TS segments has the same media as the other playlists name. A real player takes it, and it is made once, and only if
//! somebody asks.

use crate::support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use support::{Rig, add, checker, is_immutable, kind_of, publish, time, tracks_of, write};
use tokio::task::JoinHandle;
use weir_hub::Tracks;
use weir_media::codec::aac::AacConfig;
use weir_media::{Codec, Frame, FrameFlags, MediaKind, MediaTime, Timeline, TrackId, WireClock, codec};
use weir_mux::ts::{TsCounts, TsEvent, TsReader};
use weir_packager::{Answer, Cache, PackagerConfig};
use weir_testkit::ffmpeg;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

const MEDIA: &str = "ts/source/media.m3u8";

/// The numbers of the segments that the playlist names.
async fn numbers(rig: &Rig) -> Vec<u64> {
    let text = rig.text(MEDIA).await;
    text.lines().filter_map(|line| line.strip_suffix(".ts")?.parse().ok()).collect()
}

/// The bytes of all listed segments, one after the other.
async fn joined(rig: &Rig) -> Vec<u8> {
    let mut all = Vec::new();
    for number in numbers(rig).await {
        all.extend_from_slice(&rig.get(&format!("ts/source/{number}.ts")).await);
    }
    all
}

fn read(data: &[u8]) -> (Vec<TsEvent>, TsCounts) {
    let mut reader = TsReader::new(None);
    reader.feed(data);
    reader.finish();
    (std::iter::from_fn(|| reader.next_event()).collect(), reader.counts())
}

/// The decode times of the frames of a kind, in ticks of 90 kHz.
fn times(events: &[TsEvent], kind: MediaKind) -> Vec<i64> {
    let frames = events.iter().filter_map(|event| if let TsEvent::Frame(frame) = event { Some(frame) } else { None });
    let track = if kind == MediaKind::Video { TrackId::SOURCE_VIDEO } else { TrackId::SOURCE_AUDIO };
    frames.filter(|frame| frame.track == track).map(|frame| frame.dts_ticks).collect()
}

async fn dump(rig: &Rig, folder: &Path) -> PathBuf {
    for number in numbers(rig).await {
        let file = folder.join(format!("{number}.ts"));
        std::fs::write(file, rig.get(&format!("ts/source/{number}.ts")).await).unwrap();
    }
    let file = folder.join("media.m3u8");
    std::fs::write(&file, rig.text(MEDIA).await + "#EXT-X-ENDLIST\n").unwrap();
    file
}

fn silent(answer: &Answer) -> bool {
    matches!(answer, Answer::NotReady)
}

async fn waits(answer: impl Future) -> bool {
    tokio::time::timeout(Duration::from_millis(50), answer).await.is_err()
}

#[tokio::test]
async fn segments_are_those_of_the_picture_with_the_sound_in_them() {
    let mut rig = Rig::new(PackagerConfig::default()).await;
    assert!(silent(&rig.packager.answer("ts/master.m3u8", None).await));
    let mut publisher = rig.publisher();
    publish(&mut publisher, SyntheticConfig::default(), 0.0, 1.5).await;
    // No segment is complete yet, so whoever asks waits for the first.
    let asked = ["ts/master.m3u8", MEDIA].map(|path| {
        let packager = rig.packager.clone();
        tokio::spawn(async move { packager.answer(path, None).await })
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(asked.iter().all(|asked| !asked.is_finished()));
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    source.frames_until(time(1.5));
    write(&mut publisher, source.frames_until(time(9.0)), MediaTime::ZERO).await;
    rig.finish().await;
    for asked in asked {
        assert!(matches!(asked.await.unwrap(), Answer::Found { .. }));
    }

    let video = rig.checked("source/video.m3u8").await;
    assert_eq!(numbers(&rig).await, video.complete().map(|segment| segment.number).collect::<Vec<_>>());
    let text = rig.text(MEDIA).await;
    let first = text.lines().take(5).collect::<Vec<_>>();
    assert_eq!(
        first,
        [
            "#EXTM3U",
            "#EXT-X-VERSION:3",
            "#EXT-X-TARGETDURATION:2",
            "#EXT-X-MEDIA-SEQUENCE:0",
            "#EXT-X-DISCONTINUITY-SEQUENCE:0"
        ]
    );
    for segment in video.complete() {
        let expected = format!(
            "#EXT-X-PROGRAM-DATE-TIME:{}\n#EXTINF:{:.5},\n{}.ts\n",
            segment.date, segment.duration, segment.number
        );
        assert!(text.contains(&expected), "{expected}{text}");
    }

    let (events, counts) = read(&joined(&rig).await);
    let clean = TsCounts { packets: counts.packets, ..TsCounts::default() };
    assert_eq!(counts, clean, "counters go on from segment to segment");
    let pictures = times(&events, MediaKind::Video);
    assert!(pictures.len() == 270 && pictures.windows(2).all(|pair| (2970..=3060).contains(&(pair[1] - pair[0]))));
    let sound = times(&events, MediaKind::Audio);
    assert!(
        sound.len() == 422 && sound.windows(2).all(|pair| (1919..=1921).contains(&(pair[1] - pair[0]))),
        "{sound:?}"
    );
    assert_eq!(events.iter().filter(|event| matches!(event, TsEvent::Track(_))).count(), 2);

    let folder = tempfile::tempdir().unwrap();
    let file = dump(&rig, folder.path()).await;
    assert_eq!(ffmpeg::decode_errors(&file), "");
    let (video, audio) = ffmpeg::times_ms(&file);
    assert_eq!((video.len(), audio.len()), (270, 422));
}

#[tokio::test]
async fn a_master_names_what_there_is() {
    let rig = Rig::new(PackagerConfig::default()).await;
    publish(&mut rig.publisher(), SyntheticConfig::default(), 0.0, 5.0).await;
    let text = rig.text("ts/master.m3u8?token=abc").await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["#EXTM3U", "#EXT-X-VERSION:3"]);
    let of = checker::attributes(lines[2].strip_prefix("#EXT-X-STREAM-INF:").unwrap());
    assert!(of["CODECS"].starts_with("avc1.") && of["CODECS"].ends_with(",mp4a.40.2"), "{text}");
    assert_eq!((of["RESOLUTION"].as_str(), lines[3]), ("320x180", "source/media.m3u8?token=abc"));
    let peak_bps: usize = of["BANDWIDTH"].parse().unwrap();
    for number in numbers(&rig).await {
        let body = rig.get(&format!("ts/source/{number}.ts")).await;
        assert!(body.len() * 8 / 2 <= peak_bps, "{} bytes, {peak_bps} bps said", body.len());
    }
    let media = rig.text("ts/source/media.m3u8?token=abc").await;
    assert!(media.contains("\n0.ts?token=abc\n"), "{media}");
}

#[tokio::test]
async fn a_segment_is_made_once() {
    let rig = Rig::new(PackagerConfig::default()).await;
    publish(&mut rig.publisher(), SyntheticConfig::default(), 0.0, 5.0).await;
    let (first, second) = (rig.get("ts/source/0.ts").await, rig.get("ts/source/0.ts").await);
    assert_eq!(first.as_ptr(), second.as_ptr());
    let answer = rig.packager.answer("ts/source/0.ts", None).await;
    assert!(is_immutable(&answer) && matches!(answer, Answer::Found { content_type: "video/mp2t", .. }));
    let answer = rig.packager.answer(MEDIA, None).await;
    assert!(matches!(
        answer,
        Answer::Found { content_type: "application/vnd.apple.mpegurl", cache: Cache::Playlist, .. }
    ));
    for path in ["ts/source/2.ts", "ts/source/99.ts", "ts/other/0.ts", "ts/other/media.m3u8"] {
        assert_eq!(rig.packager.answer(path, None).await, Answer::NotFound, "{path}");
    }
    let off = Rig::new(PackagerConfig { hls: false, ..PackagerConfig::default() }).await;
    publish(&mut off.publisher(), SyntheticConfig::default(), 0.0, 5.0).await;
    for path in ["ts/master.m3u8", MEDIA, "ts/source/0.ts"] {
        assert_eq!(off.packager.answer(path, None).await, Answer::NotFound, "{path}");
    }
}

#[tokio::test]
async fn all_who_wait_for_a_segment_get_the_one_that_is_made() {
    let rig = Rig::new(PackagerConfig::default()).await;
    publish(&mut rig.publisher(), SyntheticConfig::default(), 0.0, 5.0).await;
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let packager = rig.packager.clone();
            tokio::spawn(async move { packager.answer("ts/source/0.ts", None).await })
        })
        .collect();
    // The first ones have asked, and leave. Nobody else is the worse for it.
    tokio::task::yield_now().await;
    asked[..10].iter().for_each(JoinHandle::abort);
    let mut bodies = BTreeSet::new();
    for asked in asked.into_iter().skip(10) {
        let Answer::Found { body, .. } = asked.await.unwrap() else { panic!("it is there") };
        bodies.insert(body.as_ptr() as usize);
    }
    assert_eq!(bodies.len(), 1, "made once");
}

#[tokio::test]
async fn a_segment_waits_for_its_sound_but_not_for_ever() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    publisher.set_tracks(tracks_of(&source));
    let (pictures, sound): (Vec<_>, Vec<_>) =
        source.frames_until(time(12.0)).into_iter().partition(|frame| kind_of(frame) == MediaKind::Video);
    let until = |seconds: f64| move |frame: &&Frame| frame.dts < time(seconds);
    let after = |frames: &[Frame], from: f64, to: f64| -> Vec<Frame> {
        frames.iter().filter(until(to)).filter(|frame| frame.dts >= time(from)).cloned().collect()
    };
    write(&mut publisher, after(&pictures, 0.0, 0.1), MediaTime::ZERO).await;
    write(&mut publisher, after(&sound, 0.0, 1.0), MediaTime::ZERO).await;
    write(&mut publisher, after(&pictures, 0.1, 2.5), MediaTime::ZERO).await;
    assert!(waits(rig.packager.answer(MEDIA, None)).await, "the picture's segment is complete, the sound's is not");
    assert_eq!(rig.packager.answer("ts/source/0.ts", None).await, Answer::NotFound);
    write(&mut publisher, after(&sound, 1.0, 2.5), MediaTime::ZERO).await;
    assert_eq!(numbers(&rig).await, [0]);
    let (events, _) = read(&joined(&rig).await);
    assert_eq!(times(&events, MediaKind::Audio).len(), 94, "all the sound of two seconds");
    // The sound is gone, and nobody says so.
    write(&mut publisher, after(&pictures, 2.5, 8.5), MediaTime::ZERO).await;
    assert_eq!(numbers(&rig).await, [0, 1, 2]);
    assert_eq!(read(&joined(&rig).await).1.broken_frames, 0);
}

#[tokio::test]
async fn picture_or_sound_alone() {
    for (with_picture, with_sound) in [(true, false), (false, true)] {
        let mut rig = Rig::new(PackagerConfig::default()).await;
        let mut publisher = rig.publisher();
        let mut source = SyntheticSource::new(SyntheticConfig::default());
        let all = tracks_of(&source);
        let kept = all.iter().filter(|info| if info.kind() == MediaKind::Video { with_picture } else { with_sound });
        publisher.set_tracks(kept.cloned().collect());
        let wanted = |frame: &Frame| (kind_of(frame) == MediaKind::Video) == with_picture;
        let frames = source.frames_until(time(9.0)).into_iter().filter(wanted).collect();
        write(&mut publisher, frames, MediaTime::ZERO).await;
        rig.finish().await;
        let (events, counts) = read(&joined(&rig).await);
        let (pictures, sound) = (times(&events, MediaKind::Video), times(&events, MediaKind::Audio));
        assert_eq!((pictures.is_empty(), sound.is_empty()), (!with_picture, !with_sound));
        assert_eq!(counts.continuity_errors, 0);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ffmpeg::decode_errors(&dump(&rig, folder.path()).await), "");
    }
}

#[tokio::test]
async fn other_configurations_are_a_discontinuity_here_too() {
    let mut rig = Rig::new(PackagerConfig::default()).await;
    publish(&mut rig.publisher(), SyntheticConfig::default(), 0.0, 4.0).await;
    publish(&mut rig.publisher(), SyntheticConfig { width: 640, height: 360, ..SyntheticConfig::default() }, 4.0, 4.0)
        .await;
    rig.finish().await;
    let text = rig.text(MEDIA).await;
    let video = rig.checked("source/video.m3u8").await;
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), video.discontinuities as usize, "{text}");
    assert_eq!(video.discontinuities, 1);
    let (events, _) = read(&joined(&rig).await);
    let widths: Vec<u32> = events
        .iter()
        .filter_map(|event| if let TsEvent::Track(info) = event { Some(info.video.as_ref()?.width) } else { None })
        .collect();
    assert_eq!(widths, [320, 640], "each segment has its own parameter sets");
}

#[tokio::test]
async fn pictures_that_ts_cannot_carry_are_not_offered() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    let mut tracks = Tracks::default();
    let record =
        Bytes::from_static(&[0x81, 1, 0x0C, 0, 0x0A, 0x0B, 0, 0, 0, 0x0C, 0xC4, 0xFF, 0x67, 0x36, 0xBE, 0x40, 0x10]);
    add(&mut tracks, codec::parse(Codec::Av1, TrackId::SOURCE_VIDEO, record).unwrap());
    add(&mut tracks, codec::parse(Codec::Aac, TrackId::SOURCE_AUDIO, AacConfig::build_lc(48_000, 2).unwrap()).unwrap());
    publisher.set_tracks(tracks);
    write(&mut publisher, source.frames_until(time(5.0)), MediaTime::ZERO).await;
    assert!(rig.text("master.m3u8").await.contains("av01"));
    for path in ["ts/master.m3u8", MEDIA, "ts/source/0.ts"] {
        assert_eq!(rig.packager.answer(path, None).await, Answer::NotFound, "{path}");
    }
}

/// 33 bits of 90 kHz wrap after 26.5 hours, and encoders that run for days send such streams.
#[tokio::test]
async fn a_transport_stream_plays_across_the_wrap_of_its_clock() {
    const WRAP_SECONDS: f64 = (1_u64 << 33) as f64 / 90_000.0;
    let folder = tempfile::tempdir().unwrap();
    let clip = ffmpeg::Clip { seconds: 10, size: "320x180", gop_frames: 60, b_frames: 2, ..ffmpeg::Clip::default() };
    let clip = clip.make(&folder.path().join("clip.flv"));
    let file = folder.path().join("wraps.ts");
    let offset = format!("{:.3}", WRAP_SECONDS - 5.0);
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i", clip.to_str().unwrap(), "-c", "copy", "-output_ts_offset", &offset])
        .arg(&file)
        .status();
    assert!(made.unwrap().success());
    let (events, _) = read(&std::fs::read(&file).unwrap());
    let wraps = times(&events, MediaKind::Video).windows(2).any(|pair| pair[0] >> 33 != pair[1] >> 33);
    assert!(wraps, "the clip does not contain the wrap");

    // This does what an intake does: raw stamps go onto the timeline, and frames into the hub.
    let mut rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    let mut timeline = Timeline::new();
    timeline.begin_session(WireClock::MPEG_TS);
    let mut tracks = Tracks::default();
    let mut first = None;
    for event in events {
        match event {
            TsEvent::Track(info) => {
                add(&mut tracks, info);
                publisher.set_tracks(tracks.clone());
            }
            TsEvent::Frame(frame) => {
                let since = frame.dts_ticks - *first.get_or_insert(frame.dts_ticks);
                let now = Duration::from_micros(u64::try_from(since.max(0)).unwrap() * 1_000 / 90);
                let track = frame.track;
                let kind = if track == TrackId::SOURCE_VIDEO { MediaKind::Video } else { MediaKind::Audio };
                let raw = u64::try_from(frame.dts_ticks & ((1 << 33) - 1)).unwrap();
                let (stamped, _) = timeline.stamp(track, kind, raw, frame.cts_ticks, now);
                let flags = FrameFlags { keyframe: frame.keyframe, discontinuity: stamped.discontinuity };
                let frame = Frame { track, dts: stamped.dts, pts: stamped.pts, flags, payload: frame.payload };
                publisher.write(frame, Instant::now());
                tokio::task::yield_now().await;
            }
            _ => {}
        }
    }
    rig.finish().await;
    assert_eq!(timeline.counts().wraps, 1);
    let playlist = rig.checked("source/video.m3u8").await;
    let seconds: f64 = playlist.complete().map(|segment| segment.duration).sum();
    assert!((7.9..=10.1).contains(&seconds), "{seconds}");
    for path in ["source/video.m3u8", "source/audio.m3u8", MEDIA] {
        assert!(!rig.text(path).await.contains("#EXT-X-DISCONTINUITY\n"), "{path}");
    }
    let again = dump(&rig, folder.path()).await;
    assert_eq!(ffmpeg::decode_errors(&again), "");
}

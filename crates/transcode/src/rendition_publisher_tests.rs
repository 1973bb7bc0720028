//! What a rendition publishes, frame by frame.

use bytes::Bytes;
use weir_hub::{Next, StreamHub, WindowLimits};
use weir_media::{Language, MediaTime};
use weir_model::{Audio, Rendition, SoundSettings};
use weir_pipeline::OutputId;

use super::*;
use crate::plan::{SoundPlan, SourceSound};
use crate::sound;
use crate::wants::tests::{SOUND, settings, want};

const VIDEO: OutputId = OutputId(1);
const SOUND_ID: OutputId = OutputId(2);

fn sound_plan(id: u32, language: &str, output: OutputId) -> SoundPlan {
    SoundPlan { source: SourceSound { id: TrackId(id), language: Language::parse(language), label: None }, output }
}

fn plan() -> RenditionPlan {
    RenditionPlan {
        rendition: want("small", settings(640, 360, 600)),
        video: Some(VIDEO),
        sounds: vec![sound_plan(1, "deu", SOUND_ID)],
        family: Some("x264".to_owned()),
        element: "x264enc".to_owned(),
        device: None,
        reason: String::new(),
        degraded: false,
    }
}

fn frame(ms: i64, keyframe: bool) -> WorkerFrame {
    let at = MediaTime::from_millis(ms);
    let payload = Bytes::from_static(&[1]);
    WorkerFrame { track: 1, dts: at, pts: at, keyframe, discontinuity: false, payload }
}

/// The configuration of H.264 Baseline, 640x368.
const AVCC: &[u8] = &[
    1, 0x42, 0xC0, 0x1E, 0xFF, 0xE1, 0, 25, 0x67, 0x42, 0xC0, 0x1E, 0xD9, 0, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0, 0, 3, 0,
    1, 0, 0, 3, 0, 0x32, 0x0F, 0x16, 0x2E, 0x48, 1, 0, 5, 0x68, 0xCB, 0x83, 0xCB, 0x20,
];

fn radio() -> RenditionPlan {
    let rendition = Rendition { video: Video::None, ..plan().rendition };
    RenditionPlan { rendition, video: None, element: "avenc_aac".to_owned(), ..plan() }
}

struct Bench {
    hub: StreamHub,
    publisher: RenditionPublisher,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let (hub, now) = (StreamHub::new(WindowLimits::FRAMES), Instant::now());
        let mut publisher = RenditionPublisher::new(plan(), hub.publish_rendition("small"), now);
        publisher.configure(Codec::H264, Bytes::from_static(AVCC)).unwrap();
        Self { hub, publisher, now }
    }

    /// What a subscriber reads: `v` and `a` with milliseconds, and a capital V for a keyframe.
    fn published(&self) -> Vec<String> {
        let mut cursor = self.hub.rendition("small").subscribe();
        let mut read = Vec::new();
        while let Some(Next::Item(entry)) = cursor.try_next() {
            let kind = match entry.is_video() {
                true if entry.frame.is_keyframe() => "V",
                true => "v",
                false => "a",
            };
            read.push(format!("{kind}{}", entry.frame.dts.as_millis()));
        }
        read
    }
}

#[test]
fn sound_waits_for_the_pictures_of_its_time() {
    let mut bench = Bench::new();
    for ms in [960, 981, 1003, 1024] {
        bench.publisher.sound(SOUND_ID, &frame(ms, true), bench.now);
    }
    bench.publisher.picture(&frame(1000, false), true, bench.now);
    assert!(bench.published().is_empty(), "nothing begins without a keyframe");
    bench.publisher.picture(&frame(1000, true), true, bench.now);
    bench.publisher.sound(SOUND_ID, &frame(1045, true), bench.now);
    bench.publisher.picture(&frame(1033, false), true, bench.now);
    bench.publisher.picture(&frame(1067, false), true, bench.now);
    assert_eq!(bench.published(), ["V1000", "a1003", "a1024", "v1033", "a1045", "v1067"]);
    // Pictures that no longer come do not hold up the sound for ever.
    for number in 0..100 {
        bench.publisher.sound(SOUND_ID, &frame(1088 + number * 21, true), bench.now);
    }
    assert_eq!(bench.published().last().map(String::as_str), Some("a1151"));
}

#[test]
fn a_successor_repeats_nothing_and_begins_with_a_keyframe() {
    let mut bench = Bench::new();
    for (ms, keyframe) in [(0, true), (33, false), (67, false)] {
        bench.publisher.picture(&frame(ms, keyframe), true, bench.now);
    }
    bench.publisher.resume(plan());
    for (ms, keyframe) in [(33, true), (67, false), (100, false), (133, true), (167, false)] {
        bench.publisher.picture(&frame(ms, keyframe), true, bench.now);
    }
    assert_eq!(bench.published(), ["V133", "v167"], "who joins now begins there");
    assert_eq!(bench.publisher.last_picture(), Some(MediaTime::from_millis(167)));
}

#[test]
fn a_source_without_sound_is_given_silence() {
    let mut bench = Bench::new();
    for number in 0..4 {
        bench.publisher.picture(&frame(number * 33, number == 0), false, bench.now);
    }
    assert_eq!(bench.published(), ["V0", "a0", "v33", "a21", "v66", "a43", "a64", "v99", "a85"]);
}

#[test]
fn the_end_brings_the_sound_that_waits() {
    let mut bench = Bench::new();
    bench.publisher.picture(&frame(0, true), true, bench.now);
    for ms in [0, 21, 43] {
        bench.publisher.sound(SOUND_ID, &frame(ms, true), bench.now);
    }
    assert_eq!(bench.published(), ["V0"]);
    bench.publisher.end(bench.now);
    assert_eq!(bench.published(), ["V0", "a0", "a21", "a43"]);
    bench.publisher.picture(&frame(100, false), true, bench.now);
    assert_eq!(bench.published().len(), 4, "what follows begins with a keyframe");
}

#[test]
fn sound_alone_follows_the_pictures_of_others() {
    let (mut bench, now) = (Bench::new(), Instant::now());
    bench.publisher = RenditionPublisher::new(radio(), bench.hub.publish_rendition("small"), now);
    for number in 0..50 {
        bench.publisher.sound(SOUND_ID, &frame(number * 1000 / 46, true), now);
    }
    assert!(bench.published().is_empty());
    bench.publisher.follow(Some(MediaTime::from_millis(1_020)), now);
    // A subscriber of sound alone begins at a start, and starts are a second apart.
    assert_eq!(bench.published(), ["a1000"]);
    assert_eq!(bench.hub.rendition("small").tracks().video(), None);
    bench.publisher.follow(None, now);
    assert_eq!(bench.publisher.newest(), Some(MediaTime::from_millis(1_065)));
    let status = bench.publisher.status(true, now);
    assert_eq!((status.state, status.width, status.fps), (RenditionState::Live, None, None));
    assert_eq!(status.target_bps, Some(128_000));
    // When nothing comes for long, there is silence.
    bench.publisher.fill(MediaTime::from_millis(8_000), true, now);
    assert!(bench.publisher.newest() > Some(MediaTime::from_millis(2_900)), "{:?}", bench.publisher.newest());
}

#[test]
fn another_codec_of_sound_begins_with_a_keyframe() {
    let mut bench = Bench::new();
    bench.publisher.picture(&frame(0, true), true, bench.now);
    let opus = Audio::Encode(SoundSettings { codec: AudioCodec::Opus, ..SOUND });
    let other = OutputId(9);
    let sounds = vec![sound_plan(1, "deu", other)];
    bench.publisher.resume_same(RenditionPlan {
        rendition: Rendition { audio: opus, ..plan().rendition },
        sounds,
        ..plan()
    });
    bench.publisher.sound(other, &frame(10, true), bench.now);
    bench.publisher.picture(&frame(33, false), true, bench.now);
    assert_eq!(bench.published(), ["V0"], "players have the old configuration");
    bench.publisher.picture(&frame(67, true), true, bench.now);
    bench.publisher.sound(other, &frame(80, true), bench.now);
    bench.publisher.picture(&frame(100, false), true, bench.now);
    assert_eq!(bench.published(), ["V67", "a80", "v100"]);
    assert_eq!(bench.hub.rendition("small").tracks().audio().unwrap().codec, Codec::Opus);
}

#[test]
fn states_follow_the_pictures() {
    let mut bench = Bench::new();
    let later = |seconds: u64| bench.now + Duration::from_secs(seconds);
    assert_eq!(bench.publisher.status(true, bench.now).state, RenditionState::Starting);
    bench.publisher.picture(&frame(0, true), true, bench.now);
    assert_eq!(bench.publisher.status(true, later(1)).state, RenditionState::Live);
    let stalled = bench.publisher.status(true, later(3));
    assert_eq!((stalled.state, stalled.bitrate_bps), (RenditionState::Stalled, 0));
    assert_eq!(bench.publisher.status(false, later(3)).state, RenditionState::Offline);
    // The rendition is two seconds behind for longer than a moment.
    let source = Some(MediaTime::from_millis(2_000));
    let changes = [0, 1_500].map(|ms| bench.publisher.look(source, bench.now + Duration::from_millis(ms)));
    assert_eq!(changes, [None, Some(LagChange::Late)]);
    assert_eq!(bench.publisher.status(true, later(1)).state, RenditionState::Degraded);
}

/// A source whose picture is kept as it is beside sound that is made.
struct KeptBench {
    bench: Bench,
    source: Publisher,
    cursor: weir_hub::Subscriber,
}

impl KeptBench {
    fn new(has_sound: bool) -> Self {
        let mut bench = Bench::new();
        let rendition = Rendition { video: Video::Source, ..plan().rendition };
        let kept = RenditionPlan { rendition, video: None, element: "avenc_aac".to_owned(), ..plan() };
        bench.publisher = RenditionPublisher::new(kept, bench.hub.publish_rendition("small"), bench.now);
        let mut source = bench.hub.publish_rendition("kept");
        let video = codec::parse(Codec::H264, TrackId::SOURCE_VIDEO, Bytes::from_static(AVCC)).unwrap();
        let audio = sound::track(AudioCodec::Opus).filter(|_| has_sound).map(Arc::new);
        source.set_tracks([Some(Arc::new(video)), audio].into_iter().flatten().collect());
        let cursor = bench.hub.rendition("kept").subscribe();
        Self { bench, source, cursor }
    }

    fn picture(&mut self, ms: i64, keyframe: bool, now: Instant) {
        let at = MediaTime::from_millis(ms);
        let flags = FrameFlags { keyframe, discontinuity: false };
        let payload = Bytes::copy_from_slice(&ms.to_be_bytes());
        let frame = Frame { track: TrackId::SOURCE_VIDEO, dts: at, pts: at, flags, payload };
        self.source.write(frame, now);
        while let Some(Next::Item(entry)) = self.cursor.try_next() {
            self.bench.publisher.keep(&entry, now);
        }
    }
}

#[test]
fn kept_pictures_wait_for_the_sound_of_their_time() {
    let mut kept = KeptBench::new(true);
    let now = kept.bench.now;
    for (ms, keyframe) in [(0, true), (33, false), (67, false)] {
        kept.picture(ms, keyframe, now);
    }
    assert!(kept.bench.published().is_empty());
    for ms in [0, 21, 43, 64, 85] {
        kept.bench.publisher.sound(SOUND_ID, &frame(ms, true), now);
    }
    assert_eq!(kept.bench.published(), ["V0", "a0", "a21", "v33", "a43", "a64", "v67"]);
    let mut cursor = kept.bench.hub.rendition("small").subscribe();
    let Some(Next::Item(entry)) = cursor.try_next() else { panic!("nothing is there") };
    assert_eq!(entry.frame.payload[..], 0_i64.to_be_bytes(), "it is the source's own");
    let status = kept.bench.publisher.status(true, now);
    assert_eq!((status.width, status.height, status.target_bps), (Some(640), Some(360), None));

    // Sound that stays away is not waited for: there is silence where it is a second behind.
    kept.picture(100, false, now);
    assert_eq!(kept.bench.published().len(), 7);
    kept.bench.publisher.fill(MediaTime::from_millis(100), true, now + Duration::from_millis(600));
    assert_eq!(kept.bench.published().last().map(String::as_str), Some("v100"));
    kept.picture(1_200, false, now);
    kept.bench.publisher.fill(MediaTime::from_millis(1_200), true, now + Duration::from_millis(600));
    assert_eq!(kept.bench.published()[7..11], ["a85", "v100", "v1200", "a106"], "silence");
}

#[test]
fn kept_pictures_go_on_whatever_becomes_of_the_worker() {
    let mut kept = KeptBench::new(false);
    let now = kept.bench.now;
    kept.picture(0, true, now);
    kept.picture(33, false, now);
    assert_eq!(kept.bench.published(), ["V0", "a0", "v33", "a21"], "without sound there is silence at once");
    let again = kept.bench.publisher.plan.clone();
    kept.bench.publisher.resume(again);
    kept.picture(67, false, now);
    assert_eq!(kept.bench.published()[4..], ["v67", "a43", "a64"]);
    kept.bench.publisher.lost();
    kept.picture(100, false, now);
    kept.picture(133, true, now);
    assert_eq!(kept.bench.published()[0], "V133", "behind a hole it begins with a keyframe");
    kept.bench.publisher.resume(plan());
    kept.picture(167, false, now);
    assert!(!kept.bench.publisher.keeps_any());
    assert_eq!(kept.bench.published().first().map(String::as_str), Some("V133"), "another's pictures are not mixed in");
}

#[test]
fn kept_sound_goes_beside_a_picture_that_is_made() {
    let mut bench = Bench::new();
    let rendition = Rendition { audio: Audio::Source, ..plan().rendition };
    bench.publisher = RenditionPublisher::new(
        RenditionPlan { rendition, sounds: vec![], ..plan() },
        bench.hub.publish_rendition("small"),
        bench.now,
    );
    bench.publisher.configure(Codec::H264, Bytes::from_static(AVCC)).unwrap();
    let (mut source, mut cursor) = (bench.hub.publish_rendition("kept"), bench.hub.rendition("kept").subscribe());
    source.set_tracks(sound::track(AudioCodec::Opus).map(Arc::new).into_iter().collect());
    let flags = FrameFlags { keyframe: true, discontinuity: false };
    for ms in [0, 1_000, 1_020, 1_040] {
        let at = MediaTime::from_millis(ms);
        let frame = Frame { track: TrackId::SOURCE_AUDIO, dts: at, pts: at, flags, payload: Bytes::from_static(&[7]) };
        source.write(frame, bench.now);
    }
    while let Some(Next::Item(entry)) = cursor.try_next() {
        bench.publisher.keep(&entry, bench.now);
    }
    for (ms, keyframe) in [(1_010, true), (1_043, false)] {
        bench.publisher.picture(&frame(ms, keyframe), true, bench.now);
    }
    assert_eq!(bench.published(), ["V1010", "a1020", "a1040", "v1043"]);
    assert_eq!(bench.hub.rendition("small").tracks().audio().unwrap().codec, Codec::Opus);
}

#[test]
fn each_sound_of_the_source_is_a_track_in_its_language() {
    const ENGLISH: OutputId = OutputId(3);
    let mut bench = Bench::new();
    let now = bench.now;
    bench.publisher.picture(&frame(0, true), true, now);
    // The second sound comes while the rendition runs: players hear of it at the next keyframe.
    bench.publisher.resume_same(RenditionPlan {
        sounds: vec![sound_plan(1, "deu", SOUND_ID), sound_plan(2, "eng", ENGLISH)],
        ..plan()
    });
    for ms in [0, 21, 43, 64] {
        bench.publisher.sound(SOUND_ID, &frame(ms, true), now);
        bench.publisher.sound(ENGLISH, &frame(ms + 1, true), now);
    }
    bench.publisher.picture(&frame(33, false), true, now);
    assert_eq!(bench.published(), ["V0", "a0", "a21", "v33"]);
    bench.publisher.picture(&frame(67, true), true, now);
    for ms in [85, 107] {
        bench.publisher.sound(SOUND_ID, &frame(ms, true), now);
        bench.publisher.sound(ENGLISH, &frame(ms + 1, true), now);
    }
    bench.publisher.picture(&frame(100, false), true, now);
    assert_eq!(bench.published(), ["V67", "a85", "a86", "v100"]);
    let tracks = bench.hub.rendition("small").tracks();
    let languages: Vec<_> = tracks.audios().map(|sound| sound.language).collect();
    assert_eq!(languages, [Language::parse("deu"), Language::parse("eng")], "in the source's order");
    // A sound that goes silent is filled while the other goes on.
    for ms in (129..2_000).step_by(21) {
        bench.publisher.sound(SOUND_ID, &frame(ms, true), now);
    }
    bench.publisher.picture(&frame(2_000, false), true, now);
    let filled = bench.published();
    let last: i64 = filled.iter().rev().find(|it| it.starts_with('a')).map(|it| it[1..].parse().unwrap()).unwrap();
    assert!((960..=1_000).contains(&last), "silence up to a second behind the picture: {filled:?}");
    // The second sound is gone from the source.
    bench.publisher.resume_same(plan());
    bench.publisher.picture(&frame(2_033, true), true, now);
    assert_eq!(bench.hub.rendition("small").tracks().audios().count(), 1);
}

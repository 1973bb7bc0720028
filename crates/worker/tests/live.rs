//! Tests the real worker process with synthetic media: sizes, aligned keyframes, sound, changes while it runs, and its end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: its panics are its report")]

use std::collections::BTreeMap;
use std::time::Duration;

use weir_media::codec;
use weir_media::{Codec, Frame, MediaTime, TrackId, TrackInfo};
use weir_model::{AudioCodec, Fit, PictureSettings, RateControl, SoundSettings, VideoCodec};
use weir_pipeline::{
    AudioOutput, Cages, Launcher, Memory, Message, OutputId, Start, TrackConfig, VideoOutput, Worker, WorkerBinary,
    WorkerFrame, WorkerPlan, WorkerReader, WorkerWriter,
};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

const SOON: Duration = Duration::from_secs(20);
const SOUND: OutputId = OutputId(100);

fn output(id: u32, (width, height): (u32, u32), codec: VideoCodec) -> VideoOutput {
    let encoder = match codec {
        VideoCodec::H264 => "x264",
        VideoCodec::H265 => "x265",
        VideoCodec::Av1 => "aom-av1",
    };
    let picture = PictureSettings {
        width,
        height,
        fps: None,
        bitrate_kbps: 200,
        codec,
        gop_seconds: 1.0,
        rate_control: if id == 2 { RateControl::Cbr } else { RateControl::Vbr },
        profile: None,
        fit: Fit::Pad,
    };
    VideoOutput { id: OutputId(id), picture, encoder: encoder.to_owned(), device: None, overlaid: false }
}

fn plan(video: Vec<VideoOutput>) -> Message {
    let sound = SoundSettings { bitrate_kbps: 64, codec: AudioCodec::Aac, loudness_lufs: None };
    let audio = vec![AudioOutput { id: SOUND, source: 1, sound }];
    Message::Plan(WorkerPlan { decode_in: Memory::System, video, audio })
}

fn launcher() -> Launcher {
    Launcher::new(WorkerBinary::at(env!("CARGO_BIN_EXE_weir-worker")).unwrap(), Cages::none("a test"))
}

/// A worker that a test runs, and what it has given.
struct Run {
    worker: Worker,
    writer: WorkerWriter,
    reader: WorkerReader,
    tracks: BTreeMap<OutputId, Vec<TrackInfo>>,
    frames: BTreeMap<OutputId, Vec<WorkerFrame>>,
    /// True when the worker has given all that it held.
    ended: bool,
}

impl Run {
    fn start(resume_after: Option<MediaTime>) -> Self {
        // Cargo builds the worker for tests and says where it is.
        let (worker, writer, reader) =
            weir_pipeline::start(&launcher(), Start { resume_after, ..Start::default() }).unwrap();
        Self { worker, writer, reader, tracks: BTreeMap::new(), frames: BTreeMap::new(), ended: false }
    }

    async fn send(&mut self, message: &Message) {
        self.writer.send(message).await.unwrap();
    }

    async fn tracks_of(&mut self, source: &SyntheticSource) {
        for info in source.tracks() {
            let track = TrackConfig { track: info.id.0, codec: info.codec, config: info.config };
            self.send(&Message::Track(track)).await;
        }
    }

    /// Feeds frames while taking what comes, so that neither side waits for the other.
    async fn feed(&mut self, frames: Vec<Frame>) {
        for frame in frames {
            let message = Message::Frame(WorkerFrame {
                track: frame.track.0,
                dts: frame.dts,
                pts: frame.pts,
                keyframe: frame.is_keyframe(),
                discontinuity: false,
                payload: frame.payload,
            });
            let Self { writer, reader, tracks, frames, ended, .. } = self;
            let mut sending = std::pin::pin!(writer.send(&message));
            loop {
                tokio::select! {
                    sent = &mut sending => break sent.unwrap(),
                    received = reader.next() => take(tracks, frames, ended, received.unwrap()),
                }
            }
        }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                let message = self.reader.next().await.unwrap();
                take(&mut self.tracks, &mut self.frames, &mut self.ended, message);
            }
        };
        let waited = tokio::time::timeout(SOON, wait).await;
        let counts: Vec<_> = self.frames.iter().map(|(id, frames)| (id.0, frames.len())).collect();
        assert!(waited.is_ok(), "not {what}: {counts:?}");
    }

    fn frames(&self, id: u32) -> &[WorkerFrame] {
        self.frames.get(&OutputId(id)).map_or(&[], Vec::as_slice)
    }

    fn keyframes_ms(&self, id: u32) -> Vec<i64> {
        self.frames(id).iter().filter(|frame| frame.keyframe).map(|frame| frame.pts.as_millis()).collect()
    }

    fn size(&self, id: u32) -> (u32, u32) {
        let video = self.tracks[&OutputId(id)].last().and_then(|info| info.video.clone()).unwrap();
        (video.width, video.height)
    }
}

fn take(
    tracks: &mut BTreeMap<OutputId, Vec<TrackInfo>>,
    frames: &mut BTreeMap<OutputId, Vec<WorkerFrame>>,
    ended: &mut bool,
    message: Message,
) {
    match message {
        Message::Track(track) => {
            let info = codec::parse(track.codec, TrackId(9), track.config).unwrap();
            tracks.entry(OutputId(track.track)).or_default().push(info);
        }
        Message::Frame(frame) => frames.entry(OutputId(frame.track)).or_default().push(frame),
        Message::Fault(fault) => panic!("the worker ends: {}", fault.message),
        Message::End => *ended = true,
        Message::Hello(_) | Message::Progress(_) | Message::Plan(_) | Message::Logo(_) | Message::Keyframe(_) => {}
    }
}

fn source(width: u32, height: u32) -> SyntheticSource {
    SyntheticSource::new(SyntheticConfig { width, height, gop_frames: 45, ..SyntheticConfig::default() })
}

fn ms(millis: i64) -> MediaTime {
    MediaTime::from_millis(millis)
}

#[tokio::test]
async fn renditions_are_aligned_and_come_and_go_while_it_runs() {
    let mut run = Run::start(None);
    let mut source = source(320, 180);
    let first = output(1, (320, 180), VideoCodec::H264);
    run.send(&plan(vec![first.clone(), output(2, (160, 90), VideoCodec::H264)])).await;
    run.tracks_of(&source).await;
    run.feed(source.frames_until(ms(2500))).await;
    // The second output leaves, and a third of another codec comes; the first is not disturbed.
    let av1 = output(4, (96, 54), VideoCodec::Av1);
    run.send(&plan(vec![first, output(3, (128, 72), VideoCodec::H265), av1])).await;
    run.feed(source.frames_until(ms(5000))).await;
    run.until("all pictures of the first were there", |run| run.frames(1).len() >= 150).await;
    run.until("the third had its keyframes", |run| run.keyframes_ms(3).len() >= 3).await;
    run.until("the fourth had its keyframes", |run| run.keyframes_ms(4).len() >= 3).await;
    run.until("sound was there", |run| run.frames(SOUND.0).len() >= 220).await;

    assert_eq!(run.frames(1).len(), 150, "none is lost");
    assert!(run.frames(1).windows(2).all(|pair| pair[0].dts < pair[1].dts), "times go forward");
    assert_eq!(run.keyframes_ms(1), [0, 1000, 2000, 3000, 4000]);
    let second = run.keyframes_ms(2);
    assert!(second.starts_with(&[0, 1000, 2000]) && second.len() <= 3, "{second:?}");
    let third = run.keyframes_ms(3);
    // Up to 8 pictures wait to be decoded, and 4 in the branch, when the new plan comes.
    assert!((2100..=3000).contains(&third[0]) && third[1..].ends_with(&[3000, 4000]), "{third:?}");
    let fourth = run.keyframes_ms(4);
    assert!((2100..=3000).contains(&fourth[0]) && fourth[1..].ends_with(&[3000, 4000]), "{fourth:?}");
    let steps = run.frames(4).windows(2).map(|pair| (pair[1].pts - pair[0].pts).as_millis());
    assert!(steps.into_iter().all(|step| (33..=34).contains(&step)), "an encoder that begins anew loses nothing");
    assert_eq!((run.size(1), run.size(2), run.size(3), run.size(4)), ((320, 180), (160, 90), (128, 72), (96, 54)));
    assert_eq!(run.tracks[&OutputId(1)].len(), 1, "one configuration throughout");
    let codecs = [1, 3, 4].map(|id| run.tracks[&OutputId(id)][0].codec);
    assert_eq!(codecs, [Codec::H264, Codec::H265, Codec::Av1]);
    assert_eq!(run.tracks[&OutputId(4)].len(), 1, "one configuration, however often it begins anew");
    let sound = run.frames(SOUND.0);
    assert!(sound.windows(2).all(|pair| (20..=23).contains(&(pair[1].pts - pair[0].pts).as_millis())));

    // The worker ends when its socket is closed.
    let Run { worker, writer, reader, .. } = run;
    drop((writer, reader));
    let status = worker.end(SOON).await.expect("it ended by itself");
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_keyframe_that_is_asked_for_comes_at_once_and_moves_no_slot() {
    let mut run = Run::start(None);
    let mut source = source(320, 180);
    run.send(&plan(vec![output(1, (320, 180), VideoCodec::H264), output(2, (160, 90), VideoCodec::H264)])).await;
    run.tracks_of(&source).await;
    run.feed(source.frames_until(ms(1400))).await;
    run.until("what was fed has come out", |run| run.frames(1).len() >= 42).await;
    run.send(&Message::Keyframe(OutputId(1))).await;
    run.send(&Message::Keyframe(OutputId(77))).await;
    run.send(&Message::Keyframe(SOUND)).await;
    run.feed(source.frames_until(ms(3200))).await;
    run.until("all pictures were there", |run| run.frames(1).len() >= 96 && run.frames(2).len() >= 96).await;
    assert_eq!(run.keyframes_ms(1), [0, 1000, 1400, 2000, 3000]);
    assert_eq!(run.keyframes_ms(2), [0, 1000, 2000, 3000], "nobody asked this one");
}

#[tokio::test]
async fn another_size_of_the_source_keeps_the_canvas() {
    let mut run = Run::start(None);
    run.send(&plan(vec![output(1, (320, 180), VideoCodec::H264), output(2, (160, 90), VideoCodec::H264)])).await;
    for (number, size) in [(0, (320, 180)), (1, (640, 360)), (2, (160, 128))] {
        let mut source = source(size.0, size.1);
        run.tracks_of(&source).await;
        let shift = ms(number * 1500);
        let mut frames = source.frames_until(ms(1500));
        for frame in &mut frames {
            (frame.dts, frame.pts) = (frame.dts + shift, frame.pts + shift);
        }
        run.feed(frames).await;
    }
    for id in [1, 2] {
        run.until("all pictures were there", |run| run.frames(id).len() >= 135).await;
        assert_eq!(run.keyframes_ms(id), [0, 1000, 2000, 3000, 4000]);
        assert_eq!(run.tracks[&OutputId(id)].len(), 1, "one configuration throughout");
    }
    assert_eq!((run.size(1), run.size(2)), ((320, 180), (160, 90)));
}

/// x265 looks half a second ahead, and decoders hold pictures back: none is lost when the source ends.
#[tokio::test]
async fn the_source_s_end_brings_what_encoders_hold() {
    let mut run = Run::start(None);
    let mut source = source(160, 90);
    run.send(&plan(vec![output(1, (160, 90), VideoCodec::H264), output(2, (128, 72), VideoCodec::H265)])).await;
    run.tracks_of(&source).await;
    run.feed(source.frames_until(ms(1000))).await;
    run.send(&Message::End).await;
    run.until("the end was there", |run| run.ended).await;
    assert_eq!((run.frames(1).len(), run.frames(2).len()), (30, 30));
    assert!(run.frames(SOUND.0).last().unwrap().pts > ms(950));
}

/// A successor decodes the newest GOP again, and gives only what its predecessor had not given.
#[tokio::test]
async fn a_successor_begins_after_what_was_published() {
    let mut run = Run::start(Some(ms(700)));
    let mut source = source(320, 180);
    run.send(&plan(vec![output(1, (160, 90), VideoCodec::H264)])).await;
    run.tracks_of(&source).await;
    run.feed(source.frames_until(ms(2200))).await;
    run.until("pictures were there", |run| run.frames(1).len() >= 44).await;
    run.until("sound was there", |run| run.frames(SOUND.0).len() >= 60).await;
    assert_eq!(run.frames(1).iter().map(|frame| frame.pts.as_millis()).min(), Some(733));
    assert_eq!(run.keyframes_ms(1), [733, 1000, 2000]);
    assert!(run.frames(SOUND.0)[0].pts > ms(600));
}

/// An output that can't be built ends the worker, which says which output was the cause.
#[tokio::test]
async fn a_fault_names_its_output() {
    let mut run = Run::start(None);
    let unknown = VideoOutput { encoder: "nonsense".to_owned(), ..output(7, (160, 90), VideoCodec::H264) };
    run.send(&plan(vec![unknown])).await;
    run.tracks_of(&source(320, 180)).await;
    let fault = loop {
        if let Message::Fault(fault) = run.reader.next().await.unwrap() {
            break fault;
        }
    };
    assert_eq!((fault.output, fault.message.as_str()), (Some(OutputId(7)), "there is no encoder nonsense"));
    assert_eq!(run.worker.exited().await.map(|status| status.success()), Some(false));
}

/// Software encoders work wherever the tests run; an encoder that does not has a reason.
#[tokio::test]
async fn abilities_are_proven_by_trying() {
    let launcher = launcher();
    let encoders = weir_pipeline::Encoders::load().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("abilities.json");
    let abilities = weir_pipeline::prove_once(&launcher, &encoders, &cache, "no driver").await;
    let version = abilities.gstreamer.expect("GStreamer is there");
    let expected: Vec<&str> =
        encoders.all().iter().filter(|file| file.is_for(version)).map(|file| file.id.as_str()).collect();
    assert_eq!(abilities.encoders.len(), expected.len());
    let x264 = &abilities.encoders["x264"];
    assert!(x264.ok && x264.ms.is_some_and(|ms| ms > 0.0) && x264.reason.is_none(), "{x264:?}");
    for (id, proof) in &abilities.encoders {
        assert!(proof.ok || proof.reason.as_ref().is_some_and(|reason| !reason.is_empty()), "{id}: {proof:?}");
    }
    assert!(!weir_pipeline::Abilities::none("x").decodes_in(Memory::Cuda));

    // The proofs are kept for the same driver: the figures are those of the first
    // try. Where hardware is there and does not work, everything is tried again.
    if cache.exists() {
        assert_eq!(weir_pipeline::prove_once(&launcher, &encoders, &cache, "no driver").await, abilities);
        let other = weir_pipeline::prove_once(&launcher, &encoders, &cache, "another driver").await;
        assert!(other != abilities && other.encoders["x264"].ok);
        std::fs::write(&cache, "{").unwrap();
        assert!(weir_pipeline::prove_once(&launcher, &encoders, &cache, "another driver").await.encoders["x264"].ok);
    }
}

//! One rendition on its way into the hub: its tracks, the order of its times, its sound, and what it measures.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_hub::Publisher;
use weir_media::codec::{self, GopMeter};
use weir_media::{Codec, Frame, FrameFlags, MediaTime, TrackId, TrackInfo};
use weir_model::{AudioCodec, RenditionState, RenditionStatus, Video};
use weir_pipeline::WireFrame;

use crate::lag::{Lag, LagChange};
use crate::plan::RenditionPlan;
use crate::sound::{self, Sound};

/// Nothing for so long: it does not flow.
const QUIET_AFTER: Duration = Duration::from_secs(2);

/// Two seconds: encoders of pictures take up to one for their first. Pictures that are later than this are not waited for.
const SOUNDS_WAITING_MAX: usize = 96;

#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) plan: RenditionPlan,
    publisher: Publisher,
    video: Option<Arc<TrackInfo>>,
    audio: Option<Arc<TrackInfo>>,
    last_picture: Option<MediaTime>,
    last_sound: Option<MediaTime>,
    /// Pictures up to the next keyframe can't be decoded by who reads on.
    wants_keyframe: bool,
    sound: Sound,
    /// The tracks in force have another codec of sound: what comes waits for the next keyframe.
    other_sound: bool,
    /// Sound is out of its encoder sooner than the pictures of its time are out of theirs. It waits for them: who cuts segments
    /// where pictures have keyframes must not have read the sound beyond.
    waiting: VecDeque<WireFrame>,
    meter: GopMeter,
    started: Instant,
    wrote_at: Option<Instant>,
    pub(crate) latency_ms: Option<f64>,
    lag: Lag,
}

impl Outlet {
    pub(crate) fn new(plan: RenditionPlan, publisher: Publisher, now: Instant) -> Self {
        let codec = sound_codec(&plan);
        Self {
            plan,
            publisher,
            video: None,
            audio: sound::track(codec).map(Arc::new),
            last_picture: None,
            last_sound: None,
            wants_keyframe: true,
            sound: Sound::new(codec),
            other_sound: false,
            waiting: VecDeque::new(),
            meter: GopMeter::new(),
            started: now,
            wrote_at: None,
            latency_ms: None,
            lag: Lag::default(),
        }
    }

    /// Goes on with what another worker, or another encoder, gives.
    pub(crate) fn resume(&mut self, plan: RenditionPlan) {
        self.resume_same(plan);
        self.wants_keyframe = true;
    }

    /// Goes on with the same encoder of pictures; what it is called, or why, or the sound has changed.
    pub(crate) fn resume_same(&mut self, plan: RenditionPlan) {
        let codec = sound_codec(&plan);
        if codec != sound_codec(&self.plan) {
            self.audio = sound::track(codec).map(Arc::new);
            self.sound.go_on_as(codec);
            self.waiting.clear();
            // Sound alone says what it is with its next frame.
            self.other_sound = plan.rendition.video != Video::None;
            self.wants_keyframe = true;
        }
        self.plan = plan;
    }

    fn is_sound_alone(&self) -> bool {
        self.plan.rendition.video == Video::None
    }

    /// The source has ended: sound behind the last picture is not held back any more. What comes next begins anew.
    pub(crate) fn end(&mut self, now: Instant) {
        while let Some(sound) = self.waiting.pop_front() {
            self.write_sound(&sound, now);
        }
        self.wants_keyframe = true;
    }

    /// Looks how far it is behind the newest of the source; what changed, in words.
    pub(crate) fn look(&mut self, source: Option<MediaTime>, now: Instant) -> Option<LagChange> {
        let behind = source.zip(self.newest()).map(|(source, last)| source.since(last));
        self.lag.look(behind.unwrap_or_default(), now)
    }

    /// Goes on in a rendition whose cache was emptied.
    pub(crate) fn publish_anew(&mut self, publisher: Publisher) {
        self.publisher = publisher;
        self.wants_keyframe = true;
    }

    /// The newest picture that was published.
    pub(crate) fn last_picture(&self) -> Option<MediaTime> {
        self.last_picture
    }

    /// The newest frame of what it is made of.
    pub(crate) fn newest(&self) -> Option<MediaTime> {
        if self.is_sound_alone() { self.last_sound } else { self.last_picture }
    }

    pub(crate) fn configure(&mut self, codec: Codec, config: bytes::Bytes) -> Result<(), codec::CodecError> {
        self.video = Some(Arc::new(codec::parse(codec, TrackId::SOURCE_VIDEO, config)?));
        Ok(())
    }

    pub(crate) fn picture(&mut self, frame: &WireFrame, source_has_sound: bool, now: Instant) {
        let Some(video) = &self.video else { return };
        // Of a successor, what its predecessor gave already.
        if self.last_picture.is_some_and(|last| frame.dts <= last) || (self.wants_keyframe && !frame.keyframe) {
            return;
        }
        if frame.keyframe {
            self.publisher.set_tracks([Some(video), self.audio.as_ref()].into_iter().flatten().cloned().collect());
            self.other_sound = false;
        }
        self.wants_keyframe = false;
        while let Some(sound) = self.waiting.pop_front_if(|sound| sound.dts < frame.dts) {
            self.write_sound(&sound, now);
        }
        self.last_picture = Some(frame.dts);
        self.wrote_at = Some(now);
        let elapsed = now.saturating_duration_since(self.started);
        self.meter.record(frame.dts, frame.pts, frame.keyframe, frame.payload.len(), elapsed);
        let flags = FrameFlags { keyframe: frame.keyframe, discontinuity: frame.discontinuity };
        self.write(TrackId::SOURCE_VIDEO, frame, flags, now);
        for silence in self.sound.picture(frame.dts, source_has_sound) {
            self.last_sound = Some(silence.dts);
            self.publisher.write(silence, now);
        }
    }

    pub(crate) fn sound(&mut self, frame: &WireFrame, now: Instant) {
        self.waiting.push_back(frame.clone());
        if self.waiting.len() > SOUNDS_WAITING_MAX
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.write_sound(&oldest, now);
        }
    }

    /// Other renditions have their pictures up to `pictures`: sound alone follows them, so that segments begin where pictures
    /// have keyframes. None where there are no pictures.
    pub(crate) fn follow(&mut self, pictures: Option<MediaTime>, now: Instant) {
        if !self.is_sound_alone() {
            return;
        }
        while let Some(sound) = self.waiting.pop_front_if(|sound| pictures.is_none_or(|time| sound.dts <= time)) {
            self.write_sound(&sound, now);
        }
    }

    /// The source has come to that time: silence where sound alone has none.
    pub(crate) fn fill(&mut self, source: MediaTime, source_has_sound: bool, now: Instant) {
        if !self.is_sound_alone() {
            return;
        }
        for silence in self.sound.alone(source, source_has_sound) {
            self.say_alone(silence.payload.len(), silence.dts, now);
            self.last_sound = Some(silence.dts);
            self.publisher.write(silence, now);
        }
    }

    fn write_sound(&mut self, frame: &WireFrame, now: Instant) {
        if self.is_sound_alone() {
            self.sound.begin(frame.dts);
        }
        if self.other_sound || self.last_sound.is_some_and(|last| frame.dts <= last) || !self.sound.take(frame.dts) {
            return;
        }
        if self.is_sound_alone() {
            self.say_alone(frame.payload.len(), frame.dts, now);
        }
        self.last_sound = Some(frame.dts);
        self.write(TrackId::SOURCE_AUDIO, frame, FrameFlags { keyframe: true, discontinuity: false }, now);
    }

    /// What pictures say otherwise: the tracks, and how much flows.
    fn say_alone(&mut self, bytes: usize, dts: MediaTime, now: Instant) {
        self.publisher.set_tracks(self.audio.iter().cloned().collect());
        self.wrote_at = Some(now);
        self.meter.record(dts, dts, true, bytes, now.saturating_duration_since(self.started));
    }

    fn write(&mut self, track: TrackId, frame: &WireFrame, flags: FrameFlags, now: Instant) {
        let frame = Frame { track, dts: frame.dts, pts: frame.pts, flags, payload: frame.payload.clone() };
        self.publisher.write(frame, now);
    }

    pub(crate) fn status(&self, source_lives: bool, now: Instant) -> RenditionStatus {
        let flows = self.wrote_at.is_some_and(|at| now.saturating_duration_since(at) < QUIET_AFTER);
        let late = self.lag.is_late();
        let (state, reason) = match self.wrote_at {
            None => (RenditionState::Starting, None),
            Some(_) if flows && late => (RenditionState::Degraded, Some("it is behind its source".to_owned())),
            Some(_) if flows && self.plan.degraded => (RenditionState::Degraded, None),
            Some(_) if flows => (RenditionState::Live, None),
            Some(_) if source_lives => (RenditionState::Stalled, None),
            Some(_) => (RenditionState::Offline, None),
        };
        let elapsed = now.saturating_duration_since(self.started);
        RenditionStatus {
            name: self.plan.name().to_owned(),
            encoder: self.plan.element.clone(),
            device: self.plan.device.map(|device| device.to_string()),
            width: self.plan.rendition.picture().map(|picture| picture.width),
            height: self.plan.rendition.picture().map(|picture| picture.height),
            bitrate_bps: if flows { self.meter.bitrate_bps(elapsed) } else { 0 },
            target_bps: self.plan.target_bps(),
            fps: self.meter.fps().filter(|_| flows && !self.is_sound_alone()),
            latency_ms: self.latency_ms.filter(|_| flows),
            state,
            reason: reason.or_else(|| Some(self.plan.reason.clone())),
        }
    }
}

fn sound_codec(plan: &RenditionPlan) -> AudioCodec {
    plan.rendition.sound().map(|sound| sound.codec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use weir_hub::{Next, StreamHub, WindowLimits};
    use weir_model::{Audio, Rendition, SoundSettings};
    use weir_pipeline::OutputId;

    use super::*;
    use crate::wants::tests::{SOUND, settings, want};

    const VIDEO: OutputId = OutputId(1);

    fn plan() -> RenditionPlan {
        RenditionPlan {
            rendition: want("small", settings(640, 360, 600)),
            video: Some(VIDEO),
            audio: Some(OutputId(2)),
            family: Some("x264".to_owned()),
            element: "x264enc".to_owned(),
            device: None,
            reason: String::new(),
            degraded: false,
        }
    }

    fn frame(ms: i64, keyframe: bool) -> WireFrame {
        let at = MediaTime::from_millis(ms);
        let payload = Bytes::from_static(&[1]);
        WireFrame { track: 1, dts: at, pts: at, keyframe, discontinuity: false, payload }
    }

    /// Baseline, 640x368.
    const AVCC: &[u8] = &[
        1, 0x42, 0xC0, 0x1E, 0xFF, 0xE1, 0, 25, 0x67, 0x42, 0xC0, 0x1E, 0xD9, 0, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0, 0, 3,
        0, 1, 0, 0, 3, 0, 0x32, 0x0F, 0x16, 0x2E, 0x48, 1, 0, 5, 0x68, 0xCB, 0x83, 0xCB, 0x20,
    ];

    fn radio() -> RenditionPlan {
        let rendition = Rendition { video: Video::None, ..plan().rendition };
        RenditionPlan { rendition, video: None, element: "avenc_aac".to_owned(), ..plan() }
    }

    struct Bench {
        hub: StreamHub,
        outlet: Outlet,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let (hub, now) = (StreamHub::new(WindowLimits::FRAMES), Instant::now());
            let mut outlet = Outlet::new(plan(), hub.publish_rendition("small"), now);
            outlet.configure(Codec::H264, Bytes::from_static(AVCC)).unwrap();
            Self { hub, outlet, now }
        }

        /// What a subscriber reads: `v` and `a` with milliseconds, keyframes of the picture in capitals.
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
            bench.outlet.sound(&frame(ms, true), bench.now);
        }
        bench.outlet.picture(&frame(1000, false), true, bench.now);
        assert!(bench.published().is_empty(), "nothing begins without a keyframe");
        bench.outlet.picture(&frame(1000, true), true, bench.now);
        bench.outlet.sound(&frame(1045, true), bench.now);
        bench.outlet.picture(&frame(1033, false), true, bench.now);
        bench.outlet.picture(&frame(1067, false), true, bench.now);
        assert_eq!(bench.published(), ["V1000", "a1003", "a1024", "v1033", "a1045", "v1067"]);
        // Pictures that don't come any more do not hold it up for ever.
        for number in 0..100 {
            bench.outlet.sound(&frame(1088 + number * 21, true), bench.now);
        }
        assert_eq!(bench.published().last().map(String::as_str), Some("a1151"));
    }

    #[test]
    fn a_successor_repeats_nothing_and_begins_with_a_keyframe() {
        let mut bench = Bench::new();
        for (ms, keyframe) in [(0, true), (33, false), (67, false)] {
            bench.outlet.picture(&frame(ms, keyframe), true, bench.now);
        }
        bench.outlet.resume(plan());
        for (ms, keyframe) in [(33, true), (67, false), (100, false), (133, true), (167, false)] {
            bench.outlet.picture(&frame(ms, keyframe), true, bench.now);
        }
        assert_eq!(bench.published(), ["V133", "v167"], "who joins now begins there");
        assert_eq!(bench.outlet.last_picture(), Some(MediaTime::from_millis(167)));
    }

    #[test]
    fn a_source_without_sound_is_given_silence() {
        let mut bench = Bench::new();
        for number in 0..4 {
            bench.outlet.picture(&frame(number * 33, number == 0), false, bench.now);
        }
        assert_eq!(bench.published(), ["V0", "a0", "v33", "a21", "v66", "a43", "a64", "v99", "a85"]);
    }

    #[test]
    fn the_end_brings_the_sound_that_waits() {
        let mut bench = Bench::new();
        bench.outlet.picture(&frame(0, true), true, bench.now);
        for ms in [0, 21, 43] {
            bench.outlet.sound(&frame(ms, true), bench.now);
        }
        assert_eq!(bench.published(), ["V0"]);
        bench.outlet.end(bench.now);
        assert_eq!(bench.published(), ["V0", "a0", "a21", "a43"]);
        bench.outlet.picture(&frame(100, false), true, bench.now);
        assert_eq!(bench.published().len(), 4, "what follows begins with a keyframe");
    }

    #[test]
    fn sound_alone_follows_the_pictures_of_others() {
        let (mut bench, now) = (Bench::new(), Instant::now());
        bench.outlet = Outlet::new(radio(), bench.hub.publish_rendition("small"), now);
        for number in 0..50 {
            bench.outlet.sound(&frame(number * 1000 / 46, true), now);
        }
        assert!(bench.published().is_empty());
        bench.outlet.follow(Some(MediaTime::from_millis(1_020)), now);
        // A second of it is what makes a start.
        assert_eq!(bench.published(), ["a1000"]);
        assert_eq!(bench.hub.rendition("small").tracks().video(), None);
        bench.outlet.follow(None, now);
        assert_eq!(bench.outlet.newest(), Some(MediaTime::from_millis(1_065)));
        let status = bench.outlet.status(true, now);
        assert_eq!((status.state, status.width, status.fps), (RenditionState::Live, None, None));
        assert_eq!(status.target_bps, Some(128_000));
        // Nothing comes for long: silence.
        bench.outlet.fill(MediaTime::from_millis(8_000), true, now);
        assert!(bench.outlet.newest() > Some(MediaTime::from_millis(2_900)), "{:?}", bench.outlet.newest());
    }

    #[test]
    fn another_codec_of_sound_begins_with_a_keyframe() {
        let mut bench = Bench::new();
        bench.outlet.picture(&frame(0, true), true, bench.now);
        let opus = Audio::Encode(SoundSettings { codec: AudioCodec::Opus, ..SOUND });
        bench.outlet.resume_same(RenditionPlan { rendition: Rendition { audio: opus, ..plan().rendition }, ..plan() });
        bench.outlet.sound(&frame(10, true), bench.now);
        bench.outlet.picture(&frame(33, false), true, bench.now);
        assert_eq!(bench.published(), ["V0"], "players have the old configuration");
        bench.outlet.picture(&frame(67, true), true, bench.now);
        bench.outlet.sound(&frame(80, true), bench.now);
        bench.outlet.picture(&frame(100, false), true, bench.now);
        assert_eq!(bench.published(), ["V67", "a80", "v100"]);
        assert_eq!(bench.hub.rendition("small").tracks().audio().unwrap().codec, Codec::Opus);
    }

    #[test]
    fn states_follow_the_pictures() {
        let mut bench = Bench::new();
        let later = |seconds: u64| bench.now + Duration::from_secs(seconds);
        assert_eq!(bench.outlet.status(true, bench.now).state, RenditionState::Starting);
        bench.outlet.picture(&frame(0, true), true, bench.now);
        assert_eq!(bench.outlet.status(true, later(1)).state, RenditionState::Live);
        let stalled = bench.outlet.status(true, later(3));
        assert_eq!((stalled.state, stalled.bitrate_bps), (RenditionState::Stalled, 0));
        assert_eq!(bench.outlet.status(false, later(3)).state, RenditionState::Offline);
        // Two seconds behind for longer than a moment.
        let source = Some(MediaTime::from_millis(2_000));
        let changes = [0, 1_500].map(|ms| bench.outlet.look(source, bench.now + Duration::from_millis(ms)));
        assert_eq!(changes, [None, Some(LagChange::Late)]);
        assert_eq!(bench.outlet.status(true, later(1)).state, RenditionState::Degraded);
    }
}

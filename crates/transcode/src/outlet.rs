//! One rendition on its way into the hub: its tracks, the order of its times, its sound, and what it measures.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_hub::{Entry, Publisher};
use weir_media::codec::{self, GopMeter};
use weir_media::{Codec, Frame, FrameFlags, MediaTime, TrackId, TrackInfo};
use weir_model::{AudioCodec, RenditionState, RenditionStatus, Video};
use weir_pipeline::WireFrame;

use crate::held::Held;
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
    /// Pictures that are kept as they are come sooner than the sound that is made: they wait for it.
    held: Held,
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
            publisher,
            video: None,
            audio: made_sound(&plan),
            plan,
            last_picture: None,
            last_sound: None,
            wants_keyframe: true,
            sound: Sound::new(codec),
            other_sound: false,
            waiting: VecDeque::new(),
            held: Held::default(),
            meter: GopMeter::new(),
            started: now,
            wrote_at: None,
            latency_ms: None,
            lag: Lag::default(),
        }
    }

    /// Goes on with what another worker, or another encoder, gives. Pictures of the source go on where they were.
    pub(crate) fn resume(&mut self, plan: RenditionPlan) {
        let goes_on = self.keeps_picture();
        self.resume_same(plan);
        self.wants_keyframe |= !(goes_on && self.keeps_picture());
    }

    /// Goes on with the same picture; what it is called, or why, or the sound has changed.
    pub(crate) fn resume_same(&mut self, plan: RenditionPlan) {
        let codec = sound_codec(&plan);
        let other_sound = made_sound(&plan) != made_sound(&self.plan);
        if other_sound {
            self.audio = made_sound(&plan);
            self.sound.go_on_as(codec);
            self.waiting.clear();
            // Sound alone says what it is with its next frame.
            self.other_sound = plan.rendition.video != Video::None;
            self.wants_keyframe = true;
        }
        self.plan = plan;
    }

    /// Whether it goes on as `plan` says with the picture that it has.
    pub(crate) fn has_picture_of(&self, plan: &RenditionPlan) -> bool {
        let kind = |plan: &RenditionPlan| std::mem::discriminant(&plan.rendition.video);
        self.plan.video == plan.video && kind(&self.plan) == kind(plan)
    }

    fn keeps_picture(&self) -> bool {
        self.plan.rendition.video == Video::Source
    }

    fn makes_sound(&self) -> bool {
        self.plan.rendition.sound().is_some()
    }

    /// Whether frames of the source go into it as they are.
    pub(crate) fn keeps_any(&self) -> bool {
        self.keeps_picture() || !self.makes_sound()
    }

    /// Takes of the source what stays as it is.
    pub(crate) fn keep(&mut self, entry: &Entry, now: Instant) {
        let track = entry.track();
        if entry.is_video() {
            if self.keeps_picture() {
                self.held.push(entry.clone(), now);
            }
        } else if !self.makes_sound() && entry.tracks.audio().is_some_and(|audio| audio.id == track.id) {
            if self.audio.as_ref() != Some(track) {
                // Until the next keyframe says so, players have the old configuration.
                self.other_sound = !self.is_sound_alone();
                self.audio = Some(Arc::clone(track));
            }
            self.sound(&wire(&entry.frame), now);
        }
        self.let_go(now);
    }

    /// Frames of the source were lost.
    pub(crate) fn lost(&mut self) {
        if self.keeps_picture() {
            self.held.clear();
            self.wants_keyframe = true;
        }
    }

    /// Pictures whose sound is there go on, or whose sound takes too long.
    pub(crate) fn let_go(&mut self, now: Instant) {
        loop {
            let sound_until = self.waiting.back().map(|sound| sound.dts).max(self.last_sound);
            let Some(picture) = self.held.pop(sound_until, now) else { return };
            self.kept_picture(&picture, now);
        }
    }

    fn kept_picture(&mut self, picture: &Entry, now: Instant) {
        self.video = Some(Arc::clone(picture.track()));
        self.picture(&wire(&picture.frame), picture.tracks.audio().is_some(), now);
    }

    fn is_sound_alone(&self) -> bool {
        self.plan.rendition.video == Video::None
    }

    /// The source has ended: sound behind the last picture is not held back any more. What comes next begins anew.
    pub(crate) fn end(&mut self, now: Instant) {
        while let Some(picture) = self.held.take() {
            self.kept_picture(&picture, now);
        }
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
        self.held.clear();
        self.wants_keyframe = true;
    }

    /// Whether pictures are encoded for it.
    pub(crate) fn makes_picture(&self) -> bool {
        self.plan.video.is_some()
    }

    /// Whether it has pictures, of whomever.
    pub(crate) fn has_picture(&self) -> bool {
        !self.is_sound_alone()
    }

    pub(crate) fn last_sound(&self) -> Option<MediaTime> {
        self.last_sound
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
        let Some(video) = self.video.clone() else { return };
        // Of a successor, what its predecessor gave already.
        if self.last_picture.is_some_and(|last| frame.dts <= last) || (self.wants_keyframe && !frame.keyframe) {
            return;
        }
        if frame.keyframe {
            self.publisher.set_tracks([Some(&video), self.audio.as_ref()].into_iter().flatten().cloned().collect());
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
        self.write(video.id, frame, flags, now);
        // Where the source's own sound is kept there is none where it has none.
        let silence = if self.makes_sound() { self.sound.picture(frame.dts, source_has_sound) } else { Vec::new() };
        for silence in silence {
            self.write_silence(silence, now);
        }
    }

    pub(crate) fn sound(&mut self, frame: &WireFrame, now: Instant) {
        self.waiting.push_back(frame.clone());
        if self.waiting.len() > SOUNDS_WAITING_MAX
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.write_sound(&oldest, now);
        }
        self.let_go(now);
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
        self.let_go(now);
        if !self.is_sound_alone() {
            return;
        }
        for silence in self.sound.alone(source, source_has_sound) {
            self.say_alone(silence.payload.len(), silence.dts, now);
            self.write_silence(silence, now);
        }
    }

    fn write_sound(&mut self, frame: &WireFrame, now: Instant) {
        if self.is_sound_alone() {
            self.sound.begin(frame.dts);
        }
        // Before the first picture there is no sound.
        let fits = match self.makes_sound() {
            true => self.sound.take(frame.dts),
            false => self.is_sound_alone() || self.last_picture.is_some(),
        };
        if self.other_sound || self.last_sound.is_some_and(|last| frame.dts <= last) || !fits {
            return;
        }
        if self.is_sound_alone() {
            self.say_alone(frame.payload.len(), frame.dts, now);
        }
        self.last_sound = Some(frame.dts);
        let track = self.audio.as_ref().map_or(TrackId::SOURCE_AUDIO, |audio| audio.id);
        self.write(track, frame, FrameFlags { keyframe: true, discontinuity: false }, now);
    }

    fn write_silence(&mut self, silence: Frame, now: Instant) {
        self.last_sound = Some(silence.dts);
        let track = self.audio.as_ref().map_or(silence.track, |audio| audio.id);
        self.publisher.write(Frame { track, ..silence }, now);
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
        let size = match &self.plan.rendition.video {
            Video::Encode(picture) => Some((picture.width, picture.height)),
            Video::Source => self.video.as_ref().and_then(|track| track.video.as_ref()).map(|it| (it.width, it.height)),
            Video::None => None,
        };
        RenditionStatus {
            name: self.plan.name().to_owned(),
            encoder: self.plan.element.clone(),
            device: self.plan.device.map(|device| device.to_string()),
            width: size.map(|(width, _)| width),
            height: size.map(|(_, height)| height),
            bitrate_bps: if flows { self.meter.bitrate_bps(elapsed) } else { 0 },
            target_bps: self.plan.target_bps(),
            fps: self.meter.fps().filter(|_| flows && !self.is_sound_alone()),
            latency_ms: self.latency_ms.filter(|_| flows),
            state,
            reason: reason.or_else(|| Some(self.plan.reason.clone())),
        }
    }
}

fn wire(frame: &Frame) -> WireFrame {
    WireFrame {
        track: frame.track.0,
        dts: frame.dts,
        pts: frame.pts,
        keyframe: frame.flags.keyframe,
        discontinuity: frame.flags.discontinuity,
        payload: frame.payload.clone(),
    }
}

/// The track of what the worker makes; the source's own sound says what it is when it comes.
fn made_sound(plan: &RenditionPlan) -> Option<Arc<TrackInfo>> {
    let made = sound::track(plan.rendition.sound()?.codec)?;
    // Renditions whose sound is made by one encoder have the same frames, and so the same number.
    let id = plan.audio.map_or(made.id, |output| TrackId(output.0.max(TrackId::FIRST_MADE.0)));
    Some(Arc::new(TrackInfo { id, ..made }))
}

fn sound_codec(plan: &RenditionPlan) -> AudioCodec {
    plan.rendition.sound().map(|sound| sound.codec).unwrap_or_default()
}

#[cfg(test)]
#[path = "outlet_tests.rs"]
mod tests;

//! Publishes one rendition into the hub: it keeps its tracks, the order of its times and its sounds, and measures it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_hub::{Entry, Publisher};
use weir_media::codec::{self, GopMeter};
use weir_media::{Codec, Frame, FrameFlags, MediaTime, TrackId, TrackInfo};
use weir_model::{AudioCodec, RenditionState, RenditionStatus, Video};
use weir_pipeline::{OutputId, WorkerFrame};

use crate::held::Held;
use crate::lag::{Lag, LagChange};
use crate::plan::RenditionPlan;
use crate::sound_track::SoundTrack;

/// A sound that is so far behind another sound is no longer waited for.
const SOUND_GONE_AFTER: MediaTime = MediaTime::from_millis(1000);

/// A rendition that has published nothing for so long does not flow.
const QUIET_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct RenditionPublisher {
    pub(crate) plan: RenditionPlan,
    publisher: Publisher,
    video: Option<Arc<TrackInfo>>,
    last_picture: Option<MediaTime>,
    /// True until the next keyframe where subscribers could not decode the pictures before it.
    wants_keyframe: bool,
    sounds: Vec<SoundTrack>,
    /// How many wishes for a keyframe were heard.
    keyframes_asked: u64,
    /// Pictures that are kept as they are come sooner than the encoded sound, and wait here for it.
    held: Held,
    meter: GopMeter,
    started: Instant,
    wrote_at: Option<Instant>,
    pub(crate) latency_ms: Option<f64>,
    lag: Lag,
}

impl RenditionPublisher {
    pub(crate) fn new(plan: RenditionPlan, publisher: Publisher, now: Instant) -> Self {
        let sounds = plan.sounds.iter().map(|sound| SoundTrack::made(sound, sound_codec(&plan))).collect();
        Self {
            publisher,
            video: None,
            plan,
            last_picture: None,
            wants_keyframe: true,
            sounds,
            keyframes_asked: 0,
            held: Held::default(),
            meter: GopMeter::new(),
            started: now,
            wrote_at: None,
            latency_ms: None,
            lag: Lag::default(),
        }
    }

    /// Goes on with what another worker, or another encoder, gives. Pictures that stay the source's go on without a gap.
    pub(crate) fn resume(&mut self, plan: RenditionPlan) {
        let goes_on = self.keeps_picture();
        self.resume_same(plan);
        self.wants_keyframe |= !(goes_on && self.keeps_picture());
    }

    /// Goes on with the same picture, where only the name, the reason or the sound has changed.
    pub(crate) fn resume_same(&mut self, plan: RenditionPlan) {
        let codec = sound_codec(&plan);
        let makes_sound = plan.rendition.sound().is_some();
        if makes_sound || self.makes_sound() {
            let is_other = makes_sound != self.makes_sound();
            let mut before = std::mem::take(&mut self.sounds);
            before.retain(|_| !is_other);
            for sound in &plan.sounds {
                let at = before.iter().position(|track| track.source() == sound.source.id);
                let known = at.map(|at| before.swap_remove(at));
                let (mut track, is_new) =
                    known.map_or_else(|| (SoundTrack::made(sound, codec), true), |it| (it, false));
                let is_another = !is_new && track.go_on(sound, codec);
                // A rendition of sound alone announces its track with its next frame, and need not wait for a keyframe.
                track.is_unknown |= (is_new || is_another) && plan.rendition.video != Video::None;
                self.wants_keyframe |= is_another;
                self.sounds.push(track);
            }
            self.wants_keyframe |= is_other;
        }
        self.plan = plan;
    }

    /// Whether the picture of the plan is the one that is published already.
    pub(crate) fn has_picture_of(&self, plan: &RenditionPlan) -> bool {
        let kind = |plan: &RenditionPlan| std::mem::discriminant(&plan.rendition.video);
        self.plan.video == plan.video && kind(&self.plan) == kind(plan)
    }

    /// Whether its pictures come from the encoder of that rendition's, and are known already.
    pub(crate) fn shares_picture_with(&self, plan: &RenditionPlan) -> bool {
        self.makes_picture() && self.plan.video == plan.video && self.video.is_some()
    }

    /// Begins in the middle of what an encoder gives to another rendition.
    pub(crate) fn begin_beside(&mut self, other: &Self) {
        self.video.clone_from(&other.video);
    }

    /// The encoder that is to make a keyframe, where somebody has asked for one since this was last called.
    pub(crate) fn asked_for_keyframe(&mut self) -> Option<OutputId> {
        let asked = self.publisher.keyframes_asked();
        let is_new = std::mem::replace(&mut self.keyframes_asked, asked) != asked;
        self.plan.video.filter(|_| is_new)
    }

    fn keeps_picture(&self) -> bool {
        self.plan.rendition.video == Video::Source
    }

    fn makes_sound(&self) -> bool {
        self.plan.rendition.sound().is_some()
    }

    /// Whether frames of the source are published in it as they are.
    pub(crate) fn keeps_any(&self) -> bool {
        self.keeps_picture() || !self.makes_sound()
    }

    /// Takes those frames of the source that the rendition keeps as they are.
    pub(crate) fn keep(&mut self, entry: &Entry, now: Instant) {
        let track = entry.track();
        if entry.is_video() {
            if self.keeps_picture() {
                self.held.push(entry.clone(), now);
            }
        } else if !self.makes_sound() {
            self.sounds.retain(|sound| entry.tracks.by_id(sound.id()).is_some());
            self.keep_sound(track, &entry.frame, now);
        }
        self.let_go(now);
    }

    fn keep_sound(&mut self, info: &Arc<TrackInfo>, frame: &Frame, now: Instant) {
        // Players have the old configuration until the next keyframe announces the new one.
        let waits = !self.is_sound_alone();
        let at = self.sounds.iter().position(|sound| sound.id() == info.id).unwrap_or_else(|| {
            self.sounds.push(SoundTrack::kept(Arc::clone(info), waits));
            self.sounds.len() - 1
        });
        if let Some(sound) = self.sounds.get_mut(at)
            && sound.say(info)
        {
            sound.is_unknown = waits;
        }
        self.push_sound(at, worker_frame(frame), now);
    }

    /// Notes that frames of the source were lost.
    pub(crate) fn lost(&mut self) {
        if self.keeps_picture() {
            self.held.clear();
            self.wants_keyframe = true;
        }
    }

    /// Publishes the held pictures whose sound has come, and those that have waited for it too long.
    pub(crate) fn let_go(&mut self, now: Instant) {
        while let Some(picture) = self.held.pop(self.sound_until(), now) {
            self.kept_picture(&picture, now);
        }
    }

    /// The time up to which all sounds have come, leaving out those that have stayed away for a while.
    fn sound_until(&self) -> Option<MediaTime> {
        let all = || self.sounds.iter().filter_map(SoundTrack::newest);
        let newest = all().max()?;
        all().filter(|until| newest - *until < SOUND_GONE_AFTER).min()
    }

    fn kept_picture(&mut self, picture: &Entry, now: Instant) {
        self.video = Some(Arc::clone(picture.track()));
        self.picture(&worker_frame(&picture.frame), picture.tracks.audio().is_some(), now);
    }

    fn is_sound_alone(&self) -> bool {
        self.plan.rendition.video == Video::None
    }

    /// The source has ended: sound behind the last picture is no longer held back, and what comes next begins with a keyframe.
    pub(crate) fn end(&mut self, now: Instant) {
        while let Some(picture) = self.held.take() {
            self.kept_picture(&picture, now);
        }
        self.write_sounds(None, now);
        self.wants_keyframe = true;
    }

    /// Compares the rendition with the newest frame of the source, and says whether it has fallen behind or caught up.
    pub(crate) fn look(&mut self, source: Option<MediaTime>, now: Instant) -> Option<LagChange> {
        let behind = source.zip(self.newest()).map(|(source, last)| source.since(last));
        self.lag.look(behind.unwrap_or_default(), now)
    }

    /// Goes on with another publisher of the hub, after the rendition's cache was emptied.
    pub(crate) fn publish_anew(&mut self, publisher: Publisher) {
        self.publisher = publisher;
        self.held.clear();
        self.wants_keyframe = true;
    }

    /// Whether its pictures are encoded, and not the source's.
    pub(crate) fn makes_picture(&self) -> bool {
        self.plan.video.is_some()
    }

    /// Whether it has pictures, encoded or the source's.
    pub(crate) fn has_picture(&self) -> bool {
        !self.is_sound_alone()
    }

    pub(crate) fn last_sound(&self) -> Option<MediaTime> {
        self.sounds.iter().filter_map(SoundTrack::last).max()
    }

    /// The time of the newest picture that was published.
    pub(crate) fn last_picture(&self) -> Option<MediaTime> {
        self.last_picture
    }

    /// The time of its newest picture, or of its newest sound where it has no pictures.
    pub(crate) fn newest(&self) -> Option<MediaTime> {
        if self.is_sound_alone() { self.last_sound() } else { self.last_picture }
    }

    pub(crate) fn configure(&mut self, codec: Codec, config: bytes::Bytes) -> Result<(), codec::CodecError> {
        self.video = Some(Arc::new(codec::parse(codec, TrackId::SOURCE_VIDEO, config)?));
        Ok(())
    }

    pub(crate) fn picture(&mut self, frame: &WorkerFrame, source_has_sound: bool, now: Instant) {
        let Some(video) = self.video.clone() else { return };
        // Another worker begins with pictures that the one before has given already.
        if self.last_picture.is_some_and(|last| frame.dts <= last) || (self.wants_keyframe && !frame.keyframe) {
            return;
        }
        if frame.keyframe {
            let sounds = self.sounds.iter().filter_map(SoundTrack::info);
            self.publisher.set_tracks(std::iter::once(&video).chain(sounds).cloned().collect());
            self.sounds.iter_mut().for_each(|sound| sound.is_unknown = false);
        }
        self.wants_keyframe = false;
        self.write_sounds(Some(frame.dts), now);
        self.last_picture = Some(frame.dts);
        self.wrote_at = Some(now);
        let elapsed = now.saturating_duration_since(self.started);
        self.meter.record(frame.dts, frame.pts, frame.keyframe, frame.payload.len(), elapsed);
        let flags = FrameFlags { keyframe: frame.keyframe, discontinuity: frame.discontinuity };
        self.write(video.id, frame, flags, now);
        for sound in &mut self.sounds {
            for silence in sound.silence_beside(frame.dts, source_has_sound) {
                self.publisher.write(silence, now);
            }
        }
    }

    /// Takes a frame of a sound's encoder.
    pub(crate) fn sound(&mut self, output: OutputId, frame: &WorkerFrame, now: Instant) {
        if let Some(at) = self.sounds.iter().position(|sound| sound.is_of(output)) {
            self.push_sound(at, frame.clone(), now);
        }
    }

    fn push_sound(&mut self, at: usize, frame: WorkerFrame, now: Instant) {
        if let Some(oldest) = self.sounds.get_mut(at).and_then(|sound| sound.push(frame)) {
            self.write_sound(at, &oldest, now);
        }
        self.let_go(now);
    }

    /// Publishes sound alone up to `pictures`, the time to which the other renditions have their pictures, so that segments begin where
    /// pictures have keyframes. None where no rendition has pictures.
    pub(crate) fn follow(&mut self, pictures: Option<MediaTime>, now: Instant) {
        if self.is_sound_alone() {
            // A sound of exactly that time belongs to what was asked for.
            self.write_sounds(pictures.map(|time| time + MediaTime::from_nanos(1)), now);
        }
    }

    /// Gives sound alone its silence up to `source`, the time that the source has come to.
    pub(crate) fn fill(&mut self, source: MediaTime, source_has_sound: bool, now: Instant) {
        self.let_go(now);
        if !self.is_sound_alone() {
            return;
        }
        for at in 0..self.sounds.len() {
            let silence = self.sounds.get_mut(at).map(|sound| sound.silence_alone(source, source_has_sound));
            for silence in silence.unwrap_or_default() {
                self.say_alone(at, silence.payload.len(), silence.dts, now);
                self.publisher.write(silence, now);
            }
        }
    }

    /// Publishes the waiting sound of before that time, or all of it where that is None.
    fn write_sounds(&mut self, before: Option<MediaTime>, now: Instant) {
        for at in 0..self.sounds.len() {
            while let Some(frame) = self.sounds.get_mut(at).and_then(|sound| sound.pop(before)) {
                self.write_sound(at, &frame, now);
            }
        }
    }

    fn write_sound(&mut self, at: usize, frame: &WorkerFrame, now: Instant) {
        let (is_alone, has_begun) = (self.is_sound_alone(), self.last_picture.is_some());
        let Some(sound) = self.sounds.get_mut(at) else { return };
        let track = sound.id();
        if !sound.take(frame.dts, is_alone, has_begun) {
            return;
        }
        if is_alone {
            self.say_alone(at, frame.payload.len(), frame.dts, now);
        }
        self.write(track, frame, FrameFlags { keyframe: true, discontinuity: false }, now);
    }

    /// Does for sound alone what each picture does for the others: announces the tracks and measures the flow.
    fn say_alone(&mut self, at: usize, bytes: usize, dts: MediaTime, now: Instant) {
        self.publisher.set_tracks(self.sounds.iter().filter_map(SoundTrack::info).cloned().collect());
        self.wrote_at = Some(now);
        // A listener hears one of the sounds, so only the first counts as the bitrate.
        if at == 0 {
            self.meter.record(dts, dts, true, bytes, now.saturating_duration_since(self.started));
        }
    }

    fn write(&mut self, track: TrackId, frame: &WorkerFrame, flags: FrameFlags, now: Instant) {
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

fn worker_frame(frame: &Frame) -> WorkerFrame {
    WorkerFrame {
        track: frame.track.0,
        dts: frame.dts,
        pts: frame.pts,
        keyframe: frame.flags.keyframe,
        discontinuity: frame.flags.discontinuity,
        payload: frame.payload.clone(),
    }
}

fn sound_codec(plan: &RenditionPlan) -> AudioCodec {
    plan.rendition.sound().map(|sound| sound.codec).unwrap_or_default()
}

#[cfg(test)]
#[path = "rendition_publisher_tests.rs"]
mod tests;

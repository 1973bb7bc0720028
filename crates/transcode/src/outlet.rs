//! One rendition on its way into the hub: its tracks, the order of its times, its sound, and what it measures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_hub::{Publisher, Tracks};
use weir_media::codec::{self, GopMeter, aac::AacConfig};
use weir_media::{Codec, Frame, FrameFlags, MediaKind, MediaTime, TrackId, TrackInfo};
use weir_model::{RenditionStatus, StreamState};
use weir_pipeline::{AudioOutput, WireFrame};

use crate::plan::RenditionPlan;
use crate::sound::Sound;

/// Nothing for so long: it does not flow.
const QUIET_AFTER: Duration = Duration::from_secs(2);

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
    meter: GopMeter,
    started: Instant,
    wrote_at: Option<Instant>,
    pub(crate) latency_ms: Option<f64>,
}

impl Outlet {
    pub(crate) fn new(plan: RenditionPlan, publisher: Publisher, now: Instant) -> Self {
        let config = AacConfig::build_lc(AudioOutput::SAMPLE_RATE_HZ, AudioOutput::CHANNELS).ok();
        let audio = config.and_then(|config| codec::parse(Codec::Aac, TrackId::SOURCE_AUDIO, config).ok());
        Self {
            plan,
            publisher,
            video: None,
            audio: audio.map(Arc::new),
            last_picture: None,
            last_sound: None,
            wants_keyframe: true,
            sound: Sound::default(),
            meter: GopMeter::new(),
            started: now,
            wrote_at: None,
            latency_ms: None,
        }
    }

    /// Goes on with what another worker, or another encoder, gives.
    pub(crate) fn resume(&mut self, plan: RenditionPlan) {
        self.plan = plan;
        self.wants_keyframe = true;
    }

    /// Goes on with the same encoder; only what it is called, or why, has changed.
    pub(crate) fn resume_same(&mut self, plan: RenditionPlan) {
        self.plan = plan;
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
            self.publisher.set_tracks(Tracks { video: Some(Arc::clone(video)), audio: self.audio.clone() });
        }
        self.wants_keyframe = false;
        self.last_picture = Some(frame.dts);
        self.wrote_at = Some(now);
        let elapsed = now.saturating_duration_since(self.started);
        self.meter.record(frame.dts, frame.pts, frame.keyframe, frame.payload.len(), elapsed);
        let flags = FrameFlags { keyframe: frame.keyframe, discontinuity: frame.discontinuity };
        self.write(MediaKind::Video, frame, flags, now);
        for silence in self.sound.picture(frame.dts, source_has_sound) {
            self.last_sound = Some(silence.dts);
            self.publisher.write(silence, MediaKind::Audio, now);
        }
    }

    pub(crate) fn sound(&mut self, frame: &WireFrame, now: Instant) {
        if self.last_sound.is_some_and(|last| frame.dts <= last) || !self.sound.take(frame.dts) {
            return;
        }
        self.last_sound = Some(frame.dts);
        self.write(MediaKind::Audio, frame, FrameFlags { keyframe: true, discontinuity: false }, now);
    }

    fn write(&mut self, kind: MediaKind, frame: &WireFrame, flags: FrameFlags, now: Instant) {
        let track = match kind {
            MediaKind::Video => TrackId::SOURCE_VIDEO,
            MediaKind::Audio => TrackId::SOURCE_AUDIO,
        };
        let frame = Frame { track, dts: frame.dts, pts: frame.pts, flags, payload: frame.payload.clone() };
        self.publisher.write(frame, kind, now);
    }

    pub(crate) fn status(&self, now: Instant) -> RenditionStatus {
        let flows = self.wrote_at.is_some_and(|at| now.saturating_duration_since(at) < QUIET_AFTER);
        let state = match self.wrote_at {
            None => StreamState::Starting,
            Some(_) if flows => StreamState::Live,
            Some(_) => StreamState::Stalled,
        };
        let elapsed = now.saturating_duration_since(self.started);
        RenditionStatus {
            name: self.plan.name.clone(),
            encoder: self.plan.element.clone(),
            device: self.plan.device.map(|device| device.to_string()),
            width: Some(self.plan.settings.width),
            height: Some(self.plan.settings.height),
            bitrate_bps: if flows { self.meter.bitrate_bps(elapsed) } else { 0 },
            target_bps: Some(self.plan.target_bps()),
            fps: self.meter.fps().filter(|_| flows),
            latency_ms: self.latency_ms.filter(|_| flows),
            state,
        }
    }
}

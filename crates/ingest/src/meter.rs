//! Measures what arrives: the bitrate, picture rate, GOP length, losses and format of one publisher's session.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use weir_media::codec::GopMeter;
use weir_media::{Frame, MediaKind, TrackId, TrackInfo};
use weir_model::{IngestStatus, PathFigures, Slot, TrackStatus, Warning, WebrtcFigures};

use crate::warnings;

/// So many streams that can't be carried are told of a programme. If it has more, the others are left out.
const NOT_CARRIED_MAX: usize = 8;

/// The meter of one session. The session writes it, and the stream's status reads it about once a second.
#[derive(Debug)]
pub struct IngestMeter {
    protocol: &'static str,
    slot: Slot,
    remote: String,
    began: Instant,
    began_at: OffsetDateTime,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tracks: BTreeMap<TrackId, TrackMeter>,
    dropped_frames: u64,
    last_frame_at: Option<Instant>,
    last_audio_at: Option<Instant>,
    transport: Option<TransportFigures>,
    path: Option<PathFigures>,
    webrtc: Option<WebrtcPath>,
    /// The share of datagrams that the network lost, where their numbers tell it.
    loss_percent: Option<f64>,
    /// What the source sends and we can't carry, in words, by its PID.
    not_carried: BTreeMap<u16, String>,
}

/// One track: what it is, and how it flows.
#[derive(Debug)]
struct TrackMeter {
    info: TrackInfo,
    flow: GopMeter,
}

impl State {
    fn of_kind(&self, kind: MediaKind) -> impl Iterator<Item = &TrackMeter> {
        self.tracks.values().filter(move |track| track.info.kind() == kind)
    }
}

/// What was measured, in the form in which the status tells it.
#[derive(Clone, Debug)]
pub struct Measured {
    pub ingest: IngestStatus,
    pub tracks: Vec<TrackStatus>,
    pub warnings: Vec<Warning>,
}

/// What the reader of a transport stream counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TransportFigures {
    pub(crate) continuity_errors: u64,
    pub(crate) broken_frames: u64,
}

/// What the connection of a publisher by WebRTC told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct WebrtcPath {
    /// The round trip is unknown where the publisher does not answer to reports.
    pub(crate) rtt_ms: Option<f64>,
    pub(crate) loss_percent: f64,
    /// Pictures that were not passed on, because a packet of theirs or of an earlier one is missing.
    pub(crate) left_out: u64,
    /// Says that some of these came in another order than they are shown in.
    pub(crate) b_frames: bool,
    pub(crate) figures: WebrtcFigures,
}

impl IngestMeter {
    pub fn new(protocol: &'static str, slot: Slot, remote: String) -> Self {
        Self {
            protocol,
            slot,
            remote,
            began: Instant::now(),
            began_at: OffsetDateTime::now_utc(),
            state: Mutex::default(),
        }
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }

    pub(crate) fn track(&self, info: &TrackInfo) {
        let info = info.clone();
        match self.state().tracks.entry(info.id) {
            Entry::Occupied(mut known) => known.get_mut().info = info,
            Entry::Vacant(place) => {
                place.insert(TrackMeter { info, flow: GopMeter::default() });
            }
        }
    }

    pub(crate) fn frame(&self, frame: &Frame, kind: MediaKind, now: Instant) {
        let since_began = self.since_began(now);
        let mut state = self.state();
        state.last_frame_at = Some(now);
        if kind == MediaKind::Audio {
            state.last_audio_at = Some(now);
        }
        if let Some(track) = state.tracks.get_mut(&frame.track) {
            track.flow.record(frame.dts, frame.pts, frame.is_keyframe(), frame.payload.len(), since_began);
        }
    }

    pub(crate) fn dropped(&self) {
        self.state().dropped_frames += 1;
    }

    pub(crate) fn transport(&self, figures: TransportFigures) {
        self.state().transport = Some(figures);
    }

    pub(crate) fn path(&self, figures: PathFigures) {
        self.state().path = Some(figures);
    }

    pub(crate) fn loss_percent(&self, percent: f64) {
        self.state().loss_percent = Some(percent);
    }

    pub(crate) fn webrtc(&self, path: WebrtcPath) {
        self.state().webrtc = Some(path);
    }

    /// Forgets what was said of a programme, because a new one is told.
    pub(crate) fn forget_not_carried(&self) {
        self.state().not_carried.clear();
    }

    pub(crate) fn not_carried(&self, pid: u16, message: String) {
        let mut state = self.state();
        if state.not_carried.len() < NOT_CARRIED_MAX {
            state.not_carried.insert(pid, message);
        }
    }

    pub(crate) fn track_ended(&self, id: TrackId) {
        self.state().tracks.remove(&id);
    }

    pub(crate) fn last_frame_at(&self) -> Option<Instant> {
        self.state().last_frame_at
    }

    pub(crate) fn measure(&self, now: Instant) -> Measured {
        let since_began = self.since_began(now);
        let state = self.state();
        let video = state.of_kind(MediaKind::Video).next();
        let audio = state.of_kind(MediaKind::Audio).next();
        let format = video.and_then(|video| video.info.video.as_ref());
        let flow = video.map(|video| &video.flow);
        let webrtc = state.webrtc;
        let codec = |track: &TrackMeter| track.info.codec.name().to_owned();
        let ingest = IngestStatus {
            protocol: self.protocol,
            slot: self.slot.clone(),
            remote: Some(self.remote.clone()),
            video_codec: video.map(codec),
            audio_codec: audio.map(codec),
            width: format.map(|format| format.width),
            height: format.map(|format| format.height),
            fps: flow.and_then(GopMeter::fps),
            bitrate_bps: state.tracks.values().map(|track| track.flow.bitrate_bps(since_began)).sum(),
            gop_seconds: flow.and_then(GopMeter::gop_seconds),
            dropped_frames: state.dropped_frames
                + state.transport.map_or(0, |transport| transport.broken_frames)
                + webrtc.map_or(0, |path| path.left_out),
            latency_ms: state.path.as_ref().map(|path| path.latency_ms),
            rtt_ms: state.path.as_ref().map(|path| path.rtt_ms).or(webrtc.and_then(|path| path.rtt_ms)),
            loss_percent: state
                .path
                .as_ref()
                .map(|path| path.loss_percent)
                .or(webrtc.map(|path| path.loss_percent))
                .or(state.loss_percent),
            continuity_errors: state.transport.map(|transport| transport.continuity_errors),
            srt: state.path.as_ref().map(|path| path.srt),
            webrtc: webrtc.map(|path| path.figures),
        };
        let facts = warnings::Facts {
            has_video: video.is_some(),
            has_audio: state.last_audio_at.is_some_and(|at| now.saturating_duration_since(at) < warnings::SILENT_AFTER),
            b_frames: flow.is_some_and(GopMeter::has_b_frames) || webrtc.is_some_and(|path| path.b_frames),
            gop_seconds: flow.and_then(GopMeter::gop_seconds),
            session_age: since_began,
            nominal_fps: format.and_then(|format| format.fps),
            fps: flow.and_then(GopMeter::fps),
        };
        let mut warnings = warnings::from_facts(&facts, self.began_at);
        let advice = state.path.iter().flat_map(|path| &path.advice);
        let of_path = advice.map(|advice| (advice.code, advice.message.clone()));
        let of_tracks = state.not_carried.values().map(|message| ("codec_not_carried", message.clone()));
        let unplayable = state.tracks.values().filter_map(|track| warnings::unplayable(&track.info));
        let unplayable = unplayable.map(|message| ("codec_not_playable", message));
        warnings.extend(of_path.chain(of_tracks).chain(unplayable).map(|(code, message)| Warning {
            code: code.to_owned(),
            message,
            since: self.began_at,
        }));
        let defaults = [video, audio].map(|track| track.map(|track| track.info.id));
        let tracks = state.tracks.values().map(|track| {
            let is_default = defaults.contains(&Some(track.info.id));
            TrackStatus { bitrate_bps: track.flow.bitrate_bps(since_began), ..told(&track.info, is_default) }
        });
        Measured { ingest, tracks: tracks.collect(), warnings }
    }

    fn since_began(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(info: &TrackInfo, default: bool) -> TrackStatus {
    TrackStatus {
        id: info.id.0,
        kind: match info.kind() {
            MediaKind::Video => "video",
            MediaKind::Audio => "audio",
        },
        codec: info.codec.name().to_owned(),
        language: info.language.map(|language| language.to_string()),
        label: info.label.clone(),
        default,
        bitrate_bps: 0,
    }
}

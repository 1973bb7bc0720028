//! The shapes of what a stream is doing.

use crate::dto::Timestamp;
use crate::dto::push_status::{ReasonDto, SrtFiguresDto, WarningDto};
use crate::dto::viewers::ViewersDto;
use serde::Serialize;
use utoipa::ToSchema;
use weir_model::{
    IngestStatus, MadeStatus, RenditionStatus, SeenStatus, Slot, SourceStatus, StreamState, StreamStatus, TrackStatus,
    WebrtcFigures, WebrtcStatus,
};
use weir_transcode::shared_label;

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct StreamStatusDto {
    /// Whether the state is live.
    live: bool,
    /// The state: offline, starting, live, stalled or failed.
    state: &'static str,
    since: Timestamp,
    reason: Option<ReasonDto>,
    /// What arrives from the source on air.
    ingest: Option<IngestDto>,
    /// The slot on air; null while nobody publishes.
    on_air: Option<String>,
    /// The slot that was chosen by hand; null where the stream's order holds.
    by_hand: Option<String>,
    /// Every source, in order of preference.
    sources: Vec<SourceStatusDto>,
    /// The tracks of the source on air.
    tracks: Vec<TrackDto>,
    renditions: Vec<RenditionStatusDto>,
    viewers: ViewersDto,
    webrtc: WebrtcStatusDto,
    warnings: Vec<WarningDto>,
}

impl From<&StreamStatus> for StreamStatusDto {
    fn from(status: &StreamStatus) -> Self {
        Self {
            live: status.state == StreamState::Live,
            state: status.state.as_str(),
            since: status.since.into(),
            reason: status.reason.as_ref().map(Into::into),
            ingest: status.ingest.as_ref().map(Into::into),
            on_air: status.on_air.as_ref().map(Slot::to_string),
            by_hand: status.by_hand.as_ref().map(Slot::to_string),
            sources: status.sources.iter().map(Into::into).collect(),
            tracks: status.tracks.iter().map(Into::into).collect(),
            renditions: status.renditions.iter().map(Into::into).collect(),
            viewers: ViewersDto(status.viewers),
            webrtc: (&status.webrtc).into(),
            warnings: status.warnings.iter().map(Into::into).collect(),
        }
    }
}

/// How one source of a stream is, on air or not.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct SourceStatusDto {
    slot: String,
    /// The kind: push, pull or playlist.
    kind: &'static str,
    /// The state: absent, connecting, live or failing.
    state: &'static str,
    /// Whether this source is what viewers see.
    on_air: bool,
    since: Timestamp,
    /// Why it is failing.
    reason: Option<ReasonDto>,
    /// Attempts since the source last lived; 1 is the first. It is 0 for a source that comes by itself.
    attempt: u32,
    next_retry_at: Option<Timestamp>,
    ingest: Option<IngestDto>,
}

impl From<&SourceStatus> for SourceStatusDto {
    fn from(source: &SourceStatus) -> Self {
        Self {
            slot: source.slot.to_string(),
            kind: source.kind,
            state: source.state.as_str(),
            on_air: source.on_air,
            since: source.since.into(),
            reason: source.reason.as_ref().map(Into::into),
            attempt: source.attempt,
            next_retry_at: source.next_retry_at.map(Into::into),
            ingest: source.ingest.as_ref().map(Into::into),
        }
    }
}

/// What viewers by WebRTC need beside what the stream has.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct WebrtcStatusDto {
    /// The renditions that are made while somebody watches.
    made: Vec<MadeDto>,
    /// How often viewers asked for a keyframe, because they had lost one, since the server was started.
    keyframes_asked: u64,
    /// How often an encoder was told to make one for them. Asks that go to a publisher by WebRTC are not counted.
    keyframes_forced: u64,
    /// How many viewers see which rendition.
    seen: Vec<SeenDto>,
    /// How often a viewer was moved to another rendition, because its path carries no more than that, or carries more again, since the server
    /// was started.
    moves: u64,
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct SeenDto {
    /// The rendition's name, or "source".
    rendition: String,
    viewers: u64,
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct MadeDto {
    /// Its name among the renditions, where its state is.
    rendition: String,
    /// The rendition in words.
    label: Option<String>,
    /// What is wrong with what there is.
    reason: String,
}

impl From<&WebrtcStatus> for WebrtcStatusDto {
    fn from(status: &WebrtcStatus) -> Self {
        let made = |made: &MadeStatus| MadeDto {
            rendition: made.rendition.clone(),
            label: shared_label(&made.rendition),
            reason: made.reason.clone(),
        };
        let seen = |seen: &SeenStatus| SeenDto { rendition: seen.rendition.clone(), viewers: seen.viewers };
        Self {
            made: status.made.iter().map(made).collect(),
            keyframes_asked: status.keyframes_asked,
            keyframes_forced: status.keyframes_forced,
            seen: status.seen.iter().map(seen).collect(),
            moves: status.moves,
        }
    }
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct TrackDto {
    id: u32,
    /// The kind: video or audio.
    kind: &'static str,
    codec: String,
    /// The language in ISO 639-2, such as deu.
    language: Option<String>,
    label: Option<String>,
    /// Whether this track is played, or sent where only one sound is carried, if nobody chose another.
    default: bool,
    bitrate_bps: u64,
}

impl From<&TrackStatus> for TrackDto {
    fn from(track: &TrackStatus) -> Self {
        Self {
            id: track.id,
            kind: track.kind,
            codec: track.codec.clone(),
            language: track.language.clone(),
            label: track.label.clone(),
            default: track.default,
            bitrate_bps: track.bitrate_bps,
        }
    }
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct IngestDto {
    /// The protocol, by the name that `push_urls` has for it, or pull or playlist.
    protocol: &'static str,
    /// The slot of the source.
    slot: String,
    remote: Option<String>,
    video_codec: Option<String>,
    audio_codec: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    fps: Option<f64>,
    bitrate_bps: u64,
    gop_seconds: Option<f64>,
    dropped_frames: u64,
    latency_ms: Option<f64>,
    rtt_ms: Option<f64>,
    /// The packets that were lost in the last ten seconds, whether they were repaired or not.
    loss_percent: Option<f64>,
    /// For MPEG-TS, the number of packets whose counter does not follow on the one before.
    continuity_errors: Option<u64>,
    srt: Option<SrtFiguresDto>,
    webrtc: Option<WebrtcFiguresDto>,
}

/// A publisher's path by WebRTC; counts are since the connection was opened.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct WebrtcFiguresDto {
    /// Missing when a later packet came, repaired or not.
    lost_packets: u64,
    /// Never repaired in time.
    dropped_packets: u64,
    /// Requests to repeat packets (NACK).
    repeat_requests: u64,
    /// Requests for keyframes (PLI) because something was missing.
    keyframe_requests: u64,
    jitter_ms: f64,
}

impl From<WebrtcFigures> for WebrtcFiguresDto {
    fn from(figures: WebrtcFigures) -> Self {
        Self {
            lost_packets: figures.lost_packets,
            dropped_packets: figures.dropped_packets,
            repeat_requests: figures.repeat_requests,
            keyframe_requests: figures.keyframe_requests,
            jitter_ms: figures.jitter_ms,
        }
    }
}

impl From<&IngestStatus> for IngestDto {
    fn from(ingest: &IngestStatus) -> Self {
        Self {
            protocol: ingest.protocol,
            slot: ingest.slot.to_string(),
            remote: ingest.remote.clone(),
            video_codec: ingest.video_codec.clone(),
            audio_codec: ingest.audio_codec.clone(),
            width: ingest.width,
            height: ingest.height,
            fps: ingest.fps,
            bitrate_bps: ingest.bitrate_bps,
            gop_seconds: ingest.gop_seconds,
            dropped_frames: ingest.dropped_frames,
            latency_ms: ingest.latency_ms,
            rtt_ms: ingest.rtt_ms,
            loss_percent: ingest.loss_percent,
            continuity_errors: ingest.continuity_errors,
            srt: ingest.srt.map(Into::into),
            webrtc: ingest.webrtc.map(Into::into),
        }
    }
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct RenditionStatusDto {
    name: String,
    /// The rendition in words, if its name is the server's own because restreams asked for it beside the ladder.
    label: Option<String>,
    encoder: String,
    device: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    bitrate_bps: u64,
    target_bps: Option<u64>,
    fps: Option<f64>,
    /// The latency that encoding adds.
    latency_ms: Option<f64>,
    /// The state: offline, starting, live, degraded, stalled or failed.
    state: &'static str,
    /// Why this encoder was chosen, why the rendition is degraded, or why there is no encoder.
    reason: Option<String>,
}

impl From<&RenditionStatus> for RenditionStatusDto {
    fn from(rendition: &RenditionStatus) -> Self {
        Self {
            name: rendition.name.clone(),
            label: shared_label(&rendition.name),
            encoder: rendition.encoder.clone(),
            device: rendition.device.clone(),
            width: rendition.width,
            height: rendition.height,
            bitrate_bps: rendition.bitrate_bps,
            target_bps: rendition.target_bps,
            fps: rendition.fps,
            latency_ms: rendition.latency_ms,
            state: rendition.state.as_str(),
            reason: rendition.reason.clone(),
        }
    }
}

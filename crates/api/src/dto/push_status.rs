//! The shapes of what one connection to a destination is doing, with reasons and warnings.

use crate::dto::Timestamp;
use crate::dto::names::{ReasonCode, WarningCode};
use serde::Serialize;
use utoipa::ToSchema;
use weir_model::{PushStatus, Reason, RenditionDraft, SentSound, SrtFigures, Warning};
use weir_observe::PlatformWarning;

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ReasonDto {
    #[schema(value_type = ReasonCode)]
    code: &'static str,
    message: String,
    /// Whose fault it is: source, destination, config or server.
    fault: &'static str,
}

impl From<&Reason> for ReasonDto {
    fn from(reason: &Reason) -> Self {
        Self { code: reason.code.as_str(), message: reason.message.clone(), fault: reason.fault.as_str() }
    }
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct WarningDto {
    #[schema(value_type = WarningCode)]
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) since: Timestamp,
    /// A rendition that would put it right, ready to be a restream's `rendition`.
    pub(crate) suggestion: Option<RenditionDraft>,
}

impl From<&Warning> for WarningDto {
    fn from(warning: &Warning) -> Self {
        Self {
            code: warning.code.clone(),
            message: warning.message.clone(),
            since: warning.since.into(),
            suggestion: None,
        }
    }
}

impl From<&PlatformWarning> for WarningDto {
    fn from(warning: &PlatformWarning) -> Self {
        Self {
            code: warning.code.to_owned(),
            message: warning.message.clone(),
            since: warning.since.into(),
            suggestion: warning.suggestion.clone().map(Into::into),
        }
    }
}

/// The path of an SRT connection. Counts begin when it was opened.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SrtFiguresDto {
    lost_packets: u64,
    retransmitted_packets: u64,
    /// Packets that were never repaired, because their time had passed.
    dropped_packets: u64,
    undecryptable_packets: u64,
    buffer_ms: u32,
    rate_bps: u64,
    bandwidth_bps: u64,
}

impl From<SrtFigures> for SrtFiguresDto {
    fn from(figures: SrtFigures) -> Self {
        Self {
            lost_packets: figures.lost_packets,
            retransmitted_packets: figures.retransmitted_packets,
            dropped_packets: figures.dropped_packets,
            undecryptable_packets: figures.undecryptable_packets,
            buffer_ms: figures.buffer_ms,
            rate_bps: figures.rate_bps,
            bandwidth_bps: figures.bandwidth_bps,
        }
    }
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SentSoundDto {
    codec: String,
    /// The language in ISO 639-2.
    language: Option<String>,
}

impl From<&SentSound> for SentSoundDto {
    fn from(sound: &SentSound) -> Self {
        Self { codec: sound.codec.clone(), language: sound.language.clone() }
    }
}

#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PushStatusDto {
    /// The state: stopped, awaiting_stream, connecting, streaming or error.
    state: &'static str,
    since: Timestamp,
    /// When the outage began. Attempts in between do not change it. It is null while nothing is wrong.
    failing_since: Option<Timestamp>,
    reason: Option<ReasonDto>,
    attempt: u32,
    next_retry_at: Option<Timestamp>,
    bitrate_bps: u64,
    target_bps: Option<u64>,
    sent_bytes: u64,
    acked_bytes: u64,
    dropped_frames: u64,
    rtt_ms: Option<f64>,
    loss_percent: Option<f64>,
    /// The latency of SRT, as it was negotiated.
    latency_ms: Option<f64>,
    srt: Option<SrtFiguresDto>,
    connected_since: Option<Timestamp>,
    /// The sounds that go out, in their order. Some protocols, such as RTMP, carry only one.
    sounds: Vec<SentSoundDto>,
    pub(crate) warnings: Vec<WarningDto>,
}

impl From<&PushStatus> for PushStatusDto {
    fn from(push: &PushStatus) -> Self {
        Self {
            state: push.state.as_str(),
            since: push.since.into(),
            failing_since: push.failing_since.map(Into::into),
            reason: push.reason.as_ref().map(Into::into),
            attempt: push.attempt,
            next_retry_at: push.next_retry_at.map(Into::into),
            bitrate_bps: push.bitrate_bps,
            target_bps: push.target_bps,
            sent_bytes: push.sent_bytes,
            acked_bytes: push.acked_bytes,
            dropped_frames: push.dropped_frames,
            rtt_ms: push.rtt_ms,
            loss_percent: push.loss_percent,
            latency_ms: push.latency_ms,
            srt: push.srt.map(Into::into),
            connected_since: push.connected_since.map(Into::into),
            sounds: push.sounds.iter().map(Into::into).collect(),
            warnings: push.warnings.iter().map(Into::into).collect(),
        }
    }
}

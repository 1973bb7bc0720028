//! What is, as opposed to what is asked for: states with their reasons, and measured figures.

use crate::named::named;
use crate::{Slot, Viewers};
use time::OffsetDateTime;

named!(StreamState { Offline = "offline", Starting = "starting", Live = "live", Stalled = "stalled", Failed = "failed" });

named!(RestreamState {
    /// It is defined, but not started.
    Stopped = "stopped",
    /// It is started, and begins by itself when the source comes.
    AwaitingStream = "awaiting_stream",
    /// The connection is being opened, or the publish waits to be accepted.
    Connecting = "connecting",
    /// The far end accepted the publish, and media bytes are making progress.
    Streaming = "streaming",
    /// The push was refused, or its destination is unreachable, unsupported or stalled. It is usually tried again.
    Error = "error",
});

named!(ReasonCode {
    AuthRejected = "auth_rejected",
    Unreachable = "unreachable",
    Refused = "refused",
    TlsFailed = "tls_failed",
    Timeout = "timeout",
    Stalled = "stalled",
    UnsupportedCodec = "unsupported_codec",
    SrtRejected = "srt_rejected",
    EncryptionMismatch = "encryption_mismatch",
    SourceTimeout = "source_timeout",
    BitrateTooLow = "bitrate_too_low",
    /// The far end has nothing of that name.
    NotFound = "not_found",
    /// The egress rules don't let us go there.
    NotPermitted = "not_permitted",
    /// What came can't be read.
    Malformed = "malformed",
    /// A source is connected, and no picture or sound that can be used comes.
    NoVideo = "no_video",
    /// A source has ended by itself.
    Ended = "ended",
    Internal = "internal",
});

impl ReasonCode {
    /// Whose fault it is, unless the place where it happened knows better.
    pub fn usual_fault(self) -> Fault {
        match self {
            Self::AuthRejected
            | Self::Unreachable
            | Self::Refused
            | Self::TlsFailed
            | Self::Timeout
            | Self::Stalled
            | Self::SrtRejected => Fault::Destination,
            Self::EncryptionMismatch | Self::NotPermitted => Fault::Config,
            Self::UnsupportedCodec
            | Self::SourceTimeout
            | Self::BitrateTooLow
            | Self::NotFound
            | Self::Malformed
            | Self::NoVideo
            | Self::Ended => Fault::Source,
            Self::Internal => Fault::Server,
        }
    }
}

named!(
    /// Whose fault an error is.
    Fault { Source = "source", Destination = "destination", Config = "config", Server = "server" }
);

named!(
    /// How a rendition is. Degraded means that it flows, but late, or not from the encoder that should make it.
    RenditionState {
        Offline = "offline", Starting = "starting", Live = "live", Degraded = "degraded", Stalled = "stalled", Failed = "failed",
    }
);

/// Why something is in its state. The message is for people and never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub code: ReasonCode,
    pub message: String,
    pub fault: Fault,
}

impl Reason {
    pub fn new(code: ReasonCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fault: code.usual_fault() }
    }

    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }
}

/// Something that works, but that the operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub code: String,
    pub message: String,
    pub since: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StreamStatus {
    pub state: StreamState,
    pub since: OffsetDateTime,
    pub reason: Option<Reason>,
    /// What arrives from the source on air.
    pub ingest: Option<IngestStatus>,
    /// The slot on air. None while nobody publishes.
    pub on_air: Option<Slot>,
    /// The slot that somebody chose by hand. It is preferred to all others until the choice is taken back.
    pub by_hand: Option<Slot>,
    /// Every source of the stream, in order of preference.
    pub sources: Vec<SourceStatus>,
    /// The tracks of the source on air.
    pub tracks: Vec<TrackStatus>,
    pub renditions: Vec<RenditionStatus>,
    pub viewers: Viewers,
    pub webrtc: WebrtcStatus,
    pub warnings: Vec<Warning>,
}

impl StreamStatus {
    /// The status of a stream of which nothing was ever heard.
    pub fn offline(since: OffsetDateTime) -> Self {
        Self {
            state: StreamState::Offline,
            since,
            reason: None,
            ingest: None,
            on_air: None,
            by_hand: None,
            sources: Vec::new(),
            tracks: Vec::new(),
            renditions: Vec::new(),
            viewers: Viewers::default(),
            webrtc: WebrtcStatus::default(),
            warnings: Vec::new(),
        }
    }
}

named!(
    /// How a source is.
    SourceState {
        /// Nobody publishes.
        Absent = "absent",
        /// It is being fetched, or its first picture is awaited.
        Connecting = "connecting",
        Live = "live",
        /// It can't be fetched now, or gives nothing. It is tried again.
        Failing = "failing",
    }
);

/// One source of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceStatus {
    pub slot: Slot,
    /// The kind: push, pull or playlist.
    pub kind: &'static str,
    pub state: SourceState,
    /// Whether this source is what viewers see.
    pub on_air: bool,
    pub since: OffsetDateTime,
    /// Why it is failing.
    pub reason: Option<Reason>,
    /// Attempts since the source last lived; 1 is the first. It is 0 for a source that comes by itself.
    pub attempt: u32,
    pub next_retry_at: Option<OffsetDateTime>,
    /// What arrives, on air or not.
    pub ingest: Option<IngestStatus>,
}

/// What viewers by WebRTC need beside what the stream has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebrtcStatus {
    /// The renditions that are made while somebody watches.
    pub made: Vec<MadeStatus>,
    /// How often viewers asked for a keyframe since the stream was started.
    pub keyframes_asked: u64,
    /// How often an encoder was told to make one for them. Asks that go to a publisher by WebRTC are not counted.
    pub keyframes_forced: u64,
    /// How many viewers see which rendition.
    pub seen: Vec<SeenStatus>,
    /// How often a viewer was moved to another rendition, because its path carries no more than that, or carries more again.
    pub moves: u64,
}

/// A rendition that viewers by WebRTC see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenStatus {
    pub rendition: String,
    pub viewers: u64,
}

/// A rendition that is made because somebody watches who can't be shown what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeStatus {
    /// Its name among the stream's renditions, where its state is.
    pub rendition: String,
    /// What is wrong with what there is.
    pub reason: String,
}

/// One track of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackStatus {
    pub id: u32,
    /// The kind, which is "video" or "audio".
    pub kind: &'static str,
    pub codec: String,
    /// The language by ISO 639-2, such as "deu".
    pub language: Option<String>,
    pub label: Option<String>,
    /// Whether the track is the first of its kind, which is played, or sent by RTMP, if nobody chose.
    pub default: bool,
    pub bitrate_bps: u64,
}

/// What arrives from the source. Unknown figures are `None`, never zero.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestStatus {
    /// As its listener calls it, or the source's kind: `rtmp`, `rtmps`, `srt`.
    pub protocol: &'static str,
    pub slot: Slot,
    /// The publisher's address.
    pub remote: Option<String>,
    pub video_codec: Option<String>,
    pub audio_codec: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub fps: Option<f64>,
    pub bitrate_bps: u64,
    pub gop_seconds: Option<f64>,
    pub dropped_frames: u64,
    pub latency_ms: Option<f64>,
    pub rtt_ms: Option<f64>,
    pub loss_percent: Option<f64>,
    /// MPEG-TS packets whose counter does not follow on the one before.
    pub continuity_errors: Option<u64>,
    pub srt: Option<SrtFigures>,
    pub webrtc: Option<WebrtcFigures>,
}

/// What is known of a publisher's path by WebRTC beside the figures that all protocols have. Counts are since the connection was opened.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WebrtcFigures {
    /// Packets that were missing when a later one came, whether or not they came in the end.
    pub lost_packets: u64,
    /// Packets that were never repaired in time.
    pub dropped_packets: u64,
    /// How often the publisher was asked to repeat packets.
    pub repeat_requests: u64,
    /// How often the publisher was asked for a keyframe because something was missing. Those that are asked for every 2 s do not count.
    pub keyframe_requests: u64,
    pub jitter_ms: f64,
}

/// What is known of an SRT connection's path beside the figures that all protocols have. Counts are since the connection was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SrtFigures {
    /// Packets that the far end missed and that were sent again (a push), or that we missed and asked for again (an ingest).
    pub lost_packets: u64,
    pub retransmitted_packets: u64,
    /// Packets that were never repaired, because their time had passed.
    pub dropped_packets: u64,
    /// Packets that were encrypted with another key.
    pub undecryptable_packets: u64,
    /// The media in the sending or the receiving buffer.
    pub buffer_ms: u32,
    pub rate_bps: u64,
    /// What the path could carry, as estimated.
    pub bandwidth_bps: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RenditionStatus {
    pub name: String,
    /// The encoder's element, or `passthrough`.
    pub encoder: String,
    pub device: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub bitrate_bps: u64,
    pub target_bps: Option<u64>,
    pub fps: Option<f64>,
    /// The delay that encoding adds: from a picture's way into the worker to its way out.
    pub latency_ms: Option<f64>,
    pub state: RenditionState,
    /// Why this encoder was chosen, why the rendition is degraded, or why it has no encoder.
    pub reason: Option<String>,
}

impl RenditionStatus {
    /// A rendition that is not made, and why.
    pub fn failed(name: String, reason: String) -> Self {
        Self {
            name,
            encoder: String::new(),
            device: None,
            width: None,
            height: None,
            bitrate_bps: 0,
            target_bps: None,
            fps: None,
            latency_ms: None,
            state: RenditionState::Failed,
            reason: Some(reason),
        }
    }
}

/// A sound on its way to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentSound {
    pub codec: String,
    /// ISO 639-2: "deu".
    pub language: Option<String>,
}

/// One connection to a destination.
#[derive(Debug, Clone, PartialEq)]
pub struct PushStatus {
    pub state: RestreamState,
    pub since: OffsetDateTime,
    /// When the outage began. Retries change the state, but not this.
    pub failing_since: Option<OffsetDateTime>,
    pub reason: Option<Reason>,
    /// Connection attempts since the push last streamed; 1 is the first.
    pub attempt: u32,
    pub next_retry_at: Option<OffsetDateTime>,
    pub bitrate_bps: u64,
    pub target_bps: Option<u64>,
    pub sent_bytes: u64,
    pub acked_bytes: u64,
    pub dropped_frames: u64,
    pub rtt_ms: Option<f64>,
    pub loss_percent: Option<f64>,
    /// The negotiated latency of an SRT push.
    pub latency_ms: Option<f64>,
    pub srt: Option<SrtFigures>,
    pub connected_since: Option<OffsetDateTime>,
    /// What goes out, in its order: RTMP carries one, SRT all.
    pub sounds: Vec<SentSound>,
    pub warnings: Vec<Warning>,
}

impl PushStatus {
    /// The status of a push that has not been tried.
    pub fn stopped(since: OffsetDateTime) -> Self {
        Self {
            state: RestreamState::Stopped,
            since,
            failing_since: None,
            reason: None,
            attempt: 0,
            next_retry_at: None,
            bitrate_bps: 0,
            target_bps: None,
            sent_bytes: 0,
            acked_bytes: 0,
            dropped_frames: 0,
            rtt_ms: None,
            loss_percent: None,
            latency_ms: None,
            srt: None,
            connected_since: None,
            sounds: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// The primary's figures stand for the restream. A backup has its own.
#[derive(Debug, Clone, PartialEq)]
pub struct RestreamStatus {
    pub push: PushStatus,
    pub backup: Option<PushStatus>,
}

impl RestreamStatus {
    pub fn stopped(since: OffsetDateTime) -> Self {
        Self { push: PushStatus::stopped(since), backup: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for code in ReasonCode::ALL {
            assert_eq!(ReasonCode::from_name(code.as_str()), Some(*code));
        }
        assert_eq!(ReasonCode::ALL.len(), 17);
        assert_eq!(ReasonCode::from_name("x"), None);
        assert_eq!(RestreamState::AwaitingStream.to_string(), "awaiting_stream");
    }
}

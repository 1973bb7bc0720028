//! An open push of either protocol, and what it has in common: what happens on it, and how far it has come.

use weir_model::PathFigures;
use weir_rtmp::net::{PublishConnection, PushError, PushEvent};
use weir_srt::{CallError, SrtConnection};

use crate::rtmp_link::RtmpLink;
use crate::srt_link::{SrtLink, SrtLost};

/// What came of dialling.
#[derive(Debug)]
pub(crate) enum Dialed {
    Rtmp(Box<PublishConnection>),
    Srt(Box<SrtConnection>),
}

#[derive(Debug)]
pub(crate) enum OpenLink {
    Rtmp(Box<RtmpLink>),
    Srt(Box<SrtLink>),
}

/// What came up while media flowed.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// The first media has left: time to look whether it arrives.
    FirstWrite,
    Rtmp(PushEvent),
    /// The rendition ended: its stream is being taken down.
    FeedEnded,
}

/// Why there is no connection, or no more.
#[derive(Debug)]
pub(crate) enum LinkError {
    Rtmp(PushError),
    Call(CallError),
    SrtLost(SrtLost),
}

/// How far a push has come. Bytes are of media.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) written_bytes: u64,
    /// Never falls, never above `written_bytes`.
    pub(crate) acked_bytes: u64,
    /// More is under way.
    pub(crate) outstanding: bool,
    pub(crate) rtt_ms: Option<f64>,
    /// Of TCP's segments; SRT's is in its figures.
    pub(crate) tcp_loss_percent: Option<f64>,
    /// SRT's figures.
    pub(crate) path: Option<PathFigures>,
}

impl OpenLink {
    /// Pushes until something is worth knowing. Cancel-safe.
    pub(crate) async fn run(&mut self) -> Result<LinkEvent, LinkError> {
        match self {
            Self::Rtmp(link) => link.run().await.map_err(LinkError::Rtmp),
            Self::Srt(link) => link.run().await.map_err(LinkError::SrtLost),
        }
    }

    pub(crate) fn progress(&mut self) -> Progress {
        match self {
            Self::Rtmp(link) => link.progress(),
            Self::Srt(link) => link.progress(),
        }
    }

    /// Pictures passed over since the last call.
    pub(crate) fn take_dropped_frames(&mut self) -> u64 {
        match self {
            Self::Rtmp(link) => link.take_dropped_frames(),
            Self::Srt(link) => link.take_dropped_frames(),
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Rtmp(link) => link.close().await,
            Self::Srt(link) => link.close().await,
        }
    }
}

//! How a served connection came to its end, in words for the log.

use std::fmt;
use std::io;

use weir_net::NotOpened;

use super::transport::is_end;
use crate::protocol::{ProtocolError, Refusal};

/// How a connection came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed the connection, with or without saying so first.
    PeerClosed,
    /// We turned a publisher or player away, or ended one that had been accepted.
    Refused(Refusal),
    /// The peer asked for a stream by a name that no stream can have.
    Unnameable(Refusal),
    /// The stream that the peer played has ended.
    PlayEnded,
    HandshakeTimeout,
    /// The peer connected, but neither published nor played in time.
    IntentTimeout,
    /// The peer published and then sent nothing for too long.
    IdleTimeout,
    /// The peer took nothing of what we sent for too long.
    WriteStalled,
    /// The peer broke the protocol.
    Protocol(ProtocolError),
    Tls(String),
    Io(String),
    /// The connection came through a proxy, and the address behind it has as many connections as it may have already.
    TooMany,
}

impl CloseReason {
    /// The reason in one word, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::Refused(_) => "refused",
            Self::Unnameable(_) => "bad_name",
            Self::PlayEnded => "play_ended",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::IntentTimeout => "intent_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteStalled => "write_stalled",
            Self::Protocol(_) => "protocol_error",
            Self::Tls(_) => "tls_failed",
            Self::Io(_) => "connection_failed",
            Self::TooMany => "too_many",
        }
    }

    /// Whether the peer did wrong and was not told so by the application. What the application refused, it knows.
    pub(super) fn is_fault(&self) -> bool {
        !matches!(self, Self::PeerClosed | Self::Refused(_) | Self::PlayEnded | Self::Io(_))
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("closed by the peer"),
            Self::Refused(refusal) => write!(f, "refused ({:?}): {}", refusal.code, refusal.description),
            Self::Unnameable(refusal) => f.write_str(&refusal.description),
            Self::PlayEnded => f.write_str("the played stream ended"),
            Self::HandshakeTimeout => f.write_str("no handshake in time"),
            Self::IntentTimeout => f.write_str("no publish or play in time"),
            Self::IdleTimeout => f.write_str("the publisher sent nothing for too long"),
            Self::WriteStalled => f.write_str("the peer took nothing for too long"),
            Self::Protocol(error) => write!(f, "protocol error: {error}"),
            Self::Tls(error) => write!(f, "TLS failed: {error}"),
            Self::Io(error) => write!(f, "connection failed: {error}"),
            Self::TooMany => f.write_str("too many connections from one address"),
        }
    }
}

impl From<ProtocolError> for CloseReason {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::HandshakeTimeout => Self::HandshakeTimeout,
            ProtocolError::IntentTimeout => Self::IntentTimeout,
            ProtocolError::IdleTimeout => Self::IdleTimeout,
            error => Self::Protocol(error),
        }
    }
}

impl From<NotOpened> for CloseReason {
    fn from(error: NotOpened) -> Self {
        match error {
            NotOpened::TooMany => Self::TooMany,
            NotOpened::Io(error) => error.into(),
        }
    }
}

impl From<io::Error> for CloseReason {
    fn from(error: io::Error) -> Self {
        if is_end(&error) { Self::PeerClosed } else { Self::Io(error.to_string()) }
    }
}

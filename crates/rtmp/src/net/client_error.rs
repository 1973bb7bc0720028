//! Everything that can end a push or a pull. Each has a variant of its own, because states and retries depend on which it was.

use std::fmt;
use std::io;

use thiserror::Error;
use weir_net::DialFault;

use super::transport::is_end;
use crate::protocol::{ClientPhase, ProtocolError};

/// Why a push or a pull failed. It shows none of our secrets, and of the peer only its words.
#[derive(Debug, Error)]
pub enum ClientError {
    #[error(transparent)]
    Dial(#[from] DialFault),
    #[error("no answer in time ({phase})")]
    Timeout { phase: ClientStep },
    /// The server said no, in these words. `auth` means that key, user or password are wrong ([`crate::protocol::is_auth_rejection`]).
    #[error("rejected: {code} {description}")]
    Rejected { code: String, description: String, auth: bool },
    #[error("the server closed the connection")]
    Closed,
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    #[error("too many redirects")]
    TooManyRedirects,
    #[error("connection failed: {0}")]
    Io(io::Error),
}

/// The step that a push or a pull was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientStep {
    Handshake,
    Connect,
    CreateStream,
    Publish,
    Play,
}

impl fmt::Display for ClientStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "RTMP handshake",
            Self::Connect => "connect",
            Self::CreateStream => "createStream",
            Self::Publish => "publish",
            Self::Play => "play",
        })
    }
}

impl From<ClientPhase> for ClientStep {
    fn from(phase: ClientPhase) -> Self {
        match phase {
            ClientPhase::Handshake => Self::Handshake,
            ClientPhase::Connect => Self::Connect,
            ClientPhase::CreateStream => Self::CreateStream,
            ClientPhase::Publish | ClientPhase::Published => Self::Publish,
            ClientPhase::Play | ClientPhase::Playing => Self::Play,
        }
    }
}

impl From<ProtocolError> for ClientError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        if is_end(&error) {
            return Self::Closed;
        }
        match error.kind() {
            // The kernel gave up sending again, or a router said that there is no way to the host.
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Self::Dial(DialFault::Unreachable)
            }
            _ if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) => {
                Self::Dial(DialFault::Tls(weir_net::tls_fault(&error)))
            }
            _ => Self::Io(error),
        }
    }
}

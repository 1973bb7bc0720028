//! The RTMP protocol of one connection, sans-IO: bytes and the time go in, events and bytes come out, for both roles.

mod acks;
mod auth;
mod client;
mod command;
mod names;
mod rejection;
mod server;
mod status;

use std::fmt;

use bytes::Bytes;
use thiserror::Error;

use crate::wire::{AmfError, WireError};

pub use acks::PeerAcks;
pub use auth::{AuthError, AuthMod, AuthRounds};
pub use client::{ClientConfig, ClientEvent, ClientIntent, ClientPhase, ClientProtocol};
pub use names::{NAME_BYTES_MAX, RequestedStream};
pub use rejection::{Rejection, is_auth_rejection};
pub use server::{
    CREATE_STREAM_MAX, FOUR_CC_LIST, OPEN_REQUESTS_MAX, PLAY_CHUNK_SIZE, ServerEvent, ServerProtocol, ServerTimers,
};
pub use status::{Refusal, RefusalCode};

/// The chunk size that our pushes announce. 65,536 costs one type-3 byte per 64 KiB, and every tested server takes it.
pub const PUSH_CHUNK_SIZE: u32 = 65_536;

/// Our own messages stay off the chunk streams on which media is written (4 and up), so that media may use headers relative to the
/// message before.
const CSID_CONTROL: u32 = 2;
const CSID_COMMAND: u32 = 3;

/// User control events (RTMP 1.0, section 7.1.7).
mod user_control {
    pub(super) const STREAM_BEGIN: u16 = 0;
    pub(super) const STREAM_EOF: u16 = 1;
    pub(super) const SET_BUFFER_LENGTH: u16 = 3;
    pub(super) const PING_REQUEST: u16 = 6;
    pub(super) const PING_RESPONSE: u16 = 7;
}

/// The kind of a media message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    Audio,
    Video,
    Data,
}

/// One audio, video or data message. The payload is the body of an FLV tag. For data that is AMF0 which begins with the name, such as
/// `onMetaData`; an `@setDataFrame` in front of it was cut off.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaMessage {
    pub kind: MessageKind,
    pub timestamp_ms: u32,
    pub payload: Bytes,
}

impl fmt::Debug for MediaMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaMessage")
            .field("kind", &self.kind)
            .field("timestamp_ms", &self.timestamp_ms)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

/// Why a connection cannot go on. The text says what the peer did, but repeats none of the bytes that it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the peer sent a malformed command: {0}")]
    Amf(#[from] AmfError),
    #[error("the peer sent a command without a name")]
    CommandWithoutName,
    #[error("the peer sent a command before connect")]
    CommandBeforeConnect,
    #[error("the peer sent connect twice")]
    ConnectTwice,
    #[error("the peer sent connect without an application")]
    ConnectWithoutApp,
    #[error("the peer used a message stream that it did not create")]
    UnknownStream,
    #[error("the peer has more than {OPEN_REQUESTS_MAX} unanswered requests")]
    TooManyOpenRequests,
    #[error("the peer sends commands without end")]
    TooManyCommands,
    #[error("a player sent media")]
    MediaFromPlayer,
    #[error("the peer answered createStream without a usable stream id")]
    BadStreamId,
    #[error("the peer did not finish the handshake in time")]
    HandshakeTimeout,
    #[error("the peer did not publish or play in time")]
    IntentTimeout,
    #[error("the publisher sent nothing for too long")]
    IdleTimeout,
}

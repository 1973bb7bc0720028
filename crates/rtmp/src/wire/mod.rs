//! The byte level of RTMP, sans-IO: handshake, chunks to and from whole messages, AMF0 values.
//!
//! Everything here reads what a stranger sent before any login. So every size is bounded by a named constant, memory grows with bytes
//! received and never with a declared length, and no error or `Debug` output carries payload bytes: a command's payload holds the stream
//! key.

mod aggregate;
pub mod amf0;
mod chunk_header;
mod chunk_reader;
mod chunk_writer;
mod error;
mod handshake;

use std::fmt;

use bytes::Bytes;

pub use amf0::{AmfError, Value, decode_all, encode};
pub use chunk_reader::{ChunkReader, ReadLimits};
pub use chunk_writer::{ChunkWriter, Continuation, Header, MessageHeader, write_chunk_header, write_chunks};
pub use error::WireError;
pub use handshake::{ClientHandshake, ServerHandshake};

/// A chunk header has 24 bits for the length of a message, so no message is longer than 2^24 - 1 bytes.
pub const MESSAGE_BYTES_MAX: usize = 0xFF_FFFF;

/// One whole RTMP message, put together from its chunks or about to be cut into them.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub type_id: u8,
    pub stream_id: u32,
    pub timestamp_ms: u32,
    pub payload: Bytes,
}

/// Shows the payload's length and none of its bytes, because a `publish` command holds the stream key.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("type_id", &self.type_id)
            .field("stream_id", &self.stream_id)
            .field("timestamp_ms", &self.timestamp_ms)
            .field("payload_bytes", &self.payload.len())
            .finish()
    }
}

/// The message types of the RTMP 1.0 specification (sections 5.4, 6.2 and 7.1).
pub mod type_id {
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACK: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW_ACK_SIZE: u8 = 5;
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    pub const AUDIO: u8 = 8;
    pub const VIDEO: u8 = 9;
    pub const DATA_AMF3: u8 = 15;
    pub const SHARED_OBJECT_AMF3: u8 = 16;
    pub const COMMAND_AMF3: u8 = 17;
    pub const DATA_AMF0: u8 = 18;
    pub const SHARED_OBJECT_AMF0: u8 = 19;
    pub const COMMAND_AMF0: u8 = 20;
    pub const AGGREGATE: u8 = 22;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_payload() {
        let message = Message {
            type_id: type_id::COMMAND_AMF0,
            stream_id: 1,
            timestamp_ms: 5,
            payload: Bytes::from_static(b"secret-key"),
        };
        let shown = format!("{message:?}");
        assert!(shown.contains("payload_bytes: 10"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}

//! Everything by which a peer can end its connection at the byte level.

use thiserror::Error;

/// What the peer did wrong. It never holds bytes that the peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WireError {
    #[error("the peer opened the handshake with version {0}, RTMP is version 3")]
    HandshakeVersion(u8),
    #[error("the peer used more than {max} chunk streams")]
    TooManyChunkStreams { max: usize },
    #[error("the peer sent a type-{chunk_type} chunk on chunk stream {csid} before any full header")]
    ChunkStreamWithoutHeader { csid: u32, chunk_type: u8 },
    #[error("the peer began another message on chunk stream {csid} inside an unfinished one")]
    HeaderInsideMessage { csid: u32 },
    #[error("the peer announced a message of type {type_id} with {length} bytes, at most {max} are accepted")]
    MessageTooLong { type_id: u8, length: usize, max: usize },
    #[error("the peer left more than {max} bytes of messages unfinished")]
    TooManyPartialBytes { max: usize },
    #[error("the peer set a chunk size of {bytes} bytes, 1 to {max} are accepted")]
    ChunkSize { bytes: u32, max: usize },
    #[error("the peer sent a control message of type {type_id} with only {length} bytes")]
    ControlMessageTooShort { type_id: u8, length: usize },
    #[error("the peer sent an aggregate message whose parts do not fit into it")]
    AggregateMalformed,
}

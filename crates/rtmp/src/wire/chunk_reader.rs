//! Chunks in, whole messages out: reassembles each chunk stream, within fixed limits.

use std::fmt;

use bytes::Bytes;

use super::aggregate::Aggregate;
use super::chunk_header::{BasicHeader, ChunkHeader};
use super::{MESSAGE_BYTES_MAX, Message, WireError, type_id};

/// Both directions start with this chunk size (section 5.4.1).
pub(super) const CHUNK_SIZE_AT_START: usize = 128;
/// How much one peer may make us hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLimits {
    /// The most chunk streams. Real publishers use 3 to 6.
    pub csids_max: usize,
    /// The greatest length of a message that is neither audio, video nor aggregate.
    pub control_message_bytes_max: usize,
    /// The greatest length of an audio, video or aggregate message. A noisy 1080p keyframe at qp 0 measures 5 MB.
    pub media_message_bytes_max: usize,
    /// The most received bytes of unfinished messages, over all chunk streams. Their buffers grow by doubling, so the memory is at most
    /// twice this. Reserved room is not counted: it depends on how the network cut the bytes, and that must not decide whether a peer is
    /// refused.
    pub partial_bytes_max: usize,
    /// The most that a first chunk reserves for its message, and only if as much has been received. So a picture that came with one read
    /// is copied once.
    pub first_reserve_bytes: usize,
    /// The largest chunk size that a peer may set. Anything from 2^24 - 1 up means the same: one chunk per message.
    pub chunk_size_max: usize,
}

impl ReadLimits {
    pub const CSIDS_MAX: usize = 32;
    pub const CONTROL_MESSAGE_BYTES_MAX: usize = 64 << 10;
    pub const MEDIA_MESSAGE_BYTES_MAX: usize = 12 << 20;
    pub const PARTIAL_BYTES_MAX: usize = 16 << 20;
    pub const CHUNK_SIZE_MAX: usize = 16 << 20;
    /// With all 32 chunk streams open this is 32 x 32 KiB = 1 MiB per connection.
    pub const FIRST_RESERVE_BYTES: usize = 32 << 10;
    /// The most bytes in all unfinished messages of a peer whose publish is not accepted. The longest command is `connect`, with
    /// under a kilobyte, but a single message of a whole 64 KiB may come.
    pub const STRANGERS_BYTES_MAX: usize = 64 << 10;

    /// The limits for a peer that has not shown a key yet, and for players: 64 KiB, and as much again that growing buffers may reserve.
    pub fn of_strangers() -> Self {
        Self {
            control_message_bytes_max: Self::STRANGERS_BYTES_MAX,
            media_message_bytes_max: Self::STRANGERS_BYTES_MAX,
            partial_bytes_max: Self::STRANGERS_BYTES_MAX,
            first_reserve_bytes: Self::STRANGERS_BYTES_MAX / Self::CSIDS_MAX,
            ..Self::default()
        }
    }

    pub(super) fn message_bytes_max(&self, type_id: u8) -> usize {
        match type_id {
            type_id::AUDIO | type_id::VIDEO | type_id::AGGREGATE => self.media_message_bytes_max,
            _ => self.control_message_bytes_max,
        }
    }
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            csids_max: Self::CSIDS_MAX,
            control_message_bytes_max: Self::CONTROL_MESSAGE_BYTES_MAX,
            media_message_bytes_max: Self::MEDIA_MESSAGE_BYTES_MAX,
            partial_bytes_max: Self::PARTIAL_BYTES_MAX,
            first_reserve_bytes: Self::FIRST_RESERVE_BYTES,
            chunk_size_max: Self::CHUNK_SIZE_MAX,
        }
    }
}

/// Reads one direction of one connection, after the handshake.
pub struct ChunkReader {
    limits: ReadLimits,
    chunk_size: usize,
    received_bytes: u64,
    /// Bytes that were received and are not yet read are `buffer[position..]`. They are at most one feed plus one header.
    buffer: Vec<u8>,
    position: usize,
    streams: Vec<ChunkStream>,
    /// The stream of the chunk that is being read. `chunk_remaining` is how much of that chunk's payload is still to come.
    current: usize,
    chunk_remaining: usize,
    /// The lengths of `partial` of all streams, added up.
    partial_bytes: usize,
    aggregate: Option<Aggregate>,
    failed: Option<WireError>,
}

/// The fields that later chunks of one chunk stream inherit, and its unfinished message.
struct ChunkStream {
    csid: u32,
    /// The time of the current or the last message.
    timestamp_ms: u32,
    /// The timestamp as the last type-0, -1 or -2 header had it. A type-3 chunk that begins a message adds it again, also after type 0
    /// (section 5.3.1.2.4; ffmpeg writes so).
    timestamp_field: u32,
    extended: bool,
    length: usize,
    type_id: u8,
    stream_id: u32,
    in_message: bool,
    partial: Vec<u8>,
}

impl ChunkReader {
    pub fn new(limits: ReadLimits) -> Self {
        Self {
            limits,
            chunk_size: CHUNK_SIZE_AT_START,
            received_bytes: 0,
            buffer: Vec::new(),
            position: 0,
            streams: Vec::new(),
            current: 0,
            chunk_remaining: 0,
            partial_bytes: 0,
            aggregate: None,
            failed: None,
        }
    }

    /// Sets the limits that apply from now on, also to messages that have begun.
    pub fn set_limits(&mut self, limits: ReadLimits) {
        self.limits = limits;
    }

    /// Takes the bytes of one read. Call [`next`](Self::next) until it returns `None` before feeding again, so that no more than this and
    /// part of a header is ever held unread.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.received_bytes += bytes.len() as u64;
        if self.failed.is_some() {
            return;
        }
        self.buffer.drain(..self.position);
        self.position = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message. `None` means that more bytes are needed. After an error it returns that error for good.
    #[expect(clippy::should_implement_trait, reason = "fallible and resumable: no iterator")]
    pub fn next(&mut self) -> Result<Option<Message>, WireError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let outcome = self.read_message();
        if let Err(error) = outcome {
            // The connection ends here, so nothing that the peer made us hold is kept.
            *self = Self { failed: Some(error), received_bytes: self.received_bytes, ..Self::new(self.limits.clone()) };
        }
        outcome
    }

    /// The number of all bytes fed so far, which acknowledgements tell.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// The bytes still to come of the message whose chunk was read last, headers not counted; 0 if the message is whole.
    pub fn missing_bytes(&self) -> usize {
        let current = self.streams.get(self.current).filter(|stream| stream.in_message);
        current.map_or(0, |stream| stream.length - stream.partial.len())
    }

    fn read_message(&mut self) -> Result<Option<Message>, WireError> {
        loop {
            if let Some(aggregate) = &mut self.aggregate {
                match aggregate.next(&self.limits)? {
                    Some(message) => return Ok(Some(message)),
                    None => self.aggregate = None,
                }
            }
            if self.chunk_remaining == 0 && !self.begin_chunk()? {
                return Ok(None);
            }
            if !self.take_payload()? {
                return Ok(None);
            }
            let stream = &self.streams[self.current];
            if self.chunk_remaining == 0
                && stream.partial.len() == stream.length
                && let Some(message) = self.end_message()?
            {
                return Ok(Some(message));
            }
        }
    }

    /// Reads the headers of a chunk. `false` means that not all of them have been received, and nothing has been taken.
    fn begin_chunk(&mut self) -> Result<bool, WireError> {
        let bytes = &self.buffer[self.position..];
        let Some(basic) = BasicHeader::read(bytes) else { return Ok(false) };
        let after = &bytes[basic.bytes..];
        let known = match self.streams.get(self.current) {
            Some(stream) if stream.csid == basic.csid => Some(self.current),
            _ => self.streams.iter().position(|stream| stream.csid == basic.csid),
        };

        if basic.chunk_type == 3 {
            let Some(index) = known else {
                return Err(WireError::ChunkStreamWithoutHeader { csid: basic.csid, chunk_type: 3 });
            };
            let stream = &mut self.streams[index];
            let Some(repeated) = stream.repeated_timestamp_bytes(after) else { return Ok(false) };
            if !stream.in_message {
                stream.timestamp_ms = stream.timestamp_ms.wrapping_add(stream.timestamp_field);
            }
            self.position += basic.bytes + repeated;
            self.enter_chunk(index);
            return Ok(true);
        }

        let Some(header) = ChunkHeader::read(basic.chunk_type, after) else { return Ok(false) };
        let index = match known {
            Some(index) => index,
            // librtmp opens the control stream with type 1 (a ping); there the stream id is 0 and the time counts from 0. Type 2 says too
            // little about a message to be understood.
            None if basic.chunk_type == 2 => {
                return Err(WireError::ChunkStreamWithoutHeader { csid: basic.csid, chunk_type: 2 });
            }
            None if self.streams.len() >= self.limits.csids_max => {
                return Err(WireError::TooManyChunkStreams { max: self.limits.csids_max });
            }
            None => {
                self.streams.push(ChunkStream::new(basic.csid));
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[index];
        if stream.in_message {
            // Inside a message only type 3 is legal. Senders that repeat the whole header on each chunk exist (rml_rtmp's
            // "uncompressed"), and ffmpeg reads them. A header with the same length and the same type belongs to the same message.
            if header.length_and_type.is_some_and(|announced| announced != (stream.length, stream.type_id)) {
                return Err(WireError::HeaderInsideMessage { csid: basic.csid });
            }
        } else {
            stream.begin_message(basic.chunk_type, &header);
            let max = self.limits.message_bytes_max(stream.type_id);
            if stream.length > max {
                return Err(WireError::MessageTooLong { type_id: stream.type_id, length: stream.length, max });
            }
        }
        self.position += basic.bytes + header.bytes;
        self.enter_chunk(index);
        Ok(true)
    }

    fn enter_chunk(&mut self, index: usize) {
        let stream = &mut self.streams[index];
        stream.in_message = true;
        self.current = index;
        // A chunk size that is set while this message is unfinished counts from here on, not for the chunk before.
        self.chunk_remaining = (stream.length - stream.partial.len()).min(self.chunk_size);
    }

    /// Moves the received bytes of the current chunk's payload into its message. `false` means that none were received.
    fn take_payload(&mut self) -> Result<bool, WireError> {
        let available = self.buffer.len() - self.position;
        let take = self.chunk_remaining.min(available);
        if take == 0 {
            return Ok(self.chunk_remaining == 0);
        }
        if self.partial_bytes + take > self.limits.partial_bytes_max {
            return Err(WireError::TooManyPartialBytes { max: self.limits.partial_bytes_max });
        }
        let stream = &mut self.streams[self.current];
        let held = stream.partial.capacity();
        let needed = stream.partial.len() + take;
        if needed > held {
            // The buffer grows by doubling, at last exactly to the length, and never ahead of the received bytes by more than that: a
            // declared length alone reserves nothing.
            let ahead = if held == 0 { available.min(self.limits.first_reserve_bytes) } else { held * 2 };
            let target = ahead.max(needed).min(stream.length);
            stream.partial.reserve_exact(target - stream.partial.len());
        }
        stream.partial.extend_from_slice(&self.buffer[self.position..self.position + take]);
        self.position += take;
        self.chunk_remaining -= take;
        self.partial_bytes += take;
        Ok(true)
    }

    /// Takes the current stream's message, which is now whole. `None` means that the message was for this layer.
    fn end_message(&mut self) -> Result<Option<Message>, WireError> {
        let stream = &mut self.streams[self.current];
        let payload = stream.take_partial(&mut self.partial_bytes);
        let message = Message {
            type_id: stream.type_id,
            stream_id: stream.stream_id,
            timestamp_ms: stream.timestamp_ms,
            payload: Bytes::from(payload),
        };
        match message.type_id {
            type_id::SET_CHUNK_SIZE => self.set_chunk_size(control_value(&message)?)?,
            type_id::ABORT => self.abort(control_value(&message)?),
            type_id::AGGREGATE => self.aggregate = Some(Aggregate::new(message)),
            _ => return Ok(Some(message)),
        }
        Ok(None)
    }

    fn set_chunk_size(&mut self, bytes: u32) -> Result<(), WireError> {
        let max = self.limits.chunk_size_max;
        // The topmost bit must be 0 (section 5.4.1), and a chunk holds at most one message.
        let chunk_size = (bytes as usize).min(MESSAGE_BYTES_MAX);
        if bytes == 0 || bytes > i32::MAX as u32 || chunk_size > max {
            return Err(WireError::ChunkSize { bytes, max });
        }
        self.chunk_size = chunk_size;
        Ok(())
    }

    fn abort(&mut self, csid: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.csid == csid) {
            drop(stream.take_partial(&mut self.partial_bytes));
        }
    }
}

/// Shows counts, and nothing that the peer sent.
impl fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkReader")
            .field("chunk_size", &self.chunk_size)
            .field("received_bytes", &self.received_bytes)
            .field("unread_bytes", &(self.buffer.len() - self.position))
            .field("streams", &self.streams.len())
            .field("partial_bytes", &self.partial_bytes)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl ChunkStream {
    fn new(csid: u32) -> Self {
        Self {
            csid,
            timestamp_ms: 0,
            timestamp_field: 0,
            extended: false,
            length: 0,
            type_id: 0,
            stream_id: 0,
            in_message: false,
            partial: Vec::new(),
        }
    }

    fn begin_message(&mut self, chunk_type: u8, header: &ChunkHeader) {
        let base_ms = if chunk_type == 0 { 0 } else { self.timestamp_ms };
        self.timestamp_ms = base_ms.wrapping_add(header.timestamp);
        self.timestamp_field = header.timestamp;
        self.extended = header.extended;
        if let Some((length, type_id)) = header.length_and_type {
            self.length = length;
            self.type_id = type_id;
        }
        if let Some(stream_id) = header.stream_id {
            self.stream_id = stream_id;
        }
    }

    /// How many bytes of a type-3 chunk repeat the extended timestamp: 4, or 0 with senders that leave it out (librtmp and its kin). Only
    /// the value tells them apart. `None` means that not enough has been received to tell.
    fn repeated_timestamp_bytes(&self, bytes: &[u8]) -> Option<usize> {
        if !self.extended {
            return Some(0);
        }
        let expected = self.timestamp_field.to_be_bytes();
        let seen = &bytes[..bytes.len().min(4)];
        match expected.starts_with(seen) {
            true if seen.len() < 4 => None,
            true => Some(4),
            false => Some(0),
        }
    }

    fn take_partial(&mut self, partial_bytes: &mut usize) -> Vec<u8> {
        self.in_message = false;
        *partial_bytes -= self.partial.len();
        std::mem::take(&mut self.partial)
    }
}

fn control_value(message: &Message) -> Result<u32, WireError> {
    match message.payload.first_chunk() {
        Some(field) => Ok(u32::from_be_bytes(*field)),
        None => Err(WireError::ControlMessageTooShort { type_id: message.type_id, length: message.payload.len() }),
    }
}

#[cfg(test)]
#[path = "chunk_reader_tests.rs"]
mod tests;

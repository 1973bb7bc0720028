//! Whole messages in, chunks out.

use bytes::{BufMut, Bytes, BytesMut};

use super::chunk_header::{BasicHeader, EXTENDED_TIMESTAMP};
use super::chunk_reader::CHUNK_SIZE_AT_START;
use super::{MESSAGE_BYTES_MAX, Message, type_id};

/// Protocol control messages travel on this chunk stream (section 5.4).
const CONTROL_CSID: u32 = 2;

/// How the first chunk of a message gives its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Chunk type 0 holds everything, and is readable without what went before.
    Full,
    /// Chunk type 1 holds the difference to the previous message on the same chunk stream, which must have had the same message stream
    /// id. It can't express a step back in time, which is written as `Full`.
    Delta { previous_timestamp_ms: u32 },
}

/// A message without its payload.
#[derive(Debug, Clone, Copy)]
pub struct MessageHeader {
    pub type_id: u8,
    pub stream_id: u32,
    pub timestamp_ms: u32,
    /// The length of the whole payload, in bytes.
    pub length: usize,
}

/// The header of each further chunk of a message: at most 3 bytes of basic header and 4 of extended timestamp.
#[derive(Debug, Clone, Copy)]
pub struct Continuation {
    bytes: [u8; 7],
    length: usize,
}

impl std::ops::Deref for Continuation {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Appends the header of a message's first chunk on chunk stream `csid` (2 to 65599). Returns that of its further chunks.
///
/// A payload above [`MESSAGE_BYTES_MAX`] has no form on the wire: nothing is written, and `None` is returned.
pub fn write_chunk_header(
    out: &mut BytesMut,
    csid: u32,
    header: Header,
    message: &MessageHeader,
) -> Option<Continuation> {
    if message.length > MESSAGE_BYTES_MAX {
        return None;
    }
    let (chunk_type, timestamp) = match header {
        Header::Full => (0, message.timestamp_ms),
        Header::Delta { previous_timestamp_ms } => match message.timestamp_ms.wrapping_sub(previous_timestamp_ms) {
            forwards if forwards <= i32::MAX as u32 => (1, forwards),
            _ => (0, message.timestamp_ms),
        },
    };
    let extended = timestamp >= EXTENDED_TIMESTAMP;
    let (basic, basic_bytes) = BasicHeader::write(chunk_type, csid);
    out.put_slice(&basic[..basic_bytes]);
    out.put_uint(u64::from(timestamp.min(EXTENDED_TIMESTAMP)), 3);
    out.put_uint(message.length as u64, 3);
    out.put_u8(message.type_id);
    if chunk_type == 0 {
        out.put_u32_le(message.stream_id);
    }
    // Each further chunk repeats the extended timestamp, as the specification says and ffmpeg expects.
    let (basic, length) = BasicHeader::write(3, csid);
    let mut continuation = Continuation { bytes: [0; 7], length };
    continuation.bytes[..length].copy_from_slice(&basic[..length]);
    if extended {
        out.put_u32(timestamp);
        continuation.bytes[length..length + 4].copy_from_slice(&timestamp.to_be_bytes());
        continuation.length += 4;
    }
    Some(continuation)
}

/// Appends `message` as chunks of `chunk_size` (at least 1), in the way of [`write_chunk_header`].
pub fn write_chunks(out: &mut BytesMut, csid: u32, header: Header, message: &Message, chunk_size: usize) {
    let Message { type_id, stream_id, timestamp_ms, ref payload } = *message;
    let length = payload.len();
    let chunk_size = chunk_size.max(1);
    let head = MessageHeader { type_id, stream_id, timestamp_ms, length };
    let Some(continuation) = write_chunk_header(out, csid, header, &head) else { return };
    let further_chunks = length.saturating_sub(1) / chunk_size;
    out.reserve(length + further_chunks * continuation.len());
    let (first, rest) = payload.split_at(length.min(chunk_size));
    out.put_slice(first);
    for chunk in rest.chunks(chunk_size) {
        out.put_slice(&continuation);
        out.put_slice(chunk);
    }
}

/// Writes a connection's control and command messages, each with a full header, and keeps its chunk size.
#[derive(Debug)]
pub struct ChunkWriter {
    chunk_size: usize,
}

impl ChunkWriter {
    pub fn new() -> Self {
        Self { chunk_size: CHUNK_SIZE_AT_START }
    }

    /// Tells the peer the chunk size of everything that follows. Sizes outside 1 to 2^24 - 1 are moved to the nearest limit.
    pub fn set_chunk_size(&mut self, out: &mut BytesMut, bytes: u32) {
        let bytes = bytes.clamp(1, MESSAGE_BYTES_MAX as u32);
        let payload = Bytes::copy_from_slice(&bytes.to_be_bytes());
        self.write(
            out,
            CONTROL_CSID,
            &Message { type_id: type_id::SET_CHUNK_SIZE, stream_id: 0, timestamp_ms: 0, payload },
        );
        self.chunk_size = bytes as usize;
    }

    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    pub fn write(&mut self, out: &mut BytesMut, csid: u32, message: &Message) {
        write_chunks(out, csid, Header::Full, message, self.chunk_size);
    }
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(header: Header, timestamp_ms: u32, payload: &[u8], chunk_size: usize) -> Vec<u8> {
        let message = Message { type_id: 9, stream_id: 1, timestamp_ms, payload: Bytes::copy_from_slice(payload) };
        let mut out = BytesMut::new();
        write_chunks(&mut out, 4, header, &message, chunk_size);
        out.to_vec()
    }

    #[test]
    fn the_bytes_on_the_wire() {
        let after = |previous_timestamp_ms| Header::Delta { previous_timestamp_ms };
        type Row<'a> = (&'a str, Header, u32, &'a [u8], &'a [u8]);
        let table: [Row<'_>; 9] = [
            ("full", Header::Full, 5, b"ab", &[4, 0, 0, 5, 0, 0, 2, 9, 1, 0, 0, 0, b'a', b'b']),
            ("empty", Header::Full, 5, b"", &[4, 0, 0, 5, 0, 0, 0, 9, 1, 0, 0, 0]),
            ("cut", Header::Full, 5, b"abcd", &[4, 0, 0, 5, 0, 0, 4, 9, 1, 0, 0, 0, b'a', b'b', b'c', 0xC4, b'd']),
            ("no empty last chunk", Header::Full, 5, b"abc", &[4, 0, 0, 5, 0, 0, 3, 9, 1, 0, 0, 0, b'a', b'b', b'c']),
            ("delta", after(3), 5, b"a", &[0x44, 0, 0, 2, 0, 0, 1, 9, b'a']),
            ("delta over the wrap", after(u32::MAX), 1, b"a", &[0x44, 0, 0, 2, 0, 0, 1, 9, b'a']),
            ("a step back is full", after(6), 5, b"a", &[4, 0, 0, 5, 0, 0, 1, 9, 1, 0, 0, 0, b'a']),
            (
                "extended, repeated",
                Header::Full,
                0xFF_FFFF,
                b"abcd",
                &[
                    4, 0xFF, 0xFF, 0xFF, 0, 0, 4, 9, 1, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, b'a', b'b', b'c', //
                    0xC4, 0, 0xFF, 0xFF, 0xFF, b'd',
                ],
            ),
            ("extended delta", after(0), 0x0100_0000, b"a", &[0x44, 0xFF, 0xFF, 0xFF, 0, 0, 1, 9, 1, 0, 0, 0, b'a']),
        ];
        for (name, header, timestamp_ms, payload, expected) in table {
            assert_eq!(written(header, timestamp_ms, payload, 3), expected, "{name}");
        }
    }

    #[test]
    fn a_chunk_size_of_0_is_taken_as_1() {
        assert_eq!(written(Header::Full, 0, b"abc", 0), written(Header::Full, 0, b"abc", 1));
    }

    #[test]
    fn what_no_header_can_say_is_not_written() {
        let message =
            |bytes: usize| Message { type_id: 9, stream_id: 1, timestamp_ms: 0, payload: Bytes::from(vec![0; bytes]) };
        let mut out = BytesMut::new();
        write_chunks(&mut out, 4, Header::Full, &message(MESSAGE_BYTES_MAX + 1), 65536);
        assert!(out.is_empty());
        write_chunks(&mut out, 4, Header::Full, &message(MESSAGE_BYTES_MAX), MESSAGE_BYTES_MAX);
        assert_eq!(out.len(), 12 + MESSAGE_BYTES_MAX);
    }

    #[test]
    fn room_is_reserved_once() {
        let message = Message { type_id: 9, stream_id: 1, timestamp_ms: u32::MAX, payload: Bytes::from(vec![0; 1000]) };
        let mut out = BytesMut::new();
        write_chunks(&mut out, 65_599, Header::Full, &message, 128);
        assert_eq!(out.len(), 18 + 1000 + 7 * 7);
        assert!(out.capacity() < 2 * out.len());
    }

    #[test]
    fn the_chunk_size_counts_from_the_next_message() {
        let mut writer = ChunkWriter::new();
        let mut out = BytesMut::new();
        assert_eq!(writer.chunk_size(), 128);
        for (asked, taken) in [(u32::MAX, MESSAGE_BYTES_MAX), (65536, 65536), (0, 1)] {
            writer.set_chunk_size(&mut out, asked);
            assert_eq!(writer.chunk_size(), taken);
        }
        out.clear();
        writer.set_chunk_size(&mut out, 4096);
        assert_eq!(&out[..14], [2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0xC2], "said in the old size: 1");
    }
}

//! A parcel: whole RTMP messages in the order of the wire. Its bytes lie in several places, so that no payload is copied to be sent.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::wire::{Header, MessageHeader, write_chunk_header};

/// A payload up to this length is copied beside its header: for an AAC frame of 170 to 340 bytes the copy costs less than one more slice
/// in every write to every destination.
const COPIED_BYTES_MAX: usize = 1_024;

/// The chunk size with which RTMP begins. Nobody announces a smaller one for media.
const CHUNK_BYTES_MIN: usize = 128;

/// Room for the headers of a batch: three messages of 1 + 11 + 5 bytes, and one or two AAC frames.
const HEADS_BYTES: usize = 512;

/// See the module. A clone shares the bytes, and has its own position in them.
#[derive(Clone, Default)]
pub struct Parcel {
    pieces: Arc<[Bytes]>,
    /// The first piece that is not sent to its end. `sent_bytes` of it are sent.
    piece: usize,
    sent_bytes: usize,
    left_bytes: usize,
}

impl Parcel {
    /// The number of bytes that are still to be sent.
    pub fn left_bytes(&self) -> usize {
        self.left_bytes
    }

    pub fn is_empty(&self) -> bool {
        self.left_bytes == 0
    }

    /// Whether some of it is sent already, so that the rest has to follow before anything else.
    pub(crate) fn is_begun(&self) -> bool {
        self.piece > 0 || self.sent_bytes > 0
    }

    /// Whether both parcels are made of the same memory.
    pub fn shares(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pieces, &other.pieces)
    }

    /// The bytes that are still to be sent, piece by piece.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.sent_bytes;
        let left = self.pieces.get(self.piece..).unwrap_or_default();
        left.iter().map(move |piece| piece.get(std::mem::take(&mut skip)..).unwrap_or_default())
    }

    /// Notes that `bytes` more are sent, at most as many as were left.
    pub fn advance(&mut self, bytes: usize) {
        let bytes = bytes.min(self.left_bytes);
        self.left_bytes -= bytes;
        self.sent_bytes += bytes;
        while let Some(piece) = self.pieces.get(self.piece).filter(|piece| piece.len() <= self.sent_bytes) {
            self.sent_bytes -= piece.len();
            self.piece += 1;
        }
    }
}

/// Fills `into` with the bytes that the parcels have to send, in order, and returns how many of its slices it used.
pub(crate) fn gather<'a>(parcels: impl Iterator<Item = &'a Parcel>, into: &mut [IoSlice<'a>]) -> usize {
    let mut used = 0;
    for (slice, bytes) in into.iter_mut().zip(parcels.flat_map(Parcel::slices).filter(|bytes| !bytes.is_empty())) {
        *slice = IoSlice::new(bytes);
        used += 1;
    }
    used
}

/// Takes `bytes` off the front of the queue.
pub(crate) fn advance(queue: &mut VecDeque<Parcel>, mut bytes: usize) {
    while let Some(front) = queue.front_mut() {
        if bytes < front.left_bytes() {
            front.advance(bytes);
            return;
        }
        bytes -= front.left_bytes();
        queue.pop_front();
    }
}

impl From<Bytes> for Parcel {
    fn from(bytes: Bytes) -> Self {
        Self { left_bytes: bytes.len(), pieces: Arc::new([bytes]), piece: 0, sent_bytes: 0 }
    }
}

/// Shows lengths alone, because a command inside may hold a stream key.
impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parcel").field("pieces", &self.pieces.len()).field("left_bytes", &self.left_bytes).finish()
    }
}

/// Builds a parcel, message by message.
#[derive(Debug)]
pub(crate) struct ParcelWriter {
    chunk_size: usize,
    /// All headers, and the payloads that were copied, one after the other.
    heads: BytesMut,
    /// This many bytes of `heads` have their place in `parts` already.
    parted_bytes: usize,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// The next bytes of `heads`, this many.
    Heads(usize),
    Payload(Bytes),
}

impl ParcelWriter {
    pub(crate) fn new(chunk_size: usize) -> Self {
        Self {
            // A tag has at most 8 bytes, so it always lies in its message's first chunk.
            chunk_size: chunk_size.max(CHUNK_BYTES_MIN),
            heads: BytesMut::with_capacity(HEADS_BYTES),
            parted_bytes: 0,
            parts: Vec::new(),
        }
    }

    /// Appends one message whose body is `tag` and then `payload`.
    pub(crate) fn message(&mut self, csid: u32, header: Header, message: &MessageHeader, tag: &[u8], payload: &Bytes) {
        let Some(continuation) = write_chunk_header(&mut self.heads, csid, header, message) else { return };
        self.heads.put_slice(tag);
        let mut room = self.chunk_size - tag.len().min(self.chunk_size);
        let mut rest = payload.clone();
        while !rest.is_empty() {
            if room == 0 {
                self.heads.put_slice(&continuation);
                room = self.chunk_size;
            }
            let piece = rest.split_to(room.min(rest.len()));
            room -= piece.len();
            if payload.len() <= COPIED_BYTES_MAX {
                self.heads.put_slice(&piece);
            } else {
                self.end_heads();
                self.parts.push(Part::Payload(piece));
            }
        }
    }

    pub(crate) fn finish(mut self) -> Parcel {
        self.end_heads();
        let mut heads = self.heads.freeze();
        let pieces: Arc<[Bytes]> = self
            .parts
            .into_iter()
            .map(|part| match part {
                Part::Heads(bytes) => heads.split_to(bytes),
                Part::Payload(bytes) => bytes,
            })
            .collect();
        Parcel { left_bytes: pieces.iter().map(Bytes::len).sum(), pieces, piece: 0, sent_bytes: 0 }
    }

    /// Makes a part of the bytes that were added to `heads` after the last part.
    fn end_heads(&mut self) {
        let bytes = self.heads.len() - self.parted_bytes;
        if bytes > 0 {
            self.parts.push(Part::Heads(bytes));
            self.parted_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, write_chunks};

    fn flat(parcel: &Parcel) -> Vec<u8> {
        parcel.slices().flatten().copied().collect()
    }

    #[test]
    fn the_same_bytes_as_in_one_piece() {
        for payload_bytes in [0, 1, 123, 1_024, 1_025, 4_090, 4_091, 4_092, 10_000] {
            for (tag, timestamp_ms, header) in [
                (&b""[..], 5, Header::Full),
                (b"tag12", 0xFF_FFFF, Header::Full),
                (b"tag12", 40, Header::Delta { previous_timestamp_ms: 0 }),
            ] {
                let payload: Bytes = (0..payload_bytes).map(|n| n as u8).collect::<Vec<_>>().into();
                let body = Bytes::from([tag, &payload].concat());
                let mut writer = ParcelWriter::new(4_096);
                let mut expected = BytesMut::new();
                for _ in 0..2 {
                    let length = body.len();
                    let message = MessageHeader { type_id: 9, stream_id: 1, timestamp_ms, length };
                    writer.message(6, header, &message, tag, &payload);
                    let message = Message { type_id: 9, stream_id: 1, timestamp_ms, payload: body.clone() };
                    write_chunks(&mut expected, 6, header, &message, 4_096);
                }
                let parcel = writer.finish();
                assert_eq!(flat(&parcel), expected, "{payload_bytes} {tag:?}");
                assert_eq!(parcel.left_bytes(), expected.len());
            }
        }
    }

    #[test]
    fn a_large_payload_is_shared_and_a_small_one_is_not_a_piece_of_its_own() {
        let message = |length| MessageHeader { type_id: 9, stream_id: 1, timestamp_ms: 0, length };
        let large = Bytes::from(vec![7; 10_000]);
        let mut writer = ParcelWriter::new(65_536);
        writer.message(4, Header::Full, &message(100), b"", &large.slice(..100));
        writer.message(6, Header::Full, &message(10_000), b"", &large);
        let parcel = writer.finish();
        assert_eq!(parcel.pieces.len(), 2);
        assert_eq!(parcel.pieces[1].as_ptr(), large.as_ptr());
    }

    #[test]
    fn advancing_by_any_step_gives_every_byte_once() {
        let pieces: Arc<[Bytes]> = [&b"ab"[..], b"", b"c", b"defg"].map(Bytes::from_static).into();
        for step in 1..=8 {
            let mut parcel = Parcel { left_bytes: 7, pieces: Arc::clone(&pieces), piece: 0, sent_bytes: 0 };
            let mut seen = Vec::new();
            while !parcel.is_empty() {
                let now = step.min(parcel.left_bytes());
                seen.extend(flat(&parcel).into_iter().take(now));
                parcel.advance(step);
            }
            assert_eq!((&*seen, flat(&parcel)), (&b"abcdefg"[..], vec![]), "{step}");
        }
    }

    #[test]
    fn a_queue_knows_when_its_front_is_half_sent() {
        for (bytes, left, half_sent) in
            [(0, 6, false), (1, 5, true), (3, 3, false), (4, 2, false), (5, 1, true), (6, 0, false)]
        {
            let texts = ["abc", "d", "ef"];
            let mut parcels = VecDeque::from(texts.map(|text| Parcel::from(Bytes::from_static(text.as_bytes()))));
            advance(&mut parcels, bytes);
            assert_eq!(parcels.front().is_some_and(Parcel::is_begun), half_sent, "{bytes}");
            assert_eq!(parcels.iter().map(Parcel::left_bytes).sum::<usize>(), left, "{bytes}");
        }
    }
}

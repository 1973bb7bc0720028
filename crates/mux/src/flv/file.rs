//! FLV files: the header and the tags around the bodies, read and written without I/O.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::FlvError;

/// The longest tag that is taken. The format could say 16 MiB.
pub const TAG_BYTES_MAX: usize = 12 * 1024 * 1024;

const FILE_HEADER_BYTES: usize = 9;
/// The most bytes of a file header. One could announce more than its nine bytes, but nobody's does.
const FILE_HEADER_BYTES_MAX: usize = 1024;
const TAG_HEADER_BYTES: usize = 11;
const TAG_TRAILER_BYTES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlvTagKind {
    Audio,
    Video,
    Script,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlvTag {
    pub kind: FlvTagKind,
    pub timestamp_ms: u32,
    pub body: Bytes,
}

/// Takes a file's bytes in pieces of any size and returns its tags. It holds at most one tag and one piece.
#[derive(Debug, Default)]
pub struct FlvReader {
    buffer: BytesMut,
    past_header: bool,
}

impl FlvReader {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a piece of the file. Take all tags with [`Self::next_tag`] before feeding again, so that no more than one unfinished tag is
    /// kept.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole tag. `None` means that more bytes are needed. Tags of unknown kinds are left out.
    pub fn next_tag(&mut self) -> Result<Option<FlvTag>, FlvError> {
        if !self.past_header && !self.skip_header()? {
            return Ok(None);
        }
        loop {
            let Some(header) = self.buffer.first_chunk::<TAG_HEADER_BYTES>().copied() else { return Ok(None) };
            let [kind, a, b, c, t0, t1, t2, t3, ..] = header;
            let bytes = u32::from_be_bytes([0, a, b, c]) as usize;
            if bytes > TAG_BYTES_MAX {
                return Err(FlvError::TooLong { bytes, max: TAG_BYTES_MAX });
            }
            if self.buffer.len() < TAG_HEADER_BYTES + bytes + TAG_TRAILER_BYTES {
                return Ok(None);
            }
            self.buffer.advance(TAG_HEADER_BYTES);
            let body = self.buffer.split_to(bytes).freeze();
            self.buffer.advance(TAG_TRAILER_BYTES);
            let kind = match kind & 0x1F {
                8 => FlvTagKind::Audio,
                9 => FlvTagKind::Video,
                18 => FlvTagKind::Script,
                _ => continue,
            };
            // The fourth byte of the time is its highest.
            return Ok(Some(FlvTag { kind, timestamp_ms: u32::from_be_bytes([t3, t0, t1, t2]), body }));
        }
    }

    fn skip_header(&mut self) -> Result<bool, FlvError> {
        let Some(header) = self.buffer.first_chunk::<FILE_HEADER_BYTES>().copied() else { return Ok(false) };
        let [b'F', b'L', b'V', _, _, length @ ..] = header else {
            return Err(FlvError::Invalid { what: "the signature of an FLV file" });
        };
        let length = u32::from_be_bytes(length) as usize;
        if !(FILE_HEADER_BYTES..=FILE_HEADER_BYTES_MAX).contains(&length) {
            return Err(FlvError::Invalid { what: "the header length of an FLV file" });
        }
        if self.buffer.len() < length + TAG_TRAILER_BYTES {
            return Ok(false);
        }
        self.buffer.advance(length + TAG_TRAILER_BYTES);
        self.past_header = true;
        Ok(true)
    }
}

/// Writes a file: its header first, then tags.
#[derive(Debug, Default)]
pub struct FlvWriter {
    past_header: bool,
}

impl FlvWriter {
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a tag, and the file's header before the first one.
    pub fn write(&mut self, out: &mut BytesMut, tag: &FlvTag) -> Result<(), FlvError> {
        if tag.body.len() > TAG_BYTES_MAX {
            return Err(FlvError::TooLong { bytes: tag.body.len(), max: TAG_BYTES_MAX });
        }
        if !self.past_header {
            // The flags 5 say that audio and video may come.
            out.put_slice(&[b'F', b'L', b'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0]);
            self.past_header = true;
        }
        let bytes = tag.body.len() as u64;
        let [t3, t0, t1, t2] = tag.timestamp_ms.to_be_bytes();
        out.put_u8(match tag.kind {
            FlvTagKind::Audio => 8,
            FlvTagKind::Video => 9,
            FlvTagKind::Script => 18,
        });
        out.put_uint(bytes, 3);
        out.put_slice(&[t0, t1, t2, t3, 0, 0, 0]);
        out.put_slice(&tag.body);
        out.put_uint(bytes + TAG_HEADER_BYTES as u64, 4);
        Ok(())
    }
}

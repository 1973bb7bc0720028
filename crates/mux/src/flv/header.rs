//! A tag body's header: the few bytes before the payload. They are apart so that the payload itself need not be copied.

use std::ops::Deref;

/// The longest header is that of Enhanced video with a composition time: flags, FourCC, 24 bits.
const HEADER_BYTES_MAX: usize = 8;

/// A header of up to eight bytes, without allocation. It dereferences to its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl TagHeader {
    pub(super) fn new(parts: &[&[u8]]) -> Self {
        let mut header = Self { bytes: [0; HEADER_BYTES_MAX], len: 0 };
        for &byte in parts.iter().copied().flatten().take(HEADER_BYTES_MAX) {
            header.bytes[header.len] = byte;
            header.len += 1;
        }
        header
    }
}

impl Deref for TagHeader {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

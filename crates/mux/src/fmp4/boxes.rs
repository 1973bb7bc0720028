//! What all ISO boxes share: a size that is known only when the body has been written.

use bytes::{BufMut, BytesMut};

/// Writes a box around what `body` writes.
pub(super) fn put_box(out: &mut BytesMut, kind: &[u8; 4], body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    body(out);
    let size = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// A box with version and flags.
pub(super) fn put_full_box(
    out: &mut BytesMut,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut BytesMut),
) {
    put_box(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags & 0x00FF_FFFF);
        body(out);
    });
}

/// An MPEG-4 descriptor (ISO 14496-1, 8.3.3): a tag, and a length of seven bits a byte, most significant first.
pub(super) fn put_descriptor(out: &mut BytesMut, tag: u8, body: &[u8]) {
    out.put_u8(tag);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    // The length always takes four bytes, as every other writer does it: some readers know nothing else.
    for shift in [21, 14, 7] {
        out.put_u8(0x80 | (length >> shift & 0x7F) as u8);
    }
    out.put_u8((length & 0x7F) as u8);
    out.put_slice(body);
}

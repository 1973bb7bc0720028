//! Marks each video frame with its number and the time at which it was sent, in an SEI that every server passes on untouched.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use weir_mux::flv::file::FlvTag;
use weir_testkit::destination::is_video_frame;

/// The type "user data unregistered" names its owner by a UUID. This is ours, drawn once.
const UUID: [u8; 16] = *b"\x8d\x1f\x5a\xc3\x6b\x2e\x4f\x90\xa7\x3c\xe4\x51\x9b\x70\xd2\x68";
/// The number and the time have 16 hexadecimal digits each. Digits can't look like a start code, so nothing needs escaping.
const TEXT_BYTES: usize = 32;
const SEI_PAYLOAD_BYTES: usize = UUID.len() + TEXT_BYTES;
/// The header: NAL type 6 (SEI), payload type 5 (user data unregistered), and the payload's size.
const SEI_HEADER: [u8; 3] = [6, 5, SEI_PAYLOAD_BYTES as u8];
/// The header, the payload, and the stop bit in a byte of its own.
const NAL_BYTES: usize = SEI_HEADER.len() + SEI_PAYLOAD_BYTES + 1;
/// An FLV video body begins with five bytes of its own; then NAL units follow, each behind four bytes of length.
const FLV_HEADER_BYTES: usize = 5;
const UUID_AT: usize = FLV_HEADER_BYTES + 4 + SEI_HEADER.len();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub number: u64,
    pub sent_at_ns: u64,
}

/// The time by the wall clock, which all processes of one machine share.
pub(crate) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// The tag with its stamp in front of the picture. Tags without a picture stay as they are.
pub(crate) fn stamped(tag: &FlvTag, number: u64) -> FlvTag {
    if !is_video_frame(tag) {
        return tag.clone();
    }
    let (header, nal_units) = tag.body.split_at(FLV_HEADER_BYTES);
    let mut body = BytesMut::with_capacity(tag.body.len() + 4 + NAL_BYTES);
    body.put_slice(header);
    body.put_u32(NAL_BYTES as u32);
    body.put_slice(&SEI_HEADER);
    body.put_slice(&UUID);
    body.put_slice(format!("{number:016x}{:016x}", now_ns()).as_bytes());
    body.put_u8(0x80);
    body.put_slice(nal_units);
    FlvTag { body: body.freeze(), ..tag.clone() }
}

/// The stamp of a video message's body.
pub(crate) fn read(body: &Bytes) -> Option<Stamp> {
    let rest = body.get(UUID_AT..)?.strip_prefix(&UUID)?;
    let hexadecimal = |range| u64::from_str_radix(std::str::from_utf8(rest.get(range)?).ok()?, 16).ok();
    Some(Stamp { number: hexadecimal(0..16)?, sent_at_ns: hexadecimal(16..32)? })
}

#[cfg(test)]
mod tests {
    use weir_mux::flv::file::FlvTagKind;

    use super::*;

    #[test]
    fn a_stamp_is_read_back_and_leaves_the_picture_alone() {
        let body = Bytes::from_static(&[0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0x88]);
        let tag = FlvTag { kind: FlvTagKind::Video, timestamp_ms: 7, body: body.clone() };
        let stamped = stamped(&tag, 1234);
        assert_eq!(read(&stamped.body).unwrap().number, 1234);
        assert!(now_ns() - read(&stamped.body).unwrap().sent_at_ns < 1_000_000_000);
        assert!(stamped.body.ends_with(&body[FLV_HEADER_BYTES..]));
        assert_eq!(read(&body), None);
    }
}

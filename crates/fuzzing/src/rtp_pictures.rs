//! RTP payloads into pictures: no panic, a bound on what is held, and only whole units come out.

use weir_media::codec::nal;
use weir_media::{Codec, TrackId};
use weir_mux::rtp::{PICTURE_BYTES_MAX, PictureEvent, PictureUnpacker, RtpPayload};

use crate::random::Random;

/// The first byte picks the codec. Each packet is a byte of marks (1: the last of its picture, 2: a new time, 4: a loss before it), one of its length, and its payload.
pub fn fuzz_rtp_pictures(data: &[u8]) {
    let Some((&codec, data)) = data.split_first() else { return };
    let codec = PictureUnpacker::CODECS[usize::from(codec) % PictureUnpacker::CODECS.len()];
    let mut unpacker = PictureUnpacker::new(TrackId(0), codec);
    let (mut rest, mut ticks, mut bytes_in, mut bytes_out) = (data, 0, 0, 0);
    while let Some((&[marks, length], behind)) = rest.split_first_chunk() {
        let (payload, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        // A unit of one byte becomes five.
        bytes_in += 5 * payload.len();
        ticks += i64::from(marks >> 1 & 1);
        let mut check = |event| bytes_out += checked(codec, &event);
        if marks & 4 != 0 {
            unpacker.lost(&mut check);
            assert!(unpacker.awaits_keyframe(), "a picture with a hole would come out");
        }
        unpacker.packet(RtpPayload { ticks, marker: marks & 1 != 0, bytes: payload }, check);
    }
    assert!(bytes_out <= bytes_in, "more bytes out than in");
}

fn checked(codec: Codec, event: &PictureEvent) -> usize {
    let PictureEvent::Picture { payload, .. } = event else { return 0 };
    assert!(!payload.is_empty() && payload.len() <= PICTURE_BYTES_MAX, "a picture of {} bytes", payload.len());
    let has_units = matches!(codec, Codec::H264 | Codec::H265);
    assert!(!has_units || nal::length_prefixed(payload, 4).all(|unit| unit.is_ok()), "a unit is cut short");
    payload.len()
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const SETS: &[u8] = &[
        0x78, 0, 25, 0x67, 0x42, 0xC0, 0x1E, 0xD9, 0x00, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0, 0, 3, 0, 1, 0, 0, 3, 0, 0x32,
        0x0F, 0x16, 0x2E, 0x48, 0, 5, 0x68, 0xCB, 0x83, 0xCB, 0x20,
    ];
    const PACKETS: [&[u8]; 19] = [
        SETS,
        &[0x65, 0x88, 1, 2],
        &[0x41, 0x9A, 3],
        &[0x7C, 0x85, 0x88, 1],
        &[0x7C, 0x05, 2],
        &[0x7C, 0x45, 3],
        &[0x7C, 0xC1, 0x9A],
        &[0x78, 0, 2, 9, 0xF0],
        &[25, 0, 0],
        // H.265: sets, a unit in two pieces, and a whole one.
        &[0x60, 0x01, 0, 6, 0x44, 0x01, 0xC0, 0x73, 0xC1, 0x89],
        &[0x62, 0x01, 0x93, 0xAF, 1],
        &[0x62, 0x01, 0x53, 2],
        // VP8, VP9 and AV1: keyframes and others.
        &[0x10, 0x10, 0xAE, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01, 0x00, 0x87],
        &[0x90, 0x80, 0x11, 0x11, 0x20, 0x00, 0x0F],
        &[0x0A, 0x30, 1, 64, 0, 180, 2, 128, 1, 104, 0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xF0, 0x16, 0x76, 0x04],
        &[0xA8, 0x91, 0x22, 0, 5, 0x86, 0x00, 0x40, 0x92],
        &[0x68, 0x0C, 0x08, 0x00, 0x00, 0x00, 0x0C, 0xC4, 0xFF, 0x67, 0x36, 0xBE, 0x40, 0x10, 0x30, 0x10, 1],
        &[0x90, 2, 3],
        &[0x10, 0x30, 0x30, 5],
    ];
    let mut out = vec![random.below(5) as u8];
    for _ in 0..1 + random.length(24) {
        let packet = random.pick(&PACKETS);
        let more = if random.one_in(4) { random.length(20) } else { 0 };
        let packet = [packet, &random.bytes(more)].concat();
        let marks = if random.one_in(3) { random.below(8) as u8 } else { 2 };
        out.extend_from_slice(&[marks, u8::try_from(packet.len()).unwrap_or(u8::MAX)]);
        out.extend_from_slice(&packet);
    }
    out
}

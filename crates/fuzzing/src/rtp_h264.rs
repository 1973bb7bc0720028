//! RTP payloads of H.264 into pictures: no panic, a bound on what is held, and only whole units come out.

use weir_media::TrackId;
use weir_media::codec::nal;
use weir_mux::rtp::h264::{H264Event, H264Unpacker, PICTURE_BYTES_MAX, RtpPayload};

use crate::random::Random;

/// Each packet is a byte of marks (1: the last of its picture, 2: a new time, 4: a loss before it), one of its length, and its payload.
pub fn fuzz_rtp_h264(data: &[u8]) {
    let mut unpacker = H264Unpacker::new(TrackId(0));
    let (mut rest, mut ticks, mut bytes_in, mut bytes_out) = (data, 0, 0, 0);
    while let Some((&[marks, length], behind)) = rest.split_first_chunk() {
        let (payload, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        // A unit of one byte becomes five.
        bytes_in += 5 * payload.len();
        ticks += i64::from(marks >> 1 & 1);
        let mut check = |event| bytes_out += checked(&event);
        if marks & 4 != 0 {
            unpacker.lost(&mut check);
            assert!(unpacker.awaits_keyframe(), "a picture with a hole would come out");
        }
        unpacker.packet(RtpPayload { ticks, marker: marks & 1 != 0, bytes: payload }, check);
    }
    assert!(bytes_out <= bytes_in, "more bytes out than in");
}

fn checked(event: &H264Event) -> usize {
    let H264Event::Picture { payload, .. } = event else { return 0 };
    assert!(!payload.is_empty() && payload.len() <= PICTURE_BYTES_MAX, "a picture of {} bytes", payload.len());
    assert!(nal::length_prefixed(payload, 4).all(|unit| unit.is_ok()), "a unit is cut short");
    payload.len()
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const SETS: &[u8] = &[
        0x78, 0, 25, 0x67, 0x42, 0xC0, 0x1E, 0xD9, 0x00, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0, 0, 3, 0, 1, 0, 0, 3, 0, 0x32,
        0x0F, 0x16, 0x2E, 0x48, 0, 5, 0x68, 0xCB, 0x83, 0xCB, 0x20,
    ];
    const PACKETS: [&[u8]; 9] = [
        SETS,
        &[0x65, 0x88, 1, 2],
        &[0x41, 0x9A, 3],
        &[0x7C, 0x85, 0x88, 1],
        &[0x7C, 0x05, 2],
        &[0x7C, 0x45, 3],
        &[0x7C, 0xC1, 0x9A],
        &[0x78, 0, 2, 9, 0xF0],
        &[25, 0, 0],
    ];
    let mut out = Vec::new();
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

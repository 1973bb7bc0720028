//! A publisher's packets into frames, whatever their order, numbers and times: nothing panics, and frames hold something.

use std::time::Duration;

use weir_media::TrackId;
use weir_mux::rtp::PictureUnpacker;
use weir_webrtc::trial::{TrialPacket, frames};

use crate::random::Random;

/// The first byte picks the codec of the pictures, and how many layers they have. Each packet is a byte of marks, one of how much later it comes (in 8 ms), two of its number, two of its time, one of its length, and
/// its payload. Marks are 1: sound, 2: the last of its picture, 4: of another source, 8: with a report, 16: a leap of number and time.
pub fn fuzz_webrtc_packets(data: &[u8]) {
    let Some((&choice, mut rest)) = data.split_first() else { return };
    let (codec, layers) = (PictureUnpacker::CODECS[usize::from(choice & 0xF) % 5], usize::from(choice >> 4) % 4);
    let packets = std::iter::from_fn(|| {
        let (&[marks, later, high, low, first, second, length], behind) = rest.split_first_chunk()?;
        let (bytes, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        let is = |mark: u8| marks & mark != 0;
        let (number, stamp) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([first, second]));
        Some(TrialPacket {
            is_video: !is(1),
            source: if is(4) { 2 } else { 1 },
            number: if is(16) { u64::from(number) << 40 } else { number.into() },
            stamp: if is(16) { u32::from(stamp) << 16 } else { stamp.into() },
            marker: is(2),
            after: Duration::from_millis(u64::from(later) * 8),
            reported_ms: is(8).then_some(u64::from(stamp) << (number % 40)),
            bytes,
        })
    });
    let (frames, asked) = frames((codec, layers), packets);
    assert!(asked <= data.len() / 7, "a keyframe is asked for without a packet");
    for frame in frames {
        assert!(!frame.payload.is_empty(), "a frame of nothing");
        assert!(frame.track == TrackId::SOURCE_VIDEO || frame.keyframe, "sound that can't be begun at");
    }
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const PAYLOADS: [&[u8]; 14] = [
        &[
            0x78, 0, 25, 0x67, 0x42, 0xC0, 0x1E, 0xD9, 0x00, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0, 0, 3, 0, 1, 0, 0, 3, 0,
            0x32, 0x0F, 0x16, 0x2E, 0x48, 0, 5, 0x68, 0xCB, 0x83, 0xCB, 0x20,
        ],
        &[0x65, 0x88, 1],
        &[0x41, 0x9A, 2],
        &[0x7C, 0x85, 0x88],
        &[0x7C, 0x45, 1],
        // VP8: a keyframe, and another picture.
        &[0x10, 0x10, 0xAE, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01, 0x00, 0x87],
        &[0x90, 0x80, 0x11, 0x11, 0x20, 0x00, 0x0F],
        // VP9: the same, the keyframe with two layers.
        &[0x0A, 0x30, 1, 64, 0, 180, 2, 128, 1, 104, 0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xF0, 0x16, 0x76, 0x04],
        &[0x08, 0x86, 0x00, 0x40, 0x92],
        // AV1: the same, and a unit in pieces.
        &[0x28, 0x0C, 0x08, 0x00, 0x00, 0x00, 0x0C, 0xC4, 0xFF, 0x67, 0x36, 0xBE, 0x40, 0x10, 0x30, 0x10, 1, 2, 3],
        &[0x10, 0x30, 0x30, 5],
        &[0x50, 0x30, 0x30, 5],
        &[0x90, 0x30, 0x30, 5],
        &[],
    ];
    let (mut out, mut number, mut stamp) = (vec![random.below(64) as u8], random.below(1_000) as u16, 0_u16);
    for _ in 0..1 + random.length(40) {
        let payload = random.pick(&PAYLOADS);
        let marks = if random.one_in(3) { random.below(32) as u8 } else { 2 };
        number = number.wrapping_add(if random.one_in(6) { random.below(6) as u16 } else { 1 });
        stamp = stamp.wrapping_add(if random.one_in(3) { 0 } else { 3_000 });
        out.extend_from_slice(&[marks, random.below(40) as u8]);
        out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(&stamp.to_be_bytes());
        out.push(payload.len() as u8);
        out.extend_from_slice(payload);
    }
    out
}

//! What broadcast sends, made up: frames of AC-3, E-AC-3 and MPEG audio, and MPEG-2 pictures, with right headers and wrong ones.

use crate::random::Random;

/// One frame of whichever codec: what is behind its header is noise, and a third are cut short or too long.
pub(crate) fn frame(random: &mut Random) -> Vec<u8> {
    let (mut frame, bytes) = match random.below(5) {
        0 => ac3(random),
        1 => eac3(random),
        2 => mpeg_audio(random),
        _ => return mpeg2(random),
    };
    let length = if random.one_in(3) { random.length(bytes.max(1) * 2) } else { bytes };
    while frame.len() < length {
        let noise = random.bytes(length - frame.len());
        frame.extend(noise);
    }
    frame
}

/// The header of a frame, and how long it says that it is.
fn ac3(random: &mut Random) -> (Vec<u8>, usize) {
    // 48 kHz, the smallest rates: 64 words each.
    let code = random.pick(&[0_u8, 0, 1, 2, 37, 63]);
    let mode = random.below(8) as u8;
    (vec![0x0B, 0x77, 0, 0, code, 8 << 3, mode << 5 | random.below(32) as u8, 0xE1], 128)
}

fn eac3(random: &mut Random) -> (Vec<u8>, usize) {
    let words = 16 + random.below(64) as u16;
    let [high, low] = (words - 1).to_be_bytes();
    let (kind, substream) = (random.below(4) as u8, random.below(3) as u8);
    let frame =
        vec![0x0B, 0x77, kind << 6 | substream << 3 | high & 7, low, random.pick(&[0x34, 0x3F, 0x04, 0xF4]), 0x80];
    (frame, usize::from(words) * 2)
}

fn mpeg_audio(random: &mut Random) -> (Vec<u8>, usize) {
    // Layers I to III of both versions; 48 kHz at 32 kbps is 96 bytes.
    let version = random.pick(&[0xFF_u8, 0xFD, 0xFB, 0xF5, 0xF3]);
    (vec![0xFF, version, random.pick(&[0x14, 0x18, 0xA4, 0x0F]), random.below(256) as u8], 96)
}

/// A sequence header, its extension, a group and some pictures of slices.
fn mpeg2(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..1 + random.below(6) {
        let part: &[u8] = random.pick(&[
            // 720x576, 25 pictures a second.
            &[0, 0, 1, 0xB3, 0x2D, 0x02, 0x40, 0x33, 0x24, 0x9F, 0x23, 0x81][..],
            &[0, 0, 1, 0xB5, 0x14, 0x82, 0, 1, 0, 0],
            &[0, 0, 1, 0xB8, 0, 8, 0, 0x40],
            &[0, 0, 1, 0, 0, 0x0F, 0xFF, 0xF8],
            // A picture of frames, and one of fields.
            &[0, 0, 1, 0xB5, 0x8F, 0xFF, 0xF3, 0x41, 0x80],
            &[0, 0, 1, 0xB5, 0x8F, 0xFF, 0xF1, 0x41, 0x80],
            &[0, 0, 1, 1, 0x13, 0xF8],
            &[0, 0, 1, 0xB7],
        ]);
        out.extend_from_slice(part);
        let length = random.length(24);
        out.extend(random.bytes(length));
    }
    out
}

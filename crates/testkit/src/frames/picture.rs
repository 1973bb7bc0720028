//! A tiny H.264 encoder: grey keyframes, and P-frames that paint one macroblock each and skip all others.
//!
//! The stream is Constrained Baseline with CAVLC and without deblocking. Painted macroblocks are I_PCM, so that no transform is needed;
//! the grey ones are Intra16x16 with DC prediction and no coefficients. Each frame carries its number in an SEI message.

use std::iter::once;

use bytes::{Bytes, BytesMut};
use weir_media::codec::h264::unit_type;
use weir_media::codec::nal;

use super::bit_writer::BitWriter;

const NAL_REF: u8 = 0x60;
const FRAME_NUM_BITS: u32 = 8;
const SEI_USER_DATA_UNREGISTERED: u8 = 5;
/// The UUID contains no zero byte, so it passes emulation prevention unchanged, and a plain search finds it.
const NUMBER_UUID: [u8; 16] = *b"weir frame no. :";
/// The number follows in hexadecimal digits, for the same reason.
const NUMBER_DIGITS: usize = 16;

#[derive(Debug)]
pub(super) struct PictureEncoder {
    width: u32,
    height: u32,
    fps: (u32, u32),
    /// The frames since the last keyframe.
    since_keyframe: u32,
    keyframes: u32,
}

impl PictureEncoder {
    pub(super) fn new(width: u32, height: u32, fps: (u32, u32)) -> Self {
        assert!(width.is_multiple_of(2) && height.is_multiple_of(2), "4:2:0 needs even sizes");
        assert!((16..=4096).contains(&width) && (16..=4096).contains(&height));
        Self { width, height, fps, since_keyframe: 0, keyframes: 0 }
    }

    fn macroblocks(&self) -> (u32, u32) {
        (self.width.div_ceil(16), self.height.div_ceil(16))
    }

    pub(super) fn sps(&self) -> Bytes {
        let (columns, rows) = self.macroblocks();
        let mut bits = BitWriter::default();
        // Constrained Baseline; level 5.2 fits every size and rate that tests use.
        bits.bits(8, 66);
        bits.bits(8, 0xC0);
        bits.bits(8, 52);
        bits.unsigned(0);
        bits.unsigned(FRAME_NUM_BITS - 4);
        // The output order is the decode order.
        bits.unsigned(2);
        bits.unsigned(1);
        bits.bits(1, 0);
        bits.unsigned(columns - 1);
        bits.unsigned(rows - 1);
        // Frames only, and direct_8x8_inference.
        bits.bits(2, 0b11);
        let (right, bottom) = ((columns * 16 - self.width) / 2, (rows * 16 - self.height) / 2);
        bits.bits(1, u32::from(right + bottom > 0));
        if right + bottom > 0 {
            [0, right, 0, bottom].into_iter().for_each(|offset| bits.unsigned(offset));
        }
        // The VUI states only the timing (two ticks a frame, fixed), and that nothing is reordered.
        bits.bits(1, 1);
        bits.bits(4, 0);
        bits.bits(1, 1);
        bits.bits(32, self.fps.1);
        bits.bits(32, self.fps.0 * 2);
        bits.bits(1, 1);
        bits.bits(3, 0);
        bits.bits(1, 1);
        bits.bits(1, 1);
        [0, 0, 10, 10, 0, 1].into_iter().for_each(|value| bits.unsigned(value));
        unit(NAL_REF | unit_type::SPS, &bits.finish_rbsp())
    }

    pub(super) fn pps(&self) -> Bytes {
        let mut bits = BitWriter::default();
        bits.unsigned(0);
        bits.unsigned(0);
        // CAVLC, no bottom field order; one slice group; one reference picture.
        bits.bits(2, 0);
        [0, 0, 0].into_iter().for_each(|value| bits.unsigned(value));
        // No weighting; quantiser offsets 0.
        bits.bits(3, 0);
        [0, 0, 0].into_iter().for_each(|value| bits.unsigned(value));
        // deblocking_filter_control_present.
        bits.bits(3, 0b100);
        unit(NAL_REF | unit_type::PPS, &bits.finish_rbsp())
    }

    /// Makes an access unit with 4-byte lengths, padded to `bytes` where it is smaller.
    pub(super) fn encode(&mut self, number: u64, keyframe: bool, bytes: usize) -> Bytes {
        let slice = if keyframe {
            self.since_keyframe = 0;
            self.keyframes += 1;
            self.keyframe()
        } else {
            self.since_keyframe += 1;
            self.paint(number)
        };
        let mut out = BytesMut::with_capacity(bytes.max(1024));
        nal::put_unit(&mut out, &number_sei(number));
        nal::put_unit(&mut out, &slice);
        // A filler unit needs a length, a NAL header and the final bit.
        const FILLER_BYTES_MIN: usize = 4 + 1 + 1;
        if let Some(missing) = bytes.checked_sub(out.len() + FILLER_BYTES_MIN) {
            let filler: Vec<u8> =
                once(unit_type::FILLER).chain(std::iter::repeat_n(0xFF, missing)).chain(once(0x80)).collect();
            nal::put_unit(&mut out, &filler);
        }
        out.freeze()
    }

    fn keyframe(&self) -> Bytes {
        let (columns, rows) = self.macroblocks();
        let mut bits = BitWriter::default();
        // first_mb, all I, PPS 0, frame_num 0, idr_pic_id (neighbours differ).
        bits.unsigned(0);
        bits.unsigned(7);
        bits.unsigned(0);
        bits.bits(FRAME_NUM_BITS, 0);
        bits.unsigned(self.keyframes % 2);
        // Keep earlier output, no long-term reference; quantiser offset 0; no deblocking.
        bits.bits(2, 0);
        bits.unsigned(0);
        bits.unsigned(1);
        for _ in 0..columns * rows {
            // I_16x16_2_0_0, chroma DC prediction, quantiser offset 0, no DC coefficient (coeff_token "1").
            bits.unsigned(3);
            bits.unsigned(0);
            bits.unsigned(0);
            bits.bits(1, 1);
        }
        unit(NAL_REF | unit_type::IDR, &bits.finish_rbsp())
    }

    fn paint(&self, number: u64) -> Bytes {
        let (columns, rows) = self.macroblocks();
        let painted = (self.since_keyframe - 1) % (columns * rows);
        let mut bits = BitWriter::default();
        // first_mb, all P, PPS 0.
        bits.unsigned(0);
        bits.unsigned(5);
        bits.unsigned(0);
        bits.bits(FRAME_NUM_BITS, self.since_keyframe % (1 << FRAME_NUM_BITS));
        // The default references, kept in a sliding window; quantiser offset 0; no deblocking.
        bits.bits(3, 0);
        bits.unsigned(0);
        bits.unsigned(1);
        bits.unsigned(painted);
        // 25 is I_PCM, after the five P types.
        bits.unsigned(5 + 25);
        bits.align();
        let luma = 32 + (number * 7 % 192) as u8;
        bits.bytes(&[luma; 256]);
        bits.bytes(&[64 + (number * 11 % 128) as u8; 64]);
        bits.bytes(&[64 + (number * 13 % 128) as u8; 64]);
        let skipped = columns * rows - painted - 1;
        if skipped > 0 {
            bits.unsigned(skipped);
        }
        unit(NAL_REF | unit_type::SLICE, &bits.finish_rbsp())
    }
}

fn number_sei(number: u64) -> Bytes {
    let digits = format!("{number:0NUMBER_DIGITS$x}");
    let size = (NUMBER_UUID.len() + NUMBER_DIGITS) as u8;
    let rbsp = [&[SEI_USER_DATA_UNREGISTERED, size][..], &NUMBER_UUID, digits.as_bytes(), &[0x80]].concat();
    unit(unit_type::SEI, &rbsp)
}

/// The number that a synthetic frame carries; `None` for any other payload. The payload may have length prefixes or be Annex B.
pub fn frame_number(payload: &[u8]) -> Option<u64> {
    let at = payload.windows(NUMBER_UUID.len()).position(|window| window == NUMBER_UUID)? + NUMBER_UUID.len();
    let digits = payload.get(at..at + NUMBER_DIGITS)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Makes a NAL unit: the header, then the RBSP with emulation prevention.
fn unit(header: u8, rbsp: &[u8]) -> Bytes {
    let mut out = vec![header];
    let mut zeros = 0;
    for &byte in rbsp {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out.into()
}

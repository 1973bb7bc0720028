//! Makes one frame of AAC-LC silence.

use bytes::Bytes;

use super::bit_writer::BitWriter;

const SINGLE_CHANNEL_ELEMENT: u32 = 0;
const CHANNEL_PAIR_ELEMENT: u32 = 1;
const END: u32 = 7;

/// A raw_data_block (ISO/IEC 14496-3, 4.4.2.1) whose channels have no scale factor band at all.
pub(super) fn frame(channels: u8) -> Bytes {
    let mut bits = BitWriter::default();
    match channels {
        1 => {
            bits.bits(3, SINGLE_CHANNEL_ELEMENT);
            bits.bits(4, 0);
            bits.bits(8, GLOBAL_GAIN);
            window(&mut bits);
            channel_tail(&mut bits);
        }
        2 => {
            bits.bits(3, CHANNEL_PAIR_ELEMENT);
            bits.bits(4, 0);
            // common_window, and no mid/side.
            bits.bits(1, 1);
            window(&mut bits);
            bits.bits(2, 0);
            for _ in 0..2 {
                bits.bits(8, GLOBAL_GAIN);
                channel_tail(&mut bits);
            }
        }
        other => panic!("no silence for {other} channels"),
    }
    bits.bits(3, END);
    bits.finish().into()
}

const GLOBAL_GAIN: u32 = 100;

/// ics_info: a long window, max_sfb 0, no prediction.
fn window(bits: &mut BitWriter) {
    bits.bits(1 + 2 + 1 + 6 + 1, 0);
}

/// No pulses, no temporal noise shaping, no gain control.
fn channel_tail(bits: &mut BitWriter) {
    bits.bits(3, 0);
}

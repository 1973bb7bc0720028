//! Reads splice information sections of MPEG-TS.

use weir_mux::ts::{SEGMENTATIONS_MAX, Splice};

use crate::Random;

/// Reads any bytes as a section whose CRC was right.
pub fn fuzz_scte35(data: &[u8]) {
    let Some(splice) = Splice::parse(data) else { return };
    assert!(splice.pts_ticks.is_none_or(|ticks| ticks < 1 << 33), "a time of more than 33 bits");
    assert!(splice.segmentations.len() <= SEGMENTATIONS_MAX, "more segmentations than are kept");
    assert!(splice.segmentations.iter().all(|found| !(found.is_out() && found.is_in())), "out and in at once");
    // The bytes behind the section must not matter.
    let longer = [data, &[0xFF; 9]].concat();
    assert!(Splice::parse(&longer).as_ref() == Some(&splice), "stuffing makes it another");
}

/// Makes a section of the right shape: a command, descriptors, and the rest left to chance.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut number = || random.number() as u8;
    let time = [0xFE | number() & 1, number(), number(), number(), number()];
    let (kind, command) = match number() % 3 {
        0 => (5, [&[0, 0, 0, number(), 0x7F, number()][..], &time, &time, &[0, 1, 0, 0]].concat()),
        1 => (6, time.to_vec()),
        _ => (0, Vec::new()),
    };
    let mut descriptor = b"CUEI".to_vec();
    descriptor.extend([0, 0, 0, number(), 0x7F, number(), 0, 1, 2, 3, 4, 8, 0, number(), 0, 0]);
    let mut body =
        vec![0, number() & 0x81, number(), number(), number(), number(), 0, 0xFF, 0xF0, command.len() as u8, kind];
    body.extend(command);
    body.extend([0, descriptor.len() as u8 + 2, 2, descriptor.len() as u8]);
    body.extend(descriptor);
    body.extend([0; 4]);
    let mut section = vec![0xFC, 0x30, body.len() as u8];
    section.extend(body);
    section
}

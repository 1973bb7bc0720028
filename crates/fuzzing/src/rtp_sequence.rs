//! RTP packets in any order: each payload comes out once at most, and what waits for a missing packet is given up in time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_mux::rtp::sequence::Sequence;

use crate::random::Random;

/// Each datagram has its length in a byte before it, and how many milliseconds later it comes in another.
pub fn fuzz_rtp_sequence(data: &[u8]) {
    let (mut sequence, mut ready, mut now) = (Sequence::default(), Vec::new(), Instant::now());
    let (mut rest, mut came) = (data, 0);
    while let [length, later, tail @ ..] = rest {
        let (datagram, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        now += Duration::from_millis(u64::from(*later));
        sequence.push(&Bytes::copy_from_slice(datagram), now, &mut ready);
        came += 1;
        rest = tail;
    }
    sequence.pass_on(now + Duration::from_secs(1), &mut ready);
    let counts = sequence.counts();
    assert!(!sequence.is_waiting(), "something waits for ever");
    assert!(counts.packets + counts.malformed == came, "a datagram is not counted");
    assert!(ready.len() as u64 <= counts.packets, "a payload comes out twice");
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    let mut number = random.below(1 << 16) as u16;
    for _ in 0..random.length(60) {
        number = match random.below(8) {
            0 => number.wrapping_sub(random.below(5) as u16),
            1 => number.wrapping_add(random.below(90) as u16),
            2 => random.below(1 << 16) as u16,
            _ => number.wrapping_add(1),
        };
        let first = random.pick(&[0x80_u8, 0x80, 0x80, 0x90, 0xA0, 0x8F, 0x47]);
        let mut datagram = vec![first, 33];
        datagram.extend(number.to_be_bytes());
        let length = 8 + random.length(40);
        datagram.extend(random.bytes(length));
        out.extend([datagram.len() as u8, random.below(20) as u8]);
        out.extend(datagram);
    }
    out
}

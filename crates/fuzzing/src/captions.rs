//! Looks for closed captions in the SEI messages of pictures.

use weir_media::Codec;
use weir_media::codec::captions::Captions;

use crate::Random;

/// Reads any payload as a picture of both codecs.
pub fn fuzz_captions(data: &[u8]) {
    for codec in [Codec::H264, Codec::H265] {
        let captions = Captions::of(codec, data);
        assert!(captions.channels().all(|channel| (1..=4).contains(&channel)), "no such channel");
        assert!(captions.services().all(|service| (1..=6).contains(&service)), "no such service");
        assert!(captions.and(captions) == captions, "seen twice is seen once");
        let none = captions.channels().next().is_none() && captions.services().next().is_none();
        assert!(none == captions.is_empty(), "empty, and there is something");
    }
}

/// Makes a picture with one SEI unit of messages, most of them captions.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut unit = if random.one_in(2) { vec![6] } else { vec![39 << 1, 1] };
    for _ in 0..1 + random.below(3) {
        let count = random.below(32) as u8;
        let mut body = b"\xB5\x00\x31GA94\x03".to_vec();
        body.extend([0x40 | count, 0xFF]);
        for _ in 0..count {
            body.extend([0xF8 | random.number() as u8 & 7, random.number() as u8, random.number() as u8]);
        }
        let size = if random.one_in(8) { random.number() as u8 } else { body.len() as u8 };
        unit.extend([if random.one_in(8) { random.number() as u8 } else { 4 }, size]);
        unit.extend(body);
    }
    unit.push(0x80);
    let mut out = (unit.len() as u32).to_be_bytes().to_vec();
    out.extend(unit);
    out
}

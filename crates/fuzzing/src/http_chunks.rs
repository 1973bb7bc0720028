//! Bodies of HTTP in chunks: however they are cut, the same comes out of them.

use bytes::BytesMut;
use weir_mux::chunked::{ChunkFault, Chunked};

use crate::random::Random;

pub fn fuzz_http_chunks(data: &[u8]) {
    let whole = unpacked(data, usize::MAX);
    for step in [1, 3, 64] {
        let cut = unpacked(data, step);
        assert!(cut.is_ok() == whole.is_ok(), "a fault depends on the cuts");
        assert!(cut.is_err() || cut == whole, "the body depends on the cuts");
    }
}

fn unpacked(data: &[u8], step: usize) -> Result<(Vec<u8>, bool), ChunkFault> {
    let (mut chunked, mut input, mut out) = (Chunked::default(), BytesMut::new(), Vec::new());
    for piece in data.chunks(step.min(data.len().max(1))) {
        input.extend_from_slice(piece);
        loop {
            let taken = chunked.take(&mut input)?;
            if taken.is_empty() {
                break;
            }
            out.extend_from_slice(&taken);
        }
    }
    Ok((out, chunked.is_whole()))
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..random.length(8) {
        let length = random.length(40);
        let said = if random.one_in(9) { random.length(300) } else { length };
        out.extend(format!("{said:x}{}", random.pick(&["\r\n", "\n", ";a=b\r\n", " \r\n"])).bytes());
        out.extend(random.bytes(length));
        out.extend(random.pick(&[&b"\r\n"[..], b"\n", b"\r\n", b""]));
    }
    out.extend(random.pick(&[&b"0\r\n\r\n"[..], b"0\r\nA: b\r\n\r\n", b"", b"fffffffffffffffff\r\n"]));
    out
}

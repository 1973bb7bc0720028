//! The handshake in both roles takes its own bytes and no more, and holds none.

use bytes::BytesMut;
use weir_rtmp::wire::{ClientHandshake, ServerHandshake, WireError};

use crate::random::Random;

const PACKET_BYTES: usize = 1536;
/// C0 + C1 + C2, or S0 + S1 + S2.
const HANDSHAKE_BYTES: usize = 1 + 2 * PACKET_BYTES;

/// The first byte says how many bytes arrive at a time; the rest is what arrives.
pub fn fuzz_handshake(data: &[u8]) {
    let Some((&step, data)) = data.split_first() else { return };
    let step = 1 + usize::from(step) * 16;
    let random = std::array::from_fn(|index| (index * 31) as u8);
    let mut server = ServerHandshake::new(random, 0);
    converse(data, step, |input, out| server.feed(input, out));
    let mut client = ClientHandshake::new(random, 0);
    converse(data, step, |input, out| client.feed(input, out));
}

fn converse(data: &[u8], step: usize, mut feed: impl FnMut(&mut BytesMut, &mut BytesMut) -> Result<bool, WireError>) {
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let mut fed = 0;
    for piece in data.chunks(step) {
        input.extend_from_slice(piece);
        fed += piece.len();
        let Ok(done) = feed(&mut input, &mut out) else { return };
        assert!(out.len() <= HANDSHAKE_BYTES, "answers more than a handshake");
        assert!(done == (fed >= HANDSHAKE_BYTES), "done too early or too late");
        if done {
            assert!(input.len() == fed - HANDSHAKE_BYTES, "takes what is not its own");
            assert!(input[..] == data[HANDSHAKE_BYTES..fed], "changes what is not its own");
        }
    }
}

/// Makes what a client sends to a server or a server to a client, signed or not, and something after it.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut noise = || std::array::from_fn(|_| random.below(256) as u8);
    let (mut client, mut server) = (ClientHandshake::new(noise(), 1), ServerHandshake::new(noise(), 2));
    let (mut from_client, mut from_server) = (BytesMut::new(), BytesMut::new());
    // Neither can fail here: one gets no bytes, and the other a valid opening.
    let _ = client.feed(&mut BytesMut::new(), &mut from_client);
    let mut bytes = vec![random.below(256) as u8];
    match random.below(4) {
        0 => {
            let _ = server.feed(&mut from_client, &mut from_server);
            bytes.extend_from_slice(&from_server);
        }
        1 => {
            bytes.push(3);
            bytes.extend(random.bytes(2 * PACKET_BYTES));
        }
        _ => {
            bytes.extend_from_slice(&from_client);
            bytes.extend(random.bytes(PACKET_BYTES));
        }
    }
    let tail = random.length(2000);
    bytes.extend(random.bytes(tail));
    bytes
}

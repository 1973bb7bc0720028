//! The worker's socket: bytes in pieces of any size. What was read can be written, and gives the same bytes again.

use bytes::BytesMut;
use weir_pipeline::{Decoder, Message, PROTOCOL_VERSION, ProtocolFault, encode};

use crate::random::Random;

/// The first byte says how the rest is cut.
pub fn fuzz_worker_protocol(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let (messages, fault) = read(data, data.len().max(1));
    let (again, same_fault) = read(data, 1 + usize::from(first));
    assert!(messages == again && fault == same_fault, "depends on how the bytes are cut");
    let mut out = BytesMut::new();
    for message in &messages {
        let payload = encode(message, &mut out);
        assert!(payload.is_some(), "what was read is within the limits");
        out.extend_from_slice(&payload.unwrap_or_default());
    }
    // JSON may be written in other ways, but what it says is the same.
    let (written, fault) = read(&out, out.len().max(1));
    assert!(fault.is_none() && written.len() == messages.len(), "what was written can be read");
}

fn read(data: &[u8], step: usize) -> (Vec<Message>, Option<ProtocolFault>) {
    let (mut decoder, mut messages) = (Decoder::new(), Vec::new());
    for piece in data.chunks(step) {
        decoder.buffer().extend_from_slice(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(fault) => return (messages, Some(fault)),
            }
        }
    }
    (messages, None)
}

/// Makes a greeting, then messages of every kind with bodies of right and wrong lengths.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut input = vec![random.below(256) as u8];
    let [low, high] = PROTOCOL_VERSION.to_le_bytes();
    put(&mut input, 1, 0, &[b'W', b'E', b'I', b'R', low, high, 0, 0, 0, 0, 0, 0, 0, 0x80]);
    for _ in 0..random.below(8) {
        let kind = random.below(9) as u8;
        let body = match kind {
            2 => br#"{"decode_in":"system","video":[],"audio":[{"id":1,"bitrate_kbps":64}]}"#.to_vec(),
            5 => {
                br#"{"pictures_in":1,"pictures_decoded":1,"outputs":[{"id":1,"frames":1,"bytes":9,"latency_ms":0.5}]}"#
                    .to_vec()
            }
            6 => br#"{"output":null,"message":"x"}"#.to_vec(),
            7 => Vec::new(),
            _ => {
                let length = random.length(60);
                random.bytes(length)
            }
        };
        put(&mut input, kind, random.pick(&[0, 0, 1, 2, 3, 4]), &body);
    }
    let cut = random.length(4);
    input.truncate(input.len() - cut.min(input.len()));
    input
}

fn put(input: &mut Vec<u8>, kind: u8, flags: u8, body: &[u8]) {
    input.extend_from_slice(&(body.len() as u32).to_le_bytes());
    input.extend_from_slice(&[kind, flags, 0, 0]);
    input.extend_from_slice(body);
}

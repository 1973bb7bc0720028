//! What the process of `webrtcbin` and the server say to one another, and what viewers say by RTCP. What was read can be written, and is read
//! again as the same.

use bytes::BytesMut;
use weir_webrtc::webrtcbin::{
    Decoder, decode_from_process, decode_to_process, encode_from_process, encode_to_process, fingerprint_of_pem,
    read_rtcp,
};

use crate::random::Random;

pub fn fuzz_webrtcbin_process(data: &[u8]) {
    let mut said = 0;
    read_rtcp(data, |_| said += 1);
    assert!(said <= 16 * 31, "more is read of a datagram than may be");
    let _ = std::str::from_utf8(data).map(fingerprint_of_pem);
    let mut decoder = Decoder::default();
    decoder.buffer().extend_from_slice(data);
    while let Ok(Some((kind, body))) = decoder.next_body() {
        let mut again = BytesMut::new();
        if let Ok(message) = decode_to_process(kind, body.clone()) {
            encode_to_process(&message, &mut again);
            let same = read(&again).and_then(|(kind, body)| decode_to_process(kind, body).ok());
            assert_eq!(same.map(|same| format!("{same:?}")), Some(format!("{message:?}")));
        }
        again.clear();
        if let Ok(message) = decode_from_process(kind, body) {
            encode_from_process(&message, &mut again);
            let same = read(&again).and_then(|(kind, body)| decode_from_process(kind, body).ok());
            assert_eq!(same, Some(message));
        }
    }
}

fn read(bytes: &[u8]) -> Option<(u8, bytes::Bytes)> {
    let mut decoder = Decoder::default();
    decoder.buffer().extend_from_slice(bytes);
    decoder.next_body().ok().flatten()
}

/// Messages of every kind, of lengths that fit mostly, with texts in some.
pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..1 + random.length(4) {
        let kind = 1 + random.below(20) as u8;
        let mut body = match kind {
            1 => vec![1, 0, 0x10, 0x27, 0x74, 0x27, 8, 0],
            11 => vec![1, 0],
            12 => vec![2, 0],
            13 | 2 => vec![3, 0, 0, 0, 4, 0, b'a', b'b', b'c', b'd', 2, 0, b'e', b'f'],
            14 => vec![3, 0, 0, 0, 2, 0],
            _ => vec![3, 0, 0, 0],
        };
        match kind {
            1 => body.extend_from_slice(b"10.0.0.5"),
            2 => body.extend([vec![9; 32], vec![1, 102, 103, 1, 111, 0xFF, 0]].concat()),
            3 => body.extend([vec![0, 0, 0, 0, 3], vec![0; 8], vec![2, 0, 1, 2]].concat()),
            13 => body.extend([vec![9; 32], vec![5; 12], vec![14, 0], b"10.0.0.5:10000".to_vec()].concat()),
            _ => {
                let more = random.length(30);
                body.extend(random.bytes(more));
            }
        }
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.push(kind);
        out.extend_from_slice(&body);
    }
    out
}

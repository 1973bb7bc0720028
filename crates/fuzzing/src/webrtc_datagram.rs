//! What comes to the port of WebRTC before anybody has shown who they are, and certificates: nothing panics, and strangers get no answer.

use std::sync::OnceLock;

use weir_webrtc::sdp::Offer;
use weir_webrtc::trial;

use crate::random::Random;

const VIEWER: &str = include_str!("../../webrtc/tests/offers/chromium.sdp");
const PUBLISHER: &str = include_str!("../../webrtc/tests/offers/chromium_publisher.sdp");

/// Each datagram stands behind its length in one byte, times four.
pub fn fuzz_webrtc_datagram(data: &[u8]) {
    static READ: OnceLock<Option<(Offer, Offer)>> = OnceLock::new();
    let read = || Some((Offer::parse(VIEWER).ok()?, Offer::parse_publisher(PUBLISHER).ok()?));
    let _ = trial::certificate(data);
    let Some((viewer, publisher)) = READ.get_or_init(read) else { return };
    let mut rest = data;
    let datagrams = std::iter::from_fn(|| {
        let (length, tail) = rest.split_first()?;
        let (datagram, tail) = tail.split_at(tail.len().min(usize::from(*length) * 4));
        rest = tail;
        Some(datagram)
    });
    let datagrams: Vec<&[u8]> = datagrams.take(20).collect();
    let _ = datagrams.iter().any(|datagram| trial::certificate_fault(datagram));
    // An answer to a check needs the password, which is in no input.
    assert!(trial::datagrams(viewer, datagrams.iter().copied()) == Some(0), "a stranger got an answer of a viewer's");
    let sent = trial::datagrams_to_receiver(publisher, datagrams);
    assert!(sent == Some(0), "a stranger got an answer of a publisher's");
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const BEGINNINGS: [&[u8]; 11] = [
        &[0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        &[
            0, 1, 0, 16, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 9, b'u', b'f', b'r',
            b'a', b':', b'N', b'm', b'E', b'c',
        ],
        &[22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 1],
        &[21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40],
        &[22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 11, 0, 0, 3, 0, 1, 0, 0, 0, 0, 0, 3],
        &[23, 0xFE, 0xFD, 0, 1],
        &[0x80, 96],
        // RTP of the publisher's source, with one-byte extensions: a mid, and a number of its own.
        &[0x90, 103, 0, 1, 0, 0, 0, 0, 0x85, 0x04, 0x1E, 0x06, 0xBE, 0xDE, 0, 2, 0x40, b'0', 0x31, 0, 1, 0, 0, 0],
        &[0x80, 200, 0, 6],
        &[0x81, 201, 0, 7],
        &[],
    ];
    let mut out = Vec::new();
    for _ in 0..1 + random.length(6) {
        let beginning = random.pick(&BEGINNINGS);
        let more = random.length(200);
        let mut datagram = [beginning, &random.bytes(more)].concat();
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        out.push(u8::try_from(datagram.len() / 4).unwrap_or(u8::MAX));
        out.extend_from_slice(&datagram);
    }
    out
}

//! Both roles against one another and against simple, signed and wrong peers.

use super::digest::PacketDigest;
use super::*;

/// Bytes that are random enough to place digests all over. Each seed gives different ones.
fn random(seed: u32) -> [u8; RANDOM_BYTES] {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    })
}

fn first_packet(out: &[u8]) -> &Packet {
    out[1..].first_chunk().unwrap()
}

/// Lets client and server talk, `step` bytes at a time each way.
fn converse(seed: u32, step: usize) {
    let (mut client, mut server) = (ClientHandshake::new(random(seed), 1), ServerHandshake::new(random(!seed), 2));
    let (mut to_client, mut to_server) = (BytesMut::new(), BytesMut::new());
    let (mut client_input, mut server_input) = (BytesMut::new(), BytesMut::new());
    let (mut client_done, mut server_done) = (false, false);
    for _ in 0..4 + 4 * PACKET_BYTES / step {
        client_done = client.feed(&mut client_input, &mut to_server).unwrap();
        server_input.unsplit(to_server.split_to(step.min(to_server.len())));
        server_done = server.feed(&mut server_input, &mut to_client).unwrap();
        client_input.unsplit(to_client.split_to(step.min(to_client.len())));
        assert!(server_input.len() <= 1 + 2 * PACKET_BYTES);
    }
    assert!(client_done && server_done, "seed {seed}, step {step}");
    assert!(client_input.is_empty() && server_input.is_empty());
}

#[test]
fn client_and_server_agree_wherever_the_bytes_are_cut() {
    for step in [1, 7, 1535, 1536, 1537, 3073, 10_000] {
        converse(step as u32, step);
    }
    for seed in 0..64 {
        converse(seed, 1000);
    }
}

#[test]
fn a_signed_client_gets_signed_answers_in_its_own_scheme() {
    for scheme in [Scheme::At8, Scheme::At772] {
        for seed in 0..32 {
            let mut opening = packet(9, CLIENT_VERSION, &random(seed));
            scheme.sign(&mut opening, FLASH_PLAYER);
            let mut input = BytesMut::from(&[&[3], &opening[..]].concat()[..]);
            let mut out = BytesMut::new();
            assert_eq!(ServerHandshake::new(random(7), 2).feed(&mut input, &mut out), Ok(false));
            assert_eq!(out.len(), 1 + 2 * PACKET_BYTES);
            let ours = PacketDigest::find(first_packet(&out), FLASH_MEDIA_SERVER).expect("signed");
            assert_eq!(ours.scheme, scheme);
            let theirs = PacketDigest::find(&opening, FLASH_PLAYER).unwrap();
            assert_eq!(out[1 + PACKET_BYTES..], theirs.answer(&random(7), FLASH_MEDIA_SERVER));
        }
    }
}

#[test]
fn a_simple_client_gets_its_packet_back_and_version_0() {
    let opening = packet(0, [0; 4], &random(3));
    let mut input = BytesMut::from(&[&[3], &opening[..]].concat()[..]);
    let mut out = BytesMut::new();
    let mut server = ServerHandshake::new(random(4), 0x0102_0304);
    assert_eq!(server.feed(&mut input, &mut out), Ok(false));
    assert_eq!(out[..9], [3, 1, 2, 3, 4, 0, 0, 0, 0]);
    assert_eq!(out[1 + PACKET_BYTES..], opening);
    // Any last packet will do, and the bytes behind it are left alone.
    input.extend_from_slice(&[0xAA; PACKET_BYTES]);
    input.extend_from_slice(b"rest");
    assert_eq!(server.feed(&mut input, &mut out), Ok(true));
    assert_eq!(&input[..], b"rest");
    assert_eq!(server.feed(&mut input, &mut out), Ok(true), "done stays done");
    assert_eq!((&input[..], out.len()), (&b"rest"[..], 1 + 2 * PACKET_BYTES));
}

#[test]
fn a_simple_server_gets_its_packet_back() {
    let mut client = ClientHandshake::new(random(5), 6);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    assert_eq!(client.feed(&mut input, &mut out), Ok(false));
    assert_eq!(out.len(), 1 + PACKET_BYTES);
    assert!(PacketDigest::find(first_packet(&out), FLASH_PLAYER).is_some());
    let theirs = packet(1, [0; 4], &random(6));
    input.extend_from_slice(&[&[3], &theirs[..], &out[1..], b"rest"].concat());
    out.clear();
    assert_eq!(client.feed(&mut input, &mut out), Ok(true));
    assert_eq!(out[..], theirs);
    assert_eq!(&input[..], b"rest");
}

#[test]
fn other_versions_are_turned_away_at_the_first_byte() {
    for byte in [0, 6, 0x16, b'G', 0xFF] {
        let mut out = BytesMut::new();
        let refused = Err(WireError::HandshakeVersion(byte));
        assert_eq!(ServerHandshake::new(random(1), 0).feed(&mut BytesMut::from(&[byte][..]), &mut out), refused);
        assert!(out.is_empty(), "nothing is answered");
        assert_eq!(ClientHandshake::new(random(1), 0).feed(&mut BytesMut::from(&[byte][..]), &mut out), refused);
    }
}

#[test]
fn the_digest_fits_wherever_it_is_placed() {
    for fill in 0..=255 {
        for scheme in [Scheme::At8, Scheme::At772] {
            let mut packet = [fill; PACKET_BYTES];
            scheme.sign(&mut packet, FLASH_PLAYER);
            assert!(PacketDigest::find(&packet, FLASH_PLAYER).is_some(), "{fill} {scheme:?}");
            assert!(PacketDigest::find(&packet, FLASH_MEDIA_SERVER).is_none());
        }
    }
}

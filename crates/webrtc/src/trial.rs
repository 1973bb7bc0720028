//! For fuzzing: each part that reads bytes from outside can be called here on its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::crypto::{self, Identity};
use crate::peer::{Peer, Wish};
use crate::routes::Datagram;
use crate::sdp::{Answer, Candidate, IceCredentials, Offer, Sent, Transport};

/// The answer to an offer that takes H.264 or Opus.
pub fn answer(offer: &Offer) -> Option<String> {
    let (video, audio) = (offer.h264(66), offer.opus());
    if video.is_none() && audio.is_none() {
        return None;
    }
    let sent = |payload, ssrc, repeats| Sent { payload, ssrc, repeats };
    let answer = Answer {
        offer,
        ufrag: "ufra",
        password: "password",
        fingerprint: "sha-256 00",
        candidates: &[Candidate { transport: Transport::Udp, address: SocketAddr::from(([127, 0, 0, 1], 9)) }],
        video: video.map(|(payload, rtx)| sent(payload, 1, rtx.map(|rtx| (rtx, 2)))),
        audio: audio.map(|payload| sent(payload, 3, None)),
    };
    Some(answer.write())
}

/// Gives datagrams to a connection that waits for its viewer, and returns how many bytes it sends in reply. Returns none if no connection
/// can be made of this offer.
pub fn datagrams<'a>(offer: &Offer, datagrams: impl IntoIterator<Item = &'a [u8]>) -> Option<usize> {
    let identity = Identity::make().ok()?;
    let ice = IceCredentials { ufrag: "ufra".to_owned(), password: "a-password-of-twenty-four".to_owned() };
    let local = SocketAddr::from(([127, 0, 0, 1], 9));
    let candidates = [Candidate { transport: Transport::Udp, address: local }];
    let wish = Wish { offer, ice: &ice, candidates: &candidates, video: offer.h264(66), audio: offer.opus() };
    let mut now = Instant::now();
    let mut peer = Peer::new(&wish, &identity, &crypto::provider(), now).ok()?;
    let mut sent = 0;
    for bytes in datagrams {
        let source = SocketAddr::from(([127, 0, 0, 1], 7));
        let datagram =
            Datagram { transport: Transport::Udp, source, destination: Some(local.ip()), bytes: bytes.to_vec() };
        now += Duration::from_millis(10);
        peer.receive(&datagram, now);
        if peer.poll(1, |burst| sent += burst.bytes.len(), |_| {}).is_err() {
            break;
        }
    }
    Some(sent)
}

/// Whether these bytes hold a key, read as a certificate.
pub fn certificate(bytes: &[u8]) -> bool {
    crypto::has_key(bytes)
}

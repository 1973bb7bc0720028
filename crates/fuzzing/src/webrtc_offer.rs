//! SDP from browsers: offers and fragments are read or refused, and an answer has no line that the far end wrote.

use weir_webrtc::sdp::{Fragment, Offer, SDP_BYTES_MAX, Section};
use weir_webrtc::trial;

use crate::random::Random;

pub fn fuzz_webrtc_offer(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(Fragment { ufrag, .. }) = Fragment::parse(&text) {
        assert!((4..=256).contains(&ufrag.len()), "a ufrag of another length");
    }
    if let Ok(offer) = Offer::parse(&text) {
        check(&text, &offer, trial::answer(&offer));
    }
    if let Ok(offer) = Offer::parse_publisher(&text) {
        check(&text, &offer, trial::answer_to_publisher(&offer));
    }
}

fn check(text: &str, offer: &Offer, answer: Option<String>) {
    assert!(text.len() <= SDP_BYTES_MAX && offer.sections.len() <= 8, "more than is taken");
    let bounded = |section: &Section| section.sources.len() <= 8 && section.repetitions.len() <= 8;
    assert!(offer.sections.iter().all(bounded), "more sources than are taken");
    let Some(answer) = answer else { return };
    let known = |line: &str| {
        line.get(1..2) == Some("=") && line.len() < 300 && line.bytes().all(|byte| (b' '..0x7F).contains(&byte))
    };
    assert!(answer.split_terminator("\r\n").all(known), "a line that nobody can read: {answer:?}");
    let sections = answer.split("\r\n").filter(|line| line.starts_with("m=")).count();
    assert!(sections == offer.sections.len(), "another number of sections than was offered");
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const LINES: [&str; 37] = [
        "a=group:BUNDLE 0 1",
        "a=group:BUNDLE 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 103 104",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "m=video",
        "a=mid:0",
        "a=mid:1",
        "a=mid:",
        "a=recvonly",
        "a=sendonly",
        "a=inactive",
        "a=ssrc:11 cname:x",
        "a=ssrc-group:FID 11 12",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:3/sendonly http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        "a=rid:h send",
        "a=rtcp-mux",
        "a=setup:actpass",
        "a=setup:passive",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=ice-lite",
        "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF",
        "a=rtpmap:103 H264/90000",
        "a=fmtp:103 packetization-mode=1;profile-level-id=42e01f",
        "a=rtcp-fb:103 nack",
        "a=rtcp-fb:* nack",
        "a=rtpmap:104 rtx/90000",
        "a=fmtp:104 apt=103",
        "a=rtpmap:111 opus/48000/2",
        "a=rtcp-fb:103 nack pli",
        "a=candidate:1 1 udp 1 x.local 9 typ host",
        "a=end-of-candidates",
        "a=\r",
        "é",
        "",
    ];
    // Mostly in the order in which browsers say it, so that some are whole.
    let mut text = String::from("v=0\r\n");
    for line in LINES {
        if !random.one_in(5) {
            text.push_str(if random.one_in(12) { random.pick(&LINES) } else { line });
            text.push_str(if random.one_in(3) { "\n" } else { "\r\n" });
        }
    }
    text.into_bytes()
}

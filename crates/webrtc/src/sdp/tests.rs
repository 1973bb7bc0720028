//! Reads offers as browsers make them, and as nobody should, and compares the answers to them.

use super::*;

/// The offer of Chromium 156 as a viewer, without most of its codecs.
pub(crate) const CHROMIUM: &str = include_str!("../../tests/offers/chromium.sdp");

fn changed(from: &str, to: &str) -> Result<Offer, Fault> {
    assert!(CHROMIUM.contains(from), "{from}");
    Offer::parse(&CHROMIUM.replace(from, to))
}

#[test]
fn a_browsers_offer_is_read() {
    let offer = Offer::parse(CHROMIUM).unwrap();
    assert_eq!((offer.ice.ufrag.as_str(), offer.setup), ("NmEc", Setup::Either));
    assert_eq!(offer.fingerprint.0[..2], [0x2A, 0x81]);
    let kinds: Vec<(Kind, &str)> = offer.sections.iter().map(|section| (section.kind, section.mid.as_str())).collect();
    assert_eq!(kinds, [(Kind::Video, "0"), (Kind::Audio, "1")]);
    assert_eq!(offer.opus().map(|payload| payload.number), Some(111));
    // The payload of that profile with packetization mode 1 is chosen. No payload has profile 100, so there the first H.264 is.
    for (profile_idc, number, rtx) in [(66, 103, 104), (77, 39, 40), (100, 103, 104)] {
        let (payload, repeats) = offer.h264(profile_idc).unwrap();
        assert_eq!((payload.number, repeats.map(|payload| payload.number)), (number, Some(rtx)), "{profile_idc}");
    }
}

#[test]
fn bare_line_feeds_are_taken_and_session_wide_identities_too() {
    assert!(Offer::parse(&CHROMIUM.replace("\r\n", "\n")).is_ok());
    let (head, media) = CHROMIUM.split_once("m=video").unwrap();
    let identity: String = lines(media)
        .filter(|line| line.contains("ice-") || line.contains("fingerprint") || line.contains("setup"))
        .fold(String::new(), |all, line| all + line + "\r\n");
    let bare: String = lines(media)
        .filter(|line| !identity.contains(*line))
        .fold("m=video".to_owned(), |all, line| all + line + "\r\n");
    assert_eq!(Offer::parse(&format!("{head}{identity}{bare}")), Offer::parse(CHROMIUM));
}

#[test]
fn what_no_browser_would_say_is_refused_with_words() {
    for (from, to, fault) in [
        ("v=0", "v=1", Fault::NotSdp),
        ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0", Fault::Lacks("a BUNDLE of all media sections")),
        ("a=mid:1", "a=mid:0", Fault::Has("two media sections of one mid")),
        ("a=mid:1", "a=mid:x\ra=y", Fault::Lacks("a mid of each media section")),
        ("m=audio 9", "m=video 9", Fault::Has("two media sections of a kind")),
        ("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/AVP", Fault::Has("media without DTLS")),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 111 63", "m=audio 9", Fault::Has("an m= line that is cut short")),
        ("a=recvonly", "a=sendonly", Fault::WantsNothing),
        ("a=rtcp-mux", "a=x", Fault::Lacks("rtcp-mux")),
        ("a=setup:actpass", "a=setup:holdconn", Fault::Lacks("a setup")),
        ("a=ice-ufrag:NmEc", "a=ice-ufrag:N", Fault::Lacks("an ice-ufrag")),
        ("a=ice-pwd:", "a=x:", Fault::Lacks("an ice-pwd")),
        ("a=fingerprint:sha-256", "a=fingerprint:sha-1", Fault::Lacks("a SHA-256 fingerprint")),
        ("a=ice-options:trickle", "a=ice-lite", Fault::Has("ice-lite: one of us has to look for the other")),
    ] {
        assert_eq!(changed(from, to), Err(fault), "{to}");
    }
    for (text, fault) in [
        (String::new(), Fault::NotSdp),
        ("v=0\r\n".to_owned(), Fault::Lacks("media sections")),
        ("v".repeat(SDP_BYTES_MAX + 1), Fault::TooLong),
        ("v=0\n".to_owned() + &"a=x\n".repeat(LINES_MAX + 1), Fault::Has("too many lines")),
        ("v=0\n".to_owned() + &"m=application 9 DTLS/SCTP 5000\n".repeat(9), Fault::Has("too many media sections")),
    ] {
        assert_eq!(Offer::parse(&text), Err(fault), "{text:.40}");
    }
}

#[test]
fn nothing_is_chosen_that_was_not_offered() {
    let without_h264 = changed("H264/90000", "VP8/90000").unwrap();
    assert_eq!(without_h264.h264(66), None);
    let single = changed("packetization-mode=1", "packetization-mode=0").unwrap();
    assert_eq!(single.h264(66), None, "pictures in pieces need mode 1");
    let without_nack = changed(" nack\r\n", " x\r\n").unwrap();
    assert_eq!(without_nack.h264(66).unwrap().1, None, "who does not ask gets nothing again");
    assert_eq!(changed("opus/48000/2", "opus/48000").unwrap().opus(), None);
    let sends = CHROMIUM.replacen("a=recvonly", "a=sendonly", 1);
    let offer = Offer::parse(&sends).unwrap();
    assert!(offer.h264(66).is_none() && offer.opus().is_some());
}

fn answer(offer: &Offer, with_audio: bool) -> String {
    let candidates = [
        Candidate { transport: Transport::Udp, address: "192.0.2.1:8189".parse().unwrap() },
        Candidate { transport: Transport::Tcp, address: "[2001:db8::1]:8189".parse().unwrap() },
    ];
    let (payload, repeats) = offer.h264(66).unwrap();
    let audio = offer.opus().filter(|_| with_audio);
    Answer {
        offer,
        is_lite: true,
        ufrag: "ufra",
        password: "password",
        fingerprint: "sha-256 00:11",
        candidates: &candidates,
        video: Some(Agreed::Sent(Sent { payload, ssrc: 11, repeats: repeats.map(|payload| (payload, 12)) })),
        audio: audio.map(|payload| Agreed::Sent(Sent { payload, ssrc: 21, repeats: None })),
    }
    .write()
}

#[test]
fn the_answer_says_what_is_sent_and_where_to_find_us() {
    let offer = Offer::parse(CHROMIUM).unwrap();
    assert_eq!(answer(&offer, true), include_str!("../../tests/offers/answer.sdp").replace('\n', "\r\n"));
}

#[test]
fn what_is_not_sent_is_answered_with_a_no_in_its_place() {
    let text = CHROMIUM.to_owned() + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";
    let answer = answer(&Offer::parse(&text).unwrap(), false);
    let sections: Vec<&str> = lines(&answer).filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        sections,
        [
            "m=video 9 UDP/TLS/RTP/SAVPF 103 104",
            "m=audio 0 UDP/TLS/RTP/SAVPF 111",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        ]
    );
    assert!(answer.contains("a=group:BUNDLE 0\r\n"), "{answer}");
    let taken = Offer::parse(&text.replace("a=setup:actpass", "a=setup:passive")).unwrap();
    assert!(self::answer(&taken, false).contains("a=setup:active"));
}

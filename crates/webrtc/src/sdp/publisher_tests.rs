//! Offers of publishers, and the answers to them.

use super::*;

/// Chromium 156 offers this to send. Most of its codecs are left out.
const CHROMIUM: &str = include_str!("../../tests/offers/chromium_publisher.sdp");
/// OBS 30 offers this.
const OBS: &str = include_str!("../../tests/offers/obs.sdp");

fn answer(offer: &Offer) -> String {
    let received = |payload, repeats| Agreed::Received(Received { payload, repeats });
    Answer {
        offer,
        ufrag: "ufra",
        password: "password",
        fingerprint: "sha-256 00:11",
        candidates: &[Candidate { transport: Transport::Udp, address: "192.0.2.1:8189".parse().unwrap() }],
        video: offer.sent_h264().map(|(payload, repeats)| received(payload, repeats)),
        audio: offer.opus().map(|payload| received(payload, None)),
    }
    .write()
}

#[test]
fn what_publishers_send_is_read() {
    for (text, number, repeats, video, audio, extensions) in [
        (CHROMIUM, 103, Some(104), (2_231_627_014, Some(632_943_048)), 3_570_614_608, (Some(4), Some(3))),
        (OBS, 96, None, (3_070_206_342, None), 3_070_206_341, (None, None)),
    ] {
        let offer = Offer::parse_publisher(text).unwrap();
        let (payload, repeated) = offer.sent_h264().unwrap();
        assert_eq!((payload.number, repeated.map(|payload| payload.number), payload.nack), (number, repeats, true));
        assert_eq!(offer.opus().map(|payload| payload.number), Some(111));
        let (pictures, sounds) = (offer.section(Kind::Video).unwrap(), offer.section(Kind::Audio).unwrap());
        assert_eq!((pictures.source(), sounds.source()), (Some(video), Some((audio, None))));
        for section in [pictures, sounds] {
            assert_eq!((section.extensions.mid, section.extensions.transport_cc), extensions);
        }
    }
}

#[test]
fn publishers_and_viewers_are_not_taken_for_one_another() {
    let viewer = include_str!("../../tests/offers/chromium.sdp");
    assert_eq!(Offer::parse(OBS), Err(Fault::WantsNothing));
    assert_eq!(Offer::parse_publisher(viewer), Err(Fault::SendsNothing));
    let both = CHROMIUM.replace("a=sendonly", "a=sendrecv");
    assert!(Offer::parse(&both).is_ok() && Offer::parse_publisher(&both).is_ok());
    let silent = Offer::parse_publisher(&CHROMIUM.replacen("a=sendonly", "a=inactive", 1)).unwrap();
    assert!(silent.sent_h264().is_none() && silent.opus().is_some());
}

#[test]
fn sources_and_layers_have_bounds() {
    let many: String =
        (1..100).map(|at| format!("a=ssrc:{at} cname:x\r\na=ssrc-group:FID {at} {}\r\n", at + 100)).collect();
    let odd = "a=ssrc:0 cname:x\r\na=ssrc:x cname:x\r\na=ssrc-group:FID 5\r\na=ssrc-group:FID 5 5\r\na=ssrc-group:SIM 1 2\r\n\
               a=extmap:15 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:x urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
               a=rid:h send\r\na=rid:l send\r\na=rid:x recv\r\na=simulcast:send h;l\r\n";
    let text = CHROMIUM.replace("a=ssrc-group:FID 2231627014", &format!("{odd}{many}a=ssrc-group:FID 2231627014"));
    let offer = Offer::parse_publisher(&text).unwrap();
    let section = offer.section(Kind::Video).unwrap();
    assert_eq!((section.sources.len(), section.repetitions.len(), section.layers), (8, 8, 2));
    assert_eq!((section.source(), section.extensions.mid), (Some((1, Some(101))), Some(4)));
}

#[test]
fn the_answer_says_what_is_received_and_what_is_told_of_it() {
    let offer = Offer::parse_publisher(CHROMIUM).unwrap();
    let expected = include_str!("../../tests/offers/answer_publisher.sdp").replace('\n', "\r\n");
    assert_eq!(answer(&offer), expected);
    let obs = answer(&Offer::parse_publisher(OBS).unwrap());
    assert!(obs.contains("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n") && !obs.contains("rtx"), "{obs}");
    assert!(!obs.contains("extmap") && !obs.contains("transport-cc") && !obs.contains("ssrc"), "{obs}");
    assert!(!answer(&offer).contains("a=rid") && !answer(&offer).contains("simulcast"));
}

//! Offers of publishers, and the answers to them.

use weir_media::Codec;

use super::*;

/// Chromium 156 offers this to send. Most of its codecs are left out.
const CHROMIUM: &str = include_str!("../../tests/offers/chromium_publisher.sdp");
/// OBS 30.0 offers this.
const OBS: &str = include_str!("../../tests/offers/obs.sdp");
/// OBS 30.1 and later say who they are in front of all media, and name their candidates.
const OBS_30_1: &str = include_str!("../../tests/offers/obs_30_1.sdp");
/// `-f whip` of ffmpeg 8 waits for the handshake (`setup:passive`), names no feedback, and writes Constrained Baseline with a digit too many.
const FFMPEG: &str = include_str!("../../tests/offers/ffmpeg.sdp");

fn answer(offer: &Offer) -> String {
    let received = |payload, repeats, layers| Agreed::Received(Received { payload, repeats, layers });
    Answer {
        offer,
        is_lite: true,
        ufrag: "ufra",
        password: "password",
        fingerprint: "sha-256 00:11",
        candidates: &[Candidate { transport: Transport::Udp, address: "192.0.2.1:8189".parse().unwrap() }],
        video: offer.sent_picture(true).map(|sent| received(sent.payload, sent.repeats, sent.section.layers())),
        audio: offer.opus().map(|payload| received(payload, None, &[])),
    }
    .write()
}

#[test]
fn what_publishers_send_is_read() {
    for (text, number, repeats, video, audio, extensions, setup) in [
        (
            CHROMIUM,
            103,
            Some(104),
            (2_231_627_014, Some(632_943_048)),
            3_570_614_608,
            (Some(4), Some(3)),
            Setup::Either,
        ),
        (OBS, 96, None, (3_070_206_342, None), 3_070_206_341, (None, None), Setup::Either),
        (OBS_30_1, 96, None, (3_388_068_601, None), 3_388_068_600, (None, None), Setup::Either),
        (FFMPEG, 106, None, (3_310_548_712, None), 1_849_213_674, (None, None), Setup::Passive),
    ] {
        let offer = Offer::parse_publisher(text).unwrap();
        let SentPicture { codec, payload, repeats: repeated, .. } = offer.sent_picture(true).unwrap();
        assert_eq!(codec, Codec::H264);
        assert_eq!((payload.number, repeated.map(|payload| payload.number)), (number, repeats));
        assert_eq!((payload.nack, offer.setup), (text != FFMPEG, setup), "{number}");
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
    assert!(silent.sent_picture(true).is_none() && silent.opus().is_some());
}

#[test]
fn h264_is_taken_first_and_others_where_they_are_encoded() {
    let codecs = "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-fb:96 nack\r\na=rtpmap:98 VP9/90000\r\n\
                  a=fmtp:98 profile-id=0\r\na=rtpmap:45 AV1/90000\r\na=fmtp:45 level-idx=5;profile=0;tier=0;x=y\r\n\
                  a=rtpmap:49 H265/90000\r\na=fmtp:49 level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST\r\na=rtcp-rsize\r\n";
    for (numbers, takes_others, expected) in [
        ("96 97 98 45 49 103", true, Some((Codec::H264, 103, None, ""))),
        ("96 97 98 45 49 103", false, Some((Codec::H264, 103, None, ""))),
        ("96 97 98 45 49", false, None),
        ("96 97 98 45 49", true, Some((Codec::Vp8, 96, Some(97), "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n"))),
        ("98 96 45", true, Some((Codec::Vp9, 98, None, "a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\n"))),
        (
            "45",
            true,
            Some((Codec::Av1, 45, None, "a=rtpmap:45 AV1/90000\r\na=fmtp:45 level-idx=5;profile=0;tier=0\r\n")),
        ),
        (
            "49 98",
            true,
            Some((Codec::H265, 49, None, "a=fmtp:49 profile-id=1;level-id=180;tier-flag=0;tx-mode=SRST\r\n")),
        ),
        ("111", true, None),
    ] {
        let (head, tail) = FFMPEG.split_once("m=video 9 UDP/TLS/RTP/SAVPF 106").unwrap();
        let line = format!("m=video 9 UDP/TLS/RTP/SAVPF {numbers}");
        let tail = tail.replace("a=rtcp-rsize", codecs).replace(":106 ", ":103 ");
        let offer = Offer::parse_publisher(&format!("{head}{line}{tail}").replace("=422001f", "=42e01f")).unwrap();
        let sent = offer.sent_picture(takes_others);
        let told = sent.map(|sent| (sent.codec, sent.payload.number, sent.repeats.map(|repeats| repeats.number)));
        assert_eq!(told, expected.map(|(codec, number, repeats, _)| (codec, number, repeats)), "{numbers}");
        if let Some((_, _, _, line)) = expected {
            assert!(answer(&offer).contains(line), "{numbers}: {}", answer(&offer));
        }
    }
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
    assert_eq!((section.sources.len(), section.repetitions.len(), section.rids.len()), (8, 8, 2));
    assert_eq!((section.source(), section.extensions.mid), (Some((1, Some(101))), Some(4)));
}

#[test]
fn layers_are_agreed_on_where_packets_can_say_which_one_they_are_of() {
    let layers = "a=rid:q send\r\na=rid:h send\r\na=rid:f send max-width=1280\r\na=rid:q send\r\na=rid:x;y send\r\na=simulcast:send q;h;f\r\n";
    let with = |text: &str| CHROMIUM.replacen("a=ssrc-group", &format!("{text}a=ssrc-group"), 1);
    let offer = Offer::parse_publisher(&with(layers)).unwrap();
    assert_eq!(offer.section(Kind::Video).unwrap().layers(), ["q", "h", "f"]);
    let text = answer(&offer);
    for line in ["a=rid:q recv\r\n", "a=rid:f recv\r\n", "a=simulcast:recv q;h;f\r\n", Extensions::RID] {
        assert_eq!(text.matches(line).count(), 1, "{line}: {text}");
    }
    let unmarked = with(layers).replace("rtp-hdrext:sdes:rtp-stream-id", "x");
    for text in [with("a=rid:h send\r\n"), unmarked, CHROMIUM.to_owned()] {
        let offer = Offer::parse_publisher(&text).unwrap();
        assert!(offer.section(Kind::Video).unwrap().layers().is_empty() && !answer(&offer).contains("simulcast"));
    }
}

#[test]
fn the_answer_says_what_is_received_and_what_is_told_of_it() {
    let offer = Offer::parse_publisher(CHROMIUM).unwrap();
    let expected = include_str!("../../tests/offers/answer_publisher.sdp").replace('\n', "\r\n");
    assert_eq!(answer(&offer), expected);
    let obs = answer(&Offer::parse_publisher(OBS).unwrap());
    assert!(obs.contains("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n") && !obs.contains("rtx"), "{obs}");
    assert!(!obs.contains("extmap") && !obs.contains("transport-cc") && !obs.contains("ssrc"), "{obs}");
    let ffmpeg = answer(&Offer::parse_publisher(FFMPEG).unwrap());
    assert!(ffmpeg.contains("a=setup:active") && !ffmpeg.contains("profile-level-id"), "{ffmpeg}");
    assert!(!answer(&offer).contains("a=rid") && !answer(&offer).contains("simulcast"));
}

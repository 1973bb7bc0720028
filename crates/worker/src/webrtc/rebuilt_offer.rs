//! Writes the offer that `webrtcbin` reads: a small one, made of the few values that are known of the far end. A browser's own text never
//! comes here.

use std::fmt::Write as _;

use weir_webrtc::webrtcbin::{Far, FarMedia};

/// The names of the two media. The browser's own names stand in its answer alone, which the server writes.
pub(crate) const PICTURE: &str = "v";
pub(crate) const SOUND: &str = "a";

pub(crate) fn offer_of(far: &Far) -> String {
    let media = [(PICTURE, far.video), (SOUND, far.audio)];
    let there: Vec<(&str, FarMedia)> = media.into_iter().filter_map(|(name, media)| Some((name, media?))).collect();
    let names: Vec<&str> = there.iter().map(|(name, _)| *name).collect();
    let mut out = format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n", names.join(" "));
    let fingerprint: Vec<String> = far.fingerprint.0.iter().map(|byte| format!("{byte:02X}")).collect();
    let (fingerprint, setup) = (fingerprint.join(":"), if far.begins { "active" } else { "passive" });
    for (name, media) in there {
        let (number, is_picture) = (media.number, name == PICTURE);
        let mut say = |line: std::fmt::Arguments<'_>| {
            // Writing to a string can't fail.
            let _ = write!(out, "{line}\r\n");
        };
        let repeats = media.repeats.map(|repeats| format!(" {repeats}")).unwrap_or_default();
        let kind = if is_picture { "video" } else { "audio" };
        say(format_args!("m={kind} 9 UDP/TLS/RTP/SAVPF {number}{repeats}"));
        say(format_args!("c=IN IP4 0.0.0.0"));
        say(format_args!("a=mid:{name}"));
        say(format_args!("a=recvonly"));
        say(format_args!("a=rtcp-mux"));
        say(format_args!("a=ice-ufrag:{}", far.ufrag));
        say(format_args!("a=ice-pwd:{}", far.password));
        say(format_args!("a=fingerprint:sha-256 {fingerprint}"));
        say(format_args!("a=setup:{setup}"));
        if !is_picture {
            say(format_args!("a=rtpmap:{number} opus/48000/2"));
            continue;
        }
        say(format_args!("a=rtpmap:{number} H264/90000"));
        say(format_args!("a=fmtp:{number} packetization-mode=1"));
        for feedback in ["nack", "nack pli", "ccm fir"] {
            say(format_args!("a=rtcp-fb:{number} {feedback}"));
        }
        if media.estimates {
            say(format_args!("a=rtcp-fb:{number} goog-remb"));
        }
        if let Some(repeats) = media.repeats {
            say(format_args!("a=rtpmap:{repeats} rtx/90000"));
            say(format_args!("a=fmtp:{repeats} apt={number}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_webrtc::sdp::{Fingerprint, Offer};

    #[test]
    fn what_is_known_of_the_far_end_is_said_and_nothing_else() {
        let video = FarMedia { number: 102, repeats: Some(103), estimates: true };
        let audio = FarMedia { number: 111, repeats: None, estimates: false };
        for (video, audio) in [(Some(video), Some(audio)), (Some(video), None), (None, Some(audio))] {
            let (ufrag, password) = ("abcd".to_owned(), "abcdefghijklmnopqrstuv".to_owned());
            let far = Far { ufrag, password, fingerprint: Fingerprint([0xAB; 32]), begins: true, video, audio };
            let text = offer_of(&far);
            let read = Offer::parse(&text).unwrap();
            assert_eq!((read.ice.ufrag.as_str(), read.fingerprint), ("abcd", far.fingerprint));
            let pictures = read.h264(66).map(|(payload, repeats)| (payload.number, repeats.map(|it| it.number)));
            assert_eq!(pictures, video.map(|_| (102, Some(103))));
            assert_eq!(read.opus().map(|payload| payload.number), audio.map(|_| 111));
            assert!(!text.contains("candidate"), "{text}");
        }
    }
}

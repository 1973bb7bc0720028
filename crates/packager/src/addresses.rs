//! Finds where the addresses in a playlist or manifest end, so that a viewer's token can be put behind each.
//!
//! Texts are written once, for all. Only the token is one viewer's own. Putting it in is a copy, and needs neither the store nor another
//! look at the text.

use bytes::Bytes;

/// What stands before an address within a tag of a playlist, and below that, within one of a manifest.
const IN_PLAYLISTS: &[&str] = &["URI=\""];
const IN_MANIFESTS: &[&str] = &[" initialization=\"", " media=\""];

/// Where the addresses in the text end, in rising order.
pub(crate) fn ends(text: &str) -> Vec<usize> {
    let is_playlist = text.starts_with("#EXTM3U");
    let before = if is_playlist { IN_PLAYLISTS } else { IN_MANIFESTS };
    let (mut ends, mut at) = (Vec::new(), 0);
    for line in text.split('\n') {
        match is_playlist && !line.is_empty() && !line.starts_with('#') {
            true => ends.push(at + line.len()),
            false => ends.extend(before.iter().filter_map(|before| Some(at + end_in_tag(line, before)?))),
        }
        at += line.len() + 1;
    }
    ends
}

fn end_in_tag(line: &str, before: &str) -> Option<usize> {
    let begin = line.find(before)? + before.len();
    Some(begin + line.get(begin..)?.find('"')?)
}

pub(crate) fn with_token(text: &[u8], ends: &[usize], token: &str) -> Bytes {
    const BEFORE: &[u8] = b"?token=";
    let mut out = Vec::with_capacity(text.len() + ends.len() * (BEFORE.len() + token.len()));
    let mut written = 0;
    for &end in ends {
        out.extend_from_slice(&text[written..end]);
        out.extend_from_slice(BEFORE);
        out.extend_from_slice(token.as_bytes());
        written = end;
    }
    out.extend_from_slice(&text[written..]);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_gets_the_token() {
        for (text, expected) in [
            ("", ""),
            ("#EXTM3U\n", "#EXTM3U\n"),
            ("#EXTM3U\n#EXTINF:2.0,\na/1.ts\n", "#EXTM3U\n#EXTINF:2.0,\na/1.ts?token=T\n"),
            ("#EXTM3U\n#EXTINF:2.0,\na/1.ts", "#EXTM3U\n#EXTINF:2.0,\na/1.ts?token=T"),
            (
                "#EXTM3U\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXT-X-PART:DURATION=1,URI=\"1.m4s\",INDEPENDENT=YES\n",
                "#EXTM3U\n#EXT-X-MAP:URI=\"i.mp4?token=T\"\n#EXT-X-PART:DURATION=1,URI=\"1.m4s?token=T\",INDEPENDENT=YES\n",
            ),
            (
                "#EXTM3U\n#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,NAME=\"CC1\"\n#EXT-X-STREAM-INF:CODECS=\"a\"\nb.m3u8\n",
                "#EXTM3U\n#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,NAME=\"CC1\"\n#EXT-X-STREAM-INF:CODECS=\"a\"\nb.m3u8?token=T\n",
            ),
            (
                "<MPD>\n<S startNumber=\"0\" initialization=\"i.mp4\" media=\"$Number$.m4s\">\n</MPD>",
                "<MPD>\n<S startNumber=\"0\" initialization=\"i.mp4?token=T\" media=\"$Number$.m4s?token=T\">\n</MPD>",
            ),
        ] {
            let put = with_token(text.as_bytes(), &ends(text), "T");
            assert_eq!(std::str::from_utf8(&put).unwrap(), expected);
        }
    }
}

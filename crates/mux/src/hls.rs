//! Playlists of HLS (RFC 8216), read: which variants there are, and which segments a source has now.

use std::collections::BTreeMap;
use std::time::Duration;

/// A playlist of a day of one-second segments has 86,400 of them and 6 MB. Live ones have a few kilobytes.
pub const PLAYLIST_BYTES_MAX: usize = 4 << 20;
pub const SEGMENTS_MAX: usize = 20_000;
pub const VARIANTS_MAX: usize = 200;
/// Longer addresses are no addresses. Signed ones stay under 2 KiB.
pub const URI_BYTES_MAX: usize = 4_096;
/// A longer segment is a mistake: players could not follow it either.
pub const SEGMENT_SECONDS_MAX: f64 = 120.0;

#[derive(Clone, Debug, PartialEq)]
pub enum Playlist {
    Variants(Vec<Variant>),
    Segments(Segments),
}

/// One way to get the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    pub uri: String,
    /// The peak bitrate; 0 where the playlist does not say it.
    pub bandwidth_bps: u64,
    /// Whether its sound is fetched from an address of its own.
    pub sound_apart: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Segments {
    pub target: Duration,
    /// Whether nothing more will come.
    pub ended: bool,
    pub list: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The media sequence number, by which a segment is known from one look to the next.
    pub number: u64,
    pub uri: String,
    pub duration: Duration,
    /// The first byte and the number of bytes, where the segment is a part of what the address holds.
    pub range: Option<(u64, u64)>,
    pub key: Option<SegmentKey>,
    /// Whether the clock or the tracks begin anew.
    pub discontinuity: bool,
    /// Whether the segment is fragmented MP4, whose beginning is fetched apart.
    pub has_map: bool,
}

/// How a segment is encrypted: AES-128, CBC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentKey {
    pub uri: String,
    pub iv: [u8; 16],
}

/// Why a text is no playlist that we can follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaylistFault {
    #[error("it is no HLS playlist")]
    NotAPlaylist,
    #[error("the playlist is longer than {PLAYLIST_BYTES_MAX} bytes")]
    TooLong,
    #[error("the playlist has more than {SEGMENTS_MAX} segments or {VARIANTS_MAX} variants")]
    TooMany,
    #[error("line {0} of the playlist can't be read")]
    Line(usize),
    #[error("the segments are encrypted by {0}, and only AES-128 is known")]
    Encryption(String),
}

impl Playlist {
    pub fn parse(text: &str) -> Result<Self, PlaylistFault> {
        if text.len() > PLAYLIST_BYTES_MAX {
            return Err(PlaylistFault::TooLong);
        }
        let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        if lines.next().is_none_or(|(_, first)| first.trim_end() != "#EXTM3U") {
            return Err(PlaylistFault::NotAPlaylist);
        }
        let mut reading = Reading::default();
        for (at, line) in lines {
            let line = line.trim();
            let fault = || PlaylistFault::Line(at + 1);
            match line.strip_prefix('#') {
                Some(tag) => reading.tag(tag, fault)?,
                None if line.is_empty() => {}
                None if line.len() > URI_BYTES_MAX => return Err(fault()),
                None => reading.uri(line)?,
            }
        }
        reading.done()
    }
}

/// What was read so far, and what the next address will have.
#[derive(Debug, Default)]
struct Reading {
    variants: Vec<Variant>,
    segments: Vec<Segment>,
    target: Duration,
    ended: bool,
    first_number: u64,
    variant: Option<Variant>,
    duration: Option<Duration>,
    range: Option<(u64, Option<u64>)>,
    /// Where the last range of each address ended.
    range_end: Option<(String, u64)>,
    key: Option<KeyTag>,
    discontinuity: bool,
    has_map: bool,
}

impl Reading {
    fn tag(&mut self, tag: &str, fault: impl Fn() -> PlaylistFault) -> Result<(), PlaylistFault> {
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "EXTINF" => {
                let seconds = value.split(',').next().unwrap_or_default().trim();
                self.duration = Some(seconds_of(seconds).ok_or_else(fault)?);
            }
            "EXT-X-TARGETDURATION" => self.target = seconds_of(value.trim()).ok_or_else(fault)?,
            "EXT-X-MEDIA-SEQUENCE" => self.first_number = value.trim().parse().map_err(|_| fault())?,
            "EXT-X-BYTERANGE" => {
                let (length, from) = value.split_once('@').map_or((value, None), |(length, from)| (length, Some(from)));
                let length = length.trim().parse().map_err(|_| fault())?;
                let from = from.map(|from| from.trim().parse()).transpose().map_err(|_| fault())?;
                self.range = Some((length, from));
            }
            "EXT-X-KEY" => self.key = key(&attributes(value), fault)?,
            "EXT-X-MAP" => self.has_map = true,
            "EXT-X-DISCONTINUITY" => self.discontinuity = true,
            "EXT-X-ENDLIST" => self.ended = true,
            "EXT-X-STREAM-INF" => {
                let said = attributes(value);
                let bandwidth_bps = said.get("BANDWIDTH").and_then(|text| text.parse().ok()).unwrap_or(0);
                self.variant =
                    Some(Variant { uri: String::new(), bandwidth_bps, sound_apart: said.contains_key("AUDIO") });
            }
            // Everything else is advice to players.
            _ => {}
        }
        Ok(())
    }

    fn uri(&mut self, uri: &str) -> Result<(), PlaylistFault> {
        if let Some(variant) = self.variant.take() {
            if self.variants.len() == VARIANTS_MAX {
                return Err(PlaylistFault::TooMany);
            }
            self.variants.push(Variant { uri: uri.to_owned(), ..variant });
            return Ok(());
        }
        // An address without a duration is none of a segment.
        let Some(duration) = self.duration.take() else { return Ok(()) };
        if self.segments.len() == SEGMENTS_MAX {
            return Err(PlaylistFault::TooMany);
        }
        let number = self.first_number.saturating_add(self.segments.len() as u64);
        let range = self.range.take().map(|(length, from)| {
            let follows = self.range_end.take().filter(|(of, _)| of == uri).map_or(0, |(_, end)| end);
            (from.unwrap_or(follows), length)
        });
        self.range_end = range.map(|(from, length)| (uri.to_owned(), from.saturating_add(length)));
        let key = self.key.clone().map(|(uri, iv)| {
            // Without a vector of its own, a segment's number is it (RFC 8216, 5.2).
            SegmentKey { uri, iv: iv.unwrap_or_else(|| u128::from(number).to_be_bytes()) }
        });
        let discontinuity = std::mem::take(&mut self.discontinuity);
        let (uri, has_map) = (uri.to_owned(), self.has_map);
        self.segments.push(Segment { number, uri, duration, range, key, discontinuity, has_map });
        Ok(())
    }

    fn done(self) -> Result<Playlist, PlaylistFault> {
        if !self.variants.is_empty() {
            return Ok(Playlist::Variants(self.variants));
        }
        let longest = self.segments.iter().map(|segment| segment.duration).max().unwrap_or_default();
        Ok(Playlist::Segments(Segments { target: self.target.max(longest), ended: self.ended, list: self.segments }))
    }
}

/// The address of a key, and the vector that is said with it.
type KeyTag = (String, Option<[u8; 16]>);

fn seconds_of(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    (0.0..=SEGMENT_SECONDS_MAX).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

fn key(said: &BTreeMap<&str, &str>, fault: impl Fn() -> PlaylistFault) -> Result<Option<KeyTag>, PlaylistFault> {
    match said.get("METHOD").copied() {
        Some("NONE") => Ok(None),
        Some("AES-128") => {
            let uri = said.get("URI").filter(|uri| uri.len() <= URI_BYTES_MAX).ok_or_else(&fault)?;
            let iv = said.get("IV").map(|text| vector(text).ok_or_else(&fault)).transpose()?;
            Ok(Some(((*uri).to_owned(), iv)))
        }
        Some(method) => Err(PlaylistFault::Encryption(method.chars().take(32).collect())),
        None => Err(fault()),
    }
}

/// A vector as it is written: `0x` and up to 32 digits.
fn vector(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

/// The attributes of a tag: `NAME=value` and `NAME="value, with a comma"`.
fn attributes(text: &str) -> BTreeMap<&str, &str> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((name, tail)) = rest.split_once('=') {
        let (value, tail) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => tail.split_at(tail.find(',').unwrap_or(tail.len())),
        };
        found.insert(name.trim(), value.trim());
        rest = tail.trim_start().strip_prefix(',').unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(text: &str) -> Segments {
        match Playlist::parse(text) {
            Ok(Playlist::Segments(segments)) => segments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_live_playlist_has_numbered_segments() {
        let text = "#EXTM3U\r\n#EXT-X-VERSION:3\r\n#EXT-X-TARGETDURATION:4\r\n#EXT-X-MEDIA-SEQUENCE:7\r\n\
            #EXTINF:4.000,\r\na.ts?x=1,2\r\n#EXT-X-DISCONTINUITY\r\n#EXTINF:3.5\r\n\r\nb.ts\r\n";
        let read = segments(text);
        assert_eq!((read.target, read.ended, read.list.len()), (Duration::from_secs(4), false, 2));
        let [a, b] = &*read.list else { panic!() };
        assert_eq!((a.number, &*a.uri, a.discontinuity, a.has_map), (7, "a.ts?x=1,2", false, false));
        assert_eq!((b.number, &*b.uri, b.discontinuity), (8, "b.ts", true));
        assert_eq!(b.duration, Duration::from_millis(3_500));
    }

    #[test]
    fn keys_ranges_and_maps_belong_to_what_follows() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:258\n\
            #EXT-X-KEY:METHOD=AES-128,URI=\"k?a=1,b=2\",IV=0x0F\n#EXT-X-BYTERANGE:100@50\n#EXTINF:2,\nall.ts\n\
            #EXT-X-BYTERANGE:30\n#EXTINF:2,\nall.ts\n#EXT-X-KEY:METHOD=AES-128,URI=\"k2\"\n#EXTINF:2,\nc.ts\n\
            #EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\nd.m4s\n#EXT-X-ENDLIST\n";
        let read = segments(text);
        assert!(read.ended);
        let ranges: Vec<_> = read.list.iter().map(|segment| segment.range).collect();
        assert_eq!(ranges, [Some((50, 100)), Some((150, 30)), None, None]);
        let keys: Vec<_> =
            read.list.iter().map(|segment| segment.key.as_ref().map(|key| (&*key.uri, key.iv[15]))).collect();
        assert_eq!(keys, [Some(("k?a=1,b=2", 0x0F)), Some(("k?a=1,b=2", 0x0F)), Some(("k2", 4)), None]);
        assert!(read.list[3].has_map);
    }

    #[test]
    fn variants_are_listed() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"x.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS=\"avc1.4d401f,mp4a.40.2\"\nlow.m3u8\n\
            #EXT-X-STREAM-INF:CODECS=\"avc1\",BANDWIDTH=2000000,AUDIO=\"a\"\nhigh.m3u8\n";
        let expected = [("low.m3u8", 800_000, false), ("high.m3u8", 2_000_000, true)];
        let expected =
            expected.map(|(uri, bandwidth_bps, sound_apart)| Variant { uri: uri.into(), bandwidth_bps, sound_apart });
        assert_eq!(Playlist::parse(text), Ok(Playlist::Variants(expected.into())));
    }

    #[test]
    fn what_can_not_be_followed_is_refused() {
        let million = format!("#EXTM3U\n{}", "#EXTINF:1,\na\n".repeat(300_000));
        let many = format!("#EXTM3U\n{}", "#EXTINF:1,\na\n".repeat(SEGMENTS_MAX + 1));
        let variants = format!("#EXTM3U\n{}", "#EXT-X-STREAM-INF:BANDWIDTH=1\na\n".repeat(VARIANTS_MAX + 1));
        let long = format!("#EXTM3U\n#EXTINF:1,\n{}\n", "a".repeat(URI_BYTES_MAX + 1));
        for (text, expected) in [
            ("", PlaylistFault::NotAPlaylist),
            ("<html>", PlaylistFault::NotAPlaylist),
            (&million, PlaylistFault::TooMany),
            (&"#EXTM3U\n".repeat(1_000_000), PlaylistFault::TooLong),
            (&many, PlaylistFault::TooMany),
            (&variants, PlaylistFault::TooMany),
            (&long, PlaylistFault::Line(3)),
            ("#EXTM3U\n#EXTINF:-1,\na", PlaylistFault::Line(2)),
            ("#EXTM3U\n#EXTINF:1e9,\na", PlaylistFault::Line(2)),
            ("#EXTM3U\n#EXTINF:NaN,\na", PlaylistFault::Line(2)),
            ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:x\n", PlaylistFault::Line(2)),
            ("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128\n", PlaylistFault::Line(2)),
            ("#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n", PlaylistFault::Encryption("SAMPLE-AES".into())),
        ] {
            assert_eq!(Playlist::parse(text), Err(expected), "{text:.60}");
        }
    }
}

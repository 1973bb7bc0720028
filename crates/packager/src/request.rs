//! What a request asks for. Its path and query come from outside, and their lengths are checked before anything else.

use crate::store::track_name::{TS_FOLDER, TrackName, is_rendition_name};

/// The longest real path has some 50 bytes beside the rendition's name.
const PATH_BYTES_MAX: usize = 256;
/// A query has a token and three short parameters at most.
const QUERY_BYTES_MAX: usize = 2048;
const TOKEN_BYTES_MAX: usize = 1024;

/// Whether a path below `/play/<stream>/` and a query have a form that can be answered at all.
pub fn is_well_formed(path: &str, query: Option<&str>) -> bool {
    Target::parse(path).is_some() && Query::parse(query).is_ok()
}

/// Whether the value can be a token: nothing in it could end an attribute, a line or an element of the text that it is written into.
pub fn is_token(value: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'%' | b'=' | b'+');
    !value.is_empty() && value.len() <= TOKEN_BYTES_MAX && value.bytes().all(fits)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    Multivariant,
    Manifest { low_latency: bool },
    Playlist { rendition: &'a str, track: TrackName },
    Init { rendition: &'a str, track: TrackName, number: u32 },
    Segment { rendition: &'a str, track: TrackName, number: u64, run: u64 },
    Part { rendition: &'a str, track: TrackName, number: u64, run: u64, part: usize },
    TsMultivariant,
    TsPlaylist { rendition: &'a str },
    TsSegment { rendition: &'a str, number: u64, run: u64 },
}

impl<'a> Target<'a> {
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let mut pieces = path.split('/');
        let (first, second, third) = (pieces.next()?, pieces.next(), pieces.next());
        if pieces.next().is_some() {
            return None;
        }
        match (second, third) {
            (None, _) if first == "master.m3u8" => Some(Self::Multivariant),
            (None, _) if first == "manifest.mpd" => Some(Self::Manifest { low_latency: false }),
            (None, _) if first == "manifest-ll.mpd" => Some(Self::Manifest { low_latency: true }),
            (Some(file), None) if first == TS_FOLDER => (file == "master.m3u8").then_some(Self::TsMultivariant),
            (Some(rendition), Some(file)) if first == TS_FOLDER => Self::parse_ts(rendition, file),
            (Some(playlist), None) if is_rendition_name(first) => {
                Some(Self::Playlist { rendition: first, track: TrackName::parse(playlist.strip_suffix(".m3u8")?)? })
            }
            (Some(folder), Some(file)) if is_rendition_name(first) => {
                Self::parse_file(first, TrackName::parse(folder)?, file)
            }
            _ => None,
        }
    }

    fn parse_ts(rendition: &'a str, file: &str) -> Option<Self> {
        if !is_rendition_name(rendition) {
            return None;
        }
        match file.strip_suffix(".ts") {
            Some(name) => {
                let (number, run) = parse_segment(name)?;
                Some(Self::TsSegment { rendition, number, run })
            }
            None => (file == "media.m3u8").then_some(Self::TsPlaylist { rendition }),
        }
    }

    fn parse_file(rendition: &'a str, track: TrackName, file: &str) -> Option<Self> {
        if let Some(number) = file.strip_prefix("init-") {
            let number = u32::try_from(parse_number(number.strip_suffix(".mp4")?)?).ok()?;
            return Some(Self::Init { rendition, track, number });
        }
        let name = file.strip_suffix(".m4s")?;
        Some(match name.split_once('.') {
            None => {
                let (number, run) = parse_segment(name)?;
                Self::Segment { rendition, track, number, run }
            }
            Some((name, part)) => {
                let part = usize::try_from(parse_number(part)?).ok()?;
                let (number, run) = parse_segment(name)?;
                Self::Part { rendition, track, number, run, part }
            }
        })
    }
}

/// Reads a segment's number and run, as in "57" or "57-1795270912000".
fn parse_segment(name: &str) -> Option<(u64, u64)> {
    match name.split_once('-') {
        None => Some((parse_number(name)?, 0)),
        Some((number, run)) => Some((parse_number(number)?, parse_number(run).filter(|run| *run > 0)?)),
    }
}

/// Reads a number that has only digits, without a sign, and 18 of them at most. So it fits, and nothing is added to it without a check.
fn parse_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// What a query asks of a playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// `_HLS_msn`, and `_HLS_part` with it. The answer waits until the playlist has that segment or part.
    pub(crate) until: Option<(u64, Option<usize>)>,
    /// `_HLS_skip` says that a delta update will do.
    pub(crate) skip: bool,
}

impl Query {
    /// Reads a query. Unknown parameters are none of our business. The error says what is wrong, without repeating what came.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, &'static str> {
        let query = query.unwrap_or("");
        if query.len() > QUERY_BYTES_MAX {
            return Err("the query is too long");
        }
        let (mut number, mut part, mut parsed) = (None, None, Self::default());
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_HLS_msn" => number = Some(parse_number(value).ok_or("_HLS_msn is not a number")?),
                "_HLS_part" => {
                    let index = parse_number(value).and_then(|index| usize::try_from(index).ok());
                    part = Some(index.ok_or("_HLS_part is not a number")?);
                }
                "_HLS_skip" => parsed.skip = matches!(value, "YES" | "v2"),
                _ => {}
            }
        }
        parsed.until = match (number, part) {
            (None, Some(_)) => return Err("_HLS_part needs _HLS_msn"),
            (number, part) => number.map(|number| (number, part)),
        };
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_media::{MediaKind, TrackId};

    use super::*;

    #[test]
    fn paths_are_what_playlists_say() {
        let name = |kind, id| TrackName { kind, id: TrackId(id) };
        let (rendition, video, audio) = ("source", name(MediaKind::Video, 0), name(MediaKind::Audio, 1));
        for (path, expected) in [
            ("master.m3u8", Target::Multivariant),
            ("manifest.mpd", Target::Manifest { low_latency: false }),
            ("manifest-ll.mpd", Target::Manifest { low_latency: true }),
            ("source/video.m3u8", Target::Playlist { rendition, track: video }),
            ("source/audio-3.m3u8", Target::Playlist { rendition, track: name(MediaKind::Audio, 3) }),
            ("source/audio.m3u8", Target::Playlist { rendition, track: audio }),
            ("source/video/init-3.mp4", Target::Init { rendition, track: video, number: 3 }),
            ("source/video/120.m4s", Target::Segment { rendition, track: video, number: 120, run: 0 }),
            ("source/video/120-7.m4s", Target::Segment { rendition, track: video, number: 120, run: 7 }),
            ("source/audio/120.2.m4s", Target::Part { rendition, track: audio, number: 120, run: 0, part: 2 }),
            ("source/audio/120-7.2.m4s", Target::Part { rendition, track: audio, number: 120, run: 7, part: 2 }),
            ("ts/master.m3u8", Target::TsMultivariant),
            ("ts/source/media.m3u8", Target::TsPlaylist { rendition }),
            ("ts/source/120.ts", Target::TsSegment { rendition, number: 120, run: 0 }),
            ("ts/source/120-7.ts", Target::TsSegment { rendition, number: 120, run: 7 }),
            ("720p_a-1/video.m3u8", Target::Playlist { rendition: "720p_a-1", track: video }),
        ] {
            assert_eq!(Target::parse(path), Some(expected), "{path}");
        }
        let long = "a".repeat(65) + "/video.m3u8";
        for path in [
            "",
            "/",
            "//",
            "/master.m3u8",
            "master.m3u8/",
            "source",
            "source/",
            "source/text.m3u8",
            "source/audio-1.m3u8",
            "source/video.m3u",
            "source/video/",
            "source/video/.m4s",
            "source/video/x.m4s",
            "source/video/1.m4s/2",
            "source/video/-1.m4s",
            "source/video/+1.m4s",
            "source/video/1..m4s",
            "source/video/1-.m4s",
            "source/video/1-0.m4s",
            "source/video/1-2-3.m4s",
            "source/video/1.2-3.m4s",
            "source/video/1.2.3.m4s",
            "source/video/9999999999999999999.m4s",
            "source/video/init-99999999999.mp4",
            "source/video/init-.mp4",
            "ts",
            "ts/video.m3u8",
            "ts/source/master.m3u8",
            "ts/source/.ts",
            "ts/source/-1.ts",
            "ts/../1.ts",
            "ts/ts/1.ts",
            "ts/video/1.m4s",
            "../video.m3u8",
            "source/../video.m3u8",
            "so\"urce/video.m3u8",
            "sourc\u{e9}/video.m3u8",
            &long,
            &"a/".repeat(500),
        ] {
            assert_eq!(Target::parse(path), None, "{path}");
        }
    }

    #[test]
    fn queries_are_read_and_bounded() {
        let query = |until, skip| Ok(Query { until, skip });
        for (text, expected) in [
            ("", query(None, false)),
            ("a=b&c&&=", query(None, false)),
            ("_HLS_msn=7", query(Some((7, None)), false)),
            ("_HLS_part=2&_HLS_msn=7", query(Some((7, Some(2))), false)),
            ("_HLS_msn=7&_HLS_skip=YES&token=a.b-c_d~", query(Some((7, None)), true)),
            ("_HLS_skip=v2", query(None, true)),
            ("_HLS_skip=NO", query(None, false)),
            ("_HLS_part=2", Err("_HLS_part needs _HLS_msn")),
            ("_HLS_msn=", Err("_HLS_msn is not a number")),
            ("_HLS_msn=-1", Err("_HLS_msn is not a number")),
            ("_HLS_msn=18446744073709551616", Err("_HLS_msn is not a number")),
            ("_HLS_msn=1&_HLS_part=x", Err("_HLS_part is not a number")),
            // Whether the viewer may watch is not decided here.
            ("token=", query(None, false)),
            ("token=a\"b", query(None, false)),
        ] {
            assert_eq!(Query::parse(Some(text)), expected, "{text}");
        }
        assert_eq!(Query::parse(None), Ok(Query::default()));
        assert_eq!(Query::parse(Some(&"a".repeat(2049))), Err("the query is too long"));
    }

    #[test]
    fn tokens_are_bounded_and_break_out_of_nothing() {
        for (token, expected) in [
            ("a.b-c_d~", true),
            (&*"a".repeat(1024), true),
            (&*"a".repeat(1025), false),
            ("", false),
            ("a\"b", false),
            ("a\nb", false),
            ("a<b", false),
            ("a&b", false),
            ("$Number$", false),
        ] {
            assert_eq!(is_token(token), expected, "{token}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(path in "[a-z0-9./_-]{0,40}|.{0,300}", query in "(_HLS_(msn|part|skip)|token|&|=|[0-9]{0,22}|.){0,12}") {
            let _ = Target::parse(&path);
            let _ = (Query::parse(Some(&query)), is_token(&query));
        }
    }
}

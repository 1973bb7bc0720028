//! Reads a media playlist.

use super::attributes::Attributes;
use super::times::wall_millis;
use super::{Rule, Violations};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaPlaylist {
    pub versions: Vec<u64>,
    pub target_seconds: u64,
    pub part_target: Option<f64>,
    pub control: Attributes,
    pub media_sequence: Option<u64>,
    pub discontinuity_sequence: u64,
    pub independent: bool,
    pub skipped: Option<u64>,
    /// The segments. The last one may be open: it has parts and no address.
    pub segments: Vec<Segment>,
    pub hints: Vec<Attributes>,
    pub reports: Vec<Attributes>,
    pub ended: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    pub number: u64,
    pub uri: Option<String>,
    pub map: Option<String>,
    pub duration: f64,
    pub parts: Vec<Part>,
    /// The discontinuity sequence number.
    pub breaks: u64,
    pub wall_millis: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    pub uri: String,
    pub duration: f64,
    pub independent: bool,
}

impl MediaPlaylist {
    pub fn complete(&self) -> impl DoubleEndedIterator<Item = &Segment> + Clone {
        self.segments.iter().filter(|segment| segment.uri.is_some())
    }

    pub fn discontinuities(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.breaks - self.discontinuity_sequence)
    }

    /// The newest segment's number and its newest part's index, where parts are listed.
    pub fn newest(&self) -> Option<(u64, Option<usize>)> {
        let newest = self.segments.last()?;
        Some((newest.number, newest.parts.len().checked_sub(1)))
    }

    /// Parses a playlist. Syntax errors go to `out`; what could be read is returned.
    pub fn parse(text: &str, out: &mut Violations) -> Self {
        let mut reader = Reader::default();
        let mut lines = text.lines();
        out.check(lines.next() == Some("#EXTM3U"), Rule::Syntax, || "it does not begin with #EXTM3U".to_owned());
        for line in lines {
            if reader.line(line).is_none() {
                out.add(Rule::Syntax, format!("{line:?} is malformed, unknown or out of place"));
            }
        }
        reader.finish()
    }
}

#[derive(Default)]
struct Reader {
    playlist: MediaPlaylist,
    segment: Segment,
    map: Option<String>,
    breaks: u64,
}

impl Reader {
    /// Reads a line; None where it can't be understood.
    fn line(&mut self, line: &str) -> Option<()> {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        let attributes = || Attributes::parse(value);
        let playlist = &mut self.playlist;
        match tag {
            "#EXT-X-VERSION" => playlist.versions.push(value.parse().ok()?),
            "#EXT-X-TARGETDURATION" => playlist.target_seconds = value.parse().ok()?,
            "#EXT-X-SERVER-CONTROL" => playlist.control = attributes()?,
            "#EXT-X-PART-INF" => playlist.part_target = Some(attributes()?.number("PART-TARGET")?),
            "#EXT-X-MEDIA-SEQUENCE" if playlist.segments.is_empty() => {
                self.segment.number = value.parse().ok()?;
                playlist.media_sequence = Some(self.segment.number);
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" if playlist.segments.is_empty() => {
                self.breaks = value.parse().ok()?;
                playlist.discontinuity_sequence = self.breaks;
            }
            "#EXT-X-INDEPENDENT-SEGMENTS" => playlist.independent = true,
            "#EXT-X-SKIP" if playlist.segments.is_empty() => {
                let skipped = attributes()?.get("SKIPPED-SEGMENTS")?.parse().ok()?;
                self.segment.number += skipped;
                playlist.skipped = Some(skipped);
            }
            "#EXT-X-DISCONTINUITY" => self.breaks += 1,
            "#EXT-X-MAP" => self.map = Some(attributes()?.get("URI")?.to_owned()),
            "#EXT-X-PROGRAM-DATE-TIME" => self.segment.wall_millis = Some(wall_millis(value)?),
            "#EXT-X-PART" => {
                let of = attributes()?;
                let (uri, duration) = (of.get("URI")?.to_owned(), of.number("DURATION")?);
                self.segment.parts.push(Part { uri, duration, independent: of.is("INDEPENDENT", "YES") });
            }
            "#EXTINF" => {
                self.segment.duration = value.split_once(',')?.0.parse().ok().filter(|seconds| *seconds > 0.0)?;
            }
            "#EXT-X-PRELOAD-HINT" => playlist.hints.push(attributes()?),
            "#EXT-X-RENDITION-REPORT" => playlist.reports.push(attributes()?),
            "#EXT-X-ENDLIST" => playlist.ended = true,
            // These tags may stand anywhere: metadata, and comments.
            "#EXT-X-DATERANGE" => drop(attributes()?),
            "#EXT-X-PLAYLIST-TYPE" => {}
            _ if line.is_empty() || line.starts_with("#EXT") => return None,
            _ if line.starts_with('#') => {}
            uri => {
                if self.segment.duration <= 0.0 {
                    return None;
                }
                self.segment.uri = Some(uri.to_owned());
                self.end_segment();
            }
        }
        Some(())
    }

    fn end_segment(&mut self) {
        let next = Segment { number: self.segment.number + 1, ..Segment::default() };
        let done = std::mem::replace(&mut self.segment, next);
        self.playlist.segments.push(Segment { map: self.map.clone(), breaks: self.breaks, ..done });
    }

    fn finish(mut self) -> MediaPlaylist {
        if !self.segment.parts.is_empty() {
            self.end_segment();
        }
        self.playlist
    }
}

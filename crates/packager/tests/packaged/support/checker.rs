//! Judges media playlists by the rules of RFC 8216bis, and reads the times out of the files that they name.

use std::collections::BTreeMap;

#[derive(Debug, Default, Clone)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) uri: Option<String>,
    pub(crate) map: String,
    pub(crate) duration: f64,
    pub(crate) parts: Vec<Part>,
    pub(crate) breaks: u64,
    pub(crate) date: String,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Part {
    pub(crate) uri: String,
    pub(crate) duration: f64,
    pub(crate) independent: bool,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Playlist {
    pub(crate) target: u64,
    pub(crate) part_target: f64,
    pub(crate) media_sequence: u64,
    pub(crate) discontinuity_sequence: u64,
    pub(crate) skipped: u64,
    pub(crate) independent: bool,
    /// The segments. The last one may be open: it has parts, and no address of its own.
    pub(crate) segments: Vec<Segment>,
    pub(crate) hint: Option<String>,
    pub(crate) reports: Vec<String>,
    pub(crate) discontinuities: u64,
}

impl Playlist {
    pub(crate) fn uris(&self) -> Vec<String> {
        let mut uris = Vec::new();
        for segment in &self.segments {
            uris.push(segment.map.clone());
            uris.extend(segment.uri.clone());
            uris.extend(segment.parts.iter().map(|part| part.uri.clone()));
        }
        uris.sort();
        uris.dedup();
        uris
    }

    pub(crate) fn complete(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.uri.is_some())
    }
}

/// Reads attributes such as `A=1,B="x,y"` into a map, with the quotes taken off.
pub(crate) fn attributes(text: &str) -> BTreeMap<String, String> {
    let (mut found, mut rest) = (BTreeMap::new(), text);
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"').expect("quotes are closed");
                (value, next.trim_start_matches(','))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name.to_owned(), value.to_owned());
        rest = next;
    }
    found
}

macro_rules! ensure {
    ($holds:expr, $($words:tt)*) => {
        match $holds {
            true => {}
            false => return Err(format!($($words)*)),
        }
    };
}

pub(crate) fn check(text: &str) -> Result<Playlist, String> {
    let playlist = parse(text)?;
    ensure!(playlist.target > 0, "a target duration is needed");
    ensure!(playlist.part_target > 0.0, "a part target is needed");
    let mut ends = 0;
    for segment in &playlist.segments {
        let number = segment.number;
        ensure!(!segment.map.is_empty(), "segment {number} has no map");
        ensure!(!segment.date.is_empty(), "segment {number} has no date");
        let last = segment.uri.as_ref().and(segment.parts.len().checked_sub(1));
        for (index, part) in segment.parts.iter().enumerate() {
            ensure!(part.duration <= playlist.part_target, "part {number}.{index} exceeds the part target");
            let is_full = part.duration >= playlist.part_target * 0.85;
            ensure!(is_full || last == Some(index), "part {number}.{index} is short");
            ensure!(part.duration > 0.0, "part {number}.{index} has no length");
        }
        ensure!(
            !playlist.independent || segment.parts.first().is_none_or(|part| part.independent),
            "segment {number} does not begin with a keyframe"
        );
        if segment.uri.is_none() {
            ends += 1;
            continue;
        }
        ensure!(ends == 0, "only the last segment may be open");
        ensure!(segment.duration.round() <= playlist.target as f64, "segment {number} exceeds the target duration");
        ensure!(segment.duration > 0.0, "segment {number} has no length");
        if !segment.parts.is_empty() {
            let sum: f64 = segment.parts.iter().map(|part| part.duration).sum();
            ensure!(
                (sum - segment.duration).abs() < 0.001,
                "the parts of {number} sum to {sum}, not {}",
                segment.duration
            );
        }
    }
    Ok(playlist)
}

/// Checks that nothing changed between two readings of one playlist that may not change.
pub(crate) fn check_reload(before: &Playlist, after: &Playlist) -> Result<(), String> {
    ensure!(after.media_sequence >= before.media_sequence, "the media sequence went back");
    ensure!(after.target == before.target, "the target duration changed");
    ensure!(after.part_target == before.part_target, "the part target changed");
    ensure!(after.discontinuity_sequence >= before.discontinuity_sequence, "the discontinuity sequence went back");
    for segment in &after.segments {
        let Some(old) = before.segments.iter().find(|old| old.number == segment.number) else { continue };
        ensure!(old.breaks == segment.breaks, "segment {} moved to another discontinuity", segment.number);
        ensure!(old.date == segment.date && old.map == segment.map, "segment {} changed", segment.number);
        if old.uri.is_some() {
            ensure!(old.uri == segment.uri && old.duration == segment.duration, "segment {} changed", segment.number);
        } else {
            let same = old
                .parts
                .iter()
                .zip(&segment.parts)
                .all(|(old, new)| old.uri == new.uri && old.duration == new.duration);
            ensure!(same || segment.parts.is_empty(), "parts of segment {} changed", segment.number);
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Playlist, String> {
    let mut lines = text.lines();
    ensure!(lines.next() == Some("#EXTM3U"), "no #EXTM3U");
    let (mut playlist, mut segment, mut map) = (Playlist::default(), Segment::default(), String::new());
    let mut breaks = 0;
    for line in lines {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        let of = attributes(value);
        let number = |name: &str| of.get(name).and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0);
        match tag {
            "#EXT-X-VERSION" => ensure!(value == "9", "version {value}"),
            "#EXT-X-TARGETDURATION" => playlist.target = value.parse().map_err(|_| "target".to_owned())?,
            "#EXT-X-SERVER-CONTROL" => {
                ensure!(of["CAN-BLOCK-RELOAD"] == "YES", "blocking reload is not said");
                let target = playlist.target as f64;
                ensure!(number("CAN-SKIP-UNTIL") >= 6.0 * target, "CAN-SKIP-UNTIL is under six target durations");
                ensure!(number("HOLD-BACK") >= 3.0 * target, "HOLD-BACK is under three target durations");
                playlist.part_target = number("PART-HOLD-BACK") / 3.0;
            }
            "#EXT-X-PART-INF" => {
                let target = number("PART-TARGET");
                ensure!(playlist.part_target + 0.0005 >= target, "PART-HOLD-BACK is under three part targets");
                playlist.part_target = target;
            }
            "#EXT-X-MEDIA-SEQUENCE" => {
                playlist.media_sequence = value.parse().map_err(|_| "media sequence".to_owned())?;
                segment.number = playlist.media_sequence;
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                playlist.discontinuity_sequence = value.parse().map_err(|_| "discontinuity sequence".to_owned())?;
                breaks = playlist.discontinuity_sequence;
            }
            "#EXT-X-INDEPENDENT-SEGMENTS" => playlist.independent = true,
            "#EXT-X-SKIP" => {
                playlist.skipped = number("SKIPPED-SEGMENTS") as u64;
                segment.number += playlist.skipped;
            }
            "#EXT-X-DISCONTINUITY" => {
                breaks += 1;
                playlist.discontinuities += 1;
            }
            "#EXT-X-MAP" => map = of["URI"].clone(),
            "#EXT-X-PROGRAM-DATE-TIME" => segment.date = value.to_owned(),
            "#EXT-X-PART" => segment.parts.push(Part {
                uri: of["URI"].clone(),
                duration: number("DURATION"),
                independent: of.get("INDEPENDENT").is_some_and(|value| value == "YES"),
            }),
            "#EXTINF" => {
                segment.duration = value.trim_end_matches(',').parse().map_err(|_| "EXTINF".to_owned())?;
            }
            "#EXT-X-PRELOAD-HINT" => playlist.hint = Some(of["URI"].clone()),
            "#EXT-X-RENDITION-REPORT" => playlist.reports.push(value.to_owned()),
            "" => return Err("an empty line".to_owned()),
            _ if line.starts_with('#') => return Err(format!("unknown tag {line}")),
            uri => {
                ensure!(segment.duration > 0.0, "{uri} has no EXTINF");
                let next = Segment { number: segment.number + 1, ..Segment::default() };
                let mut done = std::mem::replace(&mut segment, next);
                (done.uri, done.map, done.breaks) = (Some(uri.to_owned()), map.clone(), breaks);
                playlist.segments.push(done);
            }
        }
    }
    if !segment.parts.is_empty() {
        (segment.map, segment.breaks) = (map, breaks);
        playlist.segments.push(segment);
    }
    Ok(playlist)
}

/// What each chunk in a file of ours says: `(tfdt, sum of durations, first sample is a keyframe)`.
pub(crate) fn chunks(mut data: &[u8]) -> Vec<(u64, u64, bool)> {
    let mut found = Vec::new();
    while data.len() >= 8 {
        let size = be32(data, 0) as usize;
        if &data[4..8] == b"moof" {
            // We write these boxes, and their sizes are always the same: mfhd is 16 bytes, the traf's header 8, and tfhd 20.
            let tfdt = 8 + 16 + 8 + 20;
            assert_eq!(&data[tfdt + 4..tfdt + 8], b"tfdt");
            let decode = u64::from_be_bytes(data[tfdt + 12..tfdt + 20].try_into().unwrap());
            let trun = &data[tfdt + 20..];
            assert_eq!(&trun[4..8], b"trun");
            let flags = be32(trun, 8) & 0xFF_FFFF;
            let (count, row) = (be32(trun, 12) as usize, if flags & 0x400 != 0 { 16 } else { 8 });
            let duration = (0..count).map(|sample| u64::from(be32(trun, 20 + sample * row))).sum();
            let keyframe = row == 8 || be32(trun, 20 + 8) & 0x1_0000 == 0;
            found.push((decode, duration, keyframe));
        }
        data = &data[size..];
    }
    found
}

/// How many frames a file of ours has.
pub(crate) fn samples(data: &[u8]) -> u32 {
    let truns = data.windows(4).enumerate().filter(|(_, kind)| kind == b"trun");
    truns.map(|(at, _)| be32(data, at + 8)).sum()
}

fn be32(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(data[at..at + 4].try_into().unwrap())
}

//! The index of a stream's window. It is lines of text that are only ever added. Each has its own checksum, so that a torn line at the end,
//! or in the middle after the disk was full, costs nothing but itself.

use std::fmt::Write;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use weir_media::{Codec, Language, MediaTime, TrackInfo, codec, label_of};

use super::backlog::TrackKey;
use crate::store::segment::Segment;
use crate::store::track::Init;
use crate::store::track_name::TrackName;
use crate::store::track_name::is_rendition_name;

/// One line of the index.
#[derive(Debug)]
pub(crate) enum Record {
    /// The wall clock at the stream's time zero, in nanoseconds since 1970.
    Zero(i128),
    /// The target duration that was announced, in seconds.
    Target(u64),
    Init {
        track: TrackKey,
        number: u32,
        init: Init,
    },
    /// A segment whose file was written before this line, and the number of the segment with which the track's playlist began then.
    Segment {
        track: TrackKey,
        segment: Segment,
        first_listed: u64,
    },
}

impl Record {
    pub(crate) fn zero(at: time::OffsetDateTime) -> String {
        sealed(&format!("z {}", at.unix_timestamp_nanos()))
    }

    pub(crate) fn target(seconds: u64) -> String {
        sealed(&format!("t {seconds}"))
    }

    pub(crate) fn init(track: &TrackKey, number: u32, init: &Init) -> String {
        let (config, body) = (hex(&init.info.config), hex(&init.body));
        let language = init.info.language.map_or_else(|| "-".to_owned(), |language| language.to_string());
        let label = hex(init.info.label.as_deref().unwrap_or_default().as_bytes());
        let TrackKey { rendition, track } = track;
        let codec = init.info.codec;
        sealed(&format!("i {rendition} {track} {number} {codec} {config} {body} {language} {label}"))
    }

    pub(crate) fn segment(track: &TrackKey, segment: &Segment, first_listed: u64) -> String {
        let TrackKey { rendition, track } = track;
        sealed(&format!(
            "s {rendition} {track} {} {} {} {} {} {} {} {} {} {} {} {first_listed}",
            segment.number,
            segment.run,
            segment.init,
            segment.breaks,
            segment.period_start.as_nanos(),
            segment.start_ticks,
            segment.timescale,
            segment.duration_ticks,
            segment.samples,
            u8::from(segment.independent),
            segment.bytes,
        ))
    }

    /// Reads all lines that can be read, and leaves out the others.
    pub(crate) fn parse_all(text: &[u8]) -> impl Iterator<Item = Self> {
        text.split(|byte| *byte == b'\n').filter_map(|line| Self::parse(std::str::from_utf8(line).ok()?))
    }

    fn parse(line: &str) -> Option<Self> {
        let (text, sum) = line.rsplit_once(' ')?;
        if sum != checksum(text) {
            return None;
        }
        let mut words = text.split(' ');
        let kind = words.next()?;
        match kind {
            "z" => return Some(Self::Zero(words.next()?.parse().ok()?)),
            "t" => return Some(Self::Target(next(&mut words)?)),
            _ => {}
        }
        let track = TrackKey { rendition: words.next()?.to_owned(), track: TrackName::parse(words.next()?)? };
        if !is_rendition_name(&track.rendition) {
            return None;
        }
        match kind {
            "i" => {
                let number = next(&mut words)?;
                let (codec, config, body) = (words.next()?, unhex(words.next()?)?, unhex(words.next()?)?);
                let codec = Codec::ALL.into_iter().find(|known| known.name() == codec)?;
                let info =
                    codec::parse(codec, track.track.id, config).ok().filter(|info| info.kind() == track.track.kind)?;
                // The index of an older version has no language and no label.
                let language = words.next().and_then(Language::parse);
                let label = words.next().and_then(unhex).and_then(|label| label_of(std::str::from_utf8(&label).ok()?));
                let info = Arc::new(TrackInfo { language, label, ..info });
                Some(Self::Init { track, number, init: Init { body, info } })
            }
            "s" => {
                let mut segment = Segment::on_disk(next(&mut words)?, next(&mut words)?, next(&mut words)?);
                segment.breaks = next(&mut words)?;
                segment.period_start = MediaTime::from_nanos(next(&mut words)?);
                segment.start_ticks = next(&mut words)?;
                segment.timescale = next(&mut words).filter(|timescale| *timescale > 0)?;
                segment.duration_ticks = next(&mut words)?;
                segment.samples = next(&mut words)?;
                segment.independent = next::<u8>(&mut words)? == 1;
                segment.bytes = next(&mut words)?;
                Some(Self::Segment { track, segment, first_listed: next(&mut words)? })
            }
            _ => None,
        }
    }
}

fn next<T: FromStr>(words: &mut std::str::Split<'_, char>) -> Option<T> {
    words.next()?.parse().ok()
}

fn sealed(text: &str) -> String {
    let sum = checksum(text);
    format!("{text} {sum}\n")
}

/// The checksum is FNV-1a. It is there against torn and mixed lines, not against people.
fn checksum(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

/// Writes bytes in hexadecimal. No bytes are written as "-", so that every word of a line has a character.
fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<Bytes> {
    if text == "-" {
        return Some(Bytes::new());
    }
    let digits: Option<Vec<u8>> = text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>().into())
}

#[cfg(test)]
mod tests {
    use weir_media::{MediaKind, TrackId};

    use super::*;

    fn lines() -> (TrackKey, String) {
        let name = TrackName { kind: MediaKind::Audio, id: TrackId(2) };
        let track = TrackKey::new("source", name);
        let config = codec::aac::AacConfig::build_lc(48_000, 2).unwrap();
        let info = codec::parse(Codec::Aac, name.id, config).unwrap();
        let (language, label) = (Language::parse("deu"), Some("Stadion Süd".to_owned()));
        let info = Arc::new(TrackInfo { language, label, ..info });
        let init = Init { body: Bytes::from_static(b"init"), info };
        let mut segment = Segment::on_disk(57, 1_700_000_000, 3);
        (segment.breaks, segment.period_start) = (2, MediaTime::from_millis(12_000));
        (segment.start_ticks, segment.timescale, segment.duration_ticks) = (1 << 40, 48_000, 96_000);
        (segment.samples, segment.independent, segment.bytes) = (94, true, 32_000);
        let text = [
            Record::zero(time::OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(5)),
            Record::target(4),
            Record::init(&track, 3, &init),
            Record::segment(&track, &segment, 40),
        ];
        (track, text.concat())
    }

    #[test]
    fn what_is_written_is_read() {
        let (track, text) = lines();
        let records: Vec<Record> = Record::parse_all(text.as_bytes()).collect();
        let [
            Record::Zero(zero),
            Record::Target(4),
            Record::Init { init, number: 3, .. },
            Record::Segment { segment, first_listed: 40, .. },
        ] = &records[..]
        else {
            panic!("{records:?}");
        };
        assert_eq!((*zero, &*init.body, init.info.codec), (5_000_000_000, &b"init"[..], Codec::Aac));
        assert_eq!(Record::segment(&track, segment, 40), text.split_inclusive('\n').next_back().unwrap());
        assert!(segment.saved && segment.is_complete() && segment.independent);
        assert_eq!((init.info.id, init.info.language), (TrackId(2), Language::parse("deu")));
        assert_eq!(init.info.label.as_deref(), Some("Stadion Süd"));
    }

    #[test]
    fn the_index_of_an_older_version_is_read() {
        let config = codec::aac::AacConfig::build_lc(48_000, 2).unwrap();
        let line = sealed(&format!("i source audio 3 aac {} 00", hex(&config)));
        let records: Vec<Record> = Record::parse_all(line.as_bytes()).collect();
        let [Record::Init { track, init, .. }] = &records[..] else { panic!("{records:?}") };
        assert_eq!((track.track.id, init.info.language, &init.info.label), (TrackId::SOURCE_AUDIO, None, &None));
    }

    #[test]
    fn a_damaged_line_costs_itself_alone() {
        let (_, text) = lines();
        let whole = Record::parse_all(text.as_bytes()).count();
        for cut in 0..text.len() {
            let read = Record::parse_all(&text.as_bytes()[..cut]).count();
            assert_eq!(read, text[..cut].matches('\n').count() + usize::from(text.as_bytes()[cut] == b'\n'), "{cut}");
            let mut damaged = text.clone().into_bytes();
            damaged[cut] ^= 1;
            assert!(Record::parse_all(&damaged).count() + 2 >= whole, "{cut}");
            assert!(Record::parse_all(&damaged).count() < whole, "{cut}");
        }
        let torn = format!("{}\n{text}", &text[..20]);
        assert_eq!(Record::parse_all(torn.as_bytes()).count(), whole);
    }
}

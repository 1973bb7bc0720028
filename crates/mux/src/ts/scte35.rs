//! Splice information (SCTE 35): where advertisements begin and end. A section is read as far as playlists need it, and is handed on as
//! it came.

use super::psi::TABLE_SCTE35;

const SPLICE_NULL: u8 = 0x00;
const SPLICE_INSERT: u8 = 0x05;
const TIME_SIGNAL: u8 = 0x06;
/// Old encoders give this as the length of a command, which then is as long as its kind says.
const LENGTH_UNKNOWN: usize = 0xFFF;
const SEGMENTATION_DESCRIPTOR: u8 = 0x02;
const IDENTIFIER: &[u8] = b"CUEI";
/// Times have 33 bits at 90 kHz, as PTS have.
const CLOCK_MASK: u64 = (1 << 33) - 1;
/// The most segmentation descriptors of one section. A section of 4 kB would have room for 180.
pub const SEGMENTATIONS_MAX: usize = 32;

/// The content of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    pub command: SpliceCommand,
    /// The time of the splice, on the clock of the stream's PTS. `None` means at once.
    pub pts_ticks: Option<u64>,
    pub segmentations: Vec<Segmentation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpliceCommand {
    Null,
    Insert {
        event_id: u32,
        cancelled: bool,
        /// The splice leads out of the programme into a break, or else back.
        out: bool,
        duration_ticks: Option<u64>,
        /// The break ends by itself after that duration.
        auto_return: bool,
    },
    /// The descriptors say what happens.
    TimeSignal,
    Other {
        kind: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    pub event_id: u32,
    pub cancelled: bool,
    pub type_id: u8,
    pub duration_ticks: Option<u64>,
}

impl Segmentation {
    /// Whether this type begins what its successor in the table ends: advertisements of provider and distributor, placement
    /// opportunities, and breaks.
    pub const fn is_out(&self) -> bool {
        matches!(self.type_id, 0x22 | 0x30 | 0x32 | 0x34 | 0x36 | 0x38 | 0x3A | 0x44 | 0x46)
    }

    pub const fn is_in(&self) -> bool {
        matches!(self.type_id, 0x23 | 0x31 | 0x33 | 0x35 | 0x37 | 0x39 | 0x3B | 0x45 | 0x47)
    }
}

impl Splice {
    /// Reads a section. `None` if it is broken, encrypted, or no splice information. The CRC has been checked before.
    pub fn parse(section: &[u8]) -> Option<Self> {
        let mut reader = Reader(section);
        if reader.byte()? != TABLE_SCTE35 {
            return None;
        }
        let length = usize::from(reader.u16()? & 0xFFF);
        // The last four bytes are the CRC.
        let mut reader = Reader(reader.take(length)?.split_last_chunk::<4>()?.0);
        let _protocol_version = reader.byte()?;
        let flags = *reader.0.first()?;
        if flags & 0x80 != 0 {
            return None;
        }
        let adjustment = reader.ticks33()?;
        let _key = reader.byte()?;
        let [tier, both, low] = *reader.take(3)?.first_chunk()?;
        let _ = tier;
        let command_length = usize::from(both & 0x0F) << 8 | usize::from(low);
        let kind = reader.byte()?;
        let known = matches!(kind, SPLICE_NULL | SPLICE_INSERT | TIME_SIGNAL);
        let (command, pts) = match (command_length, known) {
            (LENGTH_UNKNOWN, true) => command(kind, &mut reader)?,
            (LENGTH_UNKNOWN, false) => return None,
            (length, _) => command(kind, &mut Reader(reader.take(length)?))?,
        };
        let descriptors = usize::from(reader.u16()?);
        let segmentations = segmentations(Reader(reader.take(descriptors)?))?;
        let pts_ticks = pts.map(|pts| pts.wrapping_add(adjustment) & CLOCK_MASK);
        Some(Self { command, pts_ticks, segmentations })
    }
}

fn command(kind: u8, reader: &mut Reader<'_>) -> Option<(SpliceCommand, Option<u64>)> {
    match kind {
        SPLICE_NULL => Some((SpliceCommand::Null, None)),
        SPLICE_INSERT => insert(reader),
        TIME_SIGNAL => Some((SpliceCommand::TimeSignal, reader.splice_time()?)),
        kind => Some((SpliceCommand::Other { kind }, None)),
    }
}

fn insert(reader: &mut Reader<'_>) -> Option<(SpliceCommand, Option<u64>)> {
    let (event_id, cancelled) = (reader.u32()?, reader.byte()? & 0x80 != 0);
    if cancelled {
        let none = SpliceCommand::Insert { event_id, cancelled, out: false, duration_ticks: None, auto_return: false };
        return Some((none, None));
    }
    let flags = reader.byte()?;
    let (out, whole_program, has_duration, immediate) =
        (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x20 != 0, flags & 0x10 != 0);
    let mut pts = None;
    if whole_program {
        if !immediate {
            pts = reader.splice_time()?;
        }
    } else {
        // Components mostly share one time, so the first one that has a time counts.
        for _ in 0..reader.byte()? {
            let _component = reader.byte()?;
            if !immediate {
                let of_component = reader.splice_time()?;
                pts = pts.or(of_component);
            }
        }
    }
    let (mut duration_ticks, mut auto_return) = (None, false);
    if has_duration {
        auto_return = reader.0.first()? & 0x80 != 0;
        duration_ticks = Some(reader.ticks33()?);
    }
    // These are the numbers of the programme and of the avail.
    reader.take(4)?;
    Some((SpliceCommand::Insert { event_id, cancelled, out, duration_ticks, auto_return }, pts))
}

fn segmentations(mut reader: Reader<'_>) -> Option<Vec<Segmentation>> {
    let mut found = Vec::new();
    while !reader.0.is_empty() && found.len() < SEGMENTATIONS_MAX {
        let (tag, length) = (reader.byte()?, usize::from(reader.byte()?));
        let mut body = Reader(reader.take(length)?);
        if tag == SEGMENTATION_DESCRIPTOR && body.take(IDENTIFIER.len())? == IDENTIFIER {
            found.push(segmentation(body)?);
        }
    }
    Some(found)
}

fn segmentation(mut reader: Reader<'_>) -> Option<Segmentation> {
    let (event_id, cancelled) = (reader.u32()?, reader.byte()? & 0x80 != 0);
    if cancelled {
        return Some(Segmentation { event_id, cancelled, type_id: 0, duration_ticks: None });
    }
    let flags = reader.byte()?;
    if flags & 0x80 == 0 {
        let components = usize::from(reader.byte()?);
        reader.take(components * 6)?;
    }
    let mut duration_ticks = None;
    if flags & 0x40 != 0 {
        let [high, rest @ ..] = *reader.take(5)?.first_chunk::<5>()?;
        duration_ticks = Some(u64::from(high) << 32 | u64::from(u32::from_be_bytes(rest)));
    }
    let (_upid_type, upid_length) = (reader.byte()?, usize::from(reader.byte()?));
    reader.take(upid_length)?;
    Some(Segmentation { event_id, cancelled, type_id: reader.byte()?, duration_ticks })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.take(4)?.first_chunk()?))
    }

    /// Reads five bytes, of which the last 33 bits count.
    fn ticks33(&mut self) -> Option<u64> {
        let [high, rest @ ..] = *self.take(5)?.first_chunk::<5>()?;
        Some(u64::from(high & 1) << 32 | u64::from(u32::from_be_bytes(rest)))
    }

    /// Reads a time. The inner `None` means that no time is given.
    fn splice_time(&mut self) -> Option<Option<u64>> {
        if self.0.first()? & 0x80 == 0 {
            return self.byte().map(|_| None);
        }
        self.ticks33().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    /// These samples are the standard's own (SCTE 35 2023, 14).
    #[test]
    fn the_samples_of_the_standard() {
        // Sample 14.1 is a time_signal: a placement opportunity starts.
        let signal = bytes(
            "FC3034000000000000FFFFF00506FE72BD0050001E021C435545494800008E7FCF0001A599B00808000000002CA0A18A3402009AC9D17E",
        );
        let expected =
            Segmentation { event_id: 0x4800_008E, cancelled: false, type_id: 0x34, duration_ticks: Some(27_630_000) };
        assert!(expected.is_out() && !expected.is_in());
        assert_eq!(
            Splice::parse(&signal),
            Some(Splice {
                command: SpliceCommand::TimeSignal,
                pts_ticks: Some(0x0_72BD_0050),
                segmentations: vec![expected]
            })
        );
        // Sample 14.2 is a splice_insert: out of the network for 60.293 s.
        let insert = bytes(
            "FC302F000000000000FFFFF014054800008F7FEFFE7369C02EFE0052CCF500000000000A0008435545490000013562DBA30A",
        );
        let command = SpliceCommand::Insert {
            event_id: 0x4800_008F,
            cancelled: false,
            out: true,
            duration_ticks: Some(0x52_CCF5),
            auto_return: true,
        };
        assert_eq!(
            Splice::parse(&insert),
            Some(Splice { command, pts_ticks: Some(0x0_7369_C02E), segmentations: vec![] })
        );
    }

    #[test]
    fn what_is_cut_short_is_none_and_times_wrap() {
        let insert = bytes(
            "FC302F000000000000FFFFF014054800008F7FEFFE7369C02EFE0052CCF500000000000A0008435545490000013562DBA30A",
        );
        (0..insert.len()).for_each(|length| assert_eq!(Splice::parse(&insert[..length]), None, "{length}"));
        let mut wrapped = insert.clone();
        // An adjustment of 2^33 - 1 is one tick less.
        wrapped[4..9].copy_from_slice(&[1, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(Splice::parse(&wrapped).unwrap().pts_ticks, Some(0x7369_C02D));
        let mut encrypted = insert.clone();
        encrypted[4] |= 0x80;
        assert_eq!(Splice::parse(&encrypted), None);
        let mut old = insert;
        // This command has an unknown length.
        old[11] |= 0x0F;
        old[12] = 0xFF;
        assert!(matches!(Splice::parse(&old).unwrap().command, SpliceCommand::Insert { out: true, .. }));
    }
}

//! The two tables that describe a transport: the PAT lists its programmes, and a PMT the streams of one.

use bytes::{BufMut, Bytes, BytesMut};

use super::section::LongSection;
use super::{PID_NULL, PROGRAMS_MAX, STREAMS_MAX, TsElementary};

const TABLE_PAT: u8 = 0;
const TABLE_PMT: u8 = 2;
pub(super) const TABLE_SCTE35: u8 = 0xFC;

/// The PIDs that a table may assign. The others have a fixed meaning.
const FREE_PIDS: std::ops::Range<u16> = 0x10..PID_NULL;

/// Reads one section of the PAT: programme numbers and the PIDs of their PMTs. Number 0, which is the network's, is left out.
pub(super) fn parse_pat(section: &LongSection) -> Option<Vec<(u16, u16)>> {
    if section.table_id != TABLE_PAT || !section.current {
        return None;
    }
    let rows = section.body.as_chunks::<4>().0.iter();
    let programs = rows.map(|&[a, b, c, d]| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]) & 0x1FFF));
    Some(programs.filter(|(number, pid)| *number != 0 && FREE_PIDS.contains(pid)).take(PROGRAMS_MAX).collect())
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pmt {
    pub(super) program: u16,
    pub(super) pcr_pid: u16,
    pub(super) streams: Vec<TsElementary>,
}

impl Pmt {
    pub(super) fn parse(section: &LongSection) -> Option<Self> {
        if section.table_id != TABLE_PMT || !section.current {
            return None;
        }
        let (&[a, b, c, d], rest) = section.body.split_first_chunk::<4>()?;
        let mut rest = rest.get(length_of(c, d)..)?;
        let mut streams: Vec<TsElementary> = Vec::new();
        while let Some((&[stream_type, a, b, c, d], after)) = rest.split_first_chunk::<5>() {
            let (descriptors, after) = after.split_at_checked(length_of(c, d))?;
            rest = after;
            let pid = u16::from_be_bytes([a, b]) & 0x1FFF;
            // Two streams on one PID make no sense, so the first one keeps it.
            let free = FREE_PIDS.contains(&pid);
            if free && streams.len() < STREAMS_MAX && streams.iter().all(|known| known.pid != pid) {
                streams.push(TsElementary::of(pid, stream_type, descriptors));
            }
        }
        Some(Self { program: section.id, pcr_pid: u16::from_be_bytes([a, b]) & 0x1FFF, streams })
    }
}

fn length_of(high: u8, low: u8) -> usize {
    usize::from(high & 0x0F) << 8 | usize::from(low)
}

/// A PAT of one programme.
pub(super) fn pat(program: u16, pmt_pid: u16) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u16(program);
    body.put_u16(0xE000 | pmt_pid);
    // The number of the transport itself may be any.
    LongSection { table_id: TABLE_PAT, id: 1, version: 0, current: true, number: 0, body: body.freeze() }.to_bytes()
}

/// A PMT of streams (type, PID, descriptors). The programme itself has no descriptors.
pub(super) fn pmt(program: u16, version: u8, pcr_pid: u16, streams: &[(u8, u16, Bytes)]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u16(0xE000 | pcr_pid);
    body.put_u16(0xF000);
    for (stream_type, pid, descriptors) in streams {
        body.put_u8(*stream_type);
        body.put_u16(0xE000 | pid);
        body.put_u16(0xF000 | descriptors.len() as u16);
        body.put_slice(descriptors);
    }
    let version = version & 0x1F;
    LongSection { table_id: TABLE_PMT, id: program, version, current: true, number: 0, body: body.freeze() }.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::TsStream;
    use super::*;

    #[test]
    fn tables_are_read_as_they_are_written() {
        let section = LongSection::parse(&pat(7, 0x1000)).unwrap();
        assert_eq!(parse_pat(&section), Some(vec![(7, 0x1000)]));
        assert_eq!(Pmt::parse(&section), None);
        let streams = [(0x1B, 0x100, Bytes::new()), (0x06, 0x101, Bytes::from_static(b"\x05\x04Opus"))];
        let section = LongSection::parse(&pmt(7, 33, 0x100, &streams)).unwrap();
        assert_eq!(section.version, 1);
        let expected = [(0x100, TsStream::H264), (0x101, TsStream::Opus { channels: 2 })];
        let expected = expected.map(|(pid, stream)| TsElementary { pid, stream, language: None, label: None }).into();
        assert_eq!(Pmt::parse(&section), Some(Pmt { program: 7, pcr_pid: 0x100, streams: expected }));
    }

    #[test]
    fn programmes_and_streams_are_bounded() {
        let table = |table_id, body: Vec<u8>| LongSection {
            table_id,
            id: 1,
            version: 0,
            current: true,
            number: 0,
            body: body.into(),
        };
        let programs = (1..=1000_u16).flat_map(|number| [(number >> 8) as u8, number as u8, 0xE1, 0]).collect();
        assert_eq!(parse_pat(&table(TABLE_PAT, programs)).unwrap().len(), PROGRAMS_MAX);
        let streams = (0..200_u8).flat_map(|pid| [0x1B, 0xE1, pid, 0xF0, 0]);
        let body = [0xE1, 0, 0xF0, 0].into_iter().chain(streams).collect();
        assert_eq!(Pmt::parse(&table(TABLE_PMT, body)).unwrap().streams.len(), STREAMS_MAX);
        let next = LongSection { current: false, ..table(TABLE_PAT, vec![0, 1, 0xE1, 0]) };
        assert_eq!(parse_pat(&next), None, "not in force yet");
        for broken in [vec![], vec![0xE1, 0, 0xF0, 9], vec![0xE1, 0, 0xF0, 0, 0x1B, 0xE1, 0, 0xF0, 3, 1]] {
            assert_eq!(Pmt::parse(&table(TABLE_PMT, broken.clone())), None, "{broken:?}");
        }
    }
}

//! Gathers sections from packets (where they begin, how long they are), and reads and writes the long form with its CRC.

use bytes::{BufMut, Bytes, BytesMut};

use super::{SECTION_BYTES_MAX, crc32};

const SHORT_HEADER_BYTES: usize = 3;
const LONG_HEADER_BYTES: usize = 8;
const CRC_BYTES: usize = 4;
/// A packet is filled up with this byte behind its last section.
const STUFFING: u8 = 0xFF;

/// Gathers the sections of one PID. It holds one unfinished section, of at most [`SECTION_BYTES_MAX`].
#[derive(Debug, Default)]
pub(super) struct SectionAssembler {
    buffer: BytesMut,
    /// The beginning of a section has been seen.
    active: bool,
}

impl SectionAssembler {
    /// Takes a packet's payload. Returns the sections that end in it, and how many were broken.
    pub(super) fn push(&mut self, start: bool, payload: &[u8]) -> (Vec<Bytes>, u64) {
        let (mut found, mut broken) = (Vec::new(), 0);
        if start {
            let Some((&pointer, rest)) = payload.split_first() else { return (found, 1) };
            let Some((tail, begun)) = rest.split_at_checked(usize::from(pointer)) else {
                self.reset();
                return (found, 1);
            };
            if self.active {
                self.buffer.extend_from_slice(tail);
                self.take(&mut found);
                // The rest of the unfinished section never came.
                broken += u64::from(self.active && !self.buffer.is_empty());
            }
            self.buffer.clear();
            self.active = true;
            self.buffer.extend_from_slice(begun);
        } else if self.active {
            self.buffer.extend_from_slice(payload);
        }
        self.take(&mut found);
        (found, broken)
    }

    pub(super) fn reset(&mut self) {
        self.buffer.clear();
        self.active = false;
    }

    fn take(&mut self, found: &mut Vec<Bytes>) {
        while self.active {
            if self.buffer.first() == Some(&STUFFING) {
                return self.reset();
            }
            let Some(&[_, high, low]) = self.buffer.first_chunk::<SHORT_HEADER_BYTES>() else { return };
            // The length has 12 bits, so it never exceeds SECTION_BYTES_MAX.
            let length = SHORT_HEADER_BYTES + (usize::from(high & 0x0F) << 8 | usize::from(low));
            debug_assert!(length <= SECTION_BYTES_MAX);
            if self.buffer.len() < length {
                return;
            }
            found.push(self.buffer.split_to(length).freeze());
        }
    }
}

/// A section of the long form, whose CRC was checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LongSection {
    pub(super) table_id: u8,
    pub(super) id: u16,
    pub(super) version: u8,
    /// The section is in force now, not next.
    pub(super) current: bool,
    pub(super) number: u8,
    pub(super) body: Bytes,
}

impl LongSection {
    pub(super) fn parse(section: &Bytes) -> Option<Self> {
        let &[table_id, syntax, _, id_high, id_low, version, number, _] = section.first_chunk::<LONG_HEADER_BYTES>()?;
        if syntax & 0x80 == 0 || section.len() < LONG_HEADER_BYTES + CRC_BYTES || crc32(section) != 0 {
            return None;
        }
        Some(Self {
            table_id,
            id: u16::from_be_bytes([id_high, id_low]),
            version: version >> 1 & 0x1F,
            current: version & 1 == 1,
            number,
            body: section.slice(LONG_HEADER_BYTES..section.len() - CRC_BYTES),
        })
    }

    /// The bytes of the section. The table must fit into one section.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(LONG_HEADER_BYTES + self.body.len() + CRC_BYTES);
        let length = LONG_HEADER_BYTES - SHORT_HEADER_BYTES + self.body.len() + CRC_BYTES;
        out.put_u8(self.table_id);
        out.put_u16(0xB000 | length as u16 & 0x0FFF);
        out.put_u16(self.id);
        out.put_u8(0xC0 | self.version << 1 | u8::from(self.current));
        out.put_u8(self.number);
        out.put_u8(self.number);
        out.put_slice(&self.body);
        let crc = crc32(&out);
        out.put_u32(crc);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(length: usize) -> Bytes {
        let mut bytes = vec![0xFC, 0x30 | ((length - 3) >> 8) as u8, (length - 3) as u8];
        bytes.extend((3..length).map(|at| at as u8));
        bytes.into()
    }

    /// The payloads of packets that carry those sections back to back, as a multiplexer packs them.
    fn pack(sections: &[Bytes]) -> Vec<(bool, Vec<u8>)> {
        let (mut packets, mut rest, mut begins) = (Vec::new(), Vec::new(), Vec::new());
        for section in sections {
            begins.push(rest.len());
            rest.extend_from_slice(section);
        }
        let mut at = 0;
        while at < rest.len() {
            let pointer = begins.iter().find(|&&begin| (at..at + 183).contains(&begin)).map(|begin| begin - at);
            let room = if pointer.is_some() { 183 } else { 184 };
            let mut payload: Vec<u8> = pointer.map(|pointer| pointer as u8).into_iter().collect();
            payload.extend(&rest[at..rest.len().min(at + room)]);
            payload.resize(184, STUFFING);
            packets.push((pointer.is_some(), payload));
            at += room;
        }
        packets
    }

    #[test]
    fn sections_of_all_lengths_are_found() {
        for lengths in [vec![12], vec![183], vec![184], vec![500, 20, 181, 3], vec![SECTION_BYTES_MAX, 3], vec![3; 400]]
        {
            let sections: Vec<Bytes> = lengths.iter().map(|&length| section(length)).collect();
            let mut assembler = SectionAssembler::default();
            let found: Vec<Bytes> = pack(&sections)
                .iter()
                .flat_map(|(start, payload)| {
                    let (found, broken) = assembler.push(*start, payload);
                    assert_eq!(broken, 0);
                    assert!(assembler.buffer.len() <= SECTION_BYTES_MAX + 184);
                    found
                })
                .collect();
            assert_eq!(found, sections, "{lengths:?}");
        }
    }

    #[test]
    fn what_was_begun_and_never_ended_is_broken() {
        let mut assembler = SectionAssembler::default();
        assert_eq!(assembler.push(false, &[1; 184]), (vec![], 0), "no beginning was seen");
        assert_eq!(assembler.push(true, &[0, 0xFC, 0x30, 200, 1]), (vec![], 0));
        assert_eq!(
            assembler.push(true, &[0, 0xFC, 0x30, 1, 9, 0xFF]),
            (vec![Bytes::from_static(&[0xFC, 0x30, 1, 9])], 1)
        );
        assert_eq!(assembler.push(true, &[]), (vec![], 1));
        assert_eq!(assembler.push(true, &[200, 1]), (vec![], 1), "a pointer beyond the packet");
    }

    #[test]
    fn a_wrong_crc_is_refused() {
        let long = LongSection {
            table_id: 2,
            id: 7,
            version: 30,
            current: true,
            number: 0,
            body: Bytes::from_static(&[1, 2, 3]),
        };
        let bytes = long.to_bytes();
        assert_eq!(LongSection::parse(&bytes), Some(long));
        for at in 0..bytes.len() {
            let mut wrong = bytes.to_vec();
            wrong[at] ^= 4;
            assert_eq!(LongSection::parse(&wrong.into()), None, "byte {at}");
        }
        assert_eq!(LongSection::parse(&bytes.slice(..7)), None);
    }
}

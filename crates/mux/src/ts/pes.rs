//! PES packets: they are gathered from transport packets, and their header is read and written.

use bytes::{BufMut, Bytes, BytesMut};

use super::PES_BYTES_MAX;

/// The header: start code, stream id, length, flags, and the length of the optional fields.
const HEADER_BYTES: usize = 9;
const LENGTH_COUNTED_FROM: usize = 6;
const STAMP_BYTES: usize = 5;

const FLAG_PTS: u8 = 0x80;
const FLAG_PTS_DTS: u8 = 0xC0;

/// One PES packet of media. Its times are as sent, in 33 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pes {
    pub(super) pts: Option<u64>,
    pub(super) dts: Option<u64>,
    pub(super) random_access: bool,
    pub(super) data: Bytes,
}

/// The result of taking a packet's bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gathered {
    /// The PES packets that ended: the one before because this one began, or this one because it is complete. Two at most.
    pub(super) found: Vec<Pes>,
    pub(super) broken: u64,
}

/// Gathers the PES packets of one PID. It holds one unfinished packet, of at most [`PES_BYTES_MAX`].
#[derive(Debug, Default)]
pub(super) struct PesAssembler {
    buffer: BytesMut,
    active: bool,
    random_access: bool,
}

impl PesAssembler {
    pub(super) fn push(&mut self, start: bool, random_access: bool, payload: &[u8]) -> Gathered {
        let mut gathered = Gathered::default();
        if start {
            self.end(&mut gathered);
            self.active = true;
            self.random_access = random_access;
        }
        if !self.active {
            return gathered;
        }
        if self.buffer.len() + payload.len() > PES_BYTES_MAX {
            gathered.broken += 1;
            self.reset();
            return gathered;
        }
        self.buffer.extend_from_slice(payload);
        if self.expected().is_some_and(|expected| self.buffer.len() >= expected) {
            self.end(&mut gathered);
        }
        gathered
    }

    /// Ends the packet that is open, because the next one begins or nothing comes any more.
    pub(super) fn end(&mut self, gathered: &mut Gathered) {
        if !std::mem::take(&mut self.active) {
            return;
        }
        let expected = self.expected();
        let mut whole = self.buffer.split().freeze();
        match expected {
            Some(expected) if expected > whole.len() => return gathered.broken += 1,
            Some(expected) => whole.truncate(expected),
            None => {}
        }
        match parse(&whole, self.random_access) {
            Some(pes) => gathered.found.push(pes),
            None => gathered.broken += 1,
        }
    }

    /// Drops the unfinished packet. Returns whether there was one.
    pub(super) fn reset(&mut self) -> bool {
        self.buffer.clear();
        std::mem::take(&mut self.active)
    }

    /// The length of the whole packet. `None` if the header does not say it.
    fn expected(&self) -> Option<usize> {
        let &[_, _, _, _, high, low] = self.buffer.first_chunk::<LENGTH_COUNTED_FROM>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        (length > 0).then_some(LENGTH_COUNTED_FROM + length)
    }
}

fn parse(whole: &Bytes, random_access: bool) -> Option<Pes> {
    let &[0, 0, 1, id, _, _, marker, flags, optional] = whole.first_chunk::<HEADER_BYTES>()? else { return None };
    // Padding, directories and the like have no such header and carry no media.
    if !matches!(id, 0xBD | 0xC0..=0xEF | 0xFD) || marker & 0xC0 != 0x80 {
        return None;
    }
    let data = HEADER_BYTES + usize::from(optional);
    let fields = whole.get(HEADER_BYTES..data)?;
    let pts = if flags & FLAG_PTS != 0 { Some(read_stamp(fields)?) } else { None };
    let dts = if flags & FLAG_PTS_DTS == FLAG_PTS_DTS { Some(read_stamp(fields.get(STAMP_BYTES..)?)?) } else { None };
    Some(Pes { pts, dts, random_access, data: whole.slice(data..) })
}

/// Reads 33 bits in pieces of 3, 15 and 15, each with a marker behind it. Markers are not checked, because some encoders forget them.
fn read_stamp(fields: &[u8]) -> Option<u64> {
    let &[a, b, c, d, e] = fields.first_chunk::<STAMP_BYTES>()?;
    let piece = |high: u8, low: u8| u64::from(high) << 7 | u64::from(low >> 1);
    Some(u64::from(a >> 1 & 7) << 30 | piece(b, c) << 15 | piece(d, e))
}

fn put_stamp(out: &mut BytesMut, prefix: u8, ticks: u64) {
    out.put_u8(prefix << 4 | ((ticks >> 30 & 7) << 1) as u8 | 1);
    out.put_u16(((ticks >> 15 & 0x7FFF) << 1) as u16 | 1);
    out.put_u16(((ticks & 0x7FFF) << 1) as u16 | 1);
}

/// Appends the header of a PES packet with this many bytes of data, which begin with a frame.
pub(super) fn put_header(out: &mut BytesMut, stream_id: u8, pts: u64, dts: u64, data_bytes: usize) {
    let optional = if pts == dts { STAMP_BYTES } else { 2 * STAMP_BYTES };
    out.put_slice(&[0, 0, 1, stream_id]);
    // A length lets the reader hand on the frame at once. A length that does not fit is written as 0 (open), which is legal for pictures.
    let length = HEADER_BYTES - LENGTH_COUNTED_FROM + optional + data_bytes;
    out.put_u16(u16::try_from(length).unwrap_or(0));
    // This flag says that the data is aligned: a frame begins with it.
    out.put_u8(0x84);
    out.put_u8(if pts == dts { FLAG_PTS } else { FLAG_PTS_DTS });
    out.put_u8(optional as u8);
    if pts == dts {
        put_stamp(out, 2, pts);
    } else {
        put_stamp(out, 3, pts);
        put_stamp(out, 1, dts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pts: u64, dts: u64, data: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_header(&mut out, 0xE0, pts, dts, data.len());
        out.put_slice(data);
        out.to_vec()
    }

    fn gather(assembler: &mut PesAssembler, packet: &[u8]) -> Gathered {
        let mut all = Gathered::default();
        for (number, piece) in packet.chunks(184).enumerate() {
            let Gathered { found, broken } = assembler.push(number == 0, number == 0, piece);
            all.found.extend(found);
            all.broken += broken;
        }
        all
    }

    #[test]
    fn stamps_and_data_come_back() {
        let top = (1 << 33) - 1;
        for (pts, dts, bytes) in [(0, 0, 1), (top, top, 100), (0x1_5555_5555, 0xAAAA_AAAA, 60_000), (3003, top, 9)] {
            let data = vec![7; bytes];
            let gathered = gather(&mut PesAssembler::default(), &packet(pts, dts, &data));
            let dts = (pts != dts).then_some(dts);
            let expected = Pes { pts: Some(pts), dts, random_access: true, data: data.into() };
            assert_eq!(gathered, Gathered { found: vec![expected], broken: 0 }, "at once, since its length is said");
        }
    }

    #[test]
    fn a_packet_of_open_length_ends_with_the_next() {
        let mut assembler = PesAssembler::default();
        let data = vec![5; 70_000];
        assert_eq!(gather(&mut assembler, &packet(1, 1, &data)), Gathered::default());
        let next = gather(&mut assembler, &packet(2, 2, &[6]));
        assert_eq!(next.found.iter().map(|pes| pes.data.len()).collect::<Vec<_>>(), [70_000, 1]);
    }

    #[test]
    fn broken_packets_are_counted() {
        let mut assembler = PesAssembler::default();
        assert_eq!(assembler.push(false, false, &[1; 184]), Gathered::default(), "no beginning was seen");
        let cut = &packet(1, 1, &[7; 500])[..300];
        assert_eq!(gather(&mut assembler, cut), Gathered::default());
        let next = gather(&mut assembler, &packet(1, 1, &[7; 5]));
        assert_eq!((next.found.len(), next.broken), (1, 1), "the one before was cut");
        for wrong in [
            &[1, 0, 1, 0xE0, 0, 3, 0x80, 0, 0][..],
            &[0, 0, 1, 0xBE, 0, 3, 0x80, 0, 0],
            &[0, 0, 1, 0xE0, 0, 3, 0, 0, 0],
            &[0, 0, 1, 0xE0, 0, 3, 0x80, 0x80, 0],
            &[0, 0, 1, 0xE0, 0, 8, 0x80, 0xC0, 5, 0x31, 0, 1, 0, 1],
            &[0, 0, 1, 0xE0, 0, 3, 0x80, 0, 9],
            &[0, 0, 1, 0xE0, 0, 1, 0x80],
        ] {
            assert_eq!(gather(&mut assembler, wrong), Gathered { found: vec![], broken: 1 }, "{wrong:?}");
        }
    }

    #[test]
    fn a_packet_without_end_is_given_up() {
        let mut assembler = PesAssembler::default();
        let mut broken = 0;
        let header = packet(1, 1, &[7; 70_000]);
        broken += gather(&mut assembler, &header).broken;
        for _ in 0..PES_BYTES_MAX / 184 + 1000 {
            broken += assembler.push(false, false, &[7; 184]).broken;
            assert!(assembler.buffer.len() <= PES_BYTES_MAX);
        }
        assert_eq!(broken, 1, "once");
    }
}

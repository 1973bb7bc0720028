//! The two headers in front of each chunk: basic (chunk type and stream) and message (RTMP 1.0, section 5.3.1).

/// A 24-bit timestamp field that holds this value says that the real timestamp follows in 32 bits.
pub(super) const EXTENDED_TIMESTAMP: u32 = 0xFF_FFFF;
/// The length of the message header by chunk type. Type 0 has all fields, 1 no stream id, 2 the timestamp only, 3 none.
const MESSAGE_HEADER_BYTES: [usize; 4] = [11, 7, 3, 0];
/// The one-byte form of the basic header says 2 to 63; the longer forms count from 64.
const CSID_LONG_FORM: u32 = 64;

/// The basic header: chunk type and chunk stream.
#[derive(Clone, Copy)]
pub(super) struct BasicHeader {
    pub(super) chunk_type: u8,
    pub(super) csid: u32,
    pub(super) bytes: usize,
}

impl BasicHeader {
    /// Reads a basic header. `None` means that more bytes are needed.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        let (csid, used) = match first & 0x3F {
            0 => (CSID_LONG_FORM + u32::from(*bytes.get(1)?), 2),
            1 => (CSID_LONG_FORM + u32::from(*bytes.get(1)?) + (u32::from(*bytes.get(2)?) << 8), 3),
            short => (u32::from(short), 1),
        };
        Some(Self { chunk_type: first >> 6, csid, bytes: used })
    }

    /// The bytes of the basic header, and how many of them are used.
    pub(super) fn write(chunk_type: u8, csid: u32) -> ([u8; 3], usize) {
        let first = chunk_type << 6;
        match csid {
            ..CSID_LONG_FORM => ([first | csid as u8, 0, 0], 1),
            CSID_LONG_FORM..320 => ([first, (csid - CSID_LONG_FORM) as u8, 0], 2),
            320.. => {
                let [low, high, ..] = (csid - CSID_LONG_FORM).to_le_bytes();
                ([first | 1, low, high], 3)
            }
        }
    }
}

/// What a chunk of type 0, 1 or 2 says about its message. Fields that it leaves out stay as they were.
#[derive(Clone, Copy)]
pub(super) struct ChunkHeader {
    /// The time itself in type 0, or the difference to the previous message in types 1 and 2.
    pub(super) timestamp: u32,
    /// Says that the timestamp came in 32 bits. It need not be large: a difference below 0xFFFFFF in 32 bits is legal.
    pub(super) extended: bool,
    pub(super) length_and_type: Option<(usize, u8)>,
    pub(super) stream_id: Option<u32>,
    pub(super) bytes: usize,
}

impl ChunkHeader {
    /// Reads the header of a chunk of type 0, 1 or 2. `None` means that more bytes are needed.
    pub(super) fn read(chunk_type: u8, bytes: &[u8]) -> Option<Self> {
        let fixed = MESSAGE_HEADER_BYTES[usize::from(chunk_type & 3)];
        let header = bytes.get(..fixed)?;
        let mut timestamp = be24(header.get(..3)?);
        let extended = timestamp == EXTENDED_TIMESTAMP;
        if extended {
            timestamp = u32::from_be_bytes(*bytes.get(fixed..)?.first_chunk()?);
        }
        Some(Self {
            timestamp,
            extended,
            length_and_type: header.get(3..7).map(|field| (be24(field) as usize, field[3])),
            stream_id: header.get(7..11).and_then(<[u8]>::first_chunk).map(|field| u32::from_le_bytes(*field)),
            bytes: if extended { fixed + 4 } else { fixed },
        })
    }
}

/// The first three bytes of `field` as a number. A shorter field reads as 0.
pub(super) fn be24(field: &[u8]) -> u32 {
    match *field {
        [a, b, c, ..] => u32::from_be_bytes([0, a, b, c]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_chunk_stream_id_round_trips() {
        for (csid, bytes) in [(2, 1), (63, 1), (64, 2), (319, 2), (320, 3), (65_599, 3)] {
            let (written, used) = BasicHeader::write(2, csid);
            assert_eq!(used, bytes, "csid {csid}");
            let read = BasicHeader::read(&written[..used]).unwrap();
            assert_eq!((read.chunk_type, read.csid, read.bytes), (2, csid, used));
            assert!(BasicHeader::read(&written[..used - 1]).is_none(), "csid {csid} cut short");
        }
    }

    #[test]
    fn the_three_byte_form_may_say_what_two_bytes_could() {
        assert_eq!(BasicHeader::read(&[1, 0, 0]).unwrap().csid, 64);
    }

    #[test]
    fn a_header_is_read_only_when_all_of_it_is_there() {
        let full = [0xFF, 0xFF, 0xFF, 0, 1, 2, 9, 1, 0, 0, 0, 0, 0, 0, 5];
        for cut in 0..full.len() {
            assert!(ChunkHeader::read(0, &full[..cut]).is_none(), "cut at {cut}");
        }
        let header = ChunkHeader::read(0, &full).unwrap();
        assert_eq!((header.timestamp, header.extended, header.bytes), (5, true, 15));
        assert_eq!(header.length_and_type, Some((0x0102, 9)));
        assert_eq!(header.stream_id, Some(1));
    }
}

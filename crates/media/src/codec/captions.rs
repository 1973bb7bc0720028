//! Closed captions (CEA-608 and 708), which travel in the SEI messages of H.264 and HEVC pictures. They are detected and never changed.

use super::{h264, nal};
use crate::Codec;

/// The unit types of prefix and suffix SEI in HEVC.
const HEVC_SEI: std::ops::RangeInclusive<u8> = 39..=40;
/// The most bytes of an SEI unit that are read. cc_data takes 100; timing and other messages may stand before it.
const SEI_BYTES_MAX: usize = 4096;
/// The most messages that are read. Encoders write some five a picture.
const MESSAGES_MAX: usize = 64;
/// The payload type user_data_registered_itu_t_t35.
const REGISTERED_USER_DATA: usize = 4;
/// The bytes before the captions: USA, the ATSC's provider code, "GA94", cc_data (ATSC A/53 part 4, 6.2.3).
const CC_DATA: &[u8] = b"\xB5\x00\x31GA94\x03";

/// The captions that were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captions {
    /// Bits 0 to 3 stand for CC1 to CC4.
    cea608: u8,
    /// Bits 0 to 5 stand for services 1 to 6.
    cea708: u8,
}

impl Captions {
    /// The captions of one picture (4-byte lengths). A broken payload has none.
    pub fn of(codec: Codec, payload: &[u8]) -> Self {
        let header_bytes = match codec {
            Codec::H264 => 1,
            Codec::H265 => 2,
            _ => return Self::default(),
        };
        let is_sei = |unit: &&[u8]| match (codec, unit.first()) {
            (Codec::H264, Some(header)) => header & 0x1F == h264::unit_type::SEI,
            (_, Some(header)) => HEVC_SEI.contains(&(header >> 1 & 0x3F)),
            _ => false,
        };
        let mut found = Self::default();
        for unit in nal::length_prefixed(payload, 4).map_while(Result::ok).filter(is_sei) {
            let sei = nal::unescaped(unit.get(header_bytes..).unwrap_or_default(), SEI_BYTES_MAX);
            found = found.and(Self::of_sei(&sei));
        }
        found
    }

    pub const fn and(self, other: Self) -> Self {
        Self { cea608: self.cea608 | other.cea608, cea708: self.cea708 | other.cea708 }
    }

    pub const fn is_empty(self) -> bool {
        self.cea608 | self.cea708 == 0
    }

    /// The numbers of the 608 channels, from 1.
    pub fn channels(self) -> impl Iterator<Item = u8> {
        (1..=4).filter(move |channel| self.cea608 >> (channel - 1) & 1 == 1)
    }

    /// The numbers of the 708 services, from 1.
    pub fn services(self) -> impl Iterator<Item = u8> {
        (1..=6).filter(move |service| self.cea708 >> (service - 1) & 1 == 1)
    }

    fn of_sei(mut sei: &[u8]) -> Self {
        let mut found = Self::default();
        for _ in 0..MESSAGES_MAX {
            let Some((kind, rest)) = sei_number(sei) else { break };
            let Some((size, rest)) = sei_number(rest) else { break };
            let Some((body, rest)) = rest.split_at_checked(size) else { break };
            if kind == REGISTERED_USER_DATA
                && let Some(data) = body.strip_prefix(CC_DATA)
            {
                found = found.and(Self::of_cc_data(data));
            }
            sei = rest;
        }
        found
    }

    /// Reads cc_data() of CEA-708: flags with the count, a reserved byte, then three bytes for each entry.
    fn of_cc_data(data: &[u8]) -> Self {
        let mut found = Self::default();
        let (Some(flags), Some(constructs)) = (data.first(), data.get(2..)) else { return found };
        if flags & 0x40 == 0 {
            return found;
        }
        for construct in constructs.chunks_exact(3).take(usize::from(flags & 0x1F)) {
            let (valid, kind, first, second) = (construct[0] & 4 != 0, construct[0] & 3, construct[1], construct[2]);
            match kind {
                _ if !valid => {}
                // This is a field of 608. Only control codes name their channel, and captions begin with one.
                0 | 1 => {
                    let control = first & 0x7F;
                    if (0x10..=0x1F).contains(&control) {
                        found.cea608 |= 1 << (kind * 2 + (control >> 3 & 1));
                    }
                }
                // A DTVCC packet starts here: its header, then that of its first service block.
                3 => {
                    let (service, size) = (second >> 5, second & 0x1F);
                    if (1..=6).contains(&service) && size > 0 {
                        found.cea708 |= 1 << (service - 1);
                    }
                }
                _ => {}
            }
        }
        found
    }
}

/// Reads a number of an SEI header: bytes of 255 and a last byte, added up.
fn sei_number(data: &[u8]) -> Option<(usize, &[u8])> {
    let full = data.iter().take_while(|byte| **byte == 0xFF).count();
    let last = *data.get(full)?;
    Some((full * 255 + usize::from(last), &data[full + 1..]))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn sei(constructs: &[[u8; 3]]) -> Vec<u8> {
        let flags = 0x40 | constructs.len() as u8;
        let body = [CC_DATA, &[flags, 0xFF], &constructs.concat(), &[0xFF]].concat();
        // Another message comes first.
        [&[5, 2, 0xAA, 0xBB, 4, body.len() as u8][..], &body, &[0x80]].concat()
    }

    fn picture(header: &[u8], sei: &[u8]) -> BytesMut {
        let mut payload = BytesMut::new();
        nal::put_unit(&mut payload, &[header, sei].concat());
        nal::put_unit(&mut payload, &[0x65, 1, 2]);
        payload
    }

    fn found(captions: Captions) -> (Vec<u8>, Vec<u8>) {
        (captions.channels().collect(), captions.services().collect())
    }

    #[test]
    fn channels_and_services_are_seen() {
        for (constructs, channels, services) in [
            // These entries resume caption loading on each channel, with parity and without.
            (&[[0xFC, 0x94, 0x20]][..], &[1][..], &[][..]),
            (&[[0xFC, 0x14, 0x20], [0xFD, 0x1C, 0x20]], &[1, 4], &[]),
            (&[[0xFC, 0x1C, 0x20], [0xFD, 0x15, 0x20]], &[2, 3], &[]),
            // Padding, text and entries that are not valid tell nothing.
            (&[[0xFC, 0x80, 0x80], [0xFC, 0x41, 0x42], [0xF8, 0x94, 0x20]], &[], &[]),
            (&[[0xFF, 0x02, 0x21], [0xFE, 0x94, 0x20]], &[], &[1]),
            (&[[0xFF, 0x02, 0xC3], [0xFF, 0x02, 0xE3], [0xFF, 0x02, 0x20]], &[], &[6]),
            (&[], &[], &[]),
        ] {
            let sei = sei(constructs);
            let expected = (channels.to_vec(), services.to_vec());
            assert_eq!(found(Captions::of(Codec::H264, &picture(&[6], &sei))), expected, "{constructs:x?}");
            assert_eq!(found(Captions::of(Codec::H265, &picture(&[39 << 1, 1], &sei))), expected, "{constructs:x?}");
            let elsewhere = Captions::of(Codec::H264, &picture(&[1], &sei));
            assert!(elsewhere.is_empty(), "not in an SEI");
        }
    }

    #[test]
    fn what_is_cut_short_has_none() {
        let whole = sei(&[[0xFC, 0x94, 0x20]; 3]);
        for length in 0..whole.len() - 12 {
            let captions = Captions::of(Codec::H264, &picture(&[6], &whole[..length]));
            assert!(captions.is_empty(), "{length}");
        }
        assert!(Captions::of(Codec::Av1, &picture(&[6], &whole)).is_empty());
        assert!(Captions::of(Codec::H264, &[0, 0, 0, 9, 6]).is_empty());
        assert!(Captions::of(Codec::H265, &[0, 0, 0, 1, 39 << 1]).is_empty());
    }
}

//! NAL units as H.264 and HEVC share them: with length prefixes, as Annex B, and the conversion between the two.

use bytes::{BufMut, Bytes, BytesMut};

use super::CodecError;

/// The most NAL units of a payload. A picture has a few slices and a few SEI messages, but one byte of payload can claim a NAL unit, so
/// they are counted.
pub const NAL_UNITS_MAX: usize = 4096;

/// The NAL units of a payload whose lengths take `length_size` bytes (1, 2, 3 or 4). The iterator ends after the first error.
pub fn length_prefixed(payload: &[u8], length_size: u8) -> LengthPrefixed<'_> {
    LengthPrefixed { rest: payload, length_size: usize::from(length_size.clamp(1, 4)), left: NAL_UNITS_MAX }
}

#[derive(Clone, Debug)]
pub struct LengthPrefixed<'a> {
    rest: &'a [u8],
    length_size: usize,
    left: usize,
}

impl<'a> Iterator for LengthPrefixed<'a> {
    type Item = Result<&'a [u8], CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let unit = self.split();
        if unit.is_err() {
            self.rest = &[];
        }
        Some(unit)
    }
}

impl<'a> LengthPrefixed<'a> {
    fn split(&mut self) -> Result<&'a [u8], CodecError> {
        const WHAT: &str = "a NAL unit";
        self.left = self.left.checked_sub(1).ok_or(CodecError::TooLong {
            what: "a picture's NAL unit count",
            bytes: NAL_UNITS_MAX + 1,
            max: NAL_UNITS_MAX,
        })?;
        let (length, rest) =
            self.rest.split_at_checked(self.length_size).ok_or(CodecError::Truncated { what: WHAT })?;
        let length = length.iter().fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
        let (unit, rest) = rest.split_at_checked(length).ok_or(CodecError::Truncated { what: WHAT })?;
        self.rest = rest;
        Ok(unit)
    }
}

/// The payload with 4-byte lengths; the same bytes if it has them already. It fails on a payload that does not add up, so that the result
/// always has whole NAL units.
pub fn with_four_byte_lengths(payload: Bytes, length_size: u8) -> Result<Bytes, CodecError> {
    let (mut units, mut bytes) = (0, 0);
    for unit in length_prefixed(&payload, length_size) {
        units += 1;
        bytes += unit?.len();
    }
    if length_size == 4 {
        return Ok(payload);
    }
    let mut out = BytesMut::with_capacity(units * 4 + bytes);
    for unit in length_prefixed(&payload, length_size) {
        put_unit(&mut out, unit?);
    }
    Ok(out.freeze())
}

/// The NAL units between Annex B start codes. Empty ones are left out.
pub fn annex_b(data: &[u8]) -> AnnexB<'_> {
    let rest = start_code(data).map_or(&data[data.len()..], |(_, after)| &data[after..]);
    AnnexB { rest }
}

#[derive(Clone, Debug)]
pub struct AnnexB<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for AnnexB<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let (end, next) = start_code(self.rest).unwrap_or((self.rest.len(), self.rest.len()));
            let unit = &self.rest[..end];
            self.rest = &self.rest[next..];
            // Zeros before a start code belong to it (zero_byte, trailing_zero_8bits), because a NAL unit never ends with one.
            let length = unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            if length > 0 {
                return Some(&unit[..length]);
            }
        }
        None
    }
}

/// Where the first start code begins and ends.
fn start_code(data: &[u8]) -> Option<(usize, usize)> {
    data.windows(3).position(|window| window == [0, 0, 1]).map(|at| (at, at + 3))
}

pub fn annex_b_to_lengths(data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 16);
    for unit in annex_b(data) {
        put_unit(&mut out, unit);
    }
    out.freeze()
}

/// Appends a payload with 4-byte lengths as Annex B.
pub fn lengths_to_annex_b(payload: &[u8], out: &mut BytesMut) -> Result<(), CodecError> {
    out.reserve(payload.len());
    for unit in length_prefixed(payload, 4) {
        out.put_slice(&[0, 0, 0, 1]);
        out.put_slice(unit?);
    }
    Ok(())
}

/// Appends one NAL unit with a 4-byte length.
pub fn put_unit(out: &mut BytesMut, unit: &[u8]) {
    // The unit lies in memory, so its length fits.
    out.put_u32(u32::try_from(unit.len()).unwrap_or(u32::MAX));
    out.put_slice(unit);
}

/// The first `max` bytes of a NAL unit, with emulation prevention (the 3 of 0, 0, 3) removed.
pub(super) fn unescaped(unit: &[u8], max: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(unit.len().min(max));
    let mut zeros = 0;
    for &byte in unit {
        if out.len() >= max {
            break;
        }
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_size_becomes_four() {
        let four = Bytes::from_static(&[0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 9]);
        for (payload, size) in [
            (&[2, 0x65, 1, 1, 9][..], 1),
            (&[0, 2, 0x65, 1, 0, 1, 9][..], 2),
            (&[0, 0, 2, 0x65, 1, 0, 0, 1, 9][..], 3),
            (&four[..], 4),
        ] {
            assert_eq!(with_four_byte_lengths(Bytes::copy_from_slice(payload), size).unwrap(), four);
        }
        let same = with_four_byte_lengths(four.clone(), 4).unwrap();
        assert_eq!(same.as_ptr(), four.as_ptr(), "no copy where none is needed");
    }

    #[test]
    fn a_length_beyond_the_payload_is_an_error() {
        for (payload, size) in [(&[0, 0, 0, 3, 1, 2][..], 4), (&[5, 1][..], 1), (&[0, 0, 0][..], 4)] {
            assert!(with_four_byte_lengths(Bytes::copy_from_slice(payload), size).is_err());
            assert_eq!(length_prefixed(payload, size).count(), 1, "it ends after the error");
        }
    }

    #[test]
    fn nal_units_are_counted() {
        let at_the_limit = vec![0; NAL_UNITS_MAX];
        assert!(length_prefixed(&at_the_limit, 1).all(|unit| unit.is_ok()));
        let above = vec![0; NAL_UNITS_MAX + 1];
        assert!(length_prefixed(&above, 1).any(|unit| unit.is_err()));
    }

    #[test]
    fn annex_b_and_back() {
        for (data, units) in [
            (&[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2][..], &[&[0x67, 1][..], &[0x68, 2]][..]),
            (&[0xFF, 0, 0, 1, 0x65, 0, 0, 0, 0, 1, 0x41], &[&[0x65], &[0x41]]),
            (&[0, 0, 1], &[]),
            (&[1, 2, 3], &[]),
            (&[], &[]),
            (&[0, 0, 1, 0, 0, 1, 7, 0, 0], &[&[7]]),
        ] {
            assert_eq!(annex_b(data).collect::<Vec<_>>(), units, "{data:?}");
            let mut out = BytesMut::new();
            lengths_to_annex_b(&annex_b_to_lengths(data), &mut out).unwrap();
            assert_eq!(annex_b(&out).collect::<Vec<_>>(), units, "{data:?}");
        }
    }

    #[test]
    fn unescapes() {
        assert_eq!(unescaped(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3], 64), [1, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(unescaped(&[1, 2, 3], 2), [1, 2]);
    }
}

//! Gathers the parameter sets that come within the stream into the decoder configuration that goes beside it.

use std::collections::BTreeMap;

use bytes::Bytes;
use weir_media::codec::h264::AvcConfig;
use weir_media::codec::h265::HevcConfig;
use weir_media::codec::{CONFIG_BYTES_MAX, CodecError};

use crate::bits::Bits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetKind {
    Vps,
    Sps,
    Pps,
}

/// The sets in force by their numbers. The codecs have at most 16, 32 and 256 of them. More bytes than a record may have are refused when
/// the record is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParameterSets {
    vps: BTreeMap<u32, Bytes>,
    sps: BTreeMap<u32, Bytes>,
    pps: BTreeMap<u32, Bytes>,
}

impl ParameterSets {
    pub(crate) fn is_empty(&self) -> bool {
        self.vps.is_empty() && self.sps.is_empty() && self.pps.is_empty()
    }

    /// Takes one NAL unit, which has a header of `header_bytes`.
    pub(crate) fn add(&mut self, kind: SetKind, unit: &[u8], header_bytes: usize) {
        let Some(number) = number_of(kind, unit, header_bytes) else { return };
        let sets = match kind {
            SetKind::Vps => &mut self.vps,
            SetKind::Sps => &mut self.sps,
            SetKind::Pps => &mut self.pps,
        };
        if sets.get(&number).is_none_or(|known| known[..] != *unit) {
            sets.insert(number, Bytes::copy_from_slice(unit));
        }
    }

    /// Takes the sets that one picture carried. Another SPS means another stream: the sets known before are then forgotten, unless the
    /// picture has none of their kind. If the SPS is the same, the sets are only added.
    pub(crate) fn merge(&mut self, seen: Self) {
        let other = seen.sps.iter().any(|(number, unit)| self.sps.get(number) != Some(unit));
        for (known, seen) in [(&mut self.vps, seen.vps), (&mut self.sps, seen.sps), (&mut self.pps, seen.pps)] {
            if other && !seen.is_empty() {
                *known = seen;
            } else {
                known.extend(seen);
            }
        }
    }

    /// The `avcC` record. `None` before there are an SPS and a PPS.
    pub(crate) fn avc(&self) -> Option<Result<Bytes, CodecError>> {
        let (sps, pps) = (list(&self.sps), list(&self.pps));
        self.is_complete().then(|| bounded(AvcConfig::build(&sps, &pps)))
    }

    /// The `hvcC` record. `None` before there are an SPS and a PPS.
    pub(crate) fn hevc(&self) -> Option<Result<Bytes, CodecError>> {
        let (vps, sps, pps) = (list(&self.vps), list(&self.sps), list(&self.pps));
        self.is_complete().then(|| bounded(HevcConfig::build(&vps, &sps, &pps)))
    }

    fn is_complete(&self) -> bool {
        !self.sps.is_empty() && !self.pps.is_empty()
    }
}

fn list(sets: &BTreeMap<u32, Bytes>) -> Vec<Bytes> {
    sets.values().cloned().collect()
}

fn bounded(record: Result<Bytes, CodecError>) -> Result<Bytes, CodecError> {
    let record = record?;
    let (bytes, max) = (record.len(), CONFIG_BYTES_MAX);
    if bytes > max { Err(CodecError::TooLong { what: "a decoder configuration", bytes, max }) } else { Ok(record) }
}

/// The set's number within its kind. `None` if the unit is too short or the number too large.
fn number_of(kind: SetKind, unit: &[u8], header_bytes: usize) -> Option<u32> {
    const H264_HEADER_BYTES: usize = 1;
    let mut bits = Bits::new(unit.get(header_bytes..)?);
    let (number, max) = match kind {
        SetKind::Vps => (bits.bits(4)?, 15),
        // In H.264 the number stands behind profile, constraints and level. So early there is no room for emulation prevention.
        SetKind::Sps if header_bytes == H264_HEADER_BYTES => {
            bits.skip(24)?;
            (bits.unsigned()?, 31)
        }
        // In HEVC the number stands behind profile and levels of all layers. Nobody has two SPS, so the first counts as number 0.
        SetKind::Sps => (0, 0),
        SetKind::Pps => (bits.unsigned()?, 255),
    };
    (number <= max).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(units: &[(SetKind, &[u8])]) -> ParameterSets {
        let mut sets = ParameterSets::default();
        units.iter().for_each(|(kind, unit)| sets.add(*kind, unit, 1));
        sets
    }

    const SPS: &[u8] = &[0x67, 66, 0, 30, 0x95];
    const OTHER_SPS: &[u8] = &[0x67, 66, 0, 31, 0x95];
    /// Two PPS, with the numbers 0 and 1.
    const PPS: [&[u8]; 2] = [&[0x68, 0xC0], &[0x68, 0x50]];

    #[test]
    fn the_same_stream_gathers_and_another_one_replaces() {
        let mut known = sets(&[(SetKind::Sps, SPS), (SetKind::Pps, PPS[0])]);
        known.merge(sets(&[(SetKind::Pps, PPS[1])]));
        assert_eq!((known.sps.len(), known.pps.len()), (1, 2));
        let before = known.clone();
        known.merge(sets(&[(SetKind::Sps, SPS), (SetKind::Pps, PPS[0])]));
        assert_eq!(known, before, "an encoder that repeats some of them changes nothing");
        known.merge(sets(&[(SetKind::Sps, OTHER_SPS), (SetKind::Pps, PPS[0])]));
        assert_eq!((known.sps[&0][..].to_vec(), known.pps.len()), (OTHER_SPS.to_vec(), 1));
    }

    #[test]
    fn nonsense_is_not_kept() {
        // These are a PPS of number 256, one that is cut short, and an SPS of number 32.
        let mut sets = sets(&[(SetKind::Pps, &[0x68, 0, 0x80, 0x80]), (SetKind::Pps, &[0x68]), (SetKind::Sps, SPS)]);
        sets.add(SetKind::Sps, &[0x67, 66, 0, 30, 0x04, 0x20], 1);
        assert_eq!((sets.sps.len(), sets.pps.len()), (1, 0));
        assert_eq!(sets.avc(), None);
        for _ in 0..2 {
            for number in 0..256_u32 {
                let code = (number + 1) << (31 - 2 * (number + 1).ilog2());
                let unit = [&[0x68][..], &code.to_be_bytes()].concat();
                sets.add(SetKind::Pps, &[unit, vec![1; 300]].concat(), 1);
            }
        }
        assert_eq!(sets.pps.len(), 256);
        assert!(matches!(sets.avc(), Some(Err(_))), "more than any decoder's configuration");
    }
}

//! The HEVC sequence parameter set (ITU-T H.265, 7.3.2.2), read as far as the frame rate.

use super::super::bits::BitReader;
use super::super::{CodecError, check_picture_size, nal};
use super::{NAL_HEADER_BYTES, unit_type};

const SPS: &str = "the HEVC SPS";

const SHORT_TERM_SETS_MAX: u32 = 64;
const SET_PICTURES_MAX: u32 = 16;
const LONG_TERM_PICTURES_MAX: u32 = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sps {
    /// The size as shown.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) chroma_format: u8,
    pub(super) bit_depth: u8,
    pub(super) chroma_bit_depth: u8,
    pub(super) reorder_frames: u32,
    /// Ticks a picture and ticks a second, if the SPS states them.
    pub(super) timing: Option<(u32, u32)>,
}

impl Sps {
    pub(super) fn parse(unit: &[u8]) -> Result<Self, CodecError> {
        let header = unit.get(..NAL_HEADER_BYTES).ok_or(CodecError::Truncated { what: SPS })?;
        if header[0] >> 1 & 0x3F != unit_type::SPS {
            return Err(CodecError::invalid(SPS, format!("NAL unit type {}", header[0] >> 1 & 0x3F)));
        }
        let rbsp = nal::unescaped(&unit[NAL_HEADER_BYTES..], unit.len());
        let mut bits = BitReader::new(&rbsp, SPS);
        let bits = &mut bits;
        bits.skip(4)?;
        let sub_layers = bits.bits(3)?;
        bits.skip(1)?;
        skip_profile_tier_level(bits, sub_layers)?;
        bits.unsigned()?;
        let chroma_format = bits.unsigned()?;
        let separate_planes = chroma_format == 3 && bits.bit()?;
        let (coded_width, coded_height) = (u64::from(bits.unsigned()?), u64::from(bits.unsigned()?));
        let (crop_x, crop_y) = if bits.bit()? { window(bits)? } else { (0, 0) };
        let (unit_x, unit_y) = match chroma_format {
            1 if !separate_planes => (2, 2),
            2 if !separate_planes => (2, 1),
            _ => (1, 1),
        };
        let (width, height) = check_picture_size(
            SPS,
            coded_width.saturating_sub(unit_x * crop_x),
            coded_height.saturating_sub(unit_y * crop_y),
        )?;
        let (bit_depth, chroma_bit_depth) = (bit_depth(bits)?, bit_depth(bits)?);
        let order_bits = bits.unsigned()?.min(12) + 4;
        let each_layer = bits.bit()?;
        let mut reorder_frames = 0;
        for _ in if each_layer { 0 } else { sub_layers }..=sub_layers {
            bits.unsigned()?;
            // The last sub-layer is that of the whole stream.
            reorder_frames = bits.unsigned()?;
            bits.unsigned()?;
        }
        // The track can do without a frame rate. The fields before it are long and encoders differ, so a failure to read them is none.
        let timing = timing(bits, order_bits).unwrap_or(None);
        let chroma_format = u8::try_from(chroma_format & 3).unwrap_or(1);
        Ok(Self { width, height, chroma_format, bit_depth, chroma_bit_depth, reorder_frames, timing })
    }
}

fn bit_depth(bits: &mut BitReader<'_>) -> Result<u8, CodecError> {
    match bits.unsigned()? {
        extra @ 0..=8 => Ok(u8::try_from(extra).unwrap_or(0) + 8),
        extra => Err(CodecError::invalid(SPS, format!("bit depth 8 + {extra}"))),
    }
}

fn skip_profile_tier_level(bits: &mut BitReader<'_>, sub_layers: u32) -> Result<(), CodecError> {
    const PROFILE_BITS: usize = 88;
    const LEVEL_BITS: usize = 8;
    bits.skip(PROFILE_BITS + LEVEL_BITS)?;
    let mut skip = 0;
    for _ in 0..sub_layers {
        skip += if bits.bit()? { PROFILE_BITS } else { 0 };
        skip += if bits.bit()? { LEVEL_BITS } else { 0 };
    }
    if sub_layers > 0 {
        // There are two bits for each sub-layer that is not there.
        skip += 2 * (8 - sub_layers as usize);
    }
    bits.skip(skip)
}

/// The sums of a window's left and right, top and bottom offsets.
fn window(bits: &mut BitReader<'_>) -> Result<(u64, u64), CodecError> {
    let mut offset = || bits.unsigned().map(u64::from);
    let (left, right, top, bottom) = (offset()?, offset()?, offset()?, offset()?);
    Ok((left + right, top + bottom))
}

fn timing(bits: &mut BitReader<'_>, order_bits: u32) -> Result<Option<(u32, u32)>, CodecError> {
    // These are the sizes of coding and transform blocks.
    for _ in 0..6 {
        bits.unsigned()?;
    }
    if bits.bit()? && bits.bit()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?;
    if bits.bit()? {
        bits.skip(8)?;
        bits.unsigned()?;
        bits.unsigned()?;
        bits.skip(1)?;
    }
    skip_short_term_sets(bits)?;
    if bits.bit()? {
        for _ in 0..at_most(bits.unsigned()?, LONG_TERM_PICTURES_MAX)? {
            bits.skip(order_bits as usize + 1)?;
        }
    }
    bits.skip(2)?;
    if bits.bit()? { vui_timing(bits) } else { Ok(None) }
}

fn vui_timing(bits: &mut BitReader<'_>) -> Result<Option<(u32, u32)>, CodecError> {
    const EXTENDED_ASPECT: u32 = 255;
    if bits.bit()? && bits.bits(8)? == EXTENDED_ASPECT {
        bits.skip(32)?;
    }
    if bits.bit()? {
        bits.skip(1)?;
    }
    if bits.bit()? {
        bits.skip(4)?;
        if bits.bit()? {
            bits.skip(24)?;
        }
    }
    if bits.bit()? {
        bits.unsigned()?;
        bits.unsigned()?;
    }
    bits.skip(3)?;
    if bits.bit()? {
        window(bits)?;
    }
    if bits.bit()? { Ok(Some((bits.bits(32)?, bits.bits(32)?))) } else { Ok(None) }
}

fn skip_scaling_lists(bits: &mut BitReader<'_>) -> Result<(), CodecError> {
    for size in 0..4 {
        let coefficients = 64.min(1 << (4 + (size << 1)));
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.bit()? {
                bits.unsigned()?;
                continue;
            }
            for _ in 0..coefficients + i32::from(size > 1) {
                bits.signed()?;
            }
        }
    }
    Ok(())
}

/// Each set may be given as a difference to the one before, so sets must be understood to be skipped.
fn skip_short_term_sets(bits: &mut BitReader<'_>) -> Result<(), CodecError> {
    let sets = at_most(bits.unsigned()?, SHORT_TERM_SETS_MAX)?;
    let mut previous: Vec<i64> = Vec::new();
    for set in 0..sets {
        previous = if set > 0 && bits.bit()? { predicted_set(bits, &previous)? } else { explicit_set(bits)? };
    }
    Ok(())
}

/// Distances in output order: first the negative ones, then the positive ones, both from the nearest on.
fn explicit_set(bits: &mut BitReader<'_>) -> Result<Vec<i64>, CodecError> {
    let negative = at_most(bits.unsigned()?, SET_PICTURES_MAX)?;
    let positive = at_most(bits.unsigned()?, SET_PICTURES_MAX)?;
    let mut distances = Vec::new();
    for (count, sign) in [(negative, -1), (positive, 1)] {
        let mut distance = 0;
        for _ in 0..count {
            distance += sign * (i64::from(bits.unsigned()?) + 1);
            bits.skip(1)?;
            distances.push(distance);
        }
    }
    Ok(distances)
}

fn predicted_set(bits: &mut BitReader<'_>, previous: &[i64]) -> Result<Vec<i64>, CodecError> {
    let sign = if bits.bit()? { -1 } else { 1 };
    let shift = sign * (i64::from(bits.unsigned()?) + 1);
    let mut distances = Vec::new();
    for distance in previous.iter().copied().chain([0]) {
        // This bit is used_by_curr_pic_flag; if it is 0, use_delta_flag follows.
        if (bits.bit()? || bits.bit()?) && distance + shift != 0 {
            distances.push(distance + shift);
        }
    }
    if distances.len() > 2 * SET_PICTURES_MAX as usize {
        return Err(CodecError::invalid(SPS, "a reference picture set that grows"));
    }
    distances.sort_by_key(|&distance| (distance > 0, distance.abs()));
    Ok(distances)
}

fn at_most(count: u32, max: u32) -> Result<u32, CodecError> {
    if count > max { Err(CodecError::invalid(SPS, format!("a count of {count}"))) } else { Ok(count) }
}

//! AV1: the `av1C` record and the sequence header that it holds.

use bytes::Bytes;

use super::bits::BitReader;
use super::obu::Unit;
use super::{CodecError, check_config_len, check_picture_size, frame_rate};
use crate::{Codec, TrackId, TrackInfo, VideoFormat};

const AV1C: &str = "the av1C record";
const SEQUENCE_HEADER: &str = "the AV1 sequence header";
const RECORD_FIXED_BYTES: usize = 4;
pub(super) const OBU_SEQUENCE_HEADER: u8 = 1;

/// The fields of a sequence header that players and records need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SequenceHeader {
    width: u32,
    height: u32,
    fps: Option<(u32, u32)>,
    profile: u8,
    /// The level of the first operating point.
    level: u8,
    high_tier: bool,
    colour: ColourConfig,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ColourConfig {
    high_bit_depth: bool,
    twelve_bit: bool,
    monochrome: bool,
    subsampling_x: bool,
    subsampling_y: bool,
    chroma_position: u8,
}

/// The `av1C` record of a sequence header, with the whole unit behind it.
pub(super) fn record_bytes(header: &SequenceHeader, obu: &[u8]) -> Bytes {
    let colour = &header.colour;
    let flags = [
        header.high_tier,
        colour.high_bit_depth,
        colour.twelve_bit,
        colour.monochrome,
        colour.subsampling_x,
        colour.subsampling_y,
    ];
    let flags = flags.iter().fold(0, |flags, flag| flags << 1 | u8::from(*flag));
    let mut record = vec![0x81, header.profile << 5 | header.level & 0x1F, flags << 2 | colour.chroma_position & 3, 0];
    record.extend_from_slice(obu);
    record.into()
}

/// The track that an `av1C` record describes. If the record leaves the sequence header to the stream, the size is 0.
pub fn track_info(id: TrackId, config: Bytes) -> Result<TrackInfo, CodecError> {
    check_config_len(AV1C, &config)?;
    let (fixed, obus) = config.split_first_chunk::<RECORD_FIXED_BYTES>().ok_or(CodecError::Truncated { what: AV1C })?;
    if fixed[0] != 0x81 {
        return Err(CodecError::invalid(AV1C, format!("marker and version {:#04x}", fixed[0])));
    }
    let (profile, level) = (fixed[1] >> 5, fixed[1] & 0x1F);
    let tier = if fixed[2] & 0x80 != 0 { 'H' } else { 'M' };
    let bit_depth = match (fixed[2] & 0x40 != 0, fixed[2] & 0x20 != 0) {
        (true, true) => 12,
        (true, false) => 10,
        _ => 8,
    };
    let header = sequence_header_obu(obus)?.map(sequence_header).transpose()?.unwrap_or_default();
    let video = VideoFormat {
        width: header.width,
        height: header.height,
        fps: header.fps,
        profile: ["Main", "High", "Professional"].get(usize::from(profile)).copied().unwrap_or("unknown").to_owned(),
        // Levels 2.0 to 7.3 are numbered in one row.
        level: format!("{}.{}", 2 + (level >> 2), level & 3),
        bit_depth,
        // A temporal unit shows exactly one picture, so decode order is output order.
        reorder_frames: Some(0),
        codec_string: format!("av01.{profile}.{level:02}{tier}.{bit_depth:02}"),
    };
    Ok(TrackInfo::picture(id, Codec::Av1, config, video))
}

/// The payload of the first sequence header among some OBUs.
fn sequence_header_obu(mut obus: &[u8]) -> Result<Option<&[u8]>, CodecError> {
    while !obus.is_empty() {
        let (unit, after) = Unit::split(obus)?;
        if unit.kind == OBU_SEQUENCE_HEADER {
            return Ok(Some(unit.payload));
        }
        obus = after;
    }
    Ok(None)
}

/// Reads a sequence header (AV1 specification, 5.5.1), as far as the colours.
pub(super) fn sequence_header(obu: &[u8]) -> Result<SequenceHeader, CodecError> {
    let mut bits = BitReader::new(obu, SEQUENCE_HEADER);
    let profile = bits.bits(3)? as u8;
    bits.skip(1)?;
    let reduced = bits.bit()?;
    let (mut fps, mut level, mut high_tier) = (None, 0, false);
    if reduced {
        level = bits.bits(5)? as u8;
    } else {
        let mut delay_bits = None;
        if bits.bit()? {
            fps = timing_info(&mut bits)?;
            if bits.bit()? {
                delay_bits = Some(bits.bits(5)? as usize + 1);
                bits.skip(32 + 5 + 5)?;
            }
        }
        let display_delays = bits.bit()?;
        for point in 0..=bits.bits(5)? {
            bits.skip(12)?;
            let its_level = bits.bits(5)? as u8;
            // Tiers exist from level 4.0 on, which has number 8.
            let its_tier = its_level > 7 && bits.bit()?;
            if point == 0 {
                (level, high_tier) = (its_level, its_tier);
            }
            if let Some(delay_bits) = delay_bits
                && bits.bit()?
            {
                bits.skip(2 * delay_bits + 1)?;
            }
            if display_delays && bits.bit()? {
                bits.skip(4)?;
            }
        }
    }
    let (width_bits, height_bits) = (bits.bits(4)? + 1, bits.bits(4)? + 1);
    let (width, height) = (bits.bits(width_bits)?, bits.bits(height_bits)?);
    let (width, height) = check_picture_size(SEQUENCE_HEADER, u64::from(width) + 1, u64::from(height) + 1)?;
    tools(&mut bits, reduced)?;
    let colour = colour_config(&mut bits, profile)?;
    Ok(SequenceHeader { width, height, fps, profile, level, high_tier, colour })
}

/// Skips the fields that say which tools are used.
fn tools(bits: &mut BitReader<'_>, reduced: bool) -> Result<(), CodecError> {
    /// This value means "as each frame says".
    const SELECT: u32 = 2;
    if !reduced && bits.bit()? {
        bits.skip(4 + 3)?;
    }
    bits.skip(3)?;
    if !reduced {
        bits.skip(4)?;
        let order_hint = bits.bit()?;
        if order_hint {
            bits.skip(2)?;
        }
        let screen_content = if bits.bit()? { SELECT } else { bits.bits(1)? };
        if screen_content > 0 && !bits.bit()? {
            bits.skip(1)?;
        }
        if order_hint {
            bits.skip(3)?;
        }
    }
    bits.skip(3)
}

/// Reads the colour configuration (5.5.2).
fn colour_config(bits: &mut BitReader<'_>, profile: u8) -> Result<ColourConfig, CodecError> {
    const BT_709: u32 = 1;
    const SRGB: u32 = 13;
    const IDENTITY: u32 = 0;
    let high_bit_depth = bits.bit()?;
    let twelve_bit = profile == 2 && high_bit_depth && bits.bit()?;
    let monochrome = profile != 1 && bits.bit()?;
    let described = bits.bit()?;
    let is_rgb = described && (bits.bits(8)?, bits.bits(8)?, bits.bits(8)?) == (BT_709, SRGB, IDENTITY);
    let mut colour = ColourConfig { high_bit_depth, twelve_bit, monochrome, ..ColourConfig::default() };
    if is_rgb && !monochrome {
        return Ok(colour);
    }
    bits.skip(1)?;
    (colour.subsampling_x, colour.subsampling_y) = match profile {
        _ if monochrome => (true, true),
        0 => (true, true),
        1 => (false, false),
        _ if twelve_bit => {
            let across = bits.bit()?;
            (across, across && bits.bit()?)
        }
        _ => (true, false),
    };
    if !monochrome && colour.subsampling_x && colour.subsampling_y {
        colour.chroma_position = bits.bits(2)? as u8;
    }
    Ok(colour)
}

/// The frame rate, if pictures come at equal intervals.
fn timing_info(bits: &mut BitReader<'_>) -> Result<Option<(u32, u32)>, CodecError> {
    let (ticks, rate) = (bits.bits(32)?, bits.bits(32)?);
    if !bits.bit()? {
        return Ok(None);
    }
    let ticks_per_picture = u64::from(bits.unsigned()?) + 1;
    Ok(u64::from(ticks).checked_mul(ticks_per_picture).and_then(|ticks| frame_rate(u64::from(rate), ticks)))
}

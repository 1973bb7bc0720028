//! AV1: the `av1C` record and the sequence header that it holds.

use bytes::Bytes;

use super::bits::BitReader;
use super::{CodecError, check_config_len, check_picture_size, frame_rate};
use crate::{Codec, TrackId, TrackInfo, VideoFormat};

const AV1C: &str = "the av1C record";
const SEQUENCE_HEADER: &str = "the AV1 sequence header";
const RECORD_FIXED_BYTES: usize = 4;
const OBU_SEQUENCE_HEADER: u8 = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SequenceHeader {
    width: u32,
    height: u32,
    fps: Option<(u32, u32)>,
}

/// The track of an `av1C` record. Where the record leaves the sequence header to the stream, the size is 0.
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
        // Levels 2.0 to 7.3 are numbered through.
        level: format!("{}.{}", 2 + (level >> 2), level & 3),
        bit_depth,
        // A temporal unit shows exactly one picture: decode order is output order.
        reorder_frames: Some(0),
        codec_string: format!("av01.{profile}.{level:02}{tier}.{bit_depth:02}"),
    };
    Ok(TrackInfo { id, codec: Codec::Av1, config, video: Some(video), audio: None })
}

/// The payload of the first sequence header among some OBUs.
fn sequence_header_obu(mut obus: &[u8]) -> Result<Option<&[u8]>, CodecError> {
    while let Some((&header, mut rest)) = obus.split_first() {
        let (extension, sized) = (header & 4 != 0, header & 2 != 0);
        if extension {
            rest = rest.get(1..).ok_or(CodecError::Truncated { what: AV1C })?;
        }
        let length = if sized {
            let (length, after) = leb128(rest)?;
            rest = after;
            length
        } else {
            rest.len()
        };
        let (payload, after) = rest.split_at_checked(length).ok_or(CodecError::Truncated { what: AV1C })?;
        if header >> 3 & 0x0F == OBU_SEQUENCE_HEADER {
            return Ok(Some(payload));
        }
        obus = after;
    }
    Ok(None)
}

fn leb128(data: &[u8]) -> Result<(usize, &[u8]), CodecError> {
    let mut value = 0_u64;
    for (index, &byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let value = usize::try_from(value).map_err(|_| CodecError::invalid(AV1C, "the size of an OBU"))?;
            return Ok((value, &data[index + 1..]));
        }
    }
    Err(CodecError::invalid(AV1C, "the size of an OBU"))
}

/// AV1 specification, 5.5.1, as far as the picture size.
fn sequence_header(obu: &[u8]) -> Result<SequenceHeader, CodecError> {
    let mut bits = BitReader::new(obu, SEQUENCE_HEADER);
    bits.skip(3 + 1)?;
    let reduced = bits.bit()?;
    let mut fps = None;
    if reduced {
        bits.skip(5)?;
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
        for _ in 0..=bits.bits(5)? {
            bits.skip(12)?;
            // Tiers exist from level 4.0 on, which is number 8.
            if bits.bits(5)? > 7 {
                bits.skip(1)?;
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
    Ok(SequenceHeader { width, height, fps })
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

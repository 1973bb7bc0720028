//! H.264: the `avcC` record, the content of its SPS, and the NAL units of a picture.

use bytes::{BufMut, Bytes, BytesMut};
use h264_reader::nal::sps::{FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::BitReader as RbspReader;

use super::bits::BitReader;
use super::{CodecError, check_config_len, check_picture_size, frame_rate, nal};
use crate::{Codec, TrackId, TrackInfo, VideoFormat};

const AVCC: &str = "the avcC record";
const SPS: &str = "the H.264 SPS";

/// Values of `nal_unit_type`.
pub mod unit_type {
    pub const SLICE: u8 = 1;
    pub const PARTITION_A: u8 = 2;
    pub const IDR: u8 = 5;
    pub const SEI: u8 = 6;
    pub const SPS: u8 = 7;
    pub const PPS: u8 = 8;
    pub const AUD: u8 = 9;
    pub const FILLER: u8 = 12;
}

/// An AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1). Parameter sets are slices of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvcConfig {
    /// The number of bytes of a NAL unit's length in the payloads: 1, 2 or 4.
    pub length_size: u8,
    pub sps: Vec<Bytes>,
    pub pps: Vec<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceKind {
    P,
    B,
    I,
}

impl AvcConfig {
    pub fn parse(record: &Bytes) -> Result<Self, CodecError> {
        check_config_len(AVCC, record)?;
        let fixed = record.get(..6).ok_or(CodecError::Truncated { what: AVCC })?;
        if fixed[0] != 1 {
            return Err(CodecError::invalid(AVCC, format!("version {}", fixed[0])));
        }
        let mut at = 6;
        let sps = parameter_sets(record, &mut at, usize::from(fixed[5] & 0x1F))?;
        let pps_count = *record.get(at).ok_or(CodecError::Truncated { what: AVCC })?;
        at += 1;
        let pps = parameter_sets(record, &mut at, usize::from(pps_count))?;
        // Further fields (chroma format, SPS extensions) repeat what the SPS says.
        Ok(Self { length_size: (fixed[4] & 3) + 1, sps, pps })
    }

    /// The record of these parameter sets (NAL units with their headers), for payloads with 4-byte lengths.
    pub fn build(sps: &[Bytes], pps: &[Bytes]) -> Result<Bytes, CodecError> {
        let first = sps.first().ok_or(CodecError::Missing { what: "SPS" })?;
        let profile = first.get(1..4).ok_or(CodecError::Truncated { what: SPS })?;
        let count = |sets: &[Bytes], max: usize| {
            u8::try_from(sets.len()).ok().filter(|&count| usize::from(count) <= max).ok_or(CodecError::TooLong {
                what: "the number of parameter sets",
                bytes: sets.len(),
                max,
            })
        };
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(1);
        out.put_slice(profile);
        out.put_u8(0xFC | 3);
        out.put_u8(0xE0 | count(sps, 31)?);
        put_parameter_sets(&mut out, sps)?;
        out.put_u8(count(pps, 255)?);
        put_parameter_sets(&mut out, pps)?;
        if matches!(profile[0], 100 | 110 | 122 | 144) {
            let sps = parse_sps(first)?;
            out.put_u8(0xFC | u8::try_from(sps.chroma_info.chroma_format.to_u32() & 3).unwrap_or(1));
            out.put_u8(0xF8 | sps.chroma_info.bit_depth_luma_minus8 & 7);
            out.put_u8(0xF8 | sps.chroma_info.bit_depth_chroma_minus8 & 7);
            out.put_u8(0);
        }
        Ok(out.freeze())
    }
}

fn parameter_sets(record: &Bytes, at: &mut usize, count: usize) -> Result<Vec<Bytes>, CodecError> {
    let mut sets = Vec::new();
    for _ in 0..count {
        let length = record.get(*at..*at + 2).ok_or(CodecError::Truncated { what: AVCC })?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let start = *at + 2;
        if record.len() < start + length {
            return Err(CodecError::Truncated { what: AVCC });
        }
        sets.push(record.slice(start..start + length));
        *at = start + length;
    }
    Ok(sets)
}

fn put_parameter_sets(out: &mut BytesMut, sets: &[Bytes]) -> Result<(), CodecError> {
    for set in sets {
        let length = u16::try_from(set.len()).map_err(|_| CodecError::TooLong {
            what: "a parameter set",
            bytes: set.len(),
            max: usize::from(u16::MAX),
        })?;
        out.put_u16(length);
        out.put_slice(set);
    }
    Ok(())
}

/// The track that an `avcC` record describes.
pub fn track_info(id: TrackId, config: Bytes) -> Result<TrackInfo, CodecError> {
    let record = AvcConfig::parse(&config)?;
    let sps = record.sps.first().ok_or(CodecError::Missing { what: "SPS" })?;
    let video = video_format(sps)?;
    Ok(TrackInfo::picture(id, Codec::H264, config, video))
}

/// Whether the record's SPS allows pictures to be coded as fields.
pub(super) fn may_be_interlaced(config: &Bytes) -> bool {
    let sps = AvcConfig::parse(config).ok().and_then(|record| parse_sps(record.sps.first()?).ok());
    sps.is_some_and(|sps| matches!(sps.frame_mbs_flags, FrameMbsFlags::Fields { .. }))
}

/// The format of the pictures by an SPS (with its NAL header).
pub fn video_format(sps_unit: &[u8]) -> Result<VideoFormat, CodecError> {
    let sps = parse_sps(sps_unit)?;
    let (width, height) = picture_size(&sps)?;
    let vui = sps.vui_parameters.as_ref();
    let fps = vui.and_then(|vui| vui.timing_info.as_ref()).and_then(|timing| {
        // One frame is two fields, and so two ticks.
        frame_rate(u64::from(timing.time_scale), u64::from(timing.num_units_in_tick) * 2)
    });
    let restricted = vui.and_then(|vui| vui.bitstream_restrictions.as_ref());
    let reorder_frames = match restricted {
        Some(restricted) => u8::try_from(restricted.max_num_reorder_frames).ok(),
        None => never_reorders(&sps, sps_unit).then_some(0),
    };
    let header = [sps_unit[1], sps_unit[2], sps_unit[3]];
    Ok(VideoFormat {
        width,
        height,
        fps,
        profile: profile_name(header[0], header[1]).to_owned(),
        level: level_name(header[0], header[1], header[2]),
        bit_depth: sps.chroma_info.bit_depth_luma_minus8.saturating_add(8),
        reorder_frames,
        codec_string: format!("avc1.{:02x}{:02x}{:02x}", header[0], header[1], header[2]),
    })
}

fn parse_sps(unit: &[u8]) -> Result<SeqParameterSet, CodecError> {
    if unit.len() < 4 {
        return Err(CodecError::Truncated { what: SPS });
    }
    if unit[0] & 0x1F != unit_type::SPS {
        return Err(CodecError::invalid(SPS, format!("NAL unit type {}", unit[0] & 0x1F)));
    }
    let rbsp = nal::unescaped(&unit[1..], unit.len());
    SeqParameterSet::from_bits(RbspReader::new(&rbsp[..]))
        .map_err(|error| CodecError::invalid(SPS, format!("{error:?}")))
}

/// The size as shown. It is computed here in u64, because the crop comes from outside and may exceed the picture.
fn picture_size(sps: &SeqParameterSet) -> Result<(u32, u32), CodecError> {
    let fields = match sps.frame_mbs_flags {
        FrameMbsFlags::Frames => 1,
        FrameMbsFlags::Fields { .. } => 2,
    };
    let width = (u64::from(sps.pic_width_in_mbs_minus1) + 1) * 16;
    let height = (u64::from(sps.pic_height_in_map_units_minus1) + 1) * 16 * fields;
    let (unit_x, unit_y) = match sps.chroma_info.chroma_array_type() {
        1 => (2, 2 * fields),
        2 => (2, fields),
        _ => (1, fields),
    };
    let (crop_x, crop_y) = sps.frame_cropping.as_ref().map_or((0, 0), |crop| {
        let sum = |a: u32, b: u32| u64::from(a) + u64::from(b);
        (unit_x * sum(crop.left_offset, crop.right_offset), unit_y * sum(crop.top_offset, crop.bottom_offset))
    });
    check_picture_size(SPS, width.saturating_sub(crop_x), height.saturating_sub(crop_y))
}

/// Whether B-frames are impossible: Baseline has none, order type 2 outputs in decode order, and an intra profile predicts nothing.
fn never_reorders(sps: &SeqParameterSet, unit: &[u8]) -> bool {
    let intra_only = matches!(unit[1], 44) || (matches!(unit[1], 100 | 110 | 122 | 244) && unit[2] & 0x10 != 0);
    unit[1] == 66 || matches!(sps.pic_order_cnt, PicOrderCntType::TypeTwo) || intra_only || sps.max_num_ref_frames == 0
}

fn profile_name(profile_idc: u8, constraints: u8) -> &'static str {
    match profile_idc {
        66 if constraints & 0x40 != 0 => "Constrained Baseline",
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 => "High",
        110 => "High 10",
        122 => "High 4:2:2",
        244 => "High 4:4:4 Predictive",
        44 => "CAVLC 4:4:4 Intra",
        118 => "Multiview High",
        128 => "Stereo High",
        _ => "unknown",
    }
}

fn level_name(profile_idc: u8, constraints: u8, level_idc: u8) -> String {
    if level_idc == 9 || (level_idc == 11 && constraints & 0x10 != 0 && matches!(profile_idc, 66 | 77 | 88)) {
        return "1b".to_owned();
    }
    format!("{}.{}", level_idc / 10, level_idc % 10)
}

/// Whether a decoder can start at this payload (4-byte lengths), because it holds an IDR picture.
pub fn is_keyframe(payload: &[u8]) -> bool {
    units(payload).any(|unit| unit[0] & 0x1F == unit_type::IDR)
}

/// The kind of the payload's first slice. A B slice tells that the stream reorders.
pub fn slice_kind(payload: &[u8]) -> Option<SliceKind> {
    let slice = units(payload)
        .find(|unit| matches!(unit[0] & 0x1F, unit_type::SLICE | unit_type::PARTITION_A | unit_type::IDR))?;
    // The fields first_mb_in_slice and slice_type take at most 2 * 63 bits.
    let header = nal::unescaped(&slice[1..], 16);
    let mut bits = BitReader::new(&header, "a slice header");
    bits.unsigned().ok()?;
    match bits.unsigned().ok()? % 5 {
        0 | 3 => Some(SliceKind::P),
        1 => Some(SliceKind::B),
        _ => Some(SliceKind::I),
    }
}

/// The NAL units that are there and not empty. A broken tail is left out.
fn units(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    nal::length_prefixed(payload, 4).map_while(Result::ok).filter(|unit| !unit.is_empty())
}

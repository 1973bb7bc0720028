//! What a NAL unit is to the picture that it stands in.

use weir_media::Codec;
use weir_media::codec::{h264, h265};

use crate::parameter_sets::SetKind;

const H264_END_OF_SEQUENCE: u8 = 10;
const H264_END_OF_STREAM: u8 = 11;
const H265_END_OF_SEQUENCE: u8 = 36;
const H265_END_OF_STREAM: u8 = 37;
const H265_VCL_LAST: u8 = 31;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnitKind {
    /// A delimiter says where a picture begins. It is dropped, because frames say that by themselves.
    Delimiter,
    Set(SetKind),
    Slice,
    /// A unit that nobody needs: the end of a sequence, or a unit without a header.
    Nothing,
    /// Any other unit (SEI with captions, filler and so on), which is kept untouched.
    Other,
}

pub(crate) fn header_bytes(codec: Codec) -> usize {
    if codec == Codec::H265 { 2 } else { 1 }
}

pub(crate) fn kind_of(codec: Codec, unit: &[u8]) -> UnitKind {
    let Some(&first) = unit.first().filter(|_| unit.len() > header_bytes(codec)) else { return UnitKind::Nothing };
    if codec == Codec::H265 {
        return match first >> 1 & 0x3F {
            h265::unit_type::VPS => UnitKind::Set(SetKind::Vps),
            h265::unit_type::SPS => UnitKind::Set(SetKind::Sps),
            h265::unit_type::PPS => UnitKind::Set(SetKind::Pps),
            h265::unit_type::AUD => UnitKind::Delimiter,
            H265_END_OF_SEQUENCE | H265_END_OF_STREAM => UnitKind::Nothing,
            ..=H265_VCL_LAST => UnitKind::Slice,
            _ => UnitKind::Other,
        };
    }
    match first & 0x1F {
        h264::unit_type::SPS => UnitKind::Set(SetKind::Sps),
        h264::unit_type::PPS => UnitKind::Set(SetKind::Pps),
        h264::unit_type::AUD => UnitKind::Delimiter,
        H264_END_OF_SEQUENCE | H264_END_OF_STREAM => UnitKind::Nothing,
        h264::unit_type::SLICE..=h264::unit_type::IDR => UnitKind::Slice,
        _ => UnitKind::Other,
    }
}

/// Whether a picture begins with this slice. Its first bit says so: macroblock 0 in Exp-Golomb, or a flag of its own.
pub(crate) fn begins_picture(codec: Codec, slice: &[u8]) -> bool {
    slice.get(header_bytes(codec)).is_some_and(|byte| byte & 0x80 != 0)
}

//! HEVC: the `hvcC` record, the content of its SPS, and the NAL units of a picture.

mod sps;

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};

use super::{CodecError, check_config_len, frame_rate, nal};
use crate::{Codec, TrackId, TrackInfo, VideoFormat};

const HVCC: &str = "the hvcC record";
const HVCC_FIXED_BYTES: usize = 23;
const NAL_HEADER_BYTES: usize = 2;
/// The length of the fields for the whole stream: profile, compatibility, constraints, level.
const PROFILE_TIER_LEVEL_BYTES: usize = 12;

/// Values of `nal_unit_type`.
pub mod unit_type {
    pub const VPS: u8 = 32;
    pub const SPS: u8 = 33;
    pub const PPS: u8 = 34;
    pub const AUD: u8 = 35;
    /// The types of pictures at which a decoder can start (BLA, IDR, CRA).
    pub const IRAP: std::ops::RangeInclusive<u8> = 16..=21;
}

/// An HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1). Parameter sets are slices of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HevcConfig {
    /// The number of bytes of a NAL unit's length in the payloads: 1, 2 or 4.
    pub length_size: u8,
    pub vps: Vec<Bytes>,
    pub sps: Vec<Bytes>,
    pub pps: Vec<Bytes>,
    profile: Profile,
}

/// The part of the SPS's profile_tier_level that the record repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Profile {
    space: u8,
    high_tier: bool,
    idc: u8,
    compatibility: u32,
    constraints: [u8; 6],
    level_idc: u8,
}

impl HevcConfig {
    pub fn parse(record: &Bytes) -> Result<Self, CodecError> {
        check_config_len(HVCC, record)?;
        let fixed = record.first_chunk::<HVCC_FIXED_BYTES>().ok_or(CodecError::Truncated { what: HVCC })?;
        // Early encoders write version 0, which has the same layout.
        if fixed[0] > 1 {
            return Err(CodecError::invalid(HVCC, format!("version {}", fixed[0])));
        }
        let profile = Profile {
            space: fixed[1] >> 6,
            high_tier: fixed[1] & 0x20 != 0,
            idc: fixed[1] & 0x1F,
            compatibility: u32::from_be_bytes([fixed[2], fixed[3], fixed[4], fixed[5]]),
            constraints: [fixed[6], fixed[7], fixed[8], fixed[9], fixed[10], fixed[11]],
            level_idc: fixed[12],
        };
        let mut config =
            Self { length_size: (fixed[21] & 3) + 1, vps: Vec::new(), sps: Vec::new(), pps: Vec::new(), profile };
        let mut at = HVCC_FIXED_BYTES;
        for _ in 0..fixed[22] {
            let [kind, count @ ..] = take::<3>(record, &mut at)?;
            for _ in 0..u16::from_be_bytes(count) {
                let length = usize::from(u16::from_be_bytes(take::<2>(record, &mut at)?));
                let end = at + length;
                if end > record.len() {
                    return Err(CodecError::Truncated { what: HVCC });
                }
                let unit = record.slice(at..end);
                at = end;
                match kind & 0x3F {
                    unit_type::VPS => config.vps.push(unit),
                    unit_type::SPS => config.sps.push(unit),
                    unit_type::PPS => config.pps.push(unit),
                    // SEI messages may stand here too.
                    _ => {}
                }
            }
        }
        Ok(config)
    }

    /// The record of these parameter sets (NAL units with their headers), for payloads with 4-byte lengths.
    pub fn build(vps: &[Bytes], sps: &[Bytes], pps: &[Bytes]) -> Result<Bytes, CodecError> {
        let first = sps.first().ok_or(CodecError::Missing { what: "SPS" })?;
        let parsed = sps::Sps::parse(first)?;
        // The byte before the profile has four bits of the VPS's number, three of sub-layers, and one of nesting.
        let head = nal::unescaped(&first[NAL_HEADER_BYTES..], 1 + PROFILE_TIER_LEVEL_BYTES);
        let (&layers, profile) = head.split_first().ok_or(CodecError::Truncated { what: "the HEVC SPS" })?;
        let mut out = BytesMut::with_capacity(128);
        out.put_u8(1);
        out.put_slice(profile);
        // These fields promise no segmentation and no parallelism that a decoder could count on.
        out.put_slice(&[0xF0, 0, 0xFC, 0xFC | parsed.chroma_format]);
        out.put_slice(&[0xF8 | (parsed.bit_depth - 8) & 7, 0xF8 | (parsed.chroma_bit_depth - 8) & 7]);
        // These fields give no frame rate, layers and nesting as the SPS has them, and lengths of 4 bytes.
        out.put_slice(&[0, 0, ((layers >> 1 & 7) + 1) << 3 | (layers & 1) << 2 | 3]);
        out.put_u8(3);
        for (kind, sets) in [(unit_type::VPS, vps), (unit_type::SPS, sps), (unit_type::PPS, pps)] {
            put_array(&mut out, kind, sets)?;
        }
        Ok(out.freeze())
    }
}

/// Appends all sets of a kind. "Complete" says that payloads hold none.
fn put_array(out: &mut BytesMut, kind: u8, sets: &[Bytes]) -> Result<(), CodecError> {
    let too_long = |what, bytes| CodecError::TooLong { what, bytes, max: usize::from(u16::MAX) };
    out.put_u8(0x80 | kind);
    out.put_u16(u16::try_from(sets.len()).map_err(|_| too_long("the number of parameter sets", sets.len()))?);
    for set in sets {
        out.put_u16(u16::try_from(set.len()).map_err(|_| too_long("a parameter set", set.len()))?);
        out.put_slice(set);
    }
    Ok(())
}

fn take<const N: usize>(record: &[u8], at: &mut usize) -> Result<[u8; N], CodecError> {
    let bytes = record.get(*at..).and_then(<[u8]>::first_chunk::<N>).ok_or(CodecError::Truncated { what: HVCC })?;
    *at += N;
    Ok(*bytes)
}

/// The track that an `hvcC` record describes.
pub fn track_info(id: TrackId, config: Bytes) -> Result<TrackInfo, CodecError> {
    let record = HevcConfig::parse(&config)?;
    let unit = record.sps.first().ok_or(CodecError::Missing { what: "SPS" })?;
    let sps = sps::Sps::parse(unit)?;
    let video = VideoFormat {
        width: sps.width,
        height: sps.height,
        // A tick is one picture, unlike in H.264.
        fps: sps.timing.and_then(|(ticks, rate)| frame_rate(u64::from(rate), u64::from(ticks))),
        profile: profile_name(record.profile).to_owned(),
        level: level_name(record.profile),
        bit_depth: sps.bit_depth,
        reorder_frames: u8::try_from(sps.reorder_frames).ok(),
        codec_string: codec_string(record.profile),
    };
    Ok(TrackInfo::picture(id, Codec::H265, config, video))
}

fn profile_name(profile: Profile) -> &'static str {
    match profile.idc {
        1 => "Main",
        2 => "Main 10",
        3 => "Main Still Picture",
        4 => "Range Extensions",
        9 => "Screen Content Coding",
        _ => "unknown",
    }
}

/// The name of the level. `general_level_idc` is thirty times the level.
fn level_name(profile: Profile) -> String {
    format!("{}.{}", profile.level_idc / 30, profile.level_idc % 30 / 3)
}

/// The codec string by RFC 6381 and ISO/IEC 14496-15, E.3, such as "hvc1.1.6.L93.B0".
fn codec_string(profile: Profile) -> String {
    let space = ["", "A", "B", "C"][usize::from(profile.space & 3)];
    let tier = if profile.high_tier { 'H' } else { 'L' };
    let compatibility = profile.compatibility.reverse_bits();
    let mut text = format!("hvc1.{space}{}.{compatibility:X}.{tier}{}", profile.idc, profile.level_idc);
    let used = profile.constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    for byte in &profile.constraints[..used] {
        // Writing to a String cannot fail.
        let _ = write!(text, ".{byte:X}");
    }
    text
}

/// Whether a decoder can start at this payload (4-byte lengths), because it holds an IRAP picture.
pub fn is_keyframe(payload: &[u8]) -> bool {
    nal::length_prefixed(payload, 4)
        .map_while(Result::ok)
        .filter(|unit| unit.len() >= NAL_HEADER_BYTES)
        .any(|unit| unit_type::IRAP.contains(&(unit[0] >> 1 & 0x3F)))
}

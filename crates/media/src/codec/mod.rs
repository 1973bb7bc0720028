//! Codec configuration: the content of decoder configuration records and bitstream headers, read without decoding a picture.

pub mod aac;
pub mod ac3;
pub mod av1;
mod bits;
pub mod captions;
mod gop_meter;
pub mod h264;
pub mod h265;
pub mod mpeg2;
pub mod mpeg_audio;
pub mod nal;
pub mod obu;
pub mod opus;
pub mod vpx;

use bytes::Bytes;

pub use gop_meter::GopMeter;

use crate::{AudioFormat, Codec, TrackId, TrackInfo};

/// The most bytes of a decoder configuration record. One has some 50, or some hundreds with scaling lists; nobody needs this many.
pub const CONFIG_BYTES_MAX: usize = 64 * 1024;

/// The largest picture side that any codec level allows (HEVC 6.2, AV1 6.x: 16,384 and below).
pub const PICTURE_SIDE_MAX: u32 = 16_384;

/// What is wrong with a configuration or a payload. The fault is with whoever sends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("{what} ends too early")]
    Truncated { what: &'static str },
    #[error("{what} of {bytes} bytes is more than the {max} allowed")]
    TooLong { what: &'static str, bytes: usize, max: usize },
    #[error("{what} is invalid: {reason}")]
    Invalid { what: &'static str, reason: String },
    #[error("the decoder configuration has no {what}")]
    Missing { what: &'static str },
}

impl CodecError {
    pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { what, reason: reason.into() }
    }
}

/// Reads a decoder configuration record as MP4 stores it (see [`TrackInfo::config`]).
pub fn parse(codec: Codec, id: TrackId, config: Bytes) -> Result<TrackInfo, CodecError> {
    match codec {
        Codec::H264 => h264::track_info(id, config),
        Codec::H265 => h265::track_info(id, config),
        Codec::Av1 => av1::track_info(id, config),
        Codec::Vp8 | Codec::Vp9 => vpx::track_info(id, codec, config),
        Codec::Aac => aac::track_info(id, config),
        Codec::Opus => opus::track_info(id, config),
        Codec::Mp3 => Ok(mp3_track_info(id)),
        Codec::Mpeg2 => mpeg2::track_info(id, config),
        Codec::Mp2 => mpeg_audio::mp2_track_info(id, config),
        Codec::Ac3 => ac3::ac3_track_info(id, config),
        Codec::Eac3 => ac3::eac3_track_info(id, config),
    }
}

/// Whether the pictures may be two fields of different times, as broadcast has them.
pub fn may_be_interlaced(track: &TrackInfo) -> bool {
    match track.codec {
        Codec::H264 => h264::may_be_interlaced(&track.config),
        Codec::Mpeg2 => mpeg2::may_be_interlaced(&track.config),
        _ => false,
    }
}

/// The track of MP3, which has no configuration: each frame's header says what it is.
fn mp3_track_info(id: TrackId) -> TrackInfo {
    let audio = AudioFormat { codec_string: "mp4a.6b".to_owned(), ..AudioFormat::default() };
    TrackInfo::sound(id, Codec::Mp3, Bytes::new(), audio)
}

fn check_config_len(what: &'static str, config: &[u8]) -> Result<(), CodecError> {
    if config.len() > CONFIG_BYTES_MAX {
        return Err(CodecError::TooLong { what, bytes: config.len(), max: CONFIG_BYTES_MAX });
    }
    Ok(())
}

fn check_picture_size(what: &'static str, width: u64, height: u64) -> Result<(u32, u32), CodecError> {
    let side = |side: u64| u32::try_from(side).ok().filter(|side| (1..=PICTURE_SIDE_MAX).contains(side));
    match (side(width), side(height)) {
        (Some(width), Some(height)) => Ok((width, height)),
        _ => Err(CodecError::invalid(what, format!("picture size {width}x{height}"))),
    }
}

/// A frame rate as a fraction in lowest terms. `None` if it makes no sense.
fn frame_rate(numerator: u64, denominator: u64) -> Option<(u32, u32)> {
    let divisor = gcd(numerator, denominator);
    if numerator == 0 || denominator == 0 {
        return None;
    }
    Some((u32::try_from(numerator / divisor).ok()?, u32::try_from(denominator / divisor).ok()?))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;

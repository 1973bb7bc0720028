//! MPEG-2 video (ISO 13818-2), the older picture of broadcast: its sequence header, and where pictures begin.

use bytes::Bytes;

use super::bits::BitReader;
use super::{CodecError, check_config_len, check_picture_size};
use crate::{Codec, TrackId, TrackInfo, VideoFormat};

const SEQUENCE: &str = "the MPEG-2 sequence header";

pub mod start_code {
    pub const PICTURE: u8 = 0x00;
    pub const SLICES: std::ops::RangeInclusive<u8> = 0x01..=0xAF;
    pub const SEQUENCE: u8 = 0xB3;
    pub const EXTENSION: u8 = 0xB5;
    pub const SEQUENCE_END: u8 = 0xB7;
    pub const GROUP: u8 = 0xB8;
}

const EXTENSION_SEQUENCE: u32 = 1;
const EXTENSION_PICTURE: u32 = 8;
/// The picture structure of a whole frame; 1 and 2 are its fields.
const STRUCTURE_FRAME: u32 = 3;
const CODING_INTRA: u32 = 1;
const RATES: [(u32, u32); 8] =
    [(24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (30, 1), (50, 1), (60_000, 1001), (60, 1)];

/// The value of each start code, and where its four bytes begin.
pub fn start_codes(data: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let one = from + data.get(from + 2..)?.iter().position(|byte| *byte == 1)?;
            from = one + 1;
            if data.get(one..one + 2) == Some(&[0, 0]) {
                let value = *data.get(one + 3)?;
                from = one + 3;
                return Some((value, one));
            }
        }
    })
}

/// The sequence header and its extension at the beginning of a coded sequence. `None` if they are not whole.
pub fn sequence_of(data: &[u8]) -> Option<&[u8]> {
    let mut codes = start_codes(data).skip_while(|(value, _)| *value != start_code::SEQUENCE);
    let (_, begin) = codes.next()?;
    // MPEG-1 has no extension, so this is another codec, whatever the number in the PMT says.
    let extension = |at: usize| data.get(at + 4).is_some_and(|byte| u32::from(byte >> 4) == EXTENSION_SEQUENCE);
    codes.next().filter(|(value, at)| *value == start_code::EXTENSION && extension(*at))?;
    let end = codes.next().map_or(data.len(), |(_, at)| at);
    data.get(begin..end)
}

/// Whether the picture that begins behind this start code needs no other.
pub fn is_intra(picture: &[u8]) -> bool {
    picture.get(5).is_some_and(|byte| u32::from(byte >> 3 & 7) == CODING_INTRA)
}

/// Whether the extension says that its picture is one of two fields.
pub fn is_field(extension: &[u8]) -> bool {
    let Some(body) = extension.get(4..).filter(|body| body.len() > 3) else { return false };
    u32::from(body[0] >> 4) == EXTENSION_PICTURE && u32::from(body[2] & 3) != STRUCTURE_FRAME
}

/// Whether the pictures may be fields, because the sequence does not promise that they are whole frames.
pub(super) fn may_be_interlaced(config: &[u8]) -> bool {
    let extension = start_codes(config).find(|(value, _)| *value == start_code::EXTENSION);
    // The flag stands behind four bits of the extension's kind and eight of profile and level.
    let says_whole = extension.and_then(|(_, at)| config.get(at + 5)).is_some_and(|byte| byte >> 3 & 1 == 1);
    !says_whole
}

/// The track that a sequence header with its extension describes.
pub fn track_info(id: TrackId, config: Bytes) -> Result<TrackInfo, CodecError> {
    check_config_len(SEQUENCE, &config)?;
    let sequence = sequence_of(&config).ok_or(CodecError::Missing { what: "MPEG-2 sequence header" })?;
    let extension = start_codes(sequence).nth(1).map_or(0, |(_, at)| at);
    let mut bits = BitReader::new(&sequence[4..], SEQUENCE);
    let (width, height) = (bits.bits(12)?, bits.bits(12)?);
    bits.skip(4)?;
    let rate = bits.bits(4)?;
    let mut bits = BitReader::new(&sequence[extension + 4..], SEQUENCE);
    bits.skip(4)?;
    let (profile, level) = profile_and_level(bits.bits(8)?);
    bits.skip(1 + 2)?;
    let (width_high, height_high) = (bits.bits(2)?, bits.bits(2)?);
    bits.skip(12 + 1 + 8)?;
    let low_delay = bits.bit()?;
    let (times, parts) = (bits.bits(2)? + 1, bits.bits(5)? + 1);
    let side = |high: u32, low: u32| u64::from(high << 12 | low);
    let (width, height) = check_picture_size(SEQUENCE, side(width_high, width), side(height_high, height))?;
    let rate = rate.checked_sub(1).and_then(|at| RATES.get(at as usize));
    let video = VideoFormat {
        width,
        height,
        fps: rate.map(|(frames, seconds)| (frames * times, seconds * parts)),
        profile: profile.to_owned(),
        level: level.to_owned(),
        bit_depth: 8,
        reorder_frames: low_delay.then_some(0),
        codec_string: "mp4v.61".to_owned(),
    };
    Ok(TrackInfo::picture(id, Codec::Mpeg2, config, video))
}

fn profile_and_level(indication: u32) -> (&'static str, &'static str) {
    let profile = match indication >> 4 & 7 {
        1 => "High",
        2 => "Spatial",
        3 => "SNR",
        4 => "Main",
        5 => "Simple",
        _ => "4:2:2",
    };
    let level = match indication & 15 {
        4 => "High",
        6 => "High 1440",
        8 => "Main",
        10 => "Low",
        _ => "",
    };
    (profile, level)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence of 720x576 at 25 fps, Main at Main, as ffmpeg writes it.
    pub(crate) const PAL: [u8; 22] =
        [0, 0, 1, 0xB3, 0x2D, 0x02, 0x40, 0x33, 0xFF, 0xFF, 0xE0, 0x18, 0, 0, 1, 0xB5, 0x14, 0x8A, 0, 0x01, 0, 0];

    #[test]
    fn a_sequence_header_is_read() {
        let video = track_info(TrackId(0), Bytes::from_static(&PAL)).unwrap().video.unwrap();
        assert_eq!((video.width, video.height, video.fps), (720, 576, Some((25, 1))));
        assert_eq!((&*video.profile, &*video.level, &*video.codec_string), ("Main", "Main", "mp4v.61"));
        for length in 0..PAL.len() {
            assert!(track_info(TrackId(0), Bytes::from_static(&PAL[..length])).is_err(), "{length}");
        }
        let mut nothing = PAL;
        nothing[4..7].fill(0);
        assert!(track_info(TrackId(0), Bytes::copy_from_slice(&nothing)).is_err(), "no size");
        let without_extension = [&PAL[..12], &[0, 0, 1, 0xB8, 0, 0, 0, 0]].concat();
        assert_eq!(sequence_of(&without_extension), None, "MPEG-1");
    }

    #[test]
    fn start_codes_are_found() {
        let data = [&[0, 0][..], &PAL, &[0, 0, 1, 0xB8, 9, 9, 0, 0, 1, 0, 0, 0x0F, 1, 0, 0, 1]].concat();
        let found: Vec<(u8, usize)> = start_codes(&data).collect();
        assert_eq!(found, [(0xB3, 2), (0xB5, 14), (0xB8, 24), (0, 30)]);
        assert_eq!(sequence_of(&data), Some(&PAL[..]));
        assert!(is_intra(&[0, 0, 1, 0, 0, 0x0F]) && !is_intra(&[0, 0, 1, 0, 0, 0x17]) && !is_intra(&[0, 0, 1]));
        assert!(is_field(&[0, 0, 1, 0xB5, 0x8F, 0xFF, 0xF9, 0x80]));
        assert!(!is_field(&[0, 0, 1, 0xB5, 0x8F, 0xFF, 0xFB, 0x80]) && !is_field(&[0, 0, 1, 0xB5, 0x8F]));
    }
}

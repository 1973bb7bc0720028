//! VP8 and VP9, which browsers send: what the header of a keyframe says, and the record that we make of it.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::BitReader;
use super::{CodecError, check_picture_size};
use crate::{Codec, TrackId, TrackInfo, VideoFormat};

const RECORD: &str = "the record of VP8 or VP9";
const HEADER: &str = "the header of a keyframe of VP8 or VP9";
/// A record is what `vpcC` holds in MP4 behind its version, which is 8 bytes, and then the width and the height, which `vpcC` lacks.
const RECORD_BYTES: usize = 12;
/// The chroma of the first three profiles lies at its luma's place, and has half its width and height.
const CHROMA_420: u8 = 1;
const UNSPECIFIED: (u8, u8, u8) = (2, 2, 2);

/// The largest pictures of VP9's levels, in luma samples, and the level's number.
const LEVELS: [(u64, u8); 9] = [
    (36_864, 10),
    (73_728, 11),
    (122_880, 20),
    (245_760, 21),
    (552_960, 30),
    (983_040, 31),
    (2_228_224, 40),
    (8_912_896, 50),
    (u64::MAX, 60),
];

/// What a keyframe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    width: u32,
    height: u32,
    profile: u8,
    format: Format,
}

/// How a picture's samples are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    bit_depth: u8,
    /// As `vpcC` numbers it.
    chroma: u8,
    full_range: bool,
    /// The primaries, the transfer function and the matrix, as ISO 23001-8 numbers them.
    colour: (u8, u8, u8),
}

/// The record of a picture of that codec. None if the picture is no keyframe.
pub fn record(codec: Codec, picture: &[u8]) -> Result<Option<Bytes>, CodecError> {
    let header = if codec == Codec::Vp8 { vp8(picture)? } else { vp9(picture)? };
    Ok(header.map(|header| header.record()))
}

/// The same record with another size. A picture of several layers is as large as its largest one, and its header tells the smallest.
pub fn with_size(record: &Bytes, width: u16, height: u16) -> Bytes {
    let mut changed = BytesMut::from(&record[..record.len().min(RECORD_BYTES - 4)]);
    changed.put_u16(width);
    changed.put_u16(height);
    changed.freeze()
}

/// The track that a record describes.
pub fn track_info(id: TrackId, codec: Codec, config: Bytes) -> Result<TrackInfo, CodecError> {
    let Ok(&[profile, level, bits, _, _, _, _, _, w1, w2, h1, h2]) = <&[u8; RECORD_BYTES]>::try_from(&config[..])
    else {
        return Err(CodecError::invalid(RECORD, format!("{} bytes, not {RECORD_BYTES}", config.len())));
    };
    let side = |high, low| u64::from(u16::from_be_bytes([high, low]));
    let (width, height) = check_picture_size(RECORD, side(w1, w2), side(h1, h2))?;
    let (name, bit_depth) = (if codec == Codec::Vp8 { "vp08" } else { "vp09" }, bits >> 4);
    let video = VideoFormat {
        width,
        height,
        fps: None,
        profile: profile.to_string(),
        level: format!("{}.{}", level / 10, level % 10),
        bit_depth,
        // One picture is shown for each that comes, in the order in which they come.
        reorder_frames: Some(0),
        codec_string: format!("{name}.{profile:02}.{level:02}.{bit_depth:02}"),
    };
    Ok(TrackInfo::picture(id, codec, config, video))
}

impl Header {
    fn record(&self) -> Bytes {
        let luma = u64::from(self.width) * u64::from(self.height);
        let level = LEVELS.iter().find(|(max, _)| luma <= *max).map_or(60, |(_, level)| *level);
        let mut out = BytesMut::with_capacity(RECORD_BYTES);
        let Format { bit_depth, chroma, full_range, colour: (primaries, transfer, matrix) } = self.format;
        let bits = bit_depth << 4 | chroma << 1 | u8::from(full_range);
        out.put_slice(&[self.profile, level, bits, primaries, transfer, matrix, 0, 0]);
        for side in [self.width, self.height] {
            out.put_u16(u16::try_from(side).unwrap_or(u16::MAX));
        }
        out.freeze()
    }
}

/// Reads the header of a picture of VP8 (RFC 6386, 9.1).
fn vp8(picture: &[u8]) -> Result<Option<Header>, CodecError> {
    const IS_NO_KEYFRAME: u8 = 1;
    let &[first, _, _, ref behind @ ..] = picture else { return Err(CodecError::Truncated { what: HEADER }) };
    if first & IS_NO_KEYFRAME != 0 {
        return Ok(None);
    }
    let &[0x9D, 0x01, 0x2A, w1, w2, h1, h2, ..] = behind else {
        return Err(CodecError::invalid(HEADER, "it has no start code"));
    };
    // The upper two bits of each side say by how much a player enlarges the picture, which nobody uses.
    let side = |low, high| u64::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    let (width, height) = check_picture_size(HEADER, side(w1, w2), side(h1, h2))?;
    let profile = first >> 1 & 7;
    let format = Format { bit_depth: 8, chroma: CHROMA_420, full_range: false, colour: UNSPECIFIED };
    Ok(Some(Header { width, height, profile, format }))
}

/// Reads the uncompressed header of a picture of VP9 (VP9 specification, 6.2) as far as the size.
fn vp9(picture: &[u8]) -> Result<Option<Header>, CodecError> {
    const FRAME_MARKER: u32 = 2;
    const SYNC_CODE: u32 = 0x49_83_42;
    let mut bits = BitReader::new(picture, HEADER);
    if bits.bits(2)? != FRAME_MARKER {
        return Err(CodecError::invalid(HEADER, "it has no marker"));
    }
    let profile = (bits.bits(1)? | bits.bits(1)? << 1) as u8;
    if profile == 3 {
        bits.skip(1)?;
    }
    let (shows_another, is_no_keyframe) = (bits.bit()?, bits.bit()?);
    if shows_another || is_no_keyframe {
        return Ok(None);
    }
    // These two say whether it is shown, and whether it can stand losses.
    bits.skip(2)?;
    if bits.bits(24)? != SYNC_CODE {
        return Err(CodecError::invalid(HEADER, "it has no sync code"));
    }
    let format = vp9_format(&mut bits, profile)?;
    let (width, height) = (u64::from(bits.bits(16)?) + 1, u64::from(bits.bits(16)?) + 1);
    let (width, height) = check_picture_size(HEADER, width, height)?;
    Ok(Some(Header { width, height, profile, format }))
}

/// Reads the colour configuration (6.2.2).
fn vp9_format(bits: &mut BitReader<'_>, profile: u8) -> Result<Format, CodecError> {
    const RGB: usize = 7;
    /// By the numbers of VP9: unknown, BT.601, BT.709, SMPTE-170, SMPTE-240, BT.2020, reserved, RGB.
    const COLOURS: [(u8, u8, u8); 8] =
        [UNSPECIFIED, (5, 6, 5), (1, 1, 1), (6, 6, 6), (7, 7, 7), (9, 14, 9), UNSPECIFIED, (1, 13, 0)];
    const CHROMA_422: u8 = 2;
    const CHROMA_444: u8 = 3;
    let bit_depth = match profile >= 2 {
        true if bits.bit()? => 12,
        true => 10,
        false => 8,
    };
    let space = bits.bits(3)? as usize;
    let has_other_chroma = profile & 1 == 1;
    if space == RGB {
        return Ok(Format { bit_depth, chroma: CHROMA_444, full_range: true, colour: COLOURS[RGB] });
    }
    let full_range = bits.bit()?;
    let chroma = match has_other_chroma {
        false => CHROMA_420,
        true => {
            let (across, down) = (bits.bit()?, bits.bit()?);
            bits.skip(1)?;
            match (across, down) {
                (true, true) => CHROMA_420,
                (true, false) => CHROMA_422,
                _ => CHROMA_444,
            }
        }
    };
    Ok(Format { bit_depth, chroma, full_range, colour: COLOURS[space & 7] })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginnings of what libvpx makes of 640x360.
    const VP8_KEY: &[u8] = &[0x10, 0xAE, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01, 0x00, 0x87];
    const VP8_OTHER: &[u8] = &[0x11, 0x20, 0x00, 0x0F];
    const VP9_KEY: &[u8] = &[0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xF0, 0x16, 0x76, 0x04];
    const VP9_OTHER: &[u8] = &[0x86, 0x00, 0x40, 0x92];

    #[test]
    fn a_keyframe_says_how_large_it_is() {
        for (codec, picture, expected) in [
            (Codec::Vp8, VP8_KEY, Some((640, 360, "vp08.00.21.08"))),
            (Codec::Vp8, VP8_OTHER, None),
            (Codec::Vp9, VP9_KEY, Some((640, 360, "vp09.00.21.08"))),
            (Codec::Vp9, VP9_OTHER, None),
        ] {
            let record = record(codec, picture).unwrap();
            let info = record.map(|record| track_info(TrackId(0), codec, record).unwrap());
            let video = info.as_ref().and_then(|info| info.video.as_ref());
            let told = video.map(|video| (video.width, video.height, video.codec_string.as_str()));
            assert_eq!(told, expected, "{codec} {picture:x?}");
        }
        let record = record(Codec::Vp9, VP9_KEY).unwrap().unwrap();
        let larger = track_info(TrackId(0), Codec::Vp9, with_size(&record, 1280, 720)).unwrap().video.unwrap();
        assert_eq!((larger.width, larger.height), (1280, 720));
    }

    #[test]
    fn what_is_cut_or_changed_is_an_error_or_a_picture() {
        for (codec, picture) in [(Codec::Vp8, VP8_KEY), (Codec::Vp9, VP9_KEY)] {
            assert!(record(codec, &[]).is_err() && track_info(TrackId(0), codec, Bytes::new()).is_err());
            for length in 0..9 {
                assert!(record(codec, &picture[..length]).is_err(), "{codec} {length}");
            }
            for at in 0..picture.len() {
                for value in 0..=255 {
                    let mut changed = picture.to_vec();
                    changed[at] = value;
                    if let Ok(Some(record)) = record(codec, &changed) {
                        assert!(track_info(TrackId(0), codec, record).is_ok(), "{codec} {changed:x?}");
                    }
                }
            }
        }
    }
}

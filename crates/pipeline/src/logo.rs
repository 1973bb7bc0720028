//! A logo as a worker is told it, and the pixels of its PNG. They are read with limits, because the file comes from outside.

use std::io::Cursor;

use bytes::Bytes;
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use weir_model::{LOGO_BYTES_MAX, LOGO_SIDE_MAX, LogoPlacement};

/// The largest logo takes 16 MB at 8 bits, the decoder's own buffers some lines more; files of 16 bits take twice that on the way.
const DECODER_BYTES_MAX: usize = 64 << 20;

/// The picture that lies over every rendition, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Logo {
    pub placement: LogoPlacement,
    pub png: Bytes,
}

/// Why a file is no logo, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoFault {
    #[error("is {0} bytes; it may have {LOGO_BYTES_MAX}")]
    Bytes(usize),
    #[error("is {0}x{1} pixels; it may have {LOGO_SIDE_MAX}x{LOGO_SIDE_MAX}")]
    Size(u32, u32),
    #[error("is no PNG that can be read: {0}")]
    Unreadable(String),
}

/// A logo's pixels: red, green, blue and alpha, not premultiplied.
#[derive(Clone, PartialEq, Eq)]
pub struct LogoPixels {
    pub width: u32,
    pub height: u32,
    pub rgba: Vec<u8>,
}

impl std::fmt::Debug for LogoPixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogoPixels({}x{})", self.width, self.height)
    }
}

impl LogoPixels {
    pub fn decode(png: &[u8]) -> Result<Self, LogoFault> {
        if png.len() > LOGO_BYTES_MAX {
            return Err(LogoFault::Bytes(png.len()));
        }
        let unreadable = |error: png::DecodingError| LogoFault::Unreadable(error.to_string());
        let mut decoder = Decoder::new_with_limits(Cursor::new(png), Limits { bytes: DECODER_BYTES_MAX });
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        // The size is checked first, so that nothing is allocated for a picture that is too large.
        let (width, height) = decoder.read_header_info().map_err(unreadable)?.size();
        if width > LOGO_SIDE_MAX || height > LOGO_SIDE_MAX {
            return Err(LogoFault::Size(width, height));
        }
        decoder.set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
        let mut reader = decoder.read_info().map_err(unreadable)?;
        let odd = || LogoFault::Unreadable("its pixels are of a strange kind".to_owned());
        let mut pixels = vec![0; reader.output_buffer_size().ok_or_else(odd)?];
        let frame = reader.next_frame(&mut pixels).map_err(unreadable)?;
        pixels.truncate(frame.buffer_size());
        let rgba = match (frame.color_type, frame.bit_depth) {
            (ColorType::Rgba, BitDepth::Eight) => pixels,
            (ColorType::GrayscaleAlpha, BitDepth::Eight) => {
                pixels.chunks_exact(2).flat_map(|pair| [pair[0], pair[0], pair[0], pair[1]]).collect()
            }
            _ => return Err(odd()),
        };
        Ok(Self { width, height, rgba })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32, color: ColorType, data: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(color);
        encoder.set_depth(BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        file
    }

    #[test]
    fn all_kinds_become_rgba() {
        for (color, data, expected) in [
            (ColorType::Rgba, &[1, 2, 3, 4][..], [1, 2, 3, 4]),
            (ColorType::Rgb, &[1, 2, 3], [1, 2, 3, 255]),
            (ColorType::Grayscale, &[7], [7, 7, 7, 255]),
            (ColorType::GrayscaleAlpha, &[7, 8], [7, 7, 7, 8]),
        ] {
            let read = LogoPixels::decode(&png(1, 1, color, data)).unwrap();
            assert_eq!((read.width, read.height, read.rgba), (1, 1, expected.to_vec()), "{color:?}");
        }
    }

    #[test]
    fn what_is_no_logo_is_refused_before_it_is_decoded() {
        let wide = png(LOGO_SIDE_MAX + 1, 1, ColorType::Grayscale, &vec![0; LOGO_SIDE_MAX as usize + 1]);
        assert_eq!(LogoPixels::decode(&wide), Err(LogoFault::Size(LOGO_SIDE_MAX + 1, 1)));
        // The header promises four gigabytes, and nothing follows it.
        let mut bomb = png(1, 1, ColorType::Rgba, &[0; 4]);
        bomb[16..24].copy_from_slice(&[0, 0, 0x7F, 0xFF, 0, 0, 0x7F, 0xFF]);
        assert!(LogoPixels::decode(&bomb).is_err());
        assert_eq!(LogoPixels::decode(&vec![0; LOGO_BYTES_MAX + 1]), Err(LogoFault::Bytes(LOGO_BYTES_MAX + 1)));
        let whole = png(16, 16, ColorType::Rgba, &[9; 16 * 16 * 4]);
        for length in 0..whole.len() - 12 {
            assert!(LogoPixels::decode(&whole[..length]).is_err(), "cut to {length} bytes");
        }
        assert!(LogoPixels::decode(b"GIF89a").is_err());
    }

    proptest::proptest! {
        #[test]
        fn spoilt_files_do_no_harm(at in 0_usize..300, to in 0_u8..=255) {
            let mut file = png(16, 16, ColorType::Rgba, &[9; 16 * 16 * 4]);
            let length = file.len();
            file[at % length] = to;
            let _ = LogoPixels::decode(&file);
        }
    }
}

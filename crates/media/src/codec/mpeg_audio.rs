//! MPEG audio, layers I to III (ISO 11172-3, 13818-3): the content of a frame's header. Layer II is the sound of broadcast.

use bytes::Bytes;

use super::{CodecError, check_config_len};
use crate::{AudioFormat, Codec, TrackId, TrackInfo};

const HEADER: &str = "the MPEG audio header";
pub const HEADER_BYTES: usize = 4;

/// The header of an MPEG-1 or MPEG-2 audio frame (ISO 11172-3, 2.4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MpegAudioHeader {
    pub layer: u8,
    pub sample_rate_hz: u32,
    pub channels: u8,
    pub samples: u32,
    pub frame_bytes: usize,
    /// Says that the rate is a half rate, as in MPEG-2 and 2.5.
    pub low_rate: bool,
    /// Version, layer, rate and channels, which are the same in all frames of a track.
    constant: [u8; HEADER_BYTES],
}

impl MpegAudioHeader {
    pub fn parse(data: &[u8]) -> Option<Self> {
        const RATES_HZ: [u32; 3] = [44_100, 48_000, 32_000];
        /// The rates for MPEG-1 by layer; then for MPEG-2 those of layer I and those of the others.
        const KBPS: [[u32; 14]; 5] = [
            [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
            [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
            [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
            [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
            [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        ];
        let &[0xFF, second, third, fourth] = data.first_chunk::<HEADER_BYTES>()? else { return None };
        // The version 0 is MPEG-2.5, 2 is MPEG-2 and 3 is MPEG-1; 1 is reserved, and so is layer 0.
        let (version, layer) = (second >> 3 & 3, 4 - (second >> 1 & 3));
        if second & 0xE0 != 0xE0 || version == 1 || layer == 4 {
            return None;
        }
        let halvings = [2, 0, 1, 0][usize::from(version)];
        let table = if version == 3 { usize::from(layer) - 1 } else { 3 + usize::from(layer > 1) };
        // The value 0 says no rate, and 15 is forbidden.
        let kbps = *KBPS[table].get(usize::from(third >> 4).checked_sub(1)?)?;
        let sample_rate_hz = RATES_HZ.get(usize::from(third >> 2 & 3))? >> halvings;
        let samples = match (layer, version) {
            (1, _) => 384,
            (3, 0 | 2) => 576,
            _ => 1152,
        };
        let padding = u32::from(third >> 1 & 1) * if layer == 1 { 4 } else { 1 };
        // Layer I counts in slots of four bytes.
        let slots =
            if layer == 1 { 12_000 * kbps / sample_rate_hz * 4 } else { samples / 8 * kbps * 1000 / sample_rate_hz };
        // Mono is a mode of its own; joint stereo comes and goes from frame to frame.
        let mono = fourth >> 6 == 3;
        Some(Self {
            layer,
            sample_rate_hz,
            channels: if mono { 1 } else { 2 },
            samples,
            frame_bytes: (slots + padding) as usize,
            low_rate: version != 3,
            // The set protection bit says that no checksum follows, as in most streams. The bit rate is one that is allowed.
            constant: [0xFF, second | 1, 0x10 | third & 0x0C, if mono { 0xC0 } else { 0 }],
        })
    }

    /// A record that stands for a configuration, which MPEG audio does not have: a header without the fields that change from frame to
    /// frame.
    pub fn record(&self) -> Bytes {
        Bytes::copy_from_slice(&self.constant)
    }
}

/// The track that a [`MpegAudioHeader::record`] of layer II describes.
pub fn mp2_track_info(id: TrackId, config: Bytes) -> Result<TrackInfo, CodecError> {
    check_config_len(HEADER, &config)?;
    let header = MpegAudioHeader::parse(&config).filter(|header| header.layer == 2);
    let header = header.ok_or_else(|| CodecError::invalid(HEADER, "not of layer II"))?;
    let audio = AudioFormat {
        sample_rate_hz: header.sample_rate_hz,
        channels: header.channels,
        profile: String::new(),
        frame_samples: Some(header.samples),
        codec_string: "mp4a.40.33".to_owned(),
    };
    Ok(TrackInfo::sound(id, Codec::Mp2, config, audio))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        for (bytes, expected) in [
            ([0xFF, 0xFB, 0x90, 0x64], Some((3, 44_100, 1152, 417, 2))),
            ([0xFF, 0xFB, 0x92, 0x64], Some((3, 44_100, 1152, 418, 2))),
            ([0xFF, 0xFD, 0xA4, 0x04], Some((2, 48_000, 1152, 576, 2))),
            ([0xFF, 0xFD, 0xA4, 0xC4], Some((2, 48_000, 1152, 576, 1))),
            ([0xFF, 0xF3, 0x84, 0xC4], Some((3, 24_000, 576, 192, 1))),
            ([0xFF, 0xE3, 0x84, 0xC4], Some((3, 12_000, 576, 384, 1))),
            ([0xFF, 0xFF, 0x94, 0x04], Some((1, 48_000, 384, 288, 2))),
            ([0xFF, 0xFB, 0x00, 0x64], None),
            ([0xFF, 0xFB, 0xF0, 0x64], None),
            ([0xFF, 0xFB, 0x9C, 0x64], None),
            ([0xFF, 0xEB, 0x90, 0x64], None),
            ([0xFF, 0xF9, 0x90, 0x64], None),
            ([0xFF, 0x1B, 0x90, 0x64], None),
        ] {
            let header = MpegAudioHeader::parse(&bytes);
            let flat = |header: MpegAudioHeader| {
                (header.layer, header.sample_rate_hz, header.samples, header.frame_bytes, header.channels)
            };
            assert_eq!(header.map(flat), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn frames_of_a_track_have_one_record() {
        let record = |bytes: [u8; 4]| MpegAudioHeader::parse(&bytes).unwrap().record();
        let first = record([0xFF, 0xFD, 0xA4, 0x04]);
        for same in [[0xFF, 0xFC, 0xA4, 0x44], [0xFF, 0xFD, 0x86, 0x54]] {
            assert_eq!(record(same), first, "{same:02x?}");
        }
        assert_ne!(record([0xFF, 0xFD, 0xA4, 0xC4]), first, "mono");
        assert_ne!(record([0xFF, 0xFD, 0xA8, 0x04]), first, "32 kHz");
        let info = mp2_track_info(TrackId(1), first).unwrap();
        let audio = info.audio.unwrap();
        assert_eq!((info.codec, audio.sample_rate_hz, audio.channels), (Codec::Mp2, 48_000, 2));
        assert!(mp2_track_info(TrackId(1), record([0xFF, 0xFB, 0x90, 0x64])).is_err(), "layer III");
        assert!(mp2_track_info(TrackId(1), Bytes::new()).is_err());
    }
}

//! Coded silence. It is put where sound is missing while the picture goes on, because players wait for both.

use bytes::Bytes;
use weir_media::{Codec, MediaTime, TrackInfo};

/// A raw_data_block of AAC-LC (ISO/IEC 14496-3, 4.4.2.1) of one channel, and below that of a pair, without any scale factor band.
const AAC_MONO: &[u8] = &[0x00, 0xC8, 0x00, 0x07];
const AAC_STEREO: &[u8] = &[0x21, 0x00, 0x03, 0x20, 0x64, 0x1C];
/// A CELT frame of 20 ms of silence (RFC 6716, 3.1: configuration 31). It is mono, which stereo decoders take.
const OPUS: &[u8] = &[0xF8, 0xFF, 0xFE];
const OPUS_LENGTH: MediaTime = MediaTime::from_millis(20);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    pub(crate) payload: Bytes,
    /// How long one frame lasts.
    pub(crate) length: MediaTime,
}

impl Silence {
    /// The silence for a track. None if there is no such frame here, as for HE-AAC, more than two channels, and MP3.
    pub(crate) fn of(track: &TrackInfo) -> Option<Self> {
        let audio = track.audio.as_ref()?;
        let (payload, length) = match (track.codec, audio.channels) {
            (Codec::Aac, channels @ 1..=2) if audio.profile == "LC" => {
                let samples = audio.frame_samples.filter(|samples| *samples > 0)?;
                let length = MediaTime::from_ticks(samples.into(), audio.sample_rate_hz.max(1));
                (if channels == 1 { AAC_MONO } else { AAC_STEREO }, length)
            }
            (Codec::Opus, 1..=2) => (OPUS, OPUS_LENGTH),
            _ => return None,
        };
        Some(Self { payload: Bytes::from_static(payload), length })
    }
}

#[cfg(test)]
mod tests {
    use weir_media::codec::{self, aac::AacConfig, opus};
    use weir_media::{AudioFormat, TrackId};

    use super::*;

    #[test]
    fn codecs_have_their_silence() {
        let aac = |rate, channels| {
            codec::parse(Codec::Aac, TrackId(1), AacConfig::build_lc(rate, channels).unwrap()).unwrap()
        };
        let opus = codec::parse(Codec::Opus, TrackId(1), opus::opus_head(2, 312).unwrap()).unwrap();
        let he_audio = AudioFormat { profile: "HE-AAC".to_owned(), ..aac(48_000, 2).audio.unwrap() };
        let he = TrackInfo { audio: Some(he_audio), ..aac(48_000, 2) };
        for (track, expected) in [
            (aac(48_000, 2), Some((AAC_STEREO, 21_333_333))),
            (aac(44_100, 1), Some((AAC_MONO, 23_219_954))),
            (opus, Some((OPUS, 20_000_000))),
            (aac(48_000, 6), None),
            (he, None),
        ] {
            let found = Silence::of(&track);
            let found = found.as_ref().map(|found| (&found.payload[..], found.length.as_nanos()));
            assert_eq!(found, expected, "{track:?}");
        }
    }
}

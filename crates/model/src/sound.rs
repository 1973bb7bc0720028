//! The sound of a rendition: its codec, its bitrate, and the loudness that it is brought to.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::RenditionFault;

/// The bitrates that are allowed. Below, neither codec is worth hearing in stereo; above, neither gains anything.
const BITRATE_KBPS: RangeInclusive<u32> = 16..=512;
/// The loudness that is allowed. EBU R128 asks for -23, AES and Spotify for -16 and -14; nobody asks for anything beyond these limits.
const LOUDNESS_LUFS: RangeInclusive<f64> = -30.0..=-10.0;

/// The bitrate if nobody has chosen one.
pub(crate) const BITRATE_KBPS_DEFAULT: u32 = 128;

/// AAC-LC goes to every destination and every player. Opus is better at low rates, and goes by Enhanced RTMP, in CMAF and in MPEG-TS
/// over SRT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AudioCodecDto)]
pub enum AudioCodec {
    #[default]
    Aac,
    Opus,
}

impl AudioCodec {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aac => "aac",
            Self::Opus => "opus",
        }
    }
}

/// Equal settings are one encode.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SoundSettings {
    pub bitrate_kbps: u32,
    pub codec: AudioCodec,
    /// The integrated loudness that the sound is brought to, measured as EBU R128 says. `None` leaves it as it came.
    pub loudness_lufs: Option<f64>,
}

impl SoundSettings {
    pub(crate) fn check(&self) -> Result<(), RenditionFault> {
        let fault = |field, problem| Err(RenditionFault { field, problem });
        if !BITRATE_KBPS.contains(&self.bitrate_kbps) {
            return fault("audio_bitrate_kbps", "must be from 16 to 512");
        }
        if self.loudness_lufs.is_some_and(|lufs| !LOUDNESS_LUFS.contains(&lufs)) {
            return fault("loudness_lufs", "must be from -30 to -10");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_their_field() {
        let fine = SoundSettings { bitrate_kbps: 96, codec: AudioCodec::Opus, loudness_lufs: Some(-23.0) };
        assert_eq!(fine.check(), Ok(()));
        for (settings, field) in [
            (SoundSettings { bitrate_kbps: 15, ..fine }, "audio_bitrate_kbps"),
            (SoundSettings { bitrate_kbps: 513, ..fine }, "audio_bitrate_kbps"),
            (SoundSettings { loudness_lufs: Some(-9.9), ..fine }, "loudness_lufs"),
            (SoundSettings { loudness_lufs: Some(-30.1), ..fine }, "loudness_lufs"),
            (SoundSettings { loudness_lufs: Some(f64::NAN), ..fine }, "loudness_lufs"),
        ] {
            assert_eq!(settings.check().unwrap_err().field, field, "{settings:?}");
        }
    }
}

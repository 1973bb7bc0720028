//! One quality of a stream: the settings of its picture and of its sound.

use serde::{Deserialize, Serialize};

use crate::{PictureSettings, RenditionDraft, SoundSettings};

/// A rendition with every setting. In rows, ladder files and the worker's plan it has the form of a [`RenditionDraft`] in which
/// everything is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RenditionDraft", into = "RenditionDraft")]
pub struct Rendition {
    pub name: String,
    pub video: Video,
    pub audio: Audio,
}

/// What a rendition's picture is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Video {
    /// The picture is the source's own frames.
    Source,
    Encode(PictureSettings),
    /// The rendition is sound alone.
    None,
}

/// What each sound of a rendition is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Audio {
    /// The sound is the source's own frames.
    Source,
    Encode(SoundSettings),
}

/// What is wrong with a rendition, and in which field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct RenditionFault {
    pub field: &'static str,
    pub problem: &'static str,
}

impl Rendition {
    /// A rendition that is the input as it is.
    pub fn passthrough(name: impl Into<String>) -> Self {
        Self { name: name.into(), video: Video::Source, audio: Audio::Source }
    }

    /// Whether the rendition is the source, so that nothing has to be made for it.
    pub fn is_passthrough(&self) -> bool {
        self.video == Video::Source && self.audio == Audio::Source
    }

    /// The settings of the encoded picture. A rendition without an encoded picture has none.
    pub fn picture(&self) -> Option<&PictureSettings> {
        match &self.video {
            Video::Encode(picture) => Some(picture),
            Video::Source | Video::None => None,
        }
    }

    /// The settings of the encoded sound. A rendition without encoded sound has none.
    pub fn sound(&self) -> Option<&SoundSettings> {
        match &self.audio {
            Audio::Encode(sound) => Some(sound),
            Audio::Source => None,
        }
    }

    pub fn check(&self) -> Result<(), RenditionFault> {
        // The name stands in playback addresses, like a stream's name.
        let slug = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.name.is_empty() || self.name.len() > 32 || !self.name.chars().all(slug) {
            return Err(RenditionFault { field: "name", problem: "must be 1 to 32 letters, digits, '-' or '_'" });
        }
        self.picture().map_or(Ok(()), PictureSettings::check)?;
        self.sound().map_or(Ok(()), SoundSettings::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture_settings::tests::hd;
    use crate::{AudioCodec, Fit};

    const SOUND: SoundSettings = SoundSettings { bitrate_kbps: 128, codec: AudioCodec::Aac, loudness_lufs: None };

    #[test]
    fn limits_name_their_field() {
        let encoded = |picture, sound| Rendition {
            name: "720p".into(),
            video: Video::Encode(picture),
            audio: Audio::Encode(sound),
        };
        assert_eq!(encoded(hd(), SOUND).check(), Ok(()));
        let loud = SoundSettings { bitrate_kbps: 1000, ..SOUND };
        for (rendition, field) in [
            (encoded(PictureSettings { width: 1281, ..hd() }, SOUND), "width"),
            (encoded(hd(), loud), "audio_bitrate_kbps"),
            (Rendition { video: Video::Source, ..encoded(hd(), loud) }, "audio_bitrate_kbps"),
            (Rendition { video: Video::None, ..encoded(hd(), loud) }, "audio_bitrate_kbps"),
            (Rendition::passthrough("a/b"), "name"),
        ] {
            assert_eq!(rendition.check().unwrap_err().field, field, "{rendition:?}");
        }
    }

    /// Rows have the same form as a draft.
    #[test]
    fn rows_come_back_as_they_went() {
        let picture = PictureSettings { fit: Fit::Crop, fps: Some(29.97), ..hd() };
        let sound = SoundSettings { loudness_lufs: Some(-23.0), ..SOUND };
        for (video, audio, row) in [
            (Video::Source, Audio::Source, r#"{"name":"a","passthrough":true}"#),
            (
                Video::None,
                Audio::Encode(sound),
                r#"{"name":"a","audio_bitrate_kbps":128,"audio_codec":"aac","loudness_lufs":-23.0}"#,
            ),
            (
                Video::Source,
                Audio::Encode(SOUND),
                r#"{"name":"a","video":"source","audio_bitrate_kbps":128,"audio_codec":"aac"}"#,
            ),
            (
                Video::Encode(hd()),
                Audio::Source,
                r#"{"name":"a","audio":"source","width":1280,"height":720,"video_bitrate_kbps":3000,"codec":"h264","gop_seconds":2.0,
                    "rate_control":"cbr","profile":"high","fit":"pad"}"#,
            ),
            (
                Video::Encode(picture),
                Audio::Encode(SOUND),
                r#"{"name":"a","width":1280,"height":720,"fps":29.97,"video_bitrate_kbps":3000,"codec":"h264","gop_seconds":2.0,
                    "rate_control":"cbr","profile":"high","fit":"crop","audio_bitrate_kbps":128,"audio_codec":"aac"}"#,
            ),
        ] {
            let rendition = Rendition { name: "a".into(), video, audio };
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            assert_eq!(serde_json::to_value(&rendition).unwrap(), row);
            assert_eq!(serde_json::from_value::<Rendition>(row).unwrap(), rendition);
        }
        for half in [r#"{"name":"a","width":640}"#, r#"{"name":"a"}"#, r#"{"name":"a","passthrough":true,"width":640}"#]
        {
            assert!(serde_json::from_str::<Rendition>(half).is_err(), "{half}");
        }
    }
}

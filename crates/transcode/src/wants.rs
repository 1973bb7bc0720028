//! What is wanted of a stream's transcoder: renditions by name, of which several may be the same encode.

use std::sync::Arc;

use bytes::Bytes;
use weir_model::{
    AudioCodec, EncoderPolicy, Encoding, EncodingSettings, Fit, LogoImage, LogoPlacement, SoundSettings, VideoCodec,
};
use weir_pipeline::Logo;

use crate::plan::Terms;

/// All that is wanted now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wants {
    pub renditions: Vec<Want>,
    pub policy: EncoderPolicy,
    /// What lies over each of them.
    pub logo: Option<LogoWish>,
}

impl Wants {
    pub(crate) fn terms(&self) -> Terms {
        Terms { policy: self.policy, logo: self.logo.is_some() }
    }
}

/// The same picture at the same place is the same wish.
#[derive(Clone, Debug, PartialEq)]
pub struct LogoWish {
    pub placement: LogoPlacement,
    pub image: LogoImage,
}

impl From<&LogoWish> for Logo {
    fn from(wish: &LogoWish) -> Self {
        Self { placement: wish.placement, png: Bytes::from_owner(Arc::clone(&wish.image.png)) }
    }
}

/// A rendition in the hub, and what it is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Want {
    /// Its name in the hub.
    pub name: String,
    /// None: sound alone.
    pub picture: Option<EncodingSettings>,
    pub sound: SoundSettings,
}

impl Want {
    /// None for the input as it is, of which nothing need be made.
    pub fn new(name: String, encoding: &Encoding) -> Option<Self> {
        let (picture, sound) = match encoding {
            Encoding::Passthrough => return None,
            Encoding::Encode(settings) => (Some(settings.clone()), settings.sound()),
            Encoding::Sound(sound) => (None, *sound),
        };
        Some(Self { name, picture, sound })
    }
}

/// The hub's name for what has no name of its own, as restreams ask for it: equal wishes are one rendition. None for the input
/// as it is.
pub fn shared_name(encoding: &Encoding) -> Option<String> {
    match encoding {
        Encoding::Passthrough => None,
        Encoding::Encode(settings) => Some(picture_name(settings)),
        Encoding::Sound(sound) => Some(format!("~sound-{}k{}", sound.bitrate_kbps, sound_suffix(sound))),
    }
}

/// A name of [`shared_name`] in words, as people know renditions: size, codec and bitrate. None for a name that somebody gave.
pub fn shared_label(name: &str) -> Option<String> {
    let mut pieces = name.strip_prefix('~')?.split('-');
    let shape = pieces.next()?;
    let kbps = |piece: &str| piece.strip_suffix('k').and_then(|number| number.parse::<u32>().ok());
    if shape == "sound" {
        return Some(format!("sound alone · {} kbps", pieces.find_map(kbps)?));
    }
    let codecs = [(VideoCodec::H264, "H.264"), (VideoCodec::H265, "H.265"), (VideoCodec::Av1, "AV1")];
    let title = |piece: &str| codecs.iter().find(|(codec, _)| codec.as_str() == piece).map(|(_, title)| *title);
    let codec = pieces.find_map(title)?;
    // The picture's bitrate stands before the sound's.
    Some(format!("{} · {codec} · {} kbps", shape.replace('x', "×"), pieces.find_map(kbps)?))
}

/// What is out of the ordinary.
fn sound_suffix(sound: &SoundSettings) -> String {
    let codec = if sound.codec == AudioCodec::Aac { "" } else { "-opus" };
    let loudness = sound.loudness_lufs.map(|lufs| format!("-at{lufs}lufs")).unwrap_or_default();
    format!("{codec}{loudness}")
}

fn picture_name(settings: &EncodingSettings) -> String {
    let EncodingSettings { width, height, video_bitrate_kbps, audio_bitrate_kbps, .. } = settings;
    let fps = settings.fps.map(|fps| format!("-{fps}fps")).unwrap_or_default();
    let profile = settings.profile.as_ref().map(|profile| format!("-{profile}")).unwrap_or_default();
    let fit = match settings.fit {
        Fit::Pad => String::new(),
        other => format!("-{}", other.as_str()),
    };
    let (codec, rate_control) = (settings.codec.as_str(), settings.rate_control.as_str());
    format!(
        "~{width}x{height}{fit}{fps}-{codec}{profile}-{rate_control}-{video_bitrate_kbps}k-{audio_bitrate_kbps}k{}-{}s",
        sound_suffix(&settings.sound()),
        settings.gop_seconds
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use weir_model::RateControl;

    use super::*;

    pub(crate) fn settings(width: u32, height: u32, kbps: u32) -> EncodingSettings {
        EncodingSettings {
            width,
            height,
            fps: None,
            video_bitrate_kbps: kbps,
            audio_bitrate_kbps: 128,
            audio_codec: AudioCodec::Aac,
            loudness_lufs: None,
            codec: VideoCodec::H264,
            gop_seconds: 2.0,
            rate_control: RateControl::Vbr,
            profile: None,
            fit: Fit::Pad,
        }
    }

    #[test]
    fn equal_settings_have_one_name() {
        let of = settings(640, 360, 600);
        let name = |settings: &EncodingSettings| shared_name(&Encoding::Encode(settings.clone())).unwrap();
        assert_eq!(name(&of), "~640x360-h264-vbr-600k-128k-2s");
        for other in [
            EncodingSettings { fps: Some(25.0), ..of.clone() },
            EncodingSettings { profile: Some("main".to_owned()), ..of.clone() },
            EncodingSettings { rate_control: RateControl::Cbr, ..of.clone() },
            EncodingSettings { gop_seconds: 1.5, ..of.clone() },
            EncodingSettings { fit: Fit::Crop, ..of.clone() },
            EncodingSettings { codec: VideoCodec::H265, ..of.clone() },
            EncodingSettings { audio_codec: AudioCodec::Opus, ..of.clone() },
            EncodingSettings { loudness_lufs: Some(-23.0), ..of.clone() },
            settings(640, 362, 600),
        ] {
            assert_ne!(name(&other), name(&of));
        }
        let radio = SoundSettings { bitrate_kbps: 96, codec: AudioCodec::Opus, loudness_lufs: Some(-16.5) };
        assert_eq!(shared_name(&Encoding::Sound(radio)).as_deref(), Some("~sound-96k-opus-at-16.5lufs"));
        assert_eq!(shared_name(&Encoding::Passthrough), None);
        // It can never be the name of a ladder's rendition: those have letters, digits, '-' and '_'.
        assert!(name(&of).starts_with('~'));
    }

    #[test]
    fn names_of_ours_are_told_in_words() {
        let of = settings(640, 360, 600);
        for (encoding, label) in [
            (Encoding::Encode(of.clone()), "640×360 · H.264 · 600 kbps"),
            (
                Encoding::Encode(EncodingSettings {
                    fit: Fit::Crop,
                    fps: Some(29.97),
                    codec: VideoCodec::H265,
                    profile: Some("main-10".to_owned()),
                    loudness_lufs: Some(-23.0),
                    ..of
                }),
                "640×360 · H.265 · 600 kbps",
            ),
            (
                Encoding::Sound(SoundSettings {
                    bitrate_kbps: 96,
                    codec: AudioCodec::Opus,
                    loudness_lufs: Some(-16.5),
                }),
                "sound alone · 96 kbps",
            ),
        ] {
            assert_eq!(shared_label(&shared_name(&encoding).unwrap()).as_deref(), Some(label));
        }
        for given in ["720p", "source", "~", "~640x360", "~sound"] {
            assert_eq!(shared_label(given), None, "{given}");
        }
    }
}

//! What is wanted of a stream's transcoder: renditions by name, of which several may be the same encode.

use std::sync::Arc;

use bytes::Bytes;
use weir_model::{AudioCodec, EncoderPolicy, LogoImage, LogoPlacement, Rendition, Video, VideoCodec};
use weir_pipeline::Logo;

use crate::choice::number_of;
use crate::plan::Terms;

/// All that is wanted of a stream's transcoder now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wants {
    /// The renditions, under their names in the hub; the source as it is needs no transcoder.
    pub renditions: Vec<Rendition>,
    pub policy: EncoderPolicy,
    /// The logo that lies over each of them.
    pub logo: Option<LogoWish>,
}

impl Wants {
    pub(crate) fn terms(&self) -> Terms {
        Terms { policy: self.policy, logo: self.logo.is_some() }
    }
}

/// A logo and its place. The same picture at the same place is the same wish.
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

/// The hub's name for a rendition that has no name of its own, as restreams ask for it: equal wishes share one rendition. None for the
/// source as it is. The name shows in words what people look for, and contains all of the wish as a number.
pub fn shared_name(rendition: &Rendition) -> Option<String> {
    if rendition.is_passthrough() {
        return None;
    }
    let Rendition { name: _, video, audio } = rendition;
    let number = number_of(&format!("{video:?} {audio:?}")).0;
    let sound = || rendition.sound().map_or((AudioCodec::default(), 0), |sound| (sound.codec, sound.bitrate_kbps));
    let (shape, codec, kbps) = match video {
        Video::Encode(picture) => {
            (format!("{}x{}", picture.width, picture.height), picture.codec.as_str(), picture.bitrate_kbps)
        }
        Video::Source => ("source".to_owned(), sound().0.as_str(), sound().1),
        Video::None => ("sound".to_owned(), sound().0.as_str(), sound().1),
    };
    Some(format!("~{shape}-{codec}-{kbps}k-{number:08x}"))
}

/// The words for a name of [`shared_name`], as people know renditions: size, codec and bitrate. None for a name that somebody gave.
pub fn shared_label(name: &str) -> Option<String> {
    let pieces: Vec<&str> = name.strip_prefix('~')?.split('-').collect();
    let [shape, codec, kbps, _] = pieces[..] else { return None };
    let kbps: u32 = kbps.strip_suffix('k')?.parse().ok()?;
    let codecs = [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1].map(VideoCodec::as_str);
    let sounds = [AudioCodec::Aac, AudioCodec::Opus].map(AudioCodec::as_str);
    let titles = codecs.into_iter().chain(sounds).zip(["H.264", "H.265", "AV1", "AAC", "Opus"]);
    let title = titles.into_iter().find(|(known, _)| *known == codec).map(|(_, title)| title)?;
    let shape = match shape {
        "source" => "picture as it is".to_owned(),
        "sound" => "sound alone".to_owned(),
        size => size.replace('x', "×"),
    };
    Some(format!("{shape} · {title} · {kbps} kbps"))
}

#[cfg(test)]
pub(crate) mod tests {
    use weir_model::{Audio, Fit, PictureSettings, RateControl, SoundSettings};

    use super::*;

    pub(crate) const SOUND: SoundSettings =
        SoundSettings { bitrate_kbps: 128, codec: AudioCodec::Aac, loudness_lufs: None };

    pub(crate) fn settings(width: u32, height: u32, kbps: u32) -> PictureSettings {
        PictureSettings {
            width,
            height,
            fps: None,
            bitrate_kbps: kbps,
            codec: VideoCodec::H264,
            gop_seconds: 2.0,
            rate_control: RateControl::Vbr,
            profile: None,
            fit: Fit::Pad,
        }
    }

    /// A rendition of this picture, with sound of 128 kbps.
    pub(crate) fn want(name: &str, picture: PictureSettings) -> Rendition {
        Rendition { name: name.to_owned(), video: Video::Encode(picture), audio: Audio::Encode(SOUND) }
    }

    #[test]
    fn equal_settings_have_one_name() {
        let of = settings(640, 360, 600);
        let name = |picture: &PictureSettings| shared_name(&want("own", picture.clone())).unwrap();
        assert!(name(&of).starts_with("~640x360-h264-600k-"), "{}", name(&of));
        assert_eq!(Some(name(&of)), shared_name(&want("called otherwise", of.clone())));
        for other in [
            PictureSettings { fps: Some(25.0), ..of.clone() },
            PictureSettings { profile: Some("main".to_owned()), ..of.clone() },
            PictureSettings { rate_control: RateControl::Cbr, ..of.clone() },
            PictureSettings { gop_seconds: 1.5, ..of.clone() },
            PictureSettings { fit: Fit::Crop, ..of.clone() },
            PictureSettings { codec: VideoCodec::H265, ..of.clone() },
            settings(640, 362, 600),
        ] {
            assert_ne!(name(&other), name(&of));
        }
        for sound in [
            SoundSettings { codec: AudioCodec::Opus, ..SOUND },
            SoundSettings { loudness_lufs: Some(-23.0), ..SOUND },
            SoundSettings { bitrate_kbps: 96, ..SOUND },
        ] {
            let other = Rendition { audio: Audio::Encode(sound), ..want("own", of.clone()) };
            assert_ne!(shared_name(&other), Some(name(&of)));
        }
        assert_eq!(shared_name(&Rendition::passthrough("asis")), None);
    }

    #[test]
    fn names_of_ours_are_told_in_words() {
        let cut = PictureSettings { fit: Fit::Crop, codec: VideoCodec::H265, ..settings(640, 360, 600) };
        let opus =
            Audio::Encode(SoundSettings { bitrate_kbps: 96, codec: AudioCodec::Opus, loudness_lufs: Some(-16.5) });
        for (rendition, label) in [
            (want("a", settings(640, 360, 600)), "640×360 · H.264 · 600 kbps"),
            (want("a", cut), "640×360 · H.265 · 600 kbps"),
            (Rendition { name: "a".to_owned(), video: Video::None, audio: opus }, "sound alone · Opus · 96 kbps"),
            (
                Rendition { name: "a".to_owned(), video: Video::Source, audio: Audio::Encode(SOUND) },
                "picture as it is · AAC · 128 kbps",
            ),
        ] {
            assert_eq!(shared_label(&shared_name(&rendition).unwrap()).as_deref(), Some(label));
        }
        for given in ["720p", "source", "~", "~640x360", "~sound", "~640x360-h264-600k"] {
            assert_eq!(shared_label(given), None, "{given}");
        }
    }
}

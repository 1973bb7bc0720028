//! Which renditions a stream is offered in: a named ladder, or a list of its own.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{AudioCodec, SoundSettings};

/// One encoder session each; a ladder longer than this is a mistake on any machine.
pub const MAX_RENDITIONS: usize = 16;

/// The ladders that come with the server: one file each in `pipelines/ladders`.
const BUILTIN_LADDERS: [(&str, &str); 6] = [
    ("sd", include_str!("../../../pipelines/ladders/sd.toml")),
    ("hd", include_str!("../../../pipelines/ladders/hd.toml")),
    ("fhd", include_str!("../../../pipelines/ladders/fhd.toml")),
    ("vertical", include_str!("../../../pipelines/ladders/vertical.toml")),
    ("low-latency", include_str!("../../../pipelines/ladders/low-latency.toml")),
    ("audio-only", include_str!("../../../pipelines/ladders/audio-only.toml")),
];

/// Whether `name` is one of the ladders that come with the server.
pub fn is_builtin_ladder(name: &str) -> bool {
    BUILTIN_LADDERS.iter().any(|(builtin, _)| *builtin == name)
}

/// A ladder that comes with the server.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltinLadder {
    pub name: &'static str,
    /// What people call it.
    pub title: String,
    pub renditions: Vec<Rendition>,
}

impl BuiltinLadder {
    /// All of them, in the order in which they are shown. A test holds that their files can be read.
    pub fn all() -> Vec<Self> {
        Self::parsed().to_vec()
    }

    fn named(wanted: &str) -> Option<&'static Self> {
        Self::parsed().iter().find(|ladder| ladder.name == wanted)
    }

    /// Read once: a stream asks for its ladder at every change of anything.
    fn parsed() -> &'static [Self] {
        static PARSED: LazyLock<Vec<BuiltinLadder>> = LazyLock::new(|| {
            BUILTIN_LADDERS.iter().filter_map(|(name, text)| BuiltinLadder::parse(name, text).ok()).collect()
        });
        &PARSED
    }

    fn parse(name: &'static str, text: &str) -> Result<Self, toml::de::Error> {
        let file: LadderFile = toml::from_str(text)?;
        let renditions: Option<Vec<Rendition>> = file.rendition.into_iter().map(RenditionLine::rendition).collect();
        let half = || serde::de::Error::custom("a rendition has a size and a video bitrate, or neither");
        Ok(Self { name, title: file.title, renditions: renditions.ok_or_else(half)? })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LadderFile {
    title: String,
    rendition: Vec<RenditionLine>,
}

/// Without size and video bitrate there is sound alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RenditionLine {
    name: String,
    width: Option<u32>,
    height: Option<u32>,
    fps: Option<f64>,
    video_bitrate_kbps: Option<u32>,
    audio_bitrate_kbps: u32,
    gop_seconds: Option<f64>,
    #[serde(default)]
    fit: Fit,
}

impl RenditionLine {
    /// H.264 at up to the bitrate: what a quiet picture does not need is not sent. None where half a picture is described.
    fn rendition(self) -> Option<Rendition> {
        let sound =
            SoundSettings { bitrate_kbps: self.audio_bitrate_kbps, codec: AudioCodec::Aac, loudness_lufs: None };
        let encoding = match (self.width, self.height, self.video_bitrate_kbps) {
            (None, None, None) if self.fps.is_none() && self.gop_seconds.is_none() => Encoding::Sound(sound),
            (Some(width), Some(height), Some(video_bitrate_kbps)) => Encoding::Encode(EncodingSettings {
                width,
                height,
                fps: self.fps,
                video_bitrate_kbps,
                audio_bitrate_kbps: sound.bitrate_kbps,
                audio_codec: sound.codec,
                loudness_lufs: sound.loudness_lufs,
                codec: VideoCodec::H264,
                gop_seconds: self.gop_seconds.unwrap_or(2.0),
                rate_control: RateControl::Vbr,
                profile: None,
                fit: self.fit,
            }),
            _ => return None,
        };
        Some(Rendition { name: self.name, encoding })
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ladder {
    Named(String),
    Inline(Vec<Rendition>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LadderFault {
    #[error("there is no ladder named {0:?}")]
    Unknown(String),
    #[error("a ladder has 1 to {MAX_RENDITIONS} renditions")]
    Length,
    #[error("two renditions are named {0:?}")]
    DuplicateName(String),
    #[error(transparent)]
    Rendition(#[from] RenditionFault),
}

impl Ladder {
    /// What it consists of; nothing for a name that does not exist (any more).
    pub fn renditions(&self) -> Vec<Rendition> {
        match self {
            Self::Named(name) => BuiltinLadder::named(name).map(|ladder| ladder.renditions.clone()).unwrap_or_default(),
            Self::Inline(renditions) => renditions.clone(),
        }
    }

    pub fn check(&self) -> Result<(), LadderFault> {
        match self {
            Self::Named(name) if is_builtin_ladder(name) => Ok(()),
            Self::Named(name) => Err(LadderFault::Unknown(name.clone())),
            Self::Inline(renditions) => {
                if renditions.is_empty() || renditions.len() > MAX_RENDITIONS {
                    return Err(LadderFault::Length);
                }
                for (i, rendition) in renditions.iter().enumerate() {
                    rendition.check()?;
                    if renditions[..i].iter().any(|earlier| earlier.name == rendition.name) {
                        return Err(LadderFault::DuplicateName(rendition.name.clone()));
                    }
                }
                Ok(())
            }
        }
    }
}

/// One quality of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    pub name: String,
    pub encoding: Encoding,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// The input as it is.
    Passthrough,
    Encode(EncodingSettings),
    /// Sound without a picture.
    Sound(SoundSettings),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodingSettings {
    pub width: u32,
    pub height: u32,
    /// None: the source's.
    pub fps: Option<f64>,
    pub video_bitrate_kbps: u32,
    pub audio_bitrate_kbps: u32,
    #[serde(default)]
    pub audio_codec: AudioCodec,
    /// See [`SoundSettings::loudness_lufs`].
    #[serde(default)]
    pub loudness_lufs: Option<f64>,
    pub codec: VideoCodec,
    pub gop_seconds: f64,
    pub rate_control: RateControl,
    /// None: the encoder's best that everyone plays.
    pub profile: Option<String>,
    /// Rows written before there was a choice have none.
    #[serde(default)]
    pub fit: Fit,
}

/// What happens to a source whose shape is not the rendition's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// All of it is seen, in the middle, with black bars.
    #[default]
    Pad,
    /// Its middle fills the canvas; what is beyond is cut off.
    Crop,
    /// All of it fills the canvas, out of shape.
    Stretch,
}

impl Fit {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pad => "pad",
            Self::Crop => "crop",
            Self::Stretch => "stretch",
        }
    }
}

impl EncodingSettings {
    pub fn sound(&self) -> SoundSettings {
        SoundSettings {
            bitrate_kbps: self.audio_bitrate_kbps,
            codec: self.audio_codec,
            loudness_lufs: self.loudness_lufs,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    H264,
    H265,
    Av1,
}

impl VideoCodec {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Av1 => "av1",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateControl {
    Cbr,
    Vbr,
}

impl RateControl {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cbr => "cbr",
            Self::Vbr => "vbr",
        }
    }
}

/// What is wrong with a rendition, and in which field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct RenditionFault {
    pub field: &'static str,
    pub problem: &'static str,
}

impl Rendition {
    pub fn check(&self) -> Result<(), RenditionFault> {
        let fault = |field, problem| Err(RenditionFault { field, problem });
        // It stands in playback addresses, like a stream's name.
        let slug = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.name.is_empty() || self.name.len() > 32 || !self.name.chars().all(slug) {
            return fault("name", "must be 1 to 32 letters, digits, '-' or '_'");
        }
        let encode = match &self.encoding {
            Encoding::Passthrough => return Ok(()),
            Encoding::Sound(sound) => return sound.check(),
            Encoding::Encode(encode) => encode,
        };
        // 4:2:0 chroma needs even sizes; 8192 is the largest any hardware encoder takes.
        if !(16..=8192).contains(&encode.width) || encode.width % 2 != 0 {
            return fault("width", "must be an even number from 16 to 8192");
        }
        if !(16..=8192).contains(&encode.height) || encode.height % 2 != 0 {
            return fault("height", "must be an even number from 16 to 8192");
        }
        if encode.fps.is_some_and(|fps| !(1.0..=240.0).contains(&fps)) {
            return fault("fps", "must be from 1 to 240");
        }
        if !(50..=200_000).contains(&encode.video_bitrate_kbps) {
            return fault("video_bitrate_kbps", "must be from 50 to 200000");
        }
        encode.sound().check()?;
        if !(0.5..=20.0).contains(&encode.gop_seconds) {
            return fault("gop_seconds", "must be from 0.5 to 20");
        }
        if let Some(profile) = &encode.profile
            && !matches!(profile.as_str(), "baseline" | "main" | "high" | "main10")
        {
            return fault("profile", "must be baseline, main, high or main10");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hd() -> EncodingSettings {
        EncodingSettings {
            width: 1280,
            height: 720,
            fps: None,
            video_bitrate_kbps: 3000,
            audio_bitrate_kbps: 128,
            audio_codec: AudioCodec::Aac,
            loudness_lufs: None,
            codec: VideoCodec::H264,
            gop_seconds: 2.0,
            rate_control: RateControl::Cbr,
            profile: Some("high".into()),
            fit: Fit::Pad,
        }
    }

    fn rendition(settings: EncodingSettings) -> Rendition {
        Rendition { name: "720p".into(), encoding: Encoding::Encode(settings) }
    }

    #[test]
    fn limits_name_their_field() {
        assert_eq!(rendition(hd()).check(), Ok(()));
        for (settings, field) in [
            (EncodingSettings { width: 1281, ..hd() }, "width"),
            (EncodingSettings { height: 0, ..hd() }, "height"),
            (EncodingSettings { fps: Some(f64::NAN), ..hd() }, "fps"),
            (EncodingSettings { video_bitrate_kbps: 0, ..hd() }, "video_bitrate_kbps"),
            (EncodingSettings { audio_bitrate_kbps: 1000, ..hd() }, "audio_bitrate_kbps"),
            (EncodingSettings { gop_seconds: 0.0, ..hd() }, "gop_seconds"),
            (EncodingSettings { profile: Some("hi".into()), ..hd() }, "profile"),
        ] {
            assert_eq!(rendition(settings).check().unwrap_err().field, field);
        }
        let nameless = Rendition { name: "a/b".into(), encoding: Encoding::Passthrough };
        assert_eq!(nameless.check().unwrap_err().field, "name");
    }

    #[test]
    fn the_files_are_good_ladders() {
        let all = BuiltinLadder::all();
        assert_eq!(all.len(), BUILTIN_LADDERS.len(), "one of them can't be read");
        for ladder in &all {
            assert_eq!(Ladder::Inline(ladder.renditions.clone()).check(), Ok(()), "{}", ladder.name);
            assert_eq!(Ladder::Named(ladder.name.to_owned()).renditions(), ladder.renditions);
        }
        let names = |name: &str| -> Vec<String> {
            Ladder::Named(name.to_owned()).renditions().into_iter().map(|rendition| rendition.name).collect()
        };
        assert_eq!(names("hd"), ["720p", "480p", "360p", "240p"]);
        let radio = Ladder::Named("audio-only".to_owned()).renditions();
        assert!(radio.len() >= 2 && radio.iter().all(|rendition| matches!(rendition.encoding, Encoding::Sound(_))));
        assert!(names("none").is_empty());
        let fits = |name: &str| {
            Ladder::Named(name.to_owned())
                .renditions()
                .into_iter()
                .all(|rendition| matches!(rendition.encoding, Encoding::Encode(settings) if settings.fit == Fit::Crop))
        };
        assert!(fits("vertical") && !fits("hd"), "a phone's picture is filled");
    }

    /// What a database from before `fit` holds.
    #[test]
    fn older_rows_are_read() {
        let row = "width = 1280\nheight = 720\nvideo_bitrate_kbps = 3000\naudio_bitrate_kbps = 128\ncodec = \"h264\"\n\
                   gop_seconds = 2.0\nrate_control = \"cbr\"\nprofile = \"high\"\n";
        assert_eq!(toml::from_str(row), Ok(hd()));
    }

    #[test]
    fn half_a_picture_is_no_rendition() {
        for (line, is_good) in [
            ("", true),
            ("width = 640\nheight = 360\nvideo_bitrate_kbps = 600", true),
            ("width = 640\nheight = 360", false),
            ("video_bitrate_kbps = 600", false),
            ("gop_seconds = 2.0", false),
            ("widht = 640", false),
        ] {
            let text = format!("title = \"t\"\n[[rendition]]\nname = \"a\"\naudio_bitrate_kbps = 64\n{line}");
            assert_eq!(BuiltinLadder::parse("t", &text).is_ok(), is_good, "{line}");
        }
    }

    #[test]
    fn ladders() {
        assert_eq!(Ladder::Named("hd".into()).check(), Ok(()));
        assert_eq!(Ladder::Named("x".into()).check(), Err(LadderFault::Unknown("x".into())));
        assert_eq!(Ladder::Inline(vec![]).check(), Err(LadderFault::Length));
        let twice = Ladder::Inline(vec![rendition(hd()), rendition(hd())]);
        assert_eq!(twice.check(), Err(LadderFault::DuplicateName("720p".into())));
        let long = (0..=MAX_RENDITIONS).map(|i| Rendition { name: format!("r{i}"), ..rendition(hd()) }).collect();
        assert_eq!(Ladder::Inline(long).check(), Err(LadderFault::Length));
    }
}

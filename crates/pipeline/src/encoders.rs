//! The files of `pipelines/encoders`, one per encoder element: each says how our settings map to the element's properties and units.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_model::VideoCodec;

/// A new encoder is a file and its line here.
const FILES: &[(&str, &str)] = &[
    ("nvenc-h264", include_str!("../../../pipelines/encoders/nvenc-h264.toml")),
    ("nvenc-h264-legacy", include_str!("../../../pipelines/encoders/nvenc-h264-legacy.toml")),
    ("nvenc-h265", include_str!("../../../pipelines/encoders/nvenc-h265.toml")),
    ("nvenc-h265-legacy", include_str!("../../../pipelines/encoders/nvenc-h265-legacy.toml")),
    ("nvenc-av1", include_str!("../../../pipelines/encoders/nvenc-av1.toml")),
    ("qsv-h264", include_str!("../../../pipelines/encoders/qsv-h264.toml")),
    ("qsv-h265", include_str!("../../../pipelines/encoders/qsv-h265.toml")),
    ("qsv-av1", include_str!("../../../pipelines/encoders/qsv-av1.toml")),
    ("va-h264", include_str!("../../../pipelines/encoders/va-h264.toml")),
    ("va-h264-lp", include_str!("../../../pipelines/encoders/va-h264-lp.toml")),
    ("va-h265", include_str!("../../../pipelines/encoders/va-h265.toml")),
    ("va-av1", include_str!("../../../pipelines/encoders/va-av1.toml")),
    ("x264", include_str!("../../../pipelines/encoders/x264.toml")),
    ("openh264", include_str!("../../../pipelines/encoders/openh264.toml")),
    ("x265", include_str!("../../../pipelines/encoders/x265.toml")),
    ("svtav1", include_str!("../../../pipelines/encoders/svtav1.toml")),
    ("aom-av1", include_str!("../../../pipelines/encoders/aom-av1.toml")),
];

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderFile {
    /// The file's name.
    #[serde(skip)]
    pub id: String,
    pub title: String,
    /// Encoders of one family are proven or fail together: "nvenc", "qsv", "va", "x264", ...
    pub family: String,
    pub codec: VideoCodec,
    pub element: String,
    /// The GStreamer versions whose element is as described, both ends included. Without an end it is described up to the newest.
    pub from: Version,
    pub until: Option<Version>,
    pub memory: Memory,
    /// Our names of profiles, and their names in caps.
    pub profiles: BTreeMap<String, String>,
    /// The cores that encoding in software takes, for admission; None for hardware.
    pub cores_per_megapixel_second: Option<f64>,
    pub bitrate: Bitrate,
    pub buffer: Option<Buffer>,
    /// The caps that the element is shown in place of the real ones of its pictures.
    pub told: Option<String>,
    pub keyframes: Keyframes,
    pub set: Sets,
}

/// The memory in which raw pictures are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    #[default]
    System,
    Cuda,
    Va,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bitrate {
    pub property: String,
    /// The bits per second of one step of the property.
    pub bits_each: u32,
    pub max: Option<u32>,
}

/// The size of the rate control's buffer (VBV, CPB).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buffer {
    pub property: String,
    pub unit: BufferUnit,
    /// Some devices do not have the property, so the element is asked before it is set.
    #[serde(default)]
    pub optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BufferUnit {
    /// Milliseconds of the bitrate.
    Ms,
    Kbit,
}

/// The longest distance between keyframes: a fixed value, or a number of our GOPs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyframes {
    pub property: String,
    pub value: Option<i64>,
    pub gops: Option<u32>,
    pub max: Option<u32>,
    /// The element takes no requests for keyframes, so it is started anew for each.
    #[serde(default)]
    pub by_restart: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sets {
    #[serde(default)]
    pub always: BTreeMap<String, Value>,
    #[serde(default)]
    pub cbr: BTreeMap<String, Value>,
    #[serde(default)]
    pub vbr: BTreeMap<String, Value>,
}

/// A property's value; in a text, `{kbit}` stands for the bitrate.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Bool(bool),
    Number(i64),
    Text(String),
}

/// A GStreamer minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl TryFrom<String> for Version {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        parts.map(|(major, minor)| Self { major, minor }).ok_or_else(|| format!("{text:?} is not like \"1.22\""))
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        format!("{}.{}", version.major, version.minor)
    }
}

impl EncoderFile {
    /// Whether the file describes this version. Development versions are odd, and count as the stable one that follows.
    pub fn is_for(&self, version: Version) -> bool {
        let version = Version { minor: version.minor.next_multiple_of(2), ..version };
        self.from <= version && self.until.is_none_or(|until| version <= until)
    }

    pub fn is_hardware(&self) -> bool {
        self.memory != Memory::System
    }

    /// The bitrate in the element's own steps, rounded to the nearest.
    pub fn bitrate_setting(&self, kbps: u32) -> (&str, Value) {
        let each = u64::from(self.bitrate.bits_each.max(1));
        let steps = (u64::from(kbps) * 1000 + each / 2) / each;
        let steps = steps.min(self.bitrate.max.map_or(u64::MAX, u64::from));
        (&self.bitrate.property, Value::Number(steps.cast_signed()))
    }

    /// The size of the rate control's buffer for `ms` of the bitrate.
    pub fn buffer_setting(&self, kbps: u32, ms: u32) -> Option<(&str, Value)> {
        let buffer = self.buffer.as_ref()?;
        let size = match buffer.unit {
            BufferUnit::Ms => i64::from(ms),
            BufferUnit::Kbit => i64::from(kbps) * i64::from(ms) / 1000,
        };
        Some((&buffer.property, Value::Number(size)))
    }

    /// The distance after which the element makes a keyframe by itself, for a GOP of so many pictures.
    pub fn keyframes_setting(&self, gop_frames: u32) -> (&str, Value) {
        let keyframes = &self.keyframes;
        let frames = i64::from(keyframes.gops.unwrap_or(1)) * i64::from(gop_frames);
        let value = keyframes.value.unwrap_or(frames.min(keyframes.max.map_or(i64::MAX, i64::from)));
        (&keyframes.property, Value::Number(value))
    }
}

/// An encoder file that can't be read. A test makes sure that those compiled in can.
#[derive(Debug, thiserror::Error)]
#[error("encoder {id}: {source}")]
pub struct EncodersFault {
    pub id: String,
    source: Box<toml::de::Error>,
}

/// All known encoders, best first within a codec.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoders {
    all: Vec<EncoderFile>,
}

impl Encoders {
    /// Loads the files that are compiled in.
    pub fn load() -> Result<Self, EncodersFault> {
        let mut all = Vec::with_capacity(FILES.len());
        for (id, text) in FILES {
            let mut file: EncoderFile = toml::from_str(text)
                .map_err(|source| EncodersFault { id: (*id).to_owned(), source: Box::new(source) })?;
            file.id = (*id).to_owned();
            all.push(file);
        }
        Ok(Self { all })
    }

    pub fn all(&self) -> &[EncoderFile] {
        &self.all
    }

    pub fn get(&self, id: &str) -> Option<&EncoderFile> {
        self.all.iter().find(|file| file.id == id)
    }
}

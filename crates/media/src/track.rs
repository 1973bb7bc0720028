//! Tracks: what a stream carries, with what a decoder needs to start.

use std::fmt;

use bytes::Bytes;

use crate::Language;

/// The number of a track within its stream: what its frames, segments and files are known by. The source's picture is 0, its first sound is
/// 1, and further sounds follow. Sounds of one number are the same frames in whatever rendition they are; those that are made have
/// numbers from [`TrackId::FIRST_MADE`] on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u32);

impl TrackId {
    pub const SOURCE_VIDEO: Self = Self(0);
    pub const SOURCE_AUDIO: Self = Self(1);
    /// Sources have fewer tracks than this.
    pub const FIRST_MADE: Self = Self(256);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaKind {
    Video,
    Audio,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    H264,
    H265,
    Av1,
    Aac,
    Opus,
    /// MPEG-1/2 layer III, which RTMP encoders of old may send: carried, never made.
    Mp3,
    /// MPEG-2 video. What broadcast sends, like the following ones: carried, never made.
    Mpeg2,
    /// MPEG-1/2 layer II.
    Mp2,
    Ac3,
    Eac3,
}

impl Codec {
    pub const ALL: [Self; 10] = [
        Self::H264,
        Self::H265,
        Self::Av1,
        Self::Aac,
        Self::Opus,
        Self::Mp3,
        Self::Mpeg2,
        Self::Mp2,
        Self::Ac3,
        Self::Eac3,
    ];

    pub const fn kind(self) -> MediaKind {
        match self {
            Self::H264 | Self::H265 | Self::Av1 | Self::Mpeg2 => MediaKind::Video,
            Self::Aac | Self::Opus | Self::Mp3 | Self::Mp2 | Self::Ac3 | Self::Eac3 => MediaKind::Audio,
        }
    }

    /// The name that the API shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Av1 => "av1",
            Self::Aac => "aac",
            Self::Opus => "opus",
            Self::Mp3 => "mp3",
            Self::Mpeg2 => "mpeg2",
            Self::Mp2 => "mp2",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a decoder and a dashboard need to know of a track. Shared by reference: every GOP points at one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    pub id: TrackId,
    pub codec: Codec,
    /// The decoder configuration record as MP4 stores it: `avcC`, `hvcC`, `av1C`, AudioSpecificConfig, `OpusHead`, `dac3`, `dec3`.
    /// Empty for MP3, which needs none; of MPEG-2 the sequence header, of MP2 what all frames' headers say.
    pub config: Bytes,
    pub video: Option<VideoFormat>,
    pub audio: Option<AudioFormat>,
    /// What is spoken, where the source says it.
    pub language: Option<Language>,
    /// What people call it: "Commentary", "Stadium".
    pub label: Option<String>,
}

impl TrackInfo {
    /// A track of which nothing else is known.
    pub const fn new(id: TrackId, codec: Codec, config: Bytes) -> Self {
        Self { id, codec, config, video: None, audio: None, language: None, label: None }
    }

    pub fn picture(id: TrackId, codec: Codec, config: Bytes, format: VideoFormat) -> Self {
        Self { video: Some(format), ..Self::new(id, codec, config) }
    }

    pub fn sound(id: TrackId, codec: Codec, config: Bytes, format: AudioFormat) -> Self {
        Self { audio: Some(format), ..Self::new(id, codec, config) }
    }

    /// Whether decoders take both for the same: what they are called may differ.
    pub fn decodes_as(&self, other: &Self) -> bool {
        self.codec == other.codec && self.config == other.config
    }

    pub const fn kind(&self) -> MediaKind {
        self.codec.kind()
    }
}

/// What the decoder configuration says of the pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoFormat {
    /// Size as shown (after cropping).
    pub width: u32,
    pub height: u32,
    /// Frames a second as a fraction, where the configuration states it.
    pub fps: Option<(u32, u32)>,
    /// "Baseline", "Main", "High", "Main 10", ...
    pub profile: String,
    /// "3.1", "4.0", ...
    pub level: String,
    pub bit_depth: u8,
    /// How many frames the decoder may hold back; 0 says surely no B-frames.
    pub reorder_frames: Option<u8>,
    /// RFC 6381, for playlists: "avc1.64001f".
    pub codec_string: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioFormat {
    pub sample_rate_hz: u32,
    pub channels: u8,
    /// "LC", "HE-AAC", ...
    pub profile: String,
    /// Samples in one frame, where fixed (AAC-LC: 1024).
    pub frame_samples: Option<u32>,
    /// RFC 6381: "mp4a.40.2".
    pub codec_string: String,
}

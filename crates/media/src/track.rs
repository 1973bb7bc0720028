//! Tracks: what a stream carries, with the facts that a decoder needs to start.

use std::fmt;

use bytes::Bytes;

use crate::Language;

/// The number of a track within its stream, by which its frames, segments and files are known. The source's picture is 0, its first sound
/// is 1, and further sounds follow. Sounds with one number are the same frames in every rendition. Sounds that are made here have numbers
/// from [`TrackId::FIRST_MADE`] on.
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
    /// MPEG-1/2 layer III, which old RTMP encoders may send. It is carried, but never made.
    Mp3,
    /// MPEG-2 video. Broadcast sends it and the following codecs, which are carried, but never made.
    Mpeg2,
    /// MPEG-1/2 layer II.
    Mp2,
    Ac3,
    Eac3,
    /// Browsers send it and VP9 by WebRTC; they are carried, but never made.
    Vp8,
    Vp9,
}

impl Codec {
    pub const ALL: [Self; 12] = [
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
        Self::Vp8,
        Self::Vp9,
    ];

    pub const fn kind(self) -> MediaKind {
        match self {
            Self::H264 | Self::H265 | Self::Av1 | Self::Mpeg2 | Self::Vp8 | Self::Vp9 => MediaKind::Video,
            Self::Aac | Self::Opus | Self::Mp3 | Self::Mp2 | Self::Ac3 | Self::Eac3 => MediaKind::Audio,
        }
    }

    /// The name of the codec in the API.
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
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The facts of a track that a decoder and a dashboard need. It is shared by reference: every GOP points at one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    pub id: TrackId,
    pub codec: Codec,
    /// The decoder configuration record as MP4 stores it: `avcC`, `hvcC`, `av1C`, AudioSpecificConfig, `OpusHead`, `dac3`, `dec3`. It is
    /// empty for MP3, which needs none. For MPEG-2 it is the sequence header, for MP2 the part that all frame headers share, and for VP8 and VP9 what
    /// `vpcC` holds, with the size behind it.
    pub config: Bytes,
    pub video: Option<VideoFormat>,
    pub audio: Option<AudioFormat>,
    /// The language that is spoken, if the source says it.
    pub language: Option<Language>,
    /// The name of the track for people, such as "Commentary" or "Stadium".
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

    /// Whether decoders take both for the same track. Their languages and labels may differ.
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
    /// The size as shown (after cropping).
    pub width: u32,
    pub height: u32,
    /// Frames a second as a fraction, if the configuration states it.
    pub fps: Option<(u32, u32)>,
    /// The name of the profile: "Baseline", "Main", "High", "Main 10", ...
    pub profile: String,
    /// The name of the level: "3.1", "4.0", ...
    pub level: String,
    pub bit_depth: u8,
    /// The number of frames that the decoder may hold back; 0 means that there are surely no B-frames.
    pub reorder_frames: Option<u8>,
    /// The codec in playlists (RFC 6381), such as "avc1.64001f".
    pub codec_string: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioFormat {
    pub sample_rate_hz: u32,
    pub channels: u8,
    /// The name of the profile: "LC", "HE-AAC", ...
    pub profile: String,
    /// The number of samples in one frame, if it is fixed (AAC-LC: 1024).
    pub frame_samples: Option<u32>,
    /// The codec in playlists (RFC 6381), such as "mp4a.40.2".
    pub codec_string: String,
}

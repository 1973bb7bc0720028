//! FLV: tag bodies (legacy and Enhanced), which are also the audio and video messages of RTMP, and FLV files.

mod audio;
mod enhanced;
pub mod file;
mod four_cc;
mod header;
mod video;

#[cfg(test)]
mod tests;

pub use audio::{AudioTag, audio_frame_header, parse_audio, parse_audio_tracks, write_audio_config, write_audio_frame};
pub use header::TagHeader;
pub use video::{VideoTag, parse_video, video_frame_header, write_video_config, write_video_frame};

use weir_media::Codec;

/// What is wrong with a tag. `UnsupportedCodec` is the source's choice; the others are broken bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlvError {
    #[error("{what} ends too early")]
    Truncated { what: &'static str },
    #[error("{what} is invalid")]
    Invalid { what: &'static str },
    /// `name` is that of a known codec, or the printable part of an unknown one's FourCC or number.
    #[error("the codec {name} is not supported")]
    UnsupportedCodec { name: String },
    #[error("{codec} cannot be written {how}")]
    NotWritable { codec: Codec, how: &'static str },
    #[error("a tag of {bytes} bytes is more than the {max} allowed")]
    TooLong { bytes: usize, max: usize },
}

//! CMAF: fragmented MP4 with one track a file, as HLS and DASH both take it, and with several tracks for recordings.

mod boxes;
mod chunk;
mod init;
mod read;

#[cfg(test)]
mod tests;

pub use chunk::{Sample, chunk, chunk_head, track_chunk};
pub use init::{init_segment, movie};
pub use read::{TimedSample, samples};

use weir_media::{Codec, TrackInfo};

/// The id of the only track, or of the first one.
const TRACK_ID: u32 = 1;

/// MPEG's 90 kHz, which gives whole ticks for 24, 25, 30, 50 and 60 fps, and for milliseconds.
const VIDEO_TIMESCALE: u32 = 90_000;
/// The timescale of sound whose rate is unknown.
const AUDIO_TIMESCALE_FALLBACK: u32 = 48_000;

/// Why a track can't be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fmp4Error {
    #[error("{codec} without its format can't be written as MP4")]
    NoFormat { codec: Codec },
    #[error("{codec} without its decoder configuration can't be written as MP4")]
    NoConfiguration { codec: Codec },
    #[error("{codec} can't be written as MP4 that players take")]
    NotWritable { codec: Codec },
    #[error("this is no segment that was written here")]
    NotOurs,
}

/// The ticks a second of a track's files: 90,000 for pictures; sound counts its samples.
pub fn timescale(track: &TrackInfo) -> u32 {
    match &track.audio {
        Some(audio) if audio.sample_rate_hz > 0 => audio.sample_rate_hz,
        Some(_) => AUDIO_TIMESCALE_FALLBACK,
        None => VIDEO_TIMESCALE,
    }
}

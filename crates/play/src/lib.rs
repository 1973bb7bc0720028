//! Serves one viewer with a connection that lasts: the stream's feed goes out on it until either side ends it. Each protocol is a file.

mod rtmp;
mod source_gone;
mod srt;
mod whep;

pub use rtmp::rtmp_play;
pub use srt::SrtPlay;
pub use whep::{Choice, Chosen, Making, NoneFits, Other, Rung, Shown, WhepPlay, choose};

//! Recordings: what a stream's source sends as files, fragmented MP4 that a crash leaves playable.

mod file;
mod library;
mod recorder;

pub use library::{Recording, RecordingLimits, Recordings, RemoveFault};
pub use recorder::record;

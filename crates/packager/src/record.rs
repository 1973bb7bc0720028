//! Recordings: what a stream's source sends, in files of fragmented MP4, which are playable even after a crash.

mod file;
mod library;
mod recorder;

pub use library::{Recording, RecordingLimits, Recordings, RemoveFault};
pub use recorder::record;

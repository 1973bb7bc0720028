//! The nouns that flow: frames, tracks, time and codec configuration; no I/O, no clocks, no async.

mod clock_mark;
pub mod codec;
mod frame;
mod language;
mod time;
mod timeline;
mod track;

pub use clock_mark::{ClockMark, NOTED_EVERY, Resumed};
pub use frame::{Frame, FrameFlags};
pub use language::{Language, label_of};
pub use time::MediaTime;
pub use timeline::{Splice, Stamped, Timeline, TimelineCounts, TimelineEvent, WireClock};
pub use track::{AudioFormat, Codec, MediaKind, TrackId, TrackInfo, VideoFormat};

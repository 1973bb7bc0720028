//! The nouns that flow: frames, tracks, time and codec configuration; no I/O, no clocks, no async.

pub mod codec;
mod frame;
mod language;
mod time;
mod timeline;
mod track;

pub use frame::{Frame, FrameFlags};
pub use language::{Language, label_of};
pub use time::MediaTime;
pub use timeline::{Stamped, Timeline, TimelineCounts, TimelineEvent, WireClock};
pub use track::{AudioFormat, Codec, MediaKind, TrackId, TrackInfo, VideoFormat};

//! Receives a stream's sources: each has a slot for one publisher, and is put on the stream's timeline and measured there. One slot is on
//! air, and is published as the stream's source. Each protocol is a file.

mod intake;
mod media_dirs;
mod meter;
mod opening;
mod pace;
pub mod pull;
mod rtmp;
mod selector;
mod slots;
mod source_writer;
mod srt;
mod ts;
mod warnings;
mod whip;

pub use intake::{Admitted, Eviction, Intake, Occupied, SlotMeasured, Ticket};
pub use media_dirs::MediaDirs;
pub use meter::{IngestMeter, Measured};
pub use rtmp::RtmpSession;
pub use selector::SelectorRules;
pub use slots::CannotSwitch;
pub use srt::{SrtEnd, SrtPublisher};
pub use whip::{WhipEnd, WhipPublisher};

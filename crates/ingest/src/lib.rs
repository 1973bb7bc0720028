//! Receives a stream's source: it holds the stream's one place for a publisher, puts the source on the stream's timeline, publishes it, and
//! measures it. Each protocol is a file.

mod intake;
mod meter;
mod opening;
mod pace;
pub mod pull;
mod rtmp;
mod source_writer;
mod srt;
mod ts;
mod warnings;
mod whip;

pub use intake::{Admitted, Eviction, Intake, Occupied, Ticket};
pub use meter::{IngestMeter, Measured};
pub use rtmp::RtmpSession;
pub use srt::{SrtEnd, SrtPublisher};
pub use whip::{WhipEnd, WhipPublisher};

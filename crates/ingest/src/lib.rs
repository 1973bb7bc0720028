//! Receive a stream's source: hold its one slot, put it on the stream's timeline, publish it, measure it. Each protocol is a file.

mod door;
mod meter;
mod opening;
mod rtmp;
mod source_writer;
mod srt;
mod ts;
mod warnings;

pub use door::{Admitted, Eviction, Occupied, SourceDoor, Ticket};
pub use meter::{IngestMeter, Measured};
pub use rtmp::RtmpSession;
pub use srt::SrtPublisher;

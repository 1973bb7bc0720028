//! Receive a stream's source: hold its one slot, put it on the stream's timeline, publish it, measure it.

mod door;
mod meter;
mod session;
mod source_writer;
mod ts_session;
mod warnings;

pub use door::{Admitted, Eviction, Occupied, SourceDoor, Ticket};
pub use meter::{IngestMeter, Measured};
pub use session::RtmpSession;
pub use ts_session::{TsSession, Useless};

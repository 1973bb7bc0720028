//! SRT connections: listening, calling, and frames as MPEG-TS for them, over libsrt.

pub mod call;
pub mod connection;
mod ffi;
pub mod from_frames;
mod knock;
pub mod listener;
mod options;
pub mod outlet;
pub mod path;
mod reactor;
pub mod reject;
mod seat;
pub mod stats;
pub mod stream_id;

pub use call::{CallError, CallTarget, call};
pub use connection::{ConnectionLost, Received, SrtConnection};
pub use knock::knock;
pub use listener::{Accepted, Admittance, Gate, ListenLimits, SrtListener};
pub use stats::SrtStats;
pub use stream_id::SrtStreamId;

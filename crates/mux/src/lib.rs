//! Containers to and from frames: pure, without I/O, and without a panic whatever comes in.

mod bits;
pub mod flv;
pub mod fmp4;
mod parameter_sets;
pub mod rtp;
pub mod ts;
mod units;

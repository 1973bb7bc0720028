//! Containers to and from frames: pure, without I/O, and without a panic whatever comes in.

mod bits;
pub mod chunked;
pub mod flv;
pub mod fmp4;
pub mod hls;
mod parameter_sets;
pub mod rtp;
pub mod ts;
mod units;

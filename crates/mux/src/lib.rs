//! Containers to and from frames: pure, without I/O, and without a panic whatever comes in.

pub mod flv;
pub mod fmp4;
pub mod ts;

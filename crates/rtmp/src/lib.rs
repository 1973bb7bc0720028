//! RTMP and RTMPS connections, to and from frames, on our own sans-IO protocol core.

pub mod carried;
pub mod from_frames;
pub mod net;
pub mod outlet;
pub mod parcel;
pub mod protocol;
mod setup;
mod sound_names;
pub mod stream_key;
pub mod to_frames;
pub mod url;
pub mod wire;

pub use stream_key::StreamKey;

//! RTMP and RTMPS connections, to and from frames, on our own sans-IO protocol core.

pub mod batch;
pub mod from_frames;
pub mod net;
pub mod parcel;
pub mod protocol;
mod sound_names;
pub mod stream_key;
pub mod to_frames;
pub mod url;
pub mod wire;

pub use stream_key::StreamKey;

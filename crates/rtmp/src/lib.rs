//! RTMP and RTMPS connections, to and from frames, on our own sans-IO protocol core.

pub mod net;
pub mod session;
pub mod stream_key;
pub mod url;
pub mod wire;

pub use stream_key::StreamKey;

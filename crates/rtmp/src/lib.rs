//! RTMP and RTMPS connections, to and from frames, on our own sans-IO protocol core.

pub mod wire;

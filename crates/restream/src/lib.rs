//! One destination: wait for the source, connect, push, retry, and say truthfully how it goes; and RTMP play, its mirror.

pub mod backoff;
mod cold;
mod failure;
mod feeds;
mod gauge;
mod link;
pub mod machine;
mod play;
mod push;
mod restream;

pub use feeds::{FeedHandle, Feeds};
pub use play::RtmpPlay;
pub use push::PushContext;
pub use restream::{RestreamHandle, RestreamOutcome, start};

//! One destination: wait for the source, connect, push, retry, and say truthfully how it goes; and play, its mirror.

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
mod rtmp_link;
mod source_gone;
mod srt_link;
mod srt_play;
mod target;
mod tcp_loss;

pub use cold::Cold;
pub use feeds::{FeedHandle, Feeds, TsFeedHandle};
pub use play::RtmpPlay;
pub use push::PushContext;
pub use restream::{RestreamHandle, RestreamOutcome, RetryHandle, start};
pub use srt_play::SrtPlay;

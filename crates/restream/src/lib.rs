//! One destination: wait for the source, connect, push, retry, and say truthfully how it goes.

pub mod backoff;
mod failure;
mod gauge;
mod link;
pub mod machine;
mod push;
mod restream;
mod rtmp;
mod srt;
mod tcp_loss;

pub use push::PushContext;
pub use restream::{RestreamHandle, RestreamOutcome, RetryHandle, start};

//! Sends a stream to one destination: it waits for the source, connects, pushes, retries, and says truthfully how it goes.

mod failure;
mod gauge;
pub mod machine;
mod push;
mod restream;
mod target;
mod tcp_loss;

pub use push::PushContext;
pub use restream::{RestreamHandle, RestreamOutcome, RetryHandle, start};

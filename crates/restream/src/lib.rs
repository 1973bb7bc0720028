//! One destination: wait for the source, connect, push, retry, and say truthfully how it goes.

pub mod backoff;
pub mod machine;

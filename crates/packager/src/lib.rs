//! One segment store per stream that HLS, low-latency HLS and DASH are served from: a subscriber of the hub.

mod answer;
mod config;
mod packager;

pub use answer::{Answer, Cache};
pub use config::PackagerConfig;
pub use packager::Packager;

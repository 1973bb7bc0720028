//! What tests share: synthetic media, fake publishers, hostile destinations, real peers, and the real server as a child process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "used by tests only: a panic here is a test's report"
)]

pub mod adobe_auth;
pub mod api;
mod child;
pub mod conformance;
pub mod destination;
pub mod events;
pub mod ffmpeg;
pub mod flv;
pub mod frames;
pub mod gstreamer;
pub mod http2;
pub mod nginx;
pub mod player;
pub mod process;
pub mod process_stats;
pub mod publisher;
pub mod sink_session;
mod small_disk;
pub mod srt;
pub mod tls;
pub mod udp_relay;
pub mod unreachable;
mod wait;

pub use api::Api;
pub use child::Child;
pub use destination::{Answers, Destination};
pub use events::EventStream;
pub use http2::Http2;
pub use nginx::{Nginx, free_port};
pub use player::Player;
pub use process::{Weir, WeirOptions};
pub use process_stats::ProcessStats;
pub use publisher::Publisher;
pub use small_disk::SmallDisk;
pub use wait::{wait_until, wait_until_some};

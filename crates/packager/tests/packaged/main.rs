//! Tests what a packager makes of whole streams. All tests are one program, which is linked once.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test: its panics are its report, and what it measured is printed"
)]

mod clock;
mod conformance;
mod disk_full;
mod dvr;
mod low_latency_dash;
mod playback;
mod playlists;
mod rooms;
mod sounds;
mod sources;
mod support;
mod ts;

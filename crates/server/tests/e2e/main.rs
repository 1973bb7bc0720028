//! The real server with real encoders, players and destinations, in one program that is linked once. The transcoder's tests are a program
//! of their own, as they run alone.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test: its panics are its report, and what it measured is printed"
)]

mod addresses;
mod admission;
mod api;
mod backoff;
mod broadcast;
mod cage;
#[path = "../common/mod.rs"]
mod common;
mod dashboard_api;
mod drain;
mod dvr;
mod egress;
mod failover;
mod failures;
mod gpu;
mod holding;
mod hostile;
mod isolation;
mod kept;
mod languages;
mod log;
mod nvidia;
mod origin;
mod playback;
mod proof;
mod publish;
mod pull;
mod push;
mod refusals;
mod reload;
mod restart;
mod revocation;
mod room;
mod secrets;
mod sound;
mod srt;
mod srt_paths;
mod survival;
mod timeline;
mod transfer;
mod webrtcbin;
mod whep;
mod whep_viewers;
mod whip;

//! Our RTMP against itself, other implementations and real programs: one program, linked once.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: its panics are its report, and what it measured is printed"
)]

mod feed;
mod interop_programs;
mod interop_rml;
mod net_client;
mod net_push;
mod net_server;
mod protocol_client;
mod protocol_server;
mod protocol_support;
mod support;
mod wire_interop;

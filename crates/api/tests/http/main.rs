//! Tests the API over HTTP, resource by resource. This is one program, so that the server's code is linked once.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: its panics are its report, and what it measured is printed"
)]

mod access;
mod audit;
mod common;
mod described;
mod events;
mod ladders;
mod live;
mod logos;
mod portable;
mod resources;
mod users;
mod webhooks;

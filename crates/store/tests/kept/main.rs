//! What the database keeps, returns and never tells: one program, linked once.

#![allow(clippy::unwrap_used, reason = "a test: its panics are its report, and what it measured is printed")]

mod changes;
mod common;
mod crash;
mod rows;
mod schema;
mod secrets;

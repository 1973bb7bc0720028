//! Has cargo build this crate anew when `make` has built the web pages anew, because they are compiled into it.

#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
}

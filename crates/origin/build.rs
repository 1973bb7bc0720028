//! Builds anew when `make` has built the web pages anew: they are compiled into this crate.

#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
}

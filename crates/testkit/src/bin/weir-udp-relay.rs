//! A bad path for UDP as a program, for tests that are not written in Rust: `weir-udp-relay ADDRESS LOSS_PERCENT DELAY_MS`. It prints its port. Each
//! line that it reads is the number of bits per second that fit through the way back; 0 makes it wide. It ends with its input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test's program: its panics are its report"
)]

use std::io::stdin;
use std::time::Duration;

use weir_testkit::udp_relay::{Path, UdpRelay};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().expect("ADDRESS LOSS_PERCENT DELAY_MS");
    let (to, loss_percent) = (argument().parse().unwrap(), argument().parse().unwrap());
    let delay = Duration::from_millis(argument().parse().unwrap());
    let relay = UdpRelay::start(to, Path { loss_percent, delay });
    println!("{}", relay.address().port());
    for line in stdin().lines() {
        let bits_per_second: u64 = line.unwrap().trim().parse().unwrap();
        relay.narrow(Some(bits_per_second).filter(|bits| *bits > 0));
    }
}

//! The publisher's role: sends the clip over and over in real time, each video frame stamped, until it is killed.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use weir_testkit::Publisher;
use weir_testkit::destination::is_video_frame;
use weir_testkit::flv::read_flv;
use weir_testkit::publisher::looped;

use crate::stamp;

/// Prints the time at which the publish was accepted, in nanoseconds since 1970.
pub(crate) fn run(address: SocketAddr, app: &str, stream_key: &str, clip: &Path) -> anyhow::Result<()> {
    let clip = read_flv(clip);
    let mut publisher = Publisher::publish(&address.to_string(), app, stream_key)
        .map_err(|status| anyhow!("the publish was refused: {status:?}"))?;
    println!("{}", stamp::now_ns());
    let start = Instant::now();
    let mut number = 0;
    for (at_ms, tag) in looped(&clip) {
        thread::sleep((start + Duration::from_millis(at_ms)).saturating_duration_since(Instant::now()));
        let mut tag = stamp::stamped(tag, number);
        tag.timestamp_ms = at_ms as u32;
        number += u64::from(is_video_frame(&tag));
        publisher.send(&tag)?;
    }
    Ok(())
}

//! A log that nobody reads: everything else goes on, and what it missed is counted.

use crate::common;

use std::time::Duration;

use common::{SOON, clip, weir};
use weir_testkit::publisher::Feed;
use weir_testkit::{Api, Publisher, wait_until, wait_until_some};

/// The first variant's playlist.
fn playlist_path(api: &Api) -> Option<String> {
    let master = api.get("//play/cam1/master.m3u8");
    let text = master.body.as_str().filter(|_| master.status == 200)?;
    let variant = text.lines().find(|line| !line.is_empty() && !line.starts_with('#'))?;
    Some(format!("//play/cam1/{variant}"))
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody() {
    // Everything is logged, so that the little that a pipe and the server keep is full soon.
    let mut weir = weir().env("RUST_LOG", "trace").log_unread().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    let path = wait_until_some("the stream can be played", SOON, || playlist_path(&api));
    wait_until("lines were dropped", Duration::from_secs(40), || {
        assert!(Publisher::publish(&weir.rtmp_address(), "live", "no-such-key").is_err());
        let metrics = api.get("//metrics").expect(200);
        let text = metrics.as_str().unwrap_or_default();
        text.lines().any(|line| line.starts_with("weir_log_lines_dropped_total ") && !line.ends_with(" 0"))
    });
    let before = api.get(&path).expect(200);
    wait_until("the playlist advanced", SOON, || api.get(&path).expect(200) != before);

    weir.child().read_stderr();
    weir.wait_logged("lines of the log were dropped", SOON);
    let took = weir.stop(Duration::from_secs(8));
    println!("drained in {took:?}");
    weir.wait_logged("draining", SOON);
}

#[test]
fn sigterm_drains_though_nobody_reads_the_log() {
    let mut weir = weir().env("RUST_LOG", "debug").log_unread().start();
    for _ in 0..60 {
        // A line or two each: more than the page that the pipe takes.
        assert!(Publisher::publish(&weir.rtmp_address(), "live", "no-such-key").is_err());
    }
    let took = weir.stop(Duration::from_secs(8));
    assert!(weir.output().iter().all(|line| !line.contains("INFO")), "the log was not read");
    println!("drained in {took:?}");
}

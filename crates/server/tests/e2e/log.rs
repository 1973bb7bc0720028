//! Nobody reads the log, and everything else goes on.

use crate::common;

use std::time::Duration;

use common::{SOON, clip, weir};
use weir_testkit::publisher::Feed;
use weir_testkit::{Api, Publisher, Weir, wait_until, wait_until_some};

/// The first variant's playlist.
fn playlist_path(api: &Api) -> Option<String> {
    let master = api.get("//play/cam1/master.m3u8");
    let text = master.body.as_str().filter(|_| master.status == 200)?;
    let variant = text.lines().find(|line| !line.is_empty() && !line.starts_with('#'))?;
    Some(format!("//play/cam1/{variant}"))
}

/// Each call logs a line or two: together they are more than the page that an unread pipe takes.
fn fill_the_pipe(weir: &Weir) {
    for _ in 0..60 {
        assert!(Publisher::publish(&weir.rtmp_address(), "live", "no-such-key").is_err());
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody() {
    let mut weir = weir().env("RUST_LOG", "debug").log_unread().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    let path = wait_until_some("the stream can be played", SOON, || playlist_path(&api));
    fill_the_pipe(&weir);
    let before = api.get(&path).expect(200);
    wait_until("the playlist advanced", SOON, || api.get(&path).expect(200) != before);
    api.get("/streams").expect(200);
    // The lines that waited are there for a reader that comes at last.
    weir.child().read_stderr();
    weir.wait_logged("ingest_refused", SOON);
    weir.stop(Duration::from_secs(8));
    weir.wait_logged("draining", SOON);
}

#[test]
fn sigterm_drains_though_nobody_reads_the_log() {
    let mut weir = weir().env("RUST_LOG", "debug").log_unread().start();
    fill_the_pipe(&weir);
    let took = weir.stop(Duration::from_secs(8));
    assert!(weir.output().iter().all(|line| !line.contains("INFO")), "the log was not read");
    println!("drained in {took:?}");
}

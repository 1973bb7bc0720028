//! HLS and DASH of a live stream as players get them, from one store of segments.

use crate::common;

use std::process::Command;
use std::time::Duration;

use common::{SOON, clip, weir};
use weir_testkit::conformance::{Watcher, player};
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::publisher::Feed;
use weir_testkit::{gstreamer, wait_until, wait_until_some};

/// What ffmpeg complains about when it plays four seconds.
fn play_errors(url: &str, seconds: u32) -> String {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-i", url, "-t", &seconds.to_string(), "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    format!("{}{}", String::from_utf8_lossy(&output.stderr), if output.status.success() { "" } else { "it failed" })
}

fn http_get(url: &str) -> Option<String> {
    let output = Command::new("curl").args(["--silent", "--fail", url]).output().expect("curl runs");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn http_headers(url: &str) -> String {
    let args = ["--silent", "--fail", "--output", "/dev/null", "--dump-header", "-", url];
    let output = Command::new("curl").args(args).output().expect("curl runs");
    String::from_utf8_lossy(&output.stdout).to_lowercase()
}

#[test]
fn a_live_stream_plays_as_hls_and_dash() {
    let weir = weir().start();
    let stream = weir.api().create_stream("cam1");
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(500_000));
    weir.api().wait_stream(&stream, "live", SOON);

    let base = format!("{}/play/cam1", weir.http());
    let shown = weir.api().get(&format!("/streams/{}", stream.id)).expect(200);
    assert_eq!(shown["play_urls"]["hls"], format!("{base}/master.m3u8"));
    let playlist = wait_until_some("two segments are listed", SOON, || {
        http_get(&format!("{base}/source/video.m3u8")).filter(|text| text.matches("#EXTINF").count() >= 2)
    });
    for tag in
        ["#EXT-X-PART-INF", "CAN-BLOCK-RELOAD=YES", "#EXT-X-PRELOAD-HINT", "#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-MAP"]
    {
        assert!(playlist.contains(tag), "{tag} is missing in\n{playlist}");
    }
    assert!(!playlist.contains("#EXT-X-DISCONTINUITY\n"), "steady running has none");
    assert_eq!(play_errors(&format!("{base}/master.m3u8"), 4), "", "HLS");
    wait_until_some("a segment of MPEG-TS is listed", SOON, || http_get(&format!("{base}/ts/master.m3u8")));
    assert_eq!(play_errors(&format!("{base}/ts/master.m3u8"), 4), "", "MPEG-TS");
    let first = http_get(&format!("{base}/ts/source/media.m3u8"))
        .and_then(|text| Some(text.lines().find(|line| line.ends_with(".ts"))?.to_owned()))
        .expect("a segment");
    let headers = http_headers(&format!("{base}/ts/source/{first}"));
    for expected in ["content-type: video/mp2t", "cache-control: public, max-age=3600, immutable"] {
        assert!(headers.contains(expected), "{headers}");
    }
    for wrong in [
        "ts/source/999999.ts",
        "ts/nothing/media.m3u8",
        "nothing.m3u8",
        "..%2f..%2fsecret.key",
        "source/video/999999.m4s",
        "source/video.m3u8?_HLS_msn=x",
    ] {
        assert!(http_get(&format!("{base}/{wrong}")).is_none(), "{wrong} was served");
    }
    // One segment only: ffmpeg reads a live manifest anew for each, and counts from zero what the manifest counts from `startNumber`. Where a
    // segment has come meanwhile it begins with the oldest one again, as a busy machine shows. Other players play DASH for longer.
    assert_eq!(play_errors(&format!("{base}/manifest.mpd"), 1), "", "DASH");
}

#[test]
fn what_ffmpeg_publishes_keeps_every_rule_and_plays_in_gstreamer() {
    let weir = weir().start();
    let stream = weir.api().create_stream("cam1");
    let folder = tempfile::tempdir().unwrap();
    let clip = Clip { seconds: 40, size: "320x180", gop_frames: 60, b_frames: 2, ..Clip::default() };
    let clip = clip.make(&folder.path().join("clip.flv"));
    let _publisher = ffmpeg::publish(&clip, &weir.push_url(&stream.stream_key));
    let base = format!("{}/play/cam1", weir.http());
    let mut watcher = Watcher::new(player(&base));
    wait_until("two segments are listed", SOON, || {
        watcher.look();
        watcher.playlist("source/video.m3u8").is_some_and(|playlist| playlist.complete().count() >= 2)
    });
    // MPEG-TS follows the same rules, except those for files of fragmented MP4.
    let mut ts_watcher = Watcher::new(player(&base)).hls_only("ts/master.m3u8");
    let mut player = gstreamer::play(&format!("{base}/master.m3u8"), 90);
    for _ in 0..4 {
        watcher.look_for(Duration::from_secs(3));
        assert!(ts_watcher.look(), "MPEG-TS is served");
    }
    watcher.assert_valid();
    ts_watcher.assert_valid();
    assert!(ts_watcher.playlist("ts/source/media.m3u8").unwrap().complete().count() >= 4);
    assert_eq!(watcher.playlist("source/video.m3u8").unwrap().discontinuities(), 0);
    let status = player.wait_ended(SOON * 2);
    assert!(status.success(), "GStreamer: {:?}", player.output());
}

fn gstreamer_plays_dash(seconds: u32) {
    let weir = weir().start();
    let stream = weir.api().create_stream("cam1");
    let folder = tempfile::tempdir().unwrap();
    let clip = Clip { seconds: 2 * seconds + 20, size: "320x180", gop_frames: 60, b_frames: 2, ..Clip::default() };
    let clip = clip.make(&folder.path().join("clip.flv"));
    let _publisher = ffmpeg::publish(&clip, &weir.push_url(&stream.stream_key));
    let manifest = format!("{}/play/cam1/manifest.mpd", weir.http());
    // A player stays three segments behind, so there have to be as many.
    wait_until_some("three segments are listed", SOON, || {
        http_get(&manifest).filter(|text| text.contains(" r=\"2\"") || text.matches("<S ").count() >= 6)
    });
    let begun = std::time::Instant::now();
    let player = gstreamer::play_dash(&manifest);
    // There are 30 pictures and 47 frames of sound a second; a second of the sound may be missing.
    let (pictures, sound) = (30 * seconds as usize, 47 * (seconds - 1) as usize);
    wait_until("GStreamer has played it", Duration::from_secs(u64::from(seconds) + 10), || {
        gstreamer::played(&player, "video") >= pictures && gstreamer::played(&player, "audio") >= sound
    });
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(u64::from(seconds) - 2), "it did not play by the clock: {took:?}");
}

#[test]
fn gstreamer_plays_dash_by_the_clock() {
    gstreamer_plays_dash(8);
}

#[test]
#[ignore = "long: make test-long"]
fn gstreamer_plays_dash_by_the_clock_for_longer() {
    gstreamer_plays_dash(20);
}

#[test]
fn what_may_not_be_watched_is_not_served() {
    let weir = weir().start();
    let stream = weir.api().create_stream("cam1");
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    let master = format!("{}/play/cam1/master.m3u8", weir.http());
    wait_until_some("the stream can be watched", SOON, || http_get(&master));
    let stream_path = format!("/streams/{}", stream.id);
    weir.api().patch(&stream_path, &serde_json::json!({ "protected": true })).expect(200);
    assert!(http_get(&master).is_none(), "protected");
    weir.api().patch(&stream_path, &serde_json::json!({ "protected": false, "hls": false })).expect(200);
    wait_until_some("HLS is off", SOON, || http_get(&master).is_none().then_some(()));
}

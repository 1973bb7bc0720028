//! One question for every protocol: a protected stream opens to the same token by RTMP, SRT, HLS and DASH, and to nobody without it.

use crate::common;

use std::process::Command;

use common::{SOON, clip, weir};
use serde_json::json;
use weir_testkit::publisher::Feed;
use weir_testkit::wait_until;

/// The kinds of media that ffprobe finds there within its time; none when it is refused.
fn probe(url: &str) -> Vec<String> {
    let args =
        ["-v", "error", "-analyzeduration", "500000", "-show_entries", "stream=codec_type", "-of", "csv=p=0", url];
    let output = Command::new("timeout").args(["15", "ffprobe"]).args(args).output().expect("ffprobe runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut kinds: Vec<String> = text.lines().map(str::trim).filter(|kind| !kind.is_empty()).map(Into::into).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

#[test]
fn a_protected_stream_opens_to_its_token_by_every_protocol() {
    let weir = weir().set("srt.listen", "127.0.0.1:0").start();
    let api = weir.api();
    let stream = api.create_stream_with("cam1", &json!({ "protected": true }));
    let other = api.create_stream_with("cam2", &json!({ "protected": true }));
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    api.wait_stream(&stream, "live", SOON);
    let token = |id: i64| {
        let made = api.post(&format!("/streams/{id}/tokens"), &json!({ "expires_in_seconds": 600 })).expect(201);
        made["token"].as_str().expect("a token").to_owned()
    };
    let (token, others) = (token(stream.id), token(other.id));
    let addresses = |query: &str| {
        [
            ("RTMP", format!("rtmp://{}/play/cam1{query}", weir.rtmp_address())),
            ("SRT", format!("{}?mode=caller&streamid=request:cam1{query}", weir.srt())),
            ("HLS", format!("{}/play/cam1/master.m3u8{query}", weir.http())),
            ("DASH", format!("{}/play/cam1/manifest.mpd{query}", weir.http())),
        ]
    };
    let with = format!("?token={token}");
    let [rtmp, srt, hls, dash] = addresses(&with);
    wait_until("a segment can be watched", SOON, || probe(&hls.1) == ["audio", "video"]);
    for (protocol, address) in [rtmp, srt, dash] {
        assert_eq!(probe(&address), ["audio", "video"], "{protocol} with a token");
    }
    for query in [String::new(), format!("?token={others}")] {
        for (protocol, address) in addresses(&query) {
            assert!(probe(&address).is_empty(), "{protocol} with {query:?}");
        }
    }
    // The rendition and the token may come in any order.
    let address = format!("rtmp://{}/play/cam1?rendition=source&token={token}", weir.rtmp_address());
    assert_eq!(probe(&address), ["audio", "video"]);
    let events = api.get("/events?types=play_refused").expect(200).to_string();
    assert!(!events.contains(&token) && !events.contains(&others), "a token is in an event");
}

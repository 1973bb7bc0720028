//! WHIP over HTTP: what a publisher asks and is told before any media comes. That media comes, from browsers, web/tests/whip.test.ts shows.

use crate::common;
use crate::whep::{SDP, ask, assert_changes_are_judged, offer, started};

use common::{SOON, clip};
use serde_json::json;
use weir_testkit::publisher::Feed;
use weir_testkit::wait_until;

const CHROMIUM: &str = include_str!("../../../webrtc/tests/offers/chromium_publisher.sdp");
const OBS: &str = include_str!("../../../webrtc/tests/offers/obs.sdp");
const VIEWER: &str = include_str!("../../../webrtc/tests/offers/chromium.sdp");

#[test]
fn a_publisher_is_answered_and_holds_the_stream_until_it_leaves() {
    let weir = started();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let read = api.get(&format!("/streams/{}?reveal=true", stream.id)).expect(200);
    let url = format!("{}/whip/{}", weir.http(), stream.stream_key);
    assert_eq!(read["push_urls"]["primary"]["whip"], json!(url));
    let hidden = api.get(&format!("/streams/{}", stream.id)).expect(200)["push_urls"].to_string();
    assert!(!hidden.contains(&stream.stream_key), "{hidden}");

    let answer = offer(&url, CHROMIUM);
    assert_eq!((answer.status, answer.header("content-type")), (201, SDP), "{}", answer.body);
    assert!(answer.body.contains("a=recvonly") && !answer.body.contains("a=sendonly"), "{}", answer.body);
    assert!(answer.body.contains("a=ice-lite") && answer.body.contains("transport-cc"), "{}", answer.body);
    assert!(!answer.header("location").contains(&stream.stream_key), "the session's address holds no key");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-expose-headers").contains("Location"));
    assert!(answer.header("link").contains("rel=\"ice-server\""));

    let by_bearer = |key: &str, body: &str| {
        let authorization = format!("Bearer {key}");
        let headers = [("content-type", SDP), ("authorization", authorization.as_str())];
        ask("POST", &format!("{}/whip", weir.http()), &headers, body)
    };
    let busy = by_bearer(&stream.stream_key, OBS);
    assert_eq!((busy.status, busy.body.as_str()), (409, "already publishing\n"));

    let session = format!("{}{}", weir.http(), answer.header("location"));
    assert_changes_are_judged(&session, answer.header("etag"));
    assert_eq!(ask("DELETE", &session, &[], "").status, 200);
    wait_until("the place is free", SOON, || by_bearer(&stream.stream_key, OBS).status == 201);
    assert_eq!(ask("DELETE", &session, &[], "").status, 404);

    // A key that was changed sends its publisher away.
    api.post(&format!("/streams/{}/rotate-key", stream.id), &json!({})).expect(200);
    let key = api.get(&format!("/streams/{}?reveal=true", stream.id)).expect(200);
    let url = key["push_urls"]["primary"]["whip"].as_str().expect("an address").to_owned();
    wait_until("the new key's place is free", SOON, || offer(&url, OBS).status == 201);
    assert_eq!(by_bearer(&stream.stream_key, OBS).status, 403);
    assert!(!weir.output().join("\n").contains(&stream.stream_key), "a stream key is in the log");
}

#[test]
fn what_no_publisher_would_ask_is_refused_with_words_and_nothing_dies() {
    let weir = started();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let bare = format!("{}/whip", weir.http());
    let url = format!("{bare}/{}", stream.stream_key);
    for (answer, status, words) in [
        (offer(&bare, CHROMIUM), 401, "Bearer"),
        (ask("POST", &bare, &[("content-type", SDP), ("authorization", "Bearer ")], CHROMIUM), 401, "Bearer"),
        (ask("POST", &bare, &[("content-type", SDP), ("authorization", "Basic abc")], CHROMIUM), 401, "Bearer"),
        (offer(&format!("{bare}/no-such-key"), CHROMIUM), 403, "unknown stream key"),
        (ask("POST", &url, &[("content-type", "text/plain")], CHROMIUM), 415, "application/sdp"),
        (ask("GET", &url, &[], ""), 405, ""),
        (offer(&url, ""), 400, "v=0"),
        (offer(&url, VIEWER), 400, "sends neither video nor audio"),
        (offer(&url, &"v=0\r\n".repeat(20_000)), 413, ""),
        (offer(&url, &CHROMIUM.replace("H264", "VP9")), 406, "H.264"),
        (offer(&url, &CHROMIUM.replace("opus/48000/2", "PCMU/8000")), 406, "Opus"),
        (offer(&url, &CHROMIUM.replace("a=mid:1", "a=mid:0")), 400, "mid"),
        (ask("DELETE", &format!("{bare}/session/0123"), &[], ""), 404, "no such session"),
    ] {
        assert_eq!(answer.status, status, "{words}: {}", answer.body);
        assert!(answer.body.contains(words), "{status}: {}", answer.body);
    }
    for url in [&bare, &url] {
        let asked = [("origin", "https://example"), ("access-control-request-method", "POST")];
        let preflight = ask("OPTIONS", url, &asked, "");
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "*"));
        assert!(preflight.header("access-control-allow-headers").contains("Authorization"));
    }
    // None of these holds the stream: an encoder comes in.
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    api.wait_stream(&stream, "live", SOON);
    assert_eq!(offer(&url, OBS).status, 409);
    drop(feed);
    wait_until("the place is free", SOON, || offer(&url, OBS).status == 201);
    // Every line left out: some are still offers, none is a fault of ours.
    let lines: Vec<&str> = CHROMIUM.lines().collect();
    for at in (0..lines.len()).step_by(3) {
        let without: String =
            lines.iter().enumerate().filter(|(line, _)| *line != at).map(|(_, line)| format!("{line}\r\n")).collect();
        let status = offer(&url, &without).status;
        assert!(matches!(status, 400 | 406 | 409), "without {:?}: {status}", lines[at]);
    }
    let layers =
        CHROMIUM.replacen("a=ssrc-group", "a=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l\r\na=ssrc-group", 1);
    let layers = layers.replace("sdes:rtp-stream-id", "no-such-extension");
    api.post(&format!("/streams/{}/stop", stream.id), &json!({})).expect(200);
    assert_eq!(offer(&url, &layers).status, 403, "the stream is not active");
    api.post(&format!("/streams/{}/start", stream.id), &json!({})).expect(200);
    wait_until("simulcast of unmarked packets is answered with words", SOON, || {
        let answer = offer(&url, &layers);
        answer.status == 201 && answer.header("weir-notice").contains("simulcast")
    });
    let events = api.get("/events?types=ingest_refused").expect(200).to_string();
    assert!(events.contains("whip") && !events.contains(&stream.stream_key), "{events}");
    assert_eq!(api.get("/system").expect(200)["version"], env!("CARGO_PKG_VERSION"));
}

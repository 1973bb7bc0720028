//! WHEP over HTTP: what a player asks and is told before any media goes. That media goes, and to browsers, web/tests/whep.test.ts shows.

use crate::common;

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{SOON, clip, weir};
use serde_json::json;
use weir_testkit::Weir;
use weir_testkit::publisher::Feed;

const OFFER: &str = include_str!("../../../webrtc/tests/offers/chromium.sdp");
pub(crate) const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// An answer: its status, its headers by their names in lower case, and its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

pub(crate) fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers.iter().flat_map(|(name, value)| ["-H".to_owned(), format!("{name}: {value}")]);
    let mut curl = Command::new("curl")
        .args(["--silent", "--include", "--max-time", "10", "-X", method, "--data-binary", "@-", "-H", "Content-Type:"])
        .args(headers)
        .arg(url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl starts");
    curl.stdin.take().expect("a pipe").write_all(body.as_bytes()).expect("curl reads the body");
    let output = curl.wait_with_output().expect("curl ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {url}: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.expect("a status"),
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        body: body.to_owned(),
    }
}

pub(crate) fn offer(url: &str, body: &str) -> Answer {
    ask("POST", url, &[("content-type", SDP)], body)
}

/// Asserts which changes a session takes whose far end offered the name "NmEc".
#[track_caller]
pub(crate) fn assert_changes_are_judged(session: &str, tag: &str) {
    let candidate = "a=candidate:1 1 udp 1 a.local 5 typ host\r\n";
    let ours = format!("a=ice-ufrag:NmEc\r\n{candidate}");
    for (headers, body, status) in [
        (&[("content-type", FRAGMENT)][..], ours.clone(), 204),
        (&[("content-type", FRAGMENT), ("if-match", tag)], ours.clone(), 204),
        (&[("content-type", FRAGMENT), ("if-match", "\"other\"")], ours.clone(), 412),
        (&[("content-type", FRAGMENT)], format!("a=ice-ufrag:other\r\n{candidate}"), 422),
        (&[("content-type", FRAGMENT)], format!("a=ice-ufrag:NmEc\r\na=ice-pwd:{}\r\n", "p".repeat(24)), 422),
        (&[("content-type", FRAGMENT)], candidate.to_owned(), 400),
        (&[("content-type", SDP)], ours.clone(), 415),
    ] {
        let changed = ask("PATCH", session, headers, &body);
        assert_eq!(changed.status, status, "{headers:?} {body}: {}", changed.body);
    }
}

pub(crate) fn started() -> Weir {
    weir()
        .set("webrtc.udp_listen", "127.0.0.1:0")
        .set("webrtc.tcp_listen", "127.0.0.1:0")
        .set("webrtc.ice_servers", "stun:stun.example:3478,turn:turn.example:3478 weir planted-password")
        .start()
}

#[test]
fn a_player_is_told_what_it_needs_and_its_session_ends_when_it_says_so() {
    let weir = started();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let url = format!("{}/whep/cam1", weir.http());
    assert_eq!(offer(&url, OFFER).status, 404, "not live");
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    api.wait_stream(&stream, "live", SOON);
    let read = api.get(&format!("/streams/{}", stream.id)).expect(200);
    assert_eq!((&read["play_urls"]["whep"], &read["webrtc"]), (&json!(url), &json!(true)));

    let answer = offer(&url, OFFER);
    assert_eq!((answer.status, answer.header("content-type")), (201, SDP), "{}", answer.body);
    assert!(answer.body.contains("a=ice-lite") && answer.body.contains(" typ host"), "{}", answer.body);
    assert!(answer.body.contains("opus/48000/2"), "AAC is made into Opus: {}", answer.body);
    assert_eq!(answer.header("weir-notice"), "");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-expose-headers").contains("Location"));
    // The second of two headers of a name is what the map keeps.
    assert!(answer.header("link").contains("rel=\"ice-server\"; username=\"weir\""), "{}", answer.header("link"));
    let viewers = || api.get(&format!("/streams/{}", stream.id)).expect(200)["status"]["viewers"]["webrtc"].clone();
    assert_eq!(viewers(), json!(1));
    let status = || api.get(&format!("/streams/{}", stream.id)).expect(200)["status"].clone();
    let is_told =
        |made: &serde_json::Value| made["reason"].as_str().is_some_and(|why| why.starts_with("the sound is aac"));
    weir_testkit::wait_until("it is told what is made", SOON, || is_told(&status()["webrtc"]["made"][0]));
    let runs = || status()["renditions"].as_array().is_some_and(|all| all.iter().any(|it| it["encoder"] == "opusenc"));
    weir_testkit::wait_until("it is made", SOON, runs);

    let session = format!("{}{}", weir.http(), answer.header("location"));
    assert_changes_are_judged(&session, answer.header("etag"));
    assert_eq!(ask("DELETE", &format!("{url}/0123"), &[], "").status, 404);
    assert_eq!(ask("DELETE", &session, &[], "").status, 200);
    weir_testkit::wait_until("the viewer is gone", SOON, || viewers() == json!(0));
    assert!(runs(), "it runs on for ten seconds");
    weir_testkit::wait_until("what was made is gone", SOON, || !runs() && status()["webrtc"]["made"] == json!([]));
    assert_eq!(ask("DELETE", &session, &[], "").status, 404);
    assert!(!weir.output().join("\n").contains("planted-password"), "a password is in the log");

    api.patch(&format!("/streams/{}", stream.id), &json!({ "webrtc": false })).expect(200);
    weir_testkit::wait_until("it is off", SOON, || offer(&url, OFFER).status == 404);
    assert!(api.get(&format!("/streams/{}", stream.id)).expect(200)["play_urls"]["whep"].is_null());
}

#[test]
fn what_no_player_would_ask_is_refused_with_words_and_nothing_dies() {
    let weir = started();
    let api = weir.api();
    let stream = api.create_stream_with("cam1", &json!({ "protected": true }));
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    api.wait_stream(&stream, "live", SOON);
    let made = api.post(&format!("/streams/{}/tokens", stream.id), &json!({ "expires_in_seconds": 600 })).expect(201);
    let token = made["token"].as_str().expect("a token");
    let bare = format!("{}/whep/cam1", weir.http());
    let url = format!("{bare}?token={token}");
    let bearer = format!("Bearer {token}");
    for (answer, status, words) in [
        (offer(&bare, OFFER), 403, "protected"),
        (offer(&format!("{bare}?token=x"), OFFER), 403, "protected"),
        (ask("POST", &bare, &[("content-type", SDP), ("authorization", &bearer)], OFFER), 201, "v=0"),
        (offer(&url, OFFER), 201, "v=0"),
        (offer(&format!("{url}&rendition=source"), OFFER), 201, "v=0"),
        (offer(&format!("{url}&rendition=720p"), OFFER), 404, "no such rendition"),
        (offer(&format!("{}/whep/cam2", weir.http()), OFFER), 404, "no such stream"),
        (ask("POST", &url, &[("content-type", "text/plain")], OFFER), 415, "application/sdp"),
        (ask("GET", &url, &[], ""), 405, ""),
        (offer(&url, ""), 400, "v=0"),
        (offer(&url, &"v=0\r\n".repeat(20_000)), 413, ""),
        (offer(&url, &OFFER.replace("H264", "VP8")), 406, "H.264"),
        (offer(&url, &OFFER.replace("a=mid:1", "a=mid:0")), 400, "mid"),
    ] {
        assert_eq!(answer.status, status, "{words}: {}", answer.body);
        assert!(answer.body.contains(words), "{status}: {}", answer.body);
    }
    let preflight =
        ask("OPTIONS", &bare, &[("origin", "https://example"), ("access-control-request-method", "POST")], "");
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, "*"));
    assert!(preflight.header("access-control-allow-methods").contains("PATCH"));
    // Every line left out, and every line cut short: some are still offers, none is a fault of ours.
    let lines: Vec<&str> = OFFER.lines().collect();
    for at in (0..lines.len()).step_by(3) {
        let without: String =
            lines.iter().enumerate().filter(|(line, _)| *line != at).map(|(_, line)| format!("{line}\r\n")).collect();
        let status = offer(&url, &without).status;
        assert!(matches!(status, 201 | 400 | 406), "without {:?}: {status}", lines[at]);
    }
    let events = api.get("/events?types=play_refused").expect(200).to_string();
    assert!(events.contains("webrtc") && !events.contains(token), "{events}");
    assert_eq!(api.get("/system").expect(200)["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_can_not_be_made_is_told() {
    let weir = weir()
        .set("webrtc.udp_listen", "127.0.0.1:0")
        .set("webrtc.tcp_listen", "")
        .env("WEIR_WORKER", "/nowhere/weir-worker")
        .start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    api.wait_stream(&stream, "live", SOON);
    let url = format!("{}/whep/cam1", weir.http());
    let answer = offer(&url, OFFER);
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert!(answer.body.contains("m=audio 0 "), "pictures come without sound: {}", answer.body);
    let notice = answer.header("weir-notice");
    assert!(notice.starts_with("no sound: the stream's is aac") && notice.contains("/nowhere/"), "{notice}");
}

#[test]
fn what_is_made_for_a_viewer_restarts_no_encoder() {
    let weir = started();
    let api = weir.api();
    // Its encoder is given no sound before a viewer needs some.
    let small = json!({ "name": "small", "audio": "source", "width": 160, "height": 90, "video_bitrate_kbps": 100 });
    let ladder = json!([{ "name": "source", "passthrough": true }, small]);
    let stream = api.create_stream_with("cam1", &json!({ "ladder": ladder }));
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    let renditions = || api.get(&format!("/streams/{}", stream.id)).expect(200)["status"]["renditions"].clone();
    let flows = |name: &str| {
        let is_live = |it: &serde_json::Value| {
            it["name"].as_str().is_some_and(|it| it.starts_with(name)) && it["state"] == "live"
        };
        renditions().as_array().is_some_and(|all| all.iter().any(is_live))
    };
    weir_testkit::wait_until("the rung flows", SOON, || flows("small"));
    let url = format!("{}/whep/cam1", weir.http());
    let answer = offer(&url, OFFER);
    assert!(answer.status == 201 && answer.body.contains("opus/48000/2"), "{}", answer.body);
    weir_testkit::wait_until("the sound is made", SOON, || flows("~source-opus") && flows("small"));
    assert_eq!(ask("DELETE", &format!("{}{}", weir.http(), answer.header("location")), &[], "").status, 200);
    let is_gone = || !renditions().to_string().contains("~source-opus");
    weir_testkit::wait_until("what was made is gone", Duration::from_secs(20), || is_gone() && flows("small"));
    let metrics = api.get("//metrics").body;
    assert!(
        metrics.as_str().unwrap_or_default().contains("weir_worker_starts_total{stream=\"cam1\"} 1\n"),
        "{metrics}"
    );
}

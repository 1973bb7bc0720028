//! Sources that the server fetches, from peers that are not ours: they are played, they come back by themselves, and what can't be
//! fetched says why.

use std::net::TcpListener;
use std::time::Duration;

use crate::common::{SOON, clip, weir};
use serde_json::{Value, json};
use weir_testkit::api::TestStream;
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::publisher::Feed;
use weir_testkit::{Api, Nginx, free_port, wait_until_some};

/// A source is tried again within 12 s, and its first picture may need two more.
const BACK: Duration = Duration::from_secs(30);

fn pulled(api: &Api, name: &str, uri: &str) -> TestStream {
    let body = json!({"name": name, "sources": [{"kind": "pull", "uri": uri}]});
    let made = api.post("/streams", &body).expect(201);
    let id = made["id"].as_i64().unwrap();
    TestStream { id, name: name.to_owned(), stream_key: String::new() }
}

/// Waits until the stream's source is in this state, for this reason.
#[track_caller]
fn wait_source(api: &Api, stream: &TestStream, state: &str, reason: Option<&str>, limit: Duration) -> Value {
    wait_until_some(&format!("{} is {state} {reason:?}", stream.name), limit, || {
        let status = api.stream_status(stream);
        let source = &status["sources"][0];
        (source["state"] == state && source["reason"]["code"].as_str() == reason).then_some(status)
    })
}

#[test]
fn rtmp_comes_back_after_the_peer_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let source = Clip { seconds: 10, ..Clip::default() }.make(&folder.path().join("source.flv"));
    let (weir, url) = (weir().start(), format!("rtmp://127.0.0.1:{}/app/key", free_port()));
    let api = weir.api();
    let serve = || ffmpeg::serve(&source, &["-listen", "1", "-f", "flv", &url]);
    let mut peer = serve();
    let stream = pulled(&api, "cam1", &url);
    let status = wait_source(&api, &stream, "live", None, BACK);
    assert_eq!(status["live"], true);
    assert_eq!((&status["ingest"]["protocol"], &status["ingest"]["remote"]), (&json!("pull"), &json!(url)));
    assert_eq!((&status["sources"][0]["on_air"], &status["sources"][0]["kind"]), (&json!(true), &json!("pull")));
    peer.kill();
    let status = wait_source(&api, &stream, "failing", Some("refused"), SOON);
    assert_eq!((&status["state"], &status["reason"]["fault"]), (&json!("failed"), &json!("source")));
    assert!(status["sources"][0]["next_retry_at"].is_string() || status["sources"][0]["attempt"].as_i64() > Some(1));
    let mut again = serve();
    wait_source(&api, &stream, "live", None, BACK);
    // Another address is fetched at once, and a stream that is stopped is not fetched.
    let nginx = Nginx::start("");
    let mut publisher = ffmpeg::publish_looped(&source, &nginx.url("cam"));
    let sources = json!({"sources": [{"kind": "pull", "uri": nginx.url("cam")}]});
    api.patch(&format!("/streams/{}", stream.id), &sources).expect(200);
    wait_until_some("it is fetched from nginx", BACK, || {
        let status = api.stream_status(&stream);
        (status["live"] == true && status["ingest"]["remote"] == nginx.url("cam")).then_some(())
    });
    api.post(&format!("/streams/{}/stop", stream.id), &Value::Null).expect(200);
    wait_until_some("nothing is fetched", SOON, || (api.stream_status(&stream)["state"] == "offline").then_some(()));
    publisher.kill();
    again.kill();
}

#[test]
fn another_weir_is_a_source_and_says_why_it_is_none() {
    let (weir, other) = (weir().start(), weir().start());
    let (api, other_api) = (weir.api(), other.api());
    let far = other_api.create_stream("far");
    let play = |name: &str| format!("rtmp://{}/play/{name}", other.rtmp_address());
    let stream = pulled(&api, "near", &play("far"));
    let missing = pulled(&api, "missing", &play("nobody"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = pulled(&api, "refused", &format!("rtmp://u:planted@{closed}/live/cam?t=planted"));
    wait_source(&api, &missing, "failing", Some("not_found"), SOON);
    let status = wait_source(&api, &refused, "failing", Some("refused"), SOON);
    assert!(!status.to_string().contains("planted"), "{status}");
    let unspoken = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = pulled(&api, "silent", &format!("rtmp://{}/live/cam", unspoken.local_addr().unwrap()));
    wait_source(&api, &silent, "failing", Some("timeout"), SOON + SOON);
    let feed = Feed::live(&other.rtmp_address(), &far.stream_key, &clip(400_000));
    wait_source(&api, &stream, "live", None, BACK);
    // A server that keeps its players when their source has gone is left after ten seconds.
    drop(feed);
    wait_source(&api, &stream, "failing", Some("stalled"), SOON + SOON);
    wait_source(&api, &stream, "failing", Some("not_found"), SOON + SOON);
    let _feed = Feed::live(&other.rtmp_address(), &far.stream_key, &clip(400_000));
    wait_source(&api, &stream, "live", None, BACK);
    let events = api.get("/events?limit=500").expect(200);
    assert!(!events.to_string().contains("planted"), "{events}");
}

#[test]
fn nothing_is_fetched_from_where_the_rules_forbid_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let weir = weir().set("egress.deny", "127.0.0.0/8").start();
    let api = weir.api();
    let port = listener.local_addr().unwrap().port();
    for (number, host) in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"].iter().enumerate() {
        let stream = pulled(&api, &format!("s{number}"), &format!("rtmp://{host}:{port}/live/cam"));
        let status = wait_source(&api, &stream, "failing", Some("not_permitted"), SOON);
        assert_eq!(status["reason"]["fault"], "config", "{host}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
}

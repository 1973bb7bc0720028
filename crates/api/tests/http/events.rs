//! Tests events over a real connection: following, resuming, and the end when the server drains.

use crate::common;

use common::Api;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use weir_model::EventKind;

async fn follow(address: std::net::SocketAddr, auth: &str, more: &str) -> TcpStream {
    ask(address, auth, "", more).await
}

async fn ask(address: std::net::SocketAddr, auth: &str, query: &str, more: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /api/v1/events/stream{query} HTTP/1.1\r\nhost: x\r\nauthorization: {auth}\r\n");
    let request = format!("{head}{more}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

/// Reads until the text holds `wanted`, and returns everything that was read so far.
async fn read_until(socket: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let read = socket.read(&mut buffer).await.unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

#[tokio::test]
async fn follow_resume_and_drain() {
    let api = Api::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let server = tokio::spawn(api.serve(listener, shutdown));

    let emit = |n: u64| api.context.observe.events().emit(EventKind::Scte35, weir_observe::fields([("n", n.into())]));
    let before = emit(0);
    let mut fresh = follow(address, &api.viewer, "").await;
    let head = read_until(&mut fresh, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
    let first = emit(1);
    let text = read_until(&mut fresh, "\"n\":1").await;
    assert!(text.contains(&format!("id: {first}")) && text.contains("event: scte35"), "{text}");
    assert!(!text.contains("\"n\":0"));

    let mut resumed = follow(address, &api.viewer, &format!("last-event-id: {before}\r\n")).await;
    let text = read_until(&mut resumed, "\"n\":1").await;
    assert!(!text.contains("\"n\":0"), "{text}");
    let mut wrong = follow(address, &api.viewer, "last-event-id: x\r\n").await;
    assert!(read_until(&mut wrong, "\r\n\r\n").await.starts_with("HTTP/1.1 400"));

    let list = api.get(&format!("/events?since={before}&limit=1")).await.json();
    assert_eq!((&list["items"][0]["type"], &list["items"][0]["n"]), (&json!("scte35"), &json!(1)));
    assert_eq!(list["items"][0]["id"], json!(first));
    assert_eq!(api.get("/events?limit=1").await.json()["next_cursor"], json!(before.to_string()));

    let newest = api.get("/events?newest_first=true&limit=1").await.json();
    assert_eq!((&newest["items"][0]["id"], &newest["next_cursor"]), (&json!(first), &json!(first.to_string())));
    let older = api.get(&format!("/events?newest_first=true&before={first}&limit=1")).await.json();
    assert_eq!(older["items"][0]["id"], json!(before));

    // Followers must not hold up the server's end.
    api.context.readiness.drain();
    stop.send(()).unwrap();
    drop(wrong);
    server.await.unwrap();
    let mut rest = Vec::new();
    fresh.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn refusals_come_to_those_who_name_them() {
    let api = Api::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(api.serve(listener, std::future::pending()));
    let mut usual = ask(address, &api.viewer, "", "").await;
    let mut named = ask(address, &api.viewer, "?types=ingest_refused", "").await;
    let mut both = ask(address, &api.viewer, "?types=*,ingest_refused", "").await;
    for socket in [&mut usual, &mut named, &mut both] {
        assert!(read_until(socket, "\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    }
    let observe = &api.context.observe;
    for port in [1, 2, 3] {
        let remote = std::net::SocketAddr::from(([192, 0, 2, 1], port));
        let (kind, code, message) = (weir_observe::RefusalKind::Publish, "denied", "unknown stream key");
        observe.refused(&weir_observe::RefusalReport {
            kind,
            protocol: "rtmp",
            remote,
            network: remote.ip(),
            code,
            message,
        });
    }
    observe.events().emit(EventKind::Scte35, weir_observe::fields([("n", 1.into())]));
    assert!(!read_until(&mut usual, "event: scte35").await.contains("ingest_refused"));
    let text = read_until(&mut both, "event: scte35").await;
    assert_eq!(text.matches("event: ingest_refused").count(), 1, "three of one address are one event: {text}");
    assert!(!read_until(&mut named, "event: ingest_refused").await.contains("event: scte35"));
    let list = api.get("/events").await.json();
    let types: Vec<_> = list["items"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(types, [json!("ingest_refused"), json!("scte35")]);
    let mut wrong = ask(address, &api.viewer, "?types=a,,b", "").await;
    assert!(read_until(&mut wrong, "\r\n\r\n").await.starts_with("HTTP/1.1 422"));
    server.abort();
}

#[tokio::test]
async fn headers_have_a_limit() {
    let api = Api::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(api.serve(listener, std::future::pending()));
    let long = format!("x-long: {}\r\n", "x".repeat(2 * weir_origin::MAX_HEADER_BYTES));
    let mut socket = follow(address, &api.viewer, &long).await;
    let text = read_until(&mut socket, "\r\n").await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
    server.abort();
}

/// Changes everything that can be changed: each change is told once, with the names of what changed and never with its values.
#[tokio::test]
async fn changes_of_configuration_are_told_with_who_made_them() {
    let api = Api::start().await;
    let made = async |path: &str, body: Value| {
        let answer = api.post(path, body).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text);
        format!("{path}/{}", answer.json()["id"])
    };
    let patched = async |path: &str, body: Value| {
        let answer = api.patch(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    };
    let source = json!([{"name": "source", "passthrough": true}]);
    let stream = made("/streams", json!({"name": "cam1", "srt_passphrase": "planted-passphrase"})).await;
    patched(&stream, json!({"name": "cam2", "protected": true, "srt_passphrase": "planted-second"})).await;
    patched(&stream, json!({"protected": true})).await;
    let stop = api.call("POST", &format!("{stream}/stop"), None, &[("authorization", &api.operator)]).await;
    assert_eq!(stop.status, 200);
    for action in ["rotate-key", "tokens", "tokens/revoke"] {
        assert!(api.post(&format!("{stream}/{action}"), json!({})).await.status.is_success(), "{action}");
    }
    let destination = made("/destinations", json!({"name": "d", "url": "rtmp://h/app"})).await;
    patched(&destination, json!({"url": "rtmp://h/planted"})).await;
    let restream = json!({"name": "r", "stream_id": 1, "destination_id": 1, "stream_key": "planted-key"});
    let restream = made("/restreams", restream).await;
    patched(&restream, json!({"stream_key": "planted-other", "client_user_id": 7})).await;
    assert_eq!(api.post(&format!("{restream}/start"), json!({})).await.status, 200);
    let ladder = made("/ladders", json!({"name": "mine", "renditions": source})).await;
    patched(&ladder, json!({"title": "Mine"})).await;
    let user = made("/users", json!({"name": "eve", "password": "planted password", "role": "viewer"})).await;
    patched(&user, json!({"password": "planted another", "role": "operator"})).await;
    let key = made("/apikeys", json!({"name": "ci", "role": "viewer"})).await;
    patched(&key, json!({"role": "operator"})).await;
    let webhook = made("/webhooks", json!({"url": "https://user:planted@h/planted"})).await;
    for path in [webhook, key, user, ladder, stream, destination] {
        assert_eq!(api.delete(&path).await.status, 204, "{path}");
    }

    let events = api.get("/events?limit=500").await;
    assert!(!events.text.contains("planted"), "{}", events.text);
    let events = events.json();
    let told: Vec<(&str, &str, Value)> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["type"].as_str().unwrap(), event["name"].as_str().unwrap(), event["changed"].clone()))
        .collect();
    let nothing = || Value::Null;
    let expected = [
        ("stream_created", "cam1", nothing()),
        ("stream_changed", "cam2", json!(["name", "protected", "srt_passphrase"])),
        ("stream_changed", "cam2", json!(["active"])),
        ("stream_key_rotated", "cam2", nothing()),
        ("play_token_issued", "cam2", nothing()),
        ("play_tokens_revoked", "cam2", nothing()),
        ("destination_created", "d", nothing()),
        ("destination_changed", "d", json!(["url"])),
        ("restream_created", "r", nothing()),
        ("restream_changed", "r", json!(["client_user_id", "stream_key"])),
        ("restream_changed", "r", json!(["active"])),
        ("ladder_created", "mine", nothing()),
        ("ladder_changed", "mine", json!(["title"])),
        ("user_created", "eve", nothing()),
        ("user_changed", "eve", json!(["role", "password"])),
        ("apikey_created", "ci", nothing()),
        ("apikey_changed", "ci", json!(["role"])),
        ("webhook_created", "https://h/…", nothing()),
        ("webhook_deleted", "https://h/…", nothing()),
        ("apikey_deleted", "ci", nothing()),
        ("user_deleted", "eve", nothing()),
        ("ladder_deleted", "mine", nothing()),
        ("restream_deleted", "r", nothing()),
        ("stream_deleted", "cam2", nothing()),
        ("destination_deleted", "d", nothing()),
    ];
    assert_eq!(told, expected);
    for event in events["items"].as_array().unwrap() {
        let by = if event["changed"] == json!(["active"]) && event["type"] == "stream_changed" {
            "operator"
        } else {
            "admin"
        };
        assert_eq!(event["by"], format!("apikey:{by}"), "{event}");
        let noun = event["type"].as_str().unwrap().split('_').next().unwrap();
        let noun = if noun == "play" { "stream" } else { noun };
        assert!(event[format!("{noun}_id")].is_i64(), "{event}");
    }
}

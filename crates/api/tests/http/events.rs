//! Events over a real connection: follow, resume, and end when the server drains.

use crate::common;

use common::Api;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

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

/// Reads until the text holds `wanted`; everything read so far.
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

    let emit = |n: u64| api.context.observe.events().emit("test", weir_observe::fields([("n", n.into())]));
    let before = emit(0);
    let mut fresh = follow(address, &api.viewer, "").await;
    let head = read_until(&mut fresh, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
    let first = emit(1);
    let text = read_until(&mut fresh, "\"n\":1").await;
    assert!(text.contains(&format!("id: {first}")) && text.contains("event: test"), "{text}");
    assert!(!text.contains("\"n\":0"));

    let mut resumed = follow(address, &api.viewer, &format!("last-event-id: {before}\r\n")).await;
    let text = read_until(&mut resumed, "\"n\":1").await;
    assert!(!text.contains("\"n\":0"), "{text}");
    let mut wrong = follow(address, &api.viewer, "last-event-id: x\r\n").await;
    assert!(read_until(&mut wrong, "\r\n\r\n").await.starts_with("HTTP/1.1 400"));

    let list = api.get(&format!("/events?since={before}&limit=1")).await.json();
    assert_eq!((&list["items"][0]["type"], &list["items"][0]["n"]), (&json!("test"), &json!(1)));
    assert_eq!(list["items"][0]["id"], json!(first));
    assert_eq!(api.get("/events?limit=1").await.json()["next_cursor"], json!(before.to_string()));

    let newest = api.get("/events?newest_first=true&limit=1").await.json();
    assert_eq!((&newest["items"][0]["id"], &newest["next_cursor"]), (&json!(first), &json!(first.to_string())));
    let older = api.get(&format!("/events?newest_first=true&before={first}&limit=1")).await.json();
    assert_eq!(older["items"][0]["id"], json!(before));

    // Followers must not hold up the end.
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
        observe.refused(&weir_observe::Refusal { kind, protocol: "rtmp", remote, network: remote.ip(), code, message });
    }
    observe.events().emit("test", weir_observe::fields([("n", 1.into())]));
    assert!(!read_until(&mut usual, "event: test").await.contains("ingest_refused"));
    let text = read_until(&mut both, "event: test").await;
    assert_eq!(text.matches("event: ingest_refused").count(), 1, "three of one address are one event: {text}");
    assert!(!read_until(&mut named, "event: ingest_refused").await.contains("event: test"));
    let list = api.get("/events").await.json();
    let types: Vec<_> = list["items"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(types, [json!("ingest_refused"), json!("test")]);
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
    let long = format!("x-long: {}\r\n", "x".repeat(2 * weir_api::MAX_HEADER_BYTES));
    let mut socket = follow(address, &api.viewer, &long).await;
    let text = read_until(&mut socket, "\r\n").await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
    server.abort();
}

//! Tests webhooks: events are told in order, signed, and told again after a failure, and secrets are kept.

use crate::common;

use common::Api;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_api::WebhookCaller;
use weir_model::EventKind;
use weir_net::{Dialer, Egress};

/// Takes one request, answers it with this status, and returns its text.
async fn answer(listener: &TcpListener, status: &str) -> String {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.ends_with('}') {
        let read = socket.read(&mut buffer).await.unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    socket.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.unwrap();
    text
}

fn event_of(request: &str) -> Value {
    serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

fn caller(egress: Egress) -> WebhookCaller {
    WebhookCaller::new(Dialer::default().within(egress))
}

fn run(api: &Api, caller: WebhookCaller, stop: &CancellationToken) -> impl Future<Output = ()> + Send + use<> {
    let heartbeat = api.context.observe.heartbeats().join("webhooks");
    api.context.webhooks.clone().run(api.context.clone(), caller, stop.clone(), heartbeat)
}

#[tokio::test]
async fn told_in_order_signed_and_again_after_a_failure() {
    let api = Api::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/planted-token?x=1", listener.local_addr().unwrap());
    let telling = tokio::spawn(run(&api, caller(Egress::default()), &CancellationToken::new()));
    let made = api.post("/webhooks", json!({"url": url, "secret": "planted-secret", "types": ["stream_state"]})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let emit = |kind, n: u64| api.context.observe.events().emit(kind, weir_observe::fields([("n", n.into())]));
    // The webhook is told events only once its task runs, so they are emitted until one is heard.
    let first = loop {
        emit(EventKind::StreamState, 1);
        emit(EventKind::Scte35, 9);
        let heard = tokio::time::timeout(std::time::Duration::from_millis(50), answer(&listener, "500 No")).await;
        if let Ok(heard) = heard {
            break heard;
        }
    };
    assert!(first.starts_with("POST /hook/planted-token?x=1 HTTP/1.1"), "{first}");
    assert!(first.contains("Weir-Timestamp: ") && first.contains("Weir-Signature: v1="), "{first}");
    let status = api.get("/webhooks").await.json()["items"][0]["status"].clone();
    assert!(status["failed_attempts"].as_u64() <= Some(1), "{status}");
    let second = answer(&listener, "204 No Content").await;
    assert_eq!(event_of(&first)["id"], event_of(&second)["id"], "the same again");
    emit(EventKind::StreamState, 2);
    let mut last = event_of(&second);
    while last["n"] != 2 {
        let next = event_of(&answer(&listener, "200 OK").await);
        assert_eq!(next["type"], "stream_state");
        assert!(next["id"].as_u64() > last["id"].as_u64(), "in order");
        last = next;
    }
    let listed = api.get("/webhooks").await;
    assert!(!listed.text.contains("planted"), "{}", listed.text);
    let audit = api.get("/audit").await;
    assert!(!audit.text.contains("planted"));

    assert_eq!(api.delete("/webhooks/1").await.status, 204);
    assert_eq!(api.delete("/webhooks/1").await.status, 404);
    telling.abort();
}

#[tokio::test]
async fn what_can_not_be_is_refused() {
    let api = Api::start().await;
    for (body, field) in [
        (json!({"url": "ftp://h"}), "url"),
        (json!({"url": "http://h", "types": []}), "types"),
        (json!({"url": "http://h", "types": ["stream_state", "planted"]}), "types[1]"),
        (json!({"url": "http://h", "secret": ""}), "secret"),
        (json!({}), "url"),
    ] {
        let refused = api.post("/webhooks", body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.json()["field"].clone()), (422, json!(field)), "{body}");
    }
    let telling =
        tokio::spawn(run(&api, caller(Egress::new(["127.0.0.0/8".parse().unwrap()], [])), &CancellationToken::new()));
    api.post("/webhooks", json!({"url": "http://127.0.0.1:9/"})).await;
    let failure = loop {
        api.context.observe.events().emit(EventKind::Scte35, serde_json::Map::new());
        let status = api.get("/webhooks").await.json()["items"][0]["status"].clone();
        if let Some(failure) = status["failure"].as_str() {
            break failure.to_owned();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(failure, "the address is not allowed by the egress rules");
    telling.abort();
}

#[tokio::test]
async fn at_the_end_what_has_happened_is_told_once_and_in_order() {
    let api = Api::start().await;
    let (takes, refuses) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    for listener in [&takes, &refuses] {
        let url = format!("http://{}/", listener.local_addr().unwrap());
        assert_eq!(api.post("/webhooks", json!({"url": url, "types": ["stream_state"]})).await.status, 201);
    }
    let emit =
        |n: u64| api.context.observe.events().emit(EventKind::StreamState, weir_observe::fields([("n", n.into())]));
    for n in 0..3 {
        emit(n);
    }
    let stop = CancellationToken::new();
    let telling = tokio::spawn(run(&api, caller(Egress::default()), &stop));
    let first = answer(&takes, "200 OK").await;
    let refused = answer(&refuses, "500 No").await;
    stop.cancel();
    let told = [event_of(&first), event_of(&answer(&takes, "200 OK").await), event_of(&answer(&takes, "200 OK").await)];
    assert_eq!(told.map(|event| event["n"].clone()), [json!(0), json!(1), json!(2)]);
    assert_eq!(event_of(&refused)["n"], 0);
    // The webhook that refuses is not waited for: its next try would be in a second.
    telling.await.unwrap();
}

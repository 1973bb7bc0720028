//! Strangers who are refused, as often and as fast as they like: they are told of sparingly, counted in full, and push out nothing.

use crate::common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{SOON, clip, weir};
use serde_json::{Value, json};
use weir_rtmp::wire::Value as Amf;
use weir_testkit::publisher::{Feed, Opening};
use weir_testkit::{Api, Publisher, Weir, wait_until};

/// Takes what webhooks are sent.
#[derive(Clone, Debug)]
struct Hook {
    url: String,
    types: Arc<Mutex<Vec<String>>>,
}

impl Hook {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hook = Self { url: format!("http://{}/", listener.local_addr().unwrap()), types: Arc::default() };
        let types = Arc::clone(&hook.types);
        thread::spawn(move || {
            for mut socket in listener.incoming().map_while(Result::ok) {
                let (mut text, mut buffer) = (String::new(), [0; 4096]);
                while !text.ends_with('}') {
                    match socket.read(&mut buffer) {
                        Ok(read @ 1..) => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
                        _ => break,
                    }
                }
                let event: Value =
                    text.split("\r\n\r\n").nth(1).and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
                types.lock().unwrap().push(event["type"].as_str().unwrap_or_default().to_owned());
                let _ = socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            }
        });
        hook
    }

    fn heard(&self, kind: &str) -> usize {
        self.types.lock().unwrap().iter().filter(|heard| *heard == kind).count()
    }
}

fn metric(api: &Api, name: &str) -> u64 {
    let metrics = api.get("//metrics").expect(200);
    let text = metrics.as_str().unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    value.unwrap_or_else(|| panic!("there is no metric {name}")) as u64
}

/// Makes so many publishes, each on a connection of its own; `key` gives the key of each.
fn flood(weir: &Weir, count: usize, key: impl Fn(usize) -> String + Sync) {
    let address = weir.rtmp_address();
    thread::scope(|scope| {
        for worker in 0..8 {
            let (address, key) = (&address, &key);
            scope.spawn(move || {
                for n in (worker..count).step_by(8) {
                    assert!(Publisher::publish(address, "live", &key(n)).is_err());
                }
            });
        }
    });
}

/// Makes as many publishes on one connection, without waiting for an answer.
fn flood_on_one_connection(weir: &Weir, count: usize) {
    let mut opening = Opening::handshake(&weir.rtmp_address()).unwrap();
    let app = Amf::Object(vec![("app".to_owned(), Amf::String("live".to_owned()))]);
    let text = |text: &str| Amf::String(text.to_owned());
    opening.command(0, &[text("connect"), Amf::Number(1.0), app]).unwrap();
    for n in 0..count {
        let id = u32::try_from(n % 16 + 1).unwrap();
        let asked = opening
            .command(0, &[text("createStream"), Amf::Number(2.0), Amf::Null])
            .and_then(|()| opening.command(id, &[text("publish"), Amf::Number(0.0), Amf::Null, text("no-such-key")]));
        // The connection is closed after the first.
        if asked.is_err() {
            return;
        }
    }
}

fn refuse_so_many(count: usize) {
    let weir = weir().start();
    let api = weir.api();
    let (usual, asking) = (Hook::open(), Hook::open());
    api.post("/webhooks", &json!({ "url": usual.url })).expect(201);
    api.post("/webhooks", &json!({ "url": asking.url, "types": ["ingest_refused"] })).expect(201);
    let events = api.events(None);
    let (first, second) = (api.create_stream("cam1"), api.create_stream("cam2"));
    let feed = Feed::live(&weir.rtmp_address(), &first.stream_key, &clip(200_000));
    let live = |stream: i64| {
        move |event: &weir_testkit::events::Event| {
            event.kind == "stream_state" && event.data["stream_id"] == stream && event.data["to"] == "live"
        }
    };
    events.wait_for("the first stream is live", SOON, live(first.id));
    let log_before: usize = weir.output().iter().map(String::len).sum();
    let began = Instant::now();

    flood_on_one_connection(&weir, count);
    flood(&weir, count, |_| "no-such-key".to_owned());
    assert!(metric(&api, "weir_ingest_refused_total ") > count as u64, "every refusal is counted");
    // What matters reaches followers and webhooks at once, though it comes right behind.
    let (planted, heard) = (Instant::now(), usual.heard("stream_state"));
    let second_feed = Feed::live(&weir.rtmp_address(), &second.stream_key, &clip(200_000));
    events.wait_for("the second stream is live", Duration::from_secs(2), live(second.id));
    wait_until("the webhook was told", Duration::from_secs(2), || usual.heard("stream_state") > heard);
    println!("told {:?} after it was published", planted.elapsed());

    // A guesser tries another key each time. Whoever published from this address before goes on; others wait with the guesser.
    flood(&weir, count, |n| format!("guess-{n}"));
    drop(second_feed);
    wait_until("the second publisher is gone", SOON, || {
        Publisher::publish(&weir.rtmp_address(), "live", &second.stream_key).is_ok()
    });
    let third = api.create_stream("cam3");
    assert!(Publisher::publish(&weir.rtmp_address(), "live", &third.stream_key).is_err(), "this address has to wait");
    wait_until("the address may try again", Duration::from_secs(70), || {
        Publisher::publish(&weir.rtmp_address(), "live", &third.stream_key).is_ok()
    });
    feed.stop();

    // One line is told at once and one every ten seconds, for each of three reasons.
    let told_max = 3 + 3 * usize::try_from(began.elapsed().as_secs() / 10 + 1).unwrap();
    let listed = api.get("/events?limit=500&newest_first=true").expect(200);
    let listed = listed["items"].as_array().unwrap().iter().filter(|event| event["type"] == "ingest_refused").count();
    assert!((2..=told_max).contains(&listed), "{listed} events of refusals in {:?}", began.elapsed());
    assert!(events.all().iter().all(|event| event.kind != "ingest_refused"), "who follows did not ask for refusals");
    assert_eq!(usual.heard("ingest_refused"), 0, "nor did this webhook");
    wait_until("the other webhook was told", SOON, || asking.heard("ingest_refused") >= 2);
    assert!(asking.heard("ingest_refused") <= told_max);
    let log_bytes: usize = weir.output().iter().map(String::len).sum::<usize>() - log_before;
    println!("{} refusals: {log_bytes} bytes of log, {listed} events, {:?}", 2 * count, began.elapsed());
    assert!(log_bytes < 50_000, "{log_bytes} bytes of log");
}

#[test]
fn refused_publishes_fill_neither_events_nor_the_log_nor_webhooks() {
    refuse_so_many(200);
}

#[test]
#[ignore = "long: make test-long"]
fn ten_thousand_refused_publishes_fill_neither_events_nor_the_log_nor_webhooks() {
    refuse_so_many(10_000);
}

#[test]
fn who_guesses_api_keys_waits_and_known_keys_go_on() {
    let weir = weir().start();
    let api = weir.api();
    api.get("/streams").expect(200);
    let answers: Vec<u16> = (0..40).map(|n| api.with_key(&format!("guess-{n}")).get("/streams").status).collect();
    assert!(answers[..20].iter().all(|status| *status == 401), "{answers:?}");
    assert!(answers.contains(&429), "{answers:?}");
    api.get("/streams").expect(200);
    assert!(metric(&api, "weir_api_keys_refused_total ") >= 40);
    let listed = api.get("/events?limit=500").expect(200);
    let listed = listed["items"].as_array().unwrap().iter().filter(|event| event["type"] == "api_key_refused").count();
    assert!((1..=4).contains(&listed), "{listed} events");
}

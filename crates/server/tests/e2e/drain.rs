//! The end: whatever viewers do, publishers and destinations are told, recordings are whole, and it is over within its time.

use crate::common;

use std::io::{Read as _, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{SOON, clip, weir, weir_with_tls};
use serde_json::json;
use weir_testkit::http2::{HEADERS, Http2};
use weir_testkit::nginx::free_port;
use weir_testkit::publisher::Feed;
use weir_testkit::{Destination, Publisher, Weir, ffmpeg, wait_until};

/// The contract allows this time from SIGTERM to the end, whatever hangs.
const DRAIN_MAX: Duration = Duration::from_secs(8);

/// More bytes than the kernel takes for a client that reads nothing.
const KERNEL_BYTES: usize = 16 << 20;

/// So many answers, none of which is read, are more than the kernel's buffers hold.
const PIPELINED: usize = 200;

fn connect(url: &str) -> TcpStream {
    let address = url.split("://").nth(1).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    // A write into a full connection must not be waited for.
    socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    socket
}

/// An HTTP/1.1 client that asks for much and reads nothing.
fn stalled_http1(weir: &Weir) -> TcpStream {
    let mut socket = connect(&weir.http());
    let request = "GET /api/v1/openapi.json HTTP/1.1\r\nHost: weir\r\n\r\n";
    socket.write_all(request.repeat(PIPELINED).as_bytes()).unwrap();
    // It waits until nothing more comes: then the server has an answer under way that it can't get rid of.
    let (mut buffer, mut waiting, mut since) = (vec![0; KERNEL_BYTES], 0, Instant::now());
    wait_until("the answers are stuck", SOON, || {
        let now_waiting = socket.peek(&mut buffer).unwrap();
        if now_waiting != waiting {
            (waiting, since) = (now_waiting, Instant::now());
        }
        since.elapsed() > Duration::from_millis(500)
    });
    socket
}

/// A follower of the events that reads the head of the answer and nothing more.
fn silent_follower(weir: &Weir, path: &str) -> TcpStream {
    let mut socket = connect(&weir.http());
    let key = weir_testkit::process::ADMIN_API_KEY;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: weir\r\nAuthorization: apikey {key}\r\n\r\n").unwrap();
    let mut head = [0; 15];
    socket.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    socket
}

/// An HTTP/2 client that asks for much and gives the answers no room at all.
fn stalled_http2(https_port: u16) -> Http2 {
    let mut client = Http2::connect(&format!("127.0.0.1:{https_port}"), 0).unwrap();
    for _ in 0..3 {
        client.get("/api/v1/openapi.json", &[]).unwrap();
    }
    let frames = client.listen(Duration::from_millis(300));
    assert!(frames.iter().any(|frame| frame.kind == HEADERS), "the answers have begun: {frames:?}");
    client
}

#[test]
fn sigterm_beside_stalled_viewers_loses_nothing() {
    let https_port = free_port();
    let mut weir = weir_with_tls()
        .set("https.listen", &format!("127.0.0.1:{https_port}"))
        .set("recording.min_free_mb", "0")
        .start();
    let api = weir.api();
    let (stream, other) = (api.create_stream("cam1"), api.create_stream("cam2"));
    api.patch(&format!("/streams/{}", stream.id), &json!({ "record": true })).expect(200);
    let destination = Destination::new();
    let pushed = api.create_restream(&stream, "push", &destination.url("key"));
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    let publisher = Publisher::publish(&weir.rtmp_address(), "live", &other.stream_key).unwrap();
    api.wait_restream(pushed, "streaming", SOON);
    let recordings = format!("/streams/{}/recordings", stream.id);
    wait_until("some seconds are recorded", SOON, || {
        api.get(&recordings).expect(200)["items"][0]["bytes"].as_u64().unwrap_or(0) > 60_000
    });

    let _stalled = (stalled_http1(&weir), stalled_http2(https_port));
    let _followers = ["/api/v1/events/stream", "/api/v1/live"].map(|path| silent_follower(&weir, path));
    // These are half a request, half a TLS hello, and half an RTMP handshake.
    let mut half = connect(&weir.http());
    half.write_all(b"GET / HT").unwrap();
    let halves = [connect(&format!("https://127.0.0.1:{https_port}")), connect(&weir.rtmp()), connect(&weir.rtmps())];
    for mut half in &halves {
        half.write_all(&[3, 1]).unwrap();
    }
    let took = weir.stop(DRAIN_MAX);
    println!("drained in {took:?} beside stalled viewers");
    assert!(weir.child().wait_ended(SOON).success(), "a drain is no failure");

    assert!(destination.pushes()[0].unpublished, "the destination was told");
    wait_until("the publisher was told", SOON, || publisher.is_closed());
    let said = publisher.statuses();
    assert!(said.iter().any(|status| status.description.contains("the server is stopping")), "{said:?}");
    let wal = weir.data().join("weir.db-wal");
    assert!(std::fs::metadata(&wal).map_or(0, |found| found.len()) == 0, "the write-ahead log is folded");
    // The file was closed by the drain and not repaired by the next start: its name says how long it is.
    let folder = weir.data().join("recordings").join(stream.id.to_string());
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() == 1 && files[0].to_string_lossy().ends_with("ms.mp4"), "{files:?}");
    assert_eq!(ffmpeg::decode_errors(&files[0]), "");

    let weir = weir.kill_and_restart();
    let listed = weir.api().get(&recordings).expect(200)["items"][0].clone();
    assert_eq!(listed["recording"], json!(false), "{listed}");
    assert!(listed["duration_seconds"].as_f64().unwrap() > 1.0, "{listed}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut weir = weir().start();
    let _stalled = stalled_http1(&weir);
    weir.child().terminate();
    weir.wait_logged("draining", SOON);
    weir.child().interrupt();
    let status = weir.child().wait_ended(Duration::from_secs(2));
    assert_eq!(status.code(), Some(1), "it did not end as it should");
    weir.wait_logged("SIGINT while the server was stopping: it ends at once", SOON);
}

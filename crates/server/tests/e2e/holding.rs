//! Clients that hold on to connections and answers: each of them meets its limit, and takes nobody else's place.

use crate::common;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{SOON, clip, weir, weir_with_tls};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use weir_testkit::http2::{GOAWAY, PREFACE, RST_STREAM, whole_beginning};
use weir_testkit::nginx::free_port;
use weir_testkit::publisher::Feed;
use weir_testkit::tls::{client_hello, tls};
use weir_testkit::{Destination, Http2, Publisher, Weir, wait_until};

/// One connection may have this many streams.
const STREAMS: usize = 64;

/// A large answer that everybody may ask for.
const LARGE: &str = "/api/v1/openapi.json";

/// Opens connections that ask for 64 large answers each and take nothing of them, though they answer every ping. Returns how long it took
/// until all were ended, and how much the server had grown meanwhile.
fn hold(weir: &Weir, https: &str, connections: usize, window: u32, limit: Duration) -> (Duration, u64) {
    let before = weir.stats().rss_bytes;
    let start = Instant::now();
    let mut held: Vec<Http2> = (0..connections)
        .map(|_| {
            let mut connection = Http2::connect(https, window).unwrap();
            for _ in 0..STREAMS {
                connection.get(LARGE, &[]).unwrap();
            }
            connection
        })
        .collect();
    let (mut grown, mut resets, mut goodbyes) = (0, 0, 0);
    while held.iter().any(|connection| !connection.is_closed()) {
        assert!(start.elapsed() < limit, "connections that take nothing are held after {limit:?}");
        for connection in &mut held {
            let frames = connection.listen(Duration::from_millis(20));
            resets += frames.iter().filter(|frame| frame.kind == RST_STREAM).count();
            goodbyes += frames.iter().filter(|frame| frame.kind == GOAWAY).count();
        }
        grown = grown.max(weir.stats().rss_bytes.saturating_sub(before));
    }
    println!(
        "{connections} connections of {STREAMS} streams, window {window}: gone after {:?}, {grown} bytes more",
        start.elapsed()
    );
    assert!(resets + goodbyes >= connections, "each hears why: {resets} {goodbyes}");
    (start.elapsed(), grown)
}

fn with_https() -> (weir_testkit::WeirOptions, String) {
    let https = format!("127.0.0.1:{}", free_port());
    (weir_with_tls().set("https.listen", &https), https)
}

/// Nothing of an answer is copied for those who ask for it: a stream costs its bookkeeping, and a connection its TLS.
const BYTES_PER_CONNECTION: u64 = 1_000_000;

#[test]
fn answers_that_nobody_takes_end_with_their_connection() {
    let (options, https) = with_https();
    let weir = options.set("http.stall_seconds", "2").start();
    // A client that reads is served meanwhile.
    let mut reader = Http2::connect(&https, 65_535).unwrap();
    for window in [0, 1_000] {
        let (_, grown) = hold(&weir, &https, 5, window, Duration::from_secs(10));
        assert!(grown < 5 * BYTES_PER_CONNECTION + 5_000_000, "{grown} bytes");
    }
    let stream = reader.get("/healthz", &[]).unwrap();
    let frames = reader.listen(Duration::from_secs(1));
    let body = frames.iter().find(|frame| frame.stream == stream && frame.payload == b"{\"ok\":true}");
    assert!(body.is_some(), "{frames:?}");
    weir.wait_logged("an HTTP client that did not read was cut off", SOON);
}

#[test]
#[ignore = "long: make test-long"]
fn answers_that_nobody_takes_end_within_90_s() {
    let (options, https) = with_https();
    let weir = options.start();
    let (took, grown) = hold(&weir, &https, 40, 0, Duration::from_secs(90));
    assert!(took > Duration::from_secs(50), "whoever is slow is not whoever is gone: {took:?}");
    assert!(grown < 40 * BYTES_PER_CONNECTION, "{grown} bytes");
}

/// An answer that is paused ends alone: the others of its connection go on.
#[test]
fn one_answer_that_is_not_taken_ends_alone() {
    let (options, https) = with_https();
    let weir = options.set("http.stall_seconds", "2").start();
    let mut connection = Http2::connect(&https, 65_535).unwrap();
    // There is room for all together.
    connection.give_window(0, 1 << 20).unwrap();
    let paused = connection.get(LARGE, &[]).unwrap();
    let mut reset = false;
    let start = Instant::now();
    while !reset && start.elapsed() < Duration::from_secs(10) {
        connection.get("/healthz", &[]).unwrap();
        let frames = connection.listen(Duration::from_millis(300));
        reset |= frames.iter().any(|frame| frame.kind == RST_STREAM && frame.stream == paused);
    }
    assert!(reset && !connection.is_closed());
    let stream = connection.get("/healthz", &[]).unwrap();
    assert!(connection.listen(Duration::from_secs(1)).iter().any(|frame| frame.stream == stream));
    drop(weir);
}

/// Whether the server has closed it; what it says before is ignored.
fn is_closed(socket: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Opens a connection for each beginning, and waits until the server has closed all of them.
fn all_end(what: &str, sockets: Vec<TcpStream>, limit: Duration) {
    let mut open = sockets;
    for socket in &mut open {
        socket.set_nonblocking(true).unwrap();
    }
    let count = open.len();
    let took = wait_until(&format!("all beginnings of {what} ended"), limit, || {
        open.retain_mut(|socket| !is_closed(socket));
        open.is_empty()
    });
    println!("{count} beginnings of {what} ended within {took:?}");
}

fn beginnings(weir: &Weir, https: &str, every: usize, limit: Duration) {
    let plain = |bytes: &[u8]| {
        let mut socket = TcpStream::connect(weir.http().replace("http://", "")).unwrap();
        socket.write_all(bytes).unwrap();
        socket
    };
    let begun = |whole: &[u8]| (0..whole.len()).step_by(every).map(|length| plain(&whole[..length])).collect();
    let player = b"GET /play/cam1/source/video.m3u8 HTTP/1.1\r\nHost: a\r\n\r\n";
    all_end("a player's request", begun(player), limit);
    all_end("another request", begun(b"POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"), limit);
    all_end("HTTP/2 in the clear", begun(PREFACE), limit);

    let hello = client_hello(&[b"h2"]);
    let hellos = (0..hello.len()).step_by(every).map(|length| {
        let mut socket = TcpStream::connect(https).unwrap();
        socket.write_all(&hello[..length]).unwrap();
        socket
    });
    all_end("a TLS hello", hellos.collect(), limit);

    let whole = whole_beginning("/healthz");
    let prefaces = (0..whole.len()).step_by(every).map(|length| {
        let mut socket = tls(TcpStream::connect(https).unwrap(), &[b"h2"]);
        socket.write_all(&whole[..length]).unwrap();
        socket.conn.complete_io(&mut socket.sock).unwrap();
        socket.sock
    });
    all_end("HTTP/2", prefaces.collect(), limit);
}

#[test]
fn every_beginning_ends_in_its_limit() {
    let (options, https) = with_https();
    let weir = options.set("http.head_seconds", "1").start();
    beginnings(&weir, &https, 9, Duration::from_secs(6));
    let answer = weir.api().get("//healthz");
    assert_eq!(answer.status, 200);
}

#[test]
#[ignore = "long: make test-long"]
fn every_prefix_ends_in_its_limit() {
    let (options, https) = with_https();
    let weir = options.start();
    beginnings(&weir, &https, 1, Duration::from_secs(75));
}

#[test]
fn http2_in_the_clear_is_refused_in_words() {
    let weir = weir().start();
    let mut socket = TcpStream::connect(weir.http().replace("http://", "")).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.write_all(PREFACE).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 505 ") && answer.contains("over TLS only"), "{answer}");
}

/// There are 1,500 of them where 1,024 files may be open.
#[test]
fn idle_strangers_take_nobodys_place() {
    // These descriptors are the test's as well as the server's.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let limited = folder.path().join("limited-weir");
    std::fs::write(&limited, format!("#!/bin/sh\nulimit -n 1024\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_weir")))
        .unwrap();
    let mut permissions = std::fs::metadata(&limited).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&limited, permissions).unwrap();

    let weir = Weir::options(&limited).start();
    weir.wait_logged("1024 file descriptors, 256 of them kept", SOON);
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let destination = Destination::new();
    let id = api.create_restream(&stream, "push", &destination.url("key"));
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    api.wait_restream(id, "streaming", SOON);

    let stranger = |address: &str, bytes: &[u8]| {
        let mut socket = TcpStream::connect(address).unwrap();
        let _ = socket.write_all(bytes);
        socket
    };
    let (http, rtmp) = (weir.http().replace("http://", ""), weir.rtmp_address());
    let mut strangers = Vec::new();
    for number in 0..750 {
        let half_a_head: &[u8] = if number % 2 == 0 { b"GET /play/cam1/ma" } else { b"GET /healthz HT" };
        strangers.push(stranger(&http, half_a_head));
        strangers.push(stranger(&rtmp, &[3, 0, 0, 0]));
    }
    // Each request uses a connection of its own, like a newcomer.
    let health = fresh_get(&http, "/healthz");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let second = api.create_stream("cam2");
    let publisher = Publisher::publish(&rtmp, "live", &second.stream_key);
    assert!(publisher.is_ok(), "{publisher:?}");
    let before = destination.video_frames();
    destination.wait_video_frames(before + 60, SOON);
    assert_eq!(api.restream_status(id)["state"], "streaming");
    let fds = weir.stats().fds;
    println!("{} strangers hold {fds} of the server's descriptors", strangers.len());
    assert!(fds < 1_024 - 100, "{fds}");
    assert!(!feed.was_cut());
}

fn fresh_get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

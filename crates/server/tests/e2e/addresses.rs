//! The client at the other end where a proxy stands in between, and how the server sends everybody to the one public address.

use crate::common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use common::{SOON, clip, weir, weir_with_tls};
use serde_json::json;
use weir_testkit::nginx::free_port;
use weir_testkit::process::ADMIN_PASSWORD;
use weir_testkit::publisher::Feed;
use weir_testkit::tls::tls;
use weir_testkit::{Publisher, Weir};

/// The whole answer to one request.
fn ask(socket: &mut (impl Read + Write), request: &str) -> String {
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that refuses may close without a word, or before everything was written.
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn http(weir: &Weir) -> TcpStream {
    let socket = TcpStream::connect(weir.http().replace("http://", "")).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n")
}

fn log_in(password: &str, headers: &str) -> String {
    let body = json!({ "name": "admin", "password": password }).to_string();
    format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn trusting() -> weir_testkit::WeirOptions {
    weir().set("http.trusted_proxies", "127.0.0.0/8")
}

/// Wrong passwords from one client lock out that client; without trust in the proxy, everybody behind it would be one client.
#[test]
fn clients_behind_a_trusted_proxy_are_told_apart() {
    let weir = trusting().start();
    let from = |ip: &str| format!("X-Forwarded-For: 6.6.6.6, {ip}\r\n");
    let attempt = |password: &str, headers: &str| status(&ask(&mut http(&weir), &log_in(password, headers))).to_owned();
    for _ in 0..5 {
        attempt("wrong", &from("192.0.2.1"));
    }
    // Should the wait be over already, one more wrong password makes it twice as long.
    let attempt = |password: &str, headers: &str| {
        attempt("wrong", &from("192.0.2.1"));
        attempt(password, headers)
    };
    assert_eq!(attempt(ADMIN_PASSWORD, &from("192.0.2.1")), "429", "whoever guessed waits");
    assert_eq!(attempt(ADMIN_PASSWORD, "Forwarded: for=192.0.2.1\r\n"), "429", "the standard says the same");
    attempt("wrong", &from("192.0.2.1"));
    let proxied = "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_owned() + &log_in(ADMIN_PASSWORD, "");
    assert_eq!(status(&ask(&mut http(&weir), &proxied)), "429", "and so does the PROXY protocol");
    assert_eq!(attempt(ADMIN_PASSWORD, &from("192.0.2.2")), "200");
    weir.wait_logged("192.0.2.1", SOON);
}

#[test]
fn strangers_can_say_what_they_like() {
    let weir = weir().start();
    for number in 0..6 {
        ask(&mut http(&weir), &log_in("wrong", &format!("X-Forwarded-For: 192.0.2.{number}\r\n")));
    }
    assert_eq!(status(&ask(&mut http(&weir), &log_in(ADMIN_PASSWORD, "X-Forwarded-For: 192.0.2.99\r\n"))), "429");
    for header in ["PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n", "\r\n\r\n\0\r\nQUIT\n\u{20}\0\0\0"] {
        let answer = ask(&mut http(&weir), &format!("{header}{}", get("/healthz", "")));
        assert_ne!(status(&answer), "200", "{answer}");
    }
    let stream = weir.api().create_stream("cam1");
    let relay = relay(&weir.rtmp_address(), "PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n");
    assert!(Publisher::publish(&relay, "live", &stream.stream_key).is_err());
}

/// Starts a proxy that writes `header` before what its client says; gives its address.
fn relay(target: &str, header: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, target) = (listener.local_addr().unwrap().to_string(), target.to_owned());
    thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let mut far = TcpStream::connect(&target).unwrap();
            far.write_all(header.as_bytes()).unwrap();
            for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    address
}

#[test]
fn the_proxy_protocol_is_understood_on_every_tcp_port() {
    let https = format!("127.0.0.1:{}", free_port());
    let options = weir_with_tls().set("https.listen", &https).set("http.trusted_proxies", "127.0.0.1");
    let weir = options.start();
    let stream = weir.api().create_stream("cam1");

    let rtmp = relay(&weir.rtmp_address(), "PROXY TCP6 2001:db8::7 ::1 4711 1935\r\n");
    let feed = Feed::live(&rtmp, &stream.stream_key, &clip(200_000));
    let status = weir.api().wait_stream(&stream, "live", SOON);
    assert_eq!(status["ingest"]["remote"], "[2001:db8::7]:4711");
    feed.stop();
    weir.api().wait_stream(&stream, "offline", SOON);

    let rtmps = weir.rtmps().replace("rtmps://", "");
    let url =
        format!("rtmps://{}/live/{}", relay(&rtmps, "PROXY TCP4 192.0.2.7 10.0.0.1 4712 1936\r\n"), stream.stream_key);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=s=160x90:r=15", "-t", "20", "-c:v", "libx264"]);
    ffmpeg.args(["-preset", "ultrafast", "-g", "15", "-f", "flv", &url]);
    let mut ffmpeg = ffmpeg.spawn().unwrap();
    let status = weir.api().wait_stream(&stream, "live", SOON);
    assert_eq!(status["ingest"]["remote"], "192.0.2.7:4712");
    ffmpeg.kill().unwrap();
    ffmpeg.wait().unwrap();

    // The header of version 2 comes before a TLS handshake.
    let token = json!({ "ip": "192.0.2.9" });
    weir.api().patch(&format!("/streams/{}", stream.id), &json!({ "protected": true })).expect(200);
    let token = weir.api().post(&format!("/streams/{}/tokens", stream.id), &token).expect(201);
    let path = format!("/play/cam1/master.m3u8?token={}", token["token"].as_str().unwrap());
    for (last, expected) in [(9, ["200", "404", "503"]), (8, ["403", "403", "403"])] {
        let mut socket = TcpStream::connect(&https).unwrap();
        socket.write_all(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\0\x02").unwrap();
        socket.write_all(&[last, 10, 0, 0, 1, 0x12, 0x34, 1, 0xBB]).unwrap();
        let answer = ask(&mut tls(socket, &[b"http/1.1"]), &get(&path, ""));
        assert!(expected.contains(&self::status(&answer)), "{last}: {answer}");
        // The same token comes in a header, answered on the short way and by the library.
        for connection in ["keep-alive", "close"] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.{last}\r\nConnection: {connection}\r\n\r\n"
            );
            let mut socket = http(&weir);
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            assert!(expected.contains(&self::status(&ask(&mut socket, &request))), "{last} {connection}");
        }
    }
}

#[test]
fn the_public_address_decides_cookies_redirects_and_urls() {
    let https = format!("127.0.0.1:{}", free_port());
    let options = weir_with_tls().set("https.listen", &https).set("public_url", "https://weir.example");
    let weir = options.set("http.trusted_proxies", "127.0.0.2").start();
    // In the clear everything is redirected, except what machines ask for.
    for path in ["/", "/api/v1/streams?limit=1", "/play/cam1/master.m3u8", "/watch/cam1"] {
        for connection in ["close", "keep-alive"] {
            let mut socket = http(&weir);
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
            let answer = ask(&mut socket, &request).to_lowercase();
            assert_eq!(status(&answer), "308", "{path}: {answer}");
            assert!(answer.contains(&format!("location: https://weir.example{path}\r\n")), "{answer}");
            assert!(!answer.contains("strict-transport-security"), "{answer}");
        }
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(status(&ask(&mut http(&weir), &get(path, ""))), "200", "{path}");
    }
    // A stranger that claims TLS is not believed, but the server's own TLS is.
    assert_eq!(status(&ask(&mut http(&weir), &get("/", "X-Forwarded-Proto: https\r\n"))), "308");
    let mut secure = tls(TcpStream::connect(&https).unwrap(), &[b"http/1.1"]);
    let answer = ask(&mut secure, &log_in(ADMIN_PASSWORD, ""));
    assert_eq!(status(&answer), "200", "{answer}");
    assert!(answer.contains("; Secure"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
    let authorization = format!("Authorization: apikey {}\r\n", weir_testkit::process::ADMIN_API_KEY);
    let body = "{\"name\":\"cam1\"}";
    let create = format!(
        "POST /api/v1/streams HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{authorization}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut secure = tls(TcpStream::connect(&https).unwrap(), &[b"http/1.1"]);
    let answer = ask(&mut secure, &create);
    for expected in ["https://weir.example/play/cam1/master.m3u8", "rtmp://weir.example:"] {
        assert!(answer.contains(expected), "{answer}");
    }
}

#[test]
fn a_proxy_that_ends_tls_is_believed() {
    let weir = trusting().set("public_url", "https://weir.example").start();
    let proxied =
        |proto: &str| ask(&mut http(&weir), &log_in(ADMIN_PASSWORD, &format!("X-Forwarded-Proto: {proto}\r\n")));
    let answer = proxied("https");
    assert!(answer.contains("; Secure") && answer.contains("strict-transport-security"), "{answer}");
    assert_eq!(status(&proxied("http")), "308");
}

#[test]
fn https_without_a_certificate_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["serve", "--data"]).arg(folder.path()).env("WEIR_HTTPS__LISTEN", "127.0.0.1:0");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("https.listen needs a certificate"), "{said}");
}

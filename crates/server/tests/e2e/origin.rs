//! The playback origin as players and their rude neighbours meet it: tokens, caching, compression, HTTP/2, limits, viewers.

use crate::common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use common::{SOON, clip, weir, weir_with_tls};
use serde_json::json;
use weir_testkit::api::TestStream;
use weir_testkit::nginx::free_port;
use weir_testkit::publisher::Feed;
use weir_testkit::{Weir, wait_until, wait_until_some};

/// The status, the headers in lower case, and the body.
struct Answer {
    status: u16,
    version: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

fn curl(url: &str, options: &[&str]) -> Answer {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--path-as-is", "--include", "--max-time", "10"]);
    let output = command.args(options).arg(url).output().expect("curl runs");
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    let end = output.stdout.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output.stdout[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let version = first.next().unwrap().to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: first.next().unwrap().parse().unwrap(),
        version,
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: output.stdout[end + 4..].to_vec(),
    }
}

fn live(weir: &Weir, name: &str) -> (TestStream, Feed) {
    let stream = weir.api().create_stream(name);
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(300_000));
    let media = format!("{}/play/{name}/source/video.m3u8", weir.http());
    wait_until(&format!("{name} has a segment"), SOON, || curl(&media, &[]).text().contains("#EXTINF"));
    (stream, feed)
}

fn token(weir: &Weir, stream: &TestStream, body: &serde_json::Value) -> String {
    let made = weir.api().post(&format!("/streams/{}/tokens", stream.id), body).expect(201);
    assert!(made["expires_at"].is_string(), "{made}");
    made["token"].as_str().unwrap().to_owned()
}

/// Every address in a playlist or a manifest.
fn addresses(text: &str) -> Vec<String> {
    let attributes = ["URI=\"", "initialization=\"", "media=\"", "<BaseURL>"];
    let quoted = attributes.iter().flat_map(|attribute| text.split(attribute).skip(1));
    let quoted = quoted.filter_map(|rest| rest.split(['"', '<']).next());
    let lines = text.lines().filter(|line| text.starts_with("#EXTM3U") && !line.is_empty() && !line.starts_with('#'));
    quoted.chain(lines).map(str::to_owned).collect()
}

#[test]
fn protected_streams_open_by_token_only() {
    let weir = weir().start();
    let (stream, _feed) = live(&weir, "cam1");
    let other = weir.api().create_stream("cam2");
    weir.api().patch(&format!("/streams/{}", stream.id), &json!({ "protected": true })).expect(200);
    let base = format!("{}/play/cam1", weir.http());
    let good = token(&weir, &stream, &json!({}));
    let short = token(&weir, &stream, &json!({ "expires_in_seconds": 1 }));
    let local = token(&weir, &stream, &json!({ "ip": "127.0.0.1" }));
    let wrong = good.replace(|letter: char| letter.is_ascii_lowercase(), "a");
    let elsewhere = token(&weir, &stream, &json!({ "ip": "10.1.2.3" }));
    let others = token(&weir, &other, &json!({ "expires_in_seconds": 60, "ip": null }));
    let path = format!("/streams/{}/tokens", stream.id);
    for (body, field) in [
        (json!({ "expires_in_seconds": 0 }), "expires_in_seconds"),
        (json!({ "expires_in_seconds": 100_000_000 }), "expires_in_seconds"),
        (json!({ "ip": "here" }), "ip"),
        (json!({ "for": "me" }), "for"),
    ] {
        assert_eq!(weir.api().post(&path, &body).expect(422)["field"], field);
    }
    weir.api().post("/streams/999/tokens", &json!({})).expect(404);

    let media = curl(&format!("{base}/source/video.m3u8?token={good}"), &[]).text();
    let segment = media.lines().rfind(|line| line.contains(".m4s?") && !line.starts_with('#')).unwrap();
    let segment = format!("source/{}", segment.split('?').next().unwrap());
    for file in ["master.m3u8", "manifest.mpd", "source/video.m3u8", "source/audio.m3u8", &segment] {
        let status = |query: &str| curl(&format!("{base}/{file}{query}"), &[]).status;
        assert_eq!(status(&format!("?token={good}")), 200, "{file}");
        assert_eq!(status(&format!("?token={local}")), 200, "{file} from the right address");
        for refused in ["", "?token=", "?token=x", "?token"] {
            assert_eq!(status(refused), 403, "{file}{refused}");
        }
        for (refused, why) in [(&wrong, "wrong"), (&elsewhere, "of another address"), (&others, "of another stream")] {
            assert_eq!(status(&format!("?token={refused}")), 403, "{file}: {why}");
        }
        wait_until("the short token has expired", SOON, || status(&format!("?token={short}")) == 403);
    }
    for file in
        ["master.m3u8", "manifest.mpd", "source/video.m3u8", "source/audio.m3u8", "source/video.m3u8?_HLS_skip=YES"]
    {
        let mark = if file.contains('?') { '&' } else { '?' };
        let text = curl(&format!("{base}/{file}{mark}token={good}"), &[]).text();
        let found = addresses(&text);
        assert!(found.len() >= 2, "{text}");
        for address in found {
            assert!(address.ends_with(&format!("?token={good}")), "{file} names {address}");
        }
    }
    for secret in [&good, &short, &local, &elsewhere, &others] {
        assert!(!weir.output().iter().any(|line| line.contains(secret.as_str())), "a token is in the log");
    }
}

#[test]
fn a_token_that_is_not_asked_for_means_nothing() {
    let weir = weir().start();
    let (stream, _feed) = live(&weir, "cam1");
    let base = format!("{}/play/cam1", weir.http());
    let junk = ["?token=junk", "?token=a%22b", "?token=", "?x=1&token=%ff"];
    let media = curl(&format!("{base}/source/video.m3u8"), &[]).text();
    let segment = media.lines().rfind(|line| line.ends_with(".m4s") && !line.starts_with('#')).unwrap();
    let files = [format!("source/{segment}"), "master.m3u8".to_owned(), "source/video.m3u8".to_owned()];
    for file in &files {
        let get = |query: &str| curl(&format!("{base}/{file}{query}"), &[]);
        for query in junk {
            // The playlist of a live stream may change between two looks.
            let (plain, asked) = wait_until_some("nothing changes for a moment", SOON, || {
                let (before, asked, after) = (get(""), get(query), get(""));
                (before.header("etag") == after.header("etag")).then_some((before, asked))
            });
            assert_eq!((asked.status, asked.header("etag")), (200, plain.header("etag")), "{file}{query}");
            assert_eq!(asked.body, plain.body, "{file}{query}");
        }
    }
    let path = format!("/streams/{}", stream.id);
    let rule = |query: &str| curl(&format!("{base}/{}{query}", files[0]), &[]).header("cache-control").to_owned();
    assert_eq!(rule(""), "public, max-age=3600, immutable");
    let good = token(&weir, &stream, &json!({}));
    weir.api().patch(&path, &json!({ "protected": true })).expect(200);
    assert_eq!(curl(&format!("{base}/{}", files[0]), &[]).status, 403, "at once");
    assert_eq!(rule(&format!("?token={good}")), "private, max-age=3600, immutable");
    weir.api().patch(&path, &json!({ "protected": false })).expect(200);
    assert_eq!(rule(""), "public, max-age=3600, immutable");
}

#[test]
fn answers_can_be_cached_compressed_and_cut() {
    let https = format!("127.0.0.1:{}", free_port());
    let weir = weir_with_tls().set("https.listen", &https).start();
    let (_, _feed) = live(&weir, "cam1");
    let base = format!("{}/play/cam1", weir.http());
    let media = curl(&format!("{base}/source/video.m3u8"), &[]);
    assert_eq!(media.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!((media.header("cache-control"), media.header("vary")), ("no-cache", "Accept-Encoding"));
    let text = media.text();
    let segment = text.lines().rfind(|line| line.ends_with(".m4s") && !line.starts_with('#')).unwrap();
    let segment = format!("{base}/source/{segment}");

    let whole = curl(&segment, &[]);
    assert_eq!(whole.header("content-type"), "video/mp4");
    assert_eq!(whole.header("cache-control"), "public, max-age=3600, immutable");
    assert_eq!(whole.header("access-control-allow-origin"), "*");
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    let known = format!("If-None-Match: {}", whole.header("etag"));
    let unchanged = curl(&segment, &["-H", &known]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let head = curl(&segment, &["--head"]);
    assert_eq!((head.status, head.header("content-length")), (200, whole.header("content-length")));
    let part = curl(&segment, &["-H", "Range: bytes=100-199"]);
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[100..200]));
    assert_eq!(curl(&segment, &["-H", "Range: bytes=999999999-"]).status, 416);

    for file in ["master.m3u8", "source/video.m3u8", "manifest.mpd"] {
        let url = format!("{base}/{file}");
        let packed = curl(&url, &["-H", "Accept-Encoding: gzip"]);
        let is_short = packed.header("content-encoding").is_empty();
        assert!(!is_short || file == "master.m3u8", "{file} is not compressed");
        let read = curl(&url, &["--compressed"]).text();
        assert!(read.starts_with("#EXTM3U") || read.starts_with("<?xml"), "{read}");
    }
    let preflight = curl(
        &segment,
        &["-X", "OPTIONS", "-H", "Origin: https://a.example", "-H", "Access-Control-Request-Method: GET"],
    );
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-headers").contains("Range"));
    assert_eq!(curl(&segment, &["-X", "POST", "-d", "x"]).status, 405);

    let secure = segment.replace(&weir.http(), &format!("https://{https}"));
    for (url, option, version) in [
        (&segment, "--http1.1", "HTTP/1.1"),
        // HTTP/2 is asked for in the clear, where the server does not speak it.
        (&segment, "--http2", "HTTP/1.1"),
        (&secure, "--http1.1", "HTTP/1.1"),
        (&secure, "--http2", "HTTP/2"),
    ] {
        let answer = curl(url, &[option]);
        assert_eq!((answer.status, answer.version.as_str()), (200, version), "{url} {option}");
        assert!(answer.body == whole.body, "{url} {option}: other bytes");
    }
    let health = curl(&format!("https://{https}/healthz"), &["--http2"]);
    assert_eq!((health.status, health.version.as_str()), (200, "HTTP/2"), "the API, too");
    assert_eq!(health.header("content-length"), health.body.len().to_string());
}

/// Plain requests are answered without the HTTP library; `Connection: close` is enough for a request to go through it.
#[test]
fn both_ways_answer_alike() {
    let weir = weir().start();
    let (_, _feed) = live(&weir, "cam1");
    let base = format!("{}/play/cam1", weir.http());
    let text = curl(&format!("{base}/source/video.m3u8"), &[]).text();
    let segment = text.lines().rfind(|line| line.ends_with(".m4s") && !line.starts_with('#')).unwrap();
    let segment = format!("source/{segment}");
    let tag = format!("If-None-Match: {}", curl(&format!("{base}/{segment}"), &[]).header("etag"));
    let segment = segment.as_str();
    for (file, option, value) in [
        (segment, "-H", "X: y"),
        (segment, "-H", "Range: bytes=5-99"),
        (segment, "-H", "Range: bytes=-1"),
        (segment, "-H", "Range: bytes=999999999-"),
        (segment, "-H", tag.as_str()),
        (segment, "-H", "Accept-Encoding: gzip"),
        (segment, "--head", "--silent"),
        ("source/video/init-0.mp4", "-H", "User-Agent: a"),
        ("source/video/999999.m4s", "-H", "X: y"),
        ("nothing", "-H", "X: y"),
        ("source/video.m3u8?_HLS_msn=x", "-H", "X: y"),
        ("source/video.m3u8?_HLS_msn=99999999999", "-H", "X: y"),
    ] {
        let ask = |more: &[&str]| {
            let Answer { status, version, mut headers, body } =
                curl(&format!("{base}/{file}"), &[&[option, value], more].concat());
            headers.retain(|(name, _)| name != "date" && name != "connection");
            headers.sort();
            (status, version, headers, body)
        };
        let (short, long) = (ask(&[]), ask(&["-H", "Connection: close"]));
        assert_eq!(short, long, "{file} {value}");
    }
    // Several requests come at once on one connection, and then one that is not plain: each gets its answer, in order.
    let mut socket = TcpStream::connect(weir.http().replace("http://", "")).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let get = |path: &str, header: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{header}\r\n");
    let init = "/play/cam1/source/video/init-0.mp4";
    let all = [
        get(init, ""),
        get("/play/cam1/no", ""),
        get(init, "Range: bytes=0-3\r\n"),
        get("/healthz", "Connection: close\r\n"),
    ];
    socket.write_all(all.concat().as_bytes()).unwrap();
    let mut answers = Vec::new();
    socket.read_to_end(&mut answers).unwrap();
    let answers = String::from_utf8_lossy(&answers);
    let statuses: Vec<_> = answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "404", "206", "200"], "{answers}");
}

#[test]
fn a_segment_is_sent_while_it_is_made() {
    let https = format!("127.0.0.1:{}", free_port());
    let weir = weir_with_tls().set("https.listen", &https).start();
    let (_, _feed) = live(&weir, "cam1");
    for (origin, option, version) in
        [(weir.http(), "--http1.1", "HTTP/1.1"), (format!("https://{https}"), "--http2", "HTTP/2")]
    {
        let base = format!("{origin}/play/cam1/source");
        let (segment, growing) = wait_until_some("a segment has begun", SOON, || {
            let text = curl(&format!("{base}/video.m3u8"), &[]).text();
            let hint = text.split("PRELOAD-HINT:TYPE=PART,URI=\"").nth(1)?.split('"').next()?;
            let (name, part) = hint.strip_suffix(".m4s")?.rsplit_once('.')?;
            let segment = format!("{base}/{name}.m4s");
            let answer = (part != "0").then(|| curl(&segment, &[option]))?;
            // The segment may have ended just now.
            (answer.status == 200 && answer.header("content-length").is_empty()).then_some((segment, answer))
        });
        assert_eq!(growing.version, version);
        let chunked = if option == "--http1.1" { "chunked" } else { "" };
        assert_eq!(growing.header("transfer-encoding"), chunked);
        let whole = curl(&segment, &[option]);
        assert_eq!(whole.header("content-length"), whole.body.len().to_string());
        assert!(growing.body == whole.body, "{} bytes, then {}", growing.body.len(), whole.body.len());
        assert_eq!(growing.header("etag"), whole.header("etag"));
    }
}

#[test]
fn the_rude_are_limited_and_logged() {
    let weir = weir().set("http.connections_per_ip_max", "8").set("http.requests_per_ip_max", "3").start();
    let (_, _feed) = live(&weir, "cam1");
    let base = format!("{}/play/cam1", weir.http());
    for path in
        ["../../../etc/passwd", "..%2f..%2fsecret.key", "%2e%2e/%2e%2e/secret.key", "source/../../cam1/master.m3u8"]
    {
        let answer = curl(&format!("{base}/{path}"), &[]);
        assert_eq!((answer.status, answer.body.len()), (404, 0), "{path}");
    }
    weir.wait_logged("a playback path that is none of ours", SOON);
    assert_eq!(curl(&format!("{base}/master.m3u8?x={}", "a".repeat(3_000)), &[]).status, 414);
    weir.wait_logged("a playback address that is too long", SOON);
    let raw = |request: &str| {
        let mut socket = TcpStream::connect(weir.http().replace("http://", "")).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let _ = socket.write_all(request.as_bytes());
        socket
    };
    let answer = |mut socket: TcpStream| {
        let mut answer = [0; 64];
        let length = socket.read(&mut answer).unwrap_or_default();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    let huge = format!("GET /play/cam1/master.m3u8?{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100_000));
    assert!(
        answer(raw(&huge)).starts_with("HTTP/1.1 4"),
        "hyper itself refuses what is larger than all headers may be"
    );
    weir.wait_logged("an HTTP request that can't be read", SOON);

    // Requests that wait for a segment that is about to come are under way all the time.
    let newest = wait_until_some("the playlist", SOON, || {
        let text = curl(&format!("{base}/source/video.m3u8"), &[]).text();
        let last = text.lines().rfind(|line| line.ends_with(".m4s") && !line.starts_with('#'))?.to_owned();
        last.strip_prefix("video/")?.strip_suffix(".m4s")?.split('-').next()?.parse::<u64>().ok()
    });
    let block = format!("GET /play/cam1/source/video.m3u8?_HLS_msn={} HTTP/1.1\r\nHost: a\r\n\r\n", newest + 2);
    let waiting: Vec<_> = (0..5).map(|_| raw(&block)).collect();
    weir.wait_logged("too many requests at once from one address", SOON);
    let answers: Vec<_> = waiting.into_iter().map(answer).collect();
    let refused = answers.iter().filter(|text| text.starts_with("HTTP/1.1 429")).count();
    assert_eq!(refused, 2, "{answers:?}");

    // Connections that only wait make room: the first ones are closed, and a newcomer that asks is answered at once.
    let idle: Vec<_> = (0..12).map(|_| raw("")).collect();
    assert_eq!(weir.api().get("//healthz").status, 200);
    weir.wait_logged("an HTTP connection that waited was closed for a newcomer", SOON);
    let closed = idle.into_iter().take(4).map(answer).filter(String::is_empty).count();
    assert_eq!(closed, 4);
    let metrics = weir.api().get("//metrics").body;
    let limited = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix("weir_http_limited_total "));
    assert!(limited.unwrap().parse::<u64>().unwrap() >= 2, "{limited:?}");
}

#[test]
fn viewers_are_counted_while_they_come_back() {
    let weir = weir().start();
    let (stream, _feed) = live(&weir, "cam1");
    let base = format!("{}/play/cam1", weir.http());
    // The call to `live` has asked for the playlist itself.
    let viewers = || {
        let status = weir.api().stream_status(&stream);
        (status["viewers"]["hls"].as_u64().unwrap(), status["viewers"]["dash"].as_u64().unwrap())
    };
    for agent in ["a", "b", "b"] {
        curl(&format!("{base}/source/video.m3u8"), &["-A", agent]);
    }
    curl(&format!("{base}/manifest.mpd"), &["-A", "a"]);
    assert_eq!(viewers(), (3, 1));
    let metrics = weir.api().get("//metrics").body;
    assert!(metrics.as_str().unwrap().contains("weir_viewers{stream=\"cam1\",protocol=\"dash\"} 1\n"));
    wait_until("they have gone", Duration::from_secs(20), || viewers() == (0, 0));
}

#[test]
fn the_watch_page_is_there() {
    let weir = weir().start();
    let stream = weir.api().create_stream("cam1");
    let shown = weir.api().get(&format!("/streams/{}", stream.id)).expect(200);
    let url = format!("{}/watch/cam1", weir.http());
    assert_eq!(shown["play_urls"]["watch"], url);
    let page = curl(&url, &[]);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let text = page.text();
    // A server that was compiled without npm says so, and is otherwise whole.
    if text.contains("not built") {
        assert_eq!(page.status, 503);
        return;
    }
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").contains("script-src 'self'"));
    assert_eq!(curl(&format!("{}/watch/nobody", weir.http()), &[]).status, 404);
    assert!(!text.contains("//"), "nothing comes from elsewhere: {text}");
    let script = text.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let url = format!("{}{script}", weir.http());
    assert_eq!(curl(&url, &["-H", "Accept-Encoding: gzip"]).header("content-encoding"), "gzip");
    let script = curl(&url, &["--compressed"]);
    assert_eq!((script.status, script.header("content-type")), (200, "text/javascript; charset=utf-8"));
    assert!(script.header("cache-control").contains("immutable"));
    assert_eq!(curl(&format!("{}/assets/..%2f..%2fCargo.toml", weir.http()), &[]).status, 404);
}

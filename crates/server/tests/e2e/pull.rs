//! Sources that the server fetches, from peers that are not ours: they are played, they come back by themselves, and what can't be
//! fetched says why.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::common::{SOON, clip, weir};
use serde_json::{Value, json};
use weir_testkit::api::TestStream;
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::publisher::Feed;
use weir_testkit::{Api, Child, Nginx, free_port, wait_until_some};

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

#[test]
fn an_srt_listener_is_called_again_after_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let source = Clip { seconds: 10, ..Clip::default() }.make(&folder.path().join("source.flv"));
    let (weir, port) = (weir().start(), free_port());
    let api = weir.api();
    let listener = format!("srt://127.0.0.1:{port}?mode=listener&passphrase=planted-passphrase");
    let serve = || ffmpeg::serve(&source, &["-f", "mpegts", &listener]);
    let mut peer = serve();
    let stream = pulled(&api, "cam1", &format!("srt://127.0.0.1:{port}?passphrase=planted-passphrase&latency=200ms"));
    let status = wait_source(&api, &stream, "live", None, BACK);
    assert!(status["ingest"]["rtt_ms"].is_number(), "{status}");
    peer.kill();
    let status = wait_source(&api, &stream, "failing", Some("unreachable"), BACK);
    assert!(!status.to_string().contains("planted"), "{status}");
    let mut again = serve();
    wait_source(&api, &stream, "live", None, BACK);
    again.kill();
}

/// Makes HLS of the clip in a folder of the site, over and over.
fn make_hls(source: &Path, folder: &Path, options: &[&str]) -> Child {
    let playlist = folder.join("index.m3u8");
    let playlist = playlist.to_str().unwrap();
    let common = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "6", "-hls_flags", "delete_segments"];
    ffmpeg::serve(source, &[&common[..], options, &[playlist]].concat())
}

#[test]
fn hls_is_followed_through_its_variants_and_keys() {
    let folder = tempfile::tempdir().unwrap();
    let source = Clip { seconds: 10, ..Clip::default() }.make(&folder.path().join("source.flv"));
    let site = folder.path().join("site");
    let (plain, sealed) = (site.join("plain"), site.join("sealed"));
    [&plain, &sealed].into_iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    let nginx = Nginx::site(&site);
    let at = |path: &str| format!("http://{}/{path}", nginx.address());
    std::fs::write(sealed.join("key"), b"0123456789abcdef").unwrap();
    let key_info = folder.path().join("key.info");
    std::fs::write(&key_info, format!("key\n{}\n", sealed.join("key").display())).unwrap();
    let mut makers = vec![
        make_hls(&source, &plain, &["-master_pl_name", "master.m3u8"]),
        make_hls(&source, &sealed, &["-hls_key_info_file", key_info.to_str().unwrap()]),
    ];
    let weir = weir().start();
    let api = weir.api();
    let open = pulled(&api, "open", &at("plain/master.m3u8"));
    let secret = pulled(&api, "secret", &at("sealed/index.m3u8"));
    let missing = pulled(&api, "missing", &at("none.m3u8"));
    for stream in [&open, &secret] {
        let status = wait_source(&api, stream, "live", None, BACK);
        assert_eq!(status["ingest"]["video_codec"], "h264", "{status}");
    }
    wait_source(&api, &missing, "failing", Some("not_found"), SOON);
    // The muxer ends without a word, and another one goes on in its place with other numbers.
    makers[0].kill();
    wait_source(&api, &open, "failing", Some("stalled"), BACK);
    makers.push(make_hls(&source, &plain, &["-master_pl_name", "master.m3u8", "-start_number", "500"]));
    let status = wait_source(&api, &open, "live", None, BACK);
    assert_eq!(status["ingest"]["dropped_frames"], 0, "{status}");
    makers.iter_mut().for_each(Child::kill);
}

#[test]
fn mpeg_ts_comes_by_http_udp_and_rtp() {
    let folder = tempfile::tempdir().unwrap();
    let source = Clip { seconds: 10, ..Clip::default() }.make(&folder.path().join("source.flv"));
    let weir = weir().start();
    let api = weir.api();
    let (http, unicast, group, rtp) = (free_port(), free_port(), free_port(), free_port());
    let to = |format: &str, options: &[&str], url: String| {
        ffmpeg::serve(&source, &[&["-f", format], options, &[&url]].concat())
    };
    let mut peers = [
        to("mpegts", &["-listen", "1"], format!("http://127.0.0.1:{http}/live.ts")),
        to("mpegts", &[], format!("udp://127.0.0.1:{unicast}?pkt_size=1316")),
        to("mpegts", &[], format!("udp://239.255.77.1:{group}?pkt_size=1316&localaddr=127.0.0.1&ttl=0")),
        to("rtp_mpegts", &[], format!("rtp://127.0.0.1:{rtp}")),
    ];
    let streams = [
        ("http", format!("http://127.0.0.1:{http}/live.ts")),
        ("unicast", format!("udp://127.0.0.1:{unicast}")),
        ("group", format!("udp://239.255.77.1:{group}?interface=lo")),
        // A second stream of the same multiplex reads the same port.
        ("again", format!("udp://239.255.77.1:{group}?interface=lo&program=1")),
        ("rtp", format!("rtp://127.0.0.1:{rtp}")),
    ];
    let streams: Vec<TestStream> = streams.iter().map(|(name, uri)| pulled(&api, name, uri)).collect();
    for stream in &streams {
        let status = wait_source(&api, stream, "live", None, BACK);
        assert_eq!(status["ingest"]["protocol"], "pull", "{status}");
    }
    let status = api.stream_status(&streams[4]);
    assert!(status["ingest"]["loss_percent"].is_number(), "RTP counts what is lost: {status}");
    peers.iter_mut().for_each(Child::kill);
    for (stream, reason) in streams.iter().zip(["refused", "timeout", "timeout", "timeout", "timeout"]) {
        wait_source(&api, stream, "failing", Some(reason), BACK + BACK);
    }
    let mut back = to("mpegts", &[], format!("udp://239.255.77.1:{group}?pkt_size=1316&localaddr=127.0.0.1&ttl=0"));
    for stream in &streams[2..4] {
        wait_source(&api, stream, "live", None, BACK);
    }
    back.kill();
}

#[test]
fn files_are_played_and_only_those_of_the_media_folders() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let media = data.path().join("media");
    std::fs::create_dir(&media).unwrap();
    let source = Clip { seconds: 10, ..Clip::default() }.make(&folder.path().join("source.flv"));
    std::fs::copy(&source, media.join("clip.flv")).unwrap();
    let mut to_ts = ffmpeg::serve_once(&source, &["-f", "mpegts", media.join("clip.ts").to_str().unwrap()]);
    assert!(to_ts.wait_ended(SOON).success());
    std::os::unix::fs::symlink("/etc/passwd", media.join("link.ts")).unwrap();
    let weir = weir().data(data.path()).start();
    let api = weir.api();
    for uri in ["file:///etc/passwd", "file://../secret.key", "file://a/../../weir.db"] {
        let made = api.post("/streams", &json!({"name": "no", "sources": [{"kind": "pull", "uri": uri}]}));
        assert_eq!((made.status, &made.body["field"]), (422, &json!("sources[0].uri")), "{uri}: {}", made.body);
    }
    let flv = pulled(&api, "flv", "file://clip.flv");
    let ts = pulled(&api, "ts", &format!("file://{}", media.join("clip.ts").display()));
    let link = pulled(&api, "link", "file://link.ts");
    let missing = pulled(&api, "missing", "file://none.ts");
    for stream in [&flv, &ts] {
        wait_source(&api, stream, "live", None, BACK);
    }
    wait_source(&api, &link, "failing", Some("not_permitted"), SOON);
    wait_source(&api, &missing, "failing", Some("not_found"), SOON);
    // At its end a file begins again. That it ended is seen for a second only, so the events tell it.
    wait_until_some("the file has ended", BACK, || {
        let events = api.get("/events?limit=500").expect(200);
        let ended = |event: &Value| event["stream_id"] == flv.id && event["reason"] == "ended";
        events["items"].as_array()?.iter().any(ended).then_some(())
    });
    wait_source(&api, &flv, "live", None, BACK);
}

/// A server that means no good, each path in its own way.
fn hostile() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(socket));
        }
    });
    address
}

fn answer(mut socket: TcpStream) -> Option<()> {
    let mut head = String::new();
    BufReader::new(socket.try_clone().ok()?).read_line(&mut head).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    let ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    match &*path {
        "/redirect" => socket.write_all(b"HTTP/1.1 302 Found\r\nLocation: /redirect\r\n\r\n").ok()?,
        "/file" => socket.write_all(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n").ok()?,
        "/forbidden" => socket.write_all(b"HTTP/1.1 403 No\r\n\r\n").ok()?,
        "/lines" => {
            socket.write_all(format!("{ok}#EXTM3U\n").as_bytes()).ok()?;
            let lines = "#EXTINF:1,\na.ts\n".repeat(1_000);
            for _ in 0..1_000 {
                socket.write_all(lines.as_bytes()).ok()?;
            }
        }
        "/names-a-file" => {
            let text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n";
            socket.write_all(format!("{ok}{text}{}", "#EXTINF:1,\nfile:///etc/shadow\n".repeat(5)).as_bytes()).ok()?;
        }
        "/garbage" => {
            socket.write_all(ok.as_bytes()).ok()?;
            let garbage: Vec<u8> = (0..65_536_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            while socket.write_all(&garbage).is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        }
        "/head" => while socket.write_all(b"X: y\r\n").is_ok() {},
        // It says nothing at all, until we leave.
        _ => {
            let mut left = String::new();
            BufReader::new(socket).read_line(&mut left).ok()?;
            thread::sleep(Duration::from_secs(60));
        }
    }
    Some(())
}

#[test]
fn hostile_servers_get_a_reason_each() {
    let (weir, server) = (weir().start(), hostile());
    let api = weir.api();
    let good = api.create_stream("good");
    let _feed = Feed::live(&weir.rtmp_address(), &good.stream_key, &clip(400_000));
    let cases = [
        ("redirect", "refused"),
        ("file", "refused"),
        ("forbidden", "auth_rejected"),
        ("lines", "malformed"),
        ("names-a-file", "malformed"),
        ("garbage", "no_video"),
        ("head", "malformed"),
        ("silence", "timeout"),
    ];
    let streams = cases.map(|(path, _)| pulled(&api, path, &format!("http://u:planted@{server}/{path}")));
    for (stream, (_, reason)) in streams.iter().zip(cases) {
        let status = wait_source(&api, stream, "failing", Some(reason), BACK + BACK);
        assert!(!status.to_string().contains("planted"), "{status}");
    }
    assert_eq!(api.stream_status(&good)["live"], true, "nobody else is disturbed");
}

//! Nothing that a user names makes the server connect to what the rules deny, however it is spelled.

use std::io::ErrorKind;
use std::net::TcpListener;

use crate::common::{SOON, clip, weir};
use serde_json::json;
use weir_testkit::publisher::Feed;
use weir_testkit::wait_until;

/// Hosts of URLs, of which the first ones lead to `listener`.
const LOOPBACK: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "0.0.0.0",
    "0",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:0.0.0.0]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "localhost",
];

/// Addresses that are denied without being named.
const METADATA: &[&str] = &["169.254.169.254", "2852039166", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]", "[fe80::1]"];

#[test]
fn pushes_and_webhooks_reach_nothing_that_is_denied() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let weir = weir().set("egress.deny", "127.0.0.0/8").start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(100_000));
    let mut restreams = Vec::new();
    for (number, host) in LOOPBACK.iter().chain(METADATA).enumerate() {
        for uri in [format!("rtmp://{host}:{port}/app/key"), format!("srt://{host}:{port}?mode=caller")] {
            let body =
                json!({"name": format!("{number} {}", &uri[..4]), "stream_id": stream.id, "uri": uri, "active": true});
            let made = api.post("/restreams", &body);
            // Spellings that are no host are refused at once, which is as good.
            assert!(matches!(made.status, 201 | 422), "{uri}: {}", made.body);
            if made.status == 201 {
                restreams.push((uri, made.body["id"].as_i64().unwrap()));
            }
        }
        let made = api.post("/webhooks", &json!({"url": format!("http://{host}:{port}/")}));
        assert!(matches!(made.status, 201 | 422), "{host}: {}", made.body);
    }
    assert!(restreams.len() >= 20, "most spellings are hosts: {restreams:?}");
    for (uri, id) in restreams {
        let status = api.wait_restream_where(id, "it is not permitted", SOON, |status| !status["reason"].is_null());
        let said = status["reason"]["message"].as_str().unwrap();
        assert!(said.contains("egress rules"), "{uri}: {status}");
    }
    // This gives the webhooks something to tell.
    drop(feed);
    wait_until("no webhook was let out", SOON, || {
        let all = api.get("/webhooks").expect(200)["items"].as_array().unwrap().clone();
        let failures = all.iter().filter_map(|hook| hook["status"]["failure"].as_str()).collect::<Vec<_>>();
        failures.len() == all.len() && failures.iter().all(|failure| failure.contains("egress rules"))
    });
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody came");
}

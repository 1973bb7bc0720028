//! Tests streams, destinations, restreams and keys with the contract's own bodies.

use crate::common;

use common::Api;
use serde_json::{Value, json};
use weir_model::{ReasonCode, RestreamId};

#[tokio::test]
async fn streams() {
    let api = Api::start().await;
    let made = api.post("/streams", json!({"name": "cam1"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!((made.header("etag"), made.header("location")), ("\"1\"", "/api/v1/streams/1"));
    let stream = made.json();
    let key = stream["sources"][0]["stream_key"].as_str().unwrap().to_owned();
    assert_eq!(key.len(), 28, "the first answer shows the key");
    assert_eq!(stream["push_urls"]["primary"]["rtmp"], json!(format!("rtmp://weir.test:1935/live/{key}")));
    assert_eq!(stream["push_urls"]["primary"]["srt"], Value::Null);
    assert_eq!(stream["push_urls"]["backup"], Value::Null);
    for (field, value) in [
        ("active", json!(true)),
        ("ladder", Value::Null),
        ("hls", json!(true)),
        ("dvr_seconds", json!(60)),
        ("record", json!(false)),
        ("protected", json!(false)),
        ("encoder_policy", json!("prefer_hw")),
    ] {
        assert_eq!(stream[field], value, "{field}");
    }
    assert_eq!((&stream["status"]["live"], &stream["status"]["state"]), (&json!(false), &json!("offline")));
    assert!(stream["created_at"].as_str().unwrap().ends_with('Z'));

    let read = api.get("/streams/1").await;
    assert!(!read.text.contains(&key) && read.text.contains('…'), "{}", read.text);
    assert!(api.get("/streams/1?reveal=true").await.text.contains(&key));

    let patch = json!({"ladder": [{"name": "source", "passthrough": true},
        {"name": "720p", "width": 1280, "height": 720, "video_bitrate_kbps": 3000}], "srt_passphrase": "0123456789",
        "sources": [{"slot": "primary", "kind": "push"}]});
    let changed = api.patch("/streams/1", patch).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert!(!changed.text.contains("0123456789"));
    let changed = changed.json();
    assert_eq!(changed["ladder"][0], json!({"name": "source", "passthrough": true}));
    assert_eq!(changed["ladder"][1]["codec"], "h264");
    let changed = api.patch("/streams/1", json!({"ladder": null, "srt_passphrase": null})).await.json();
    assert_eq!((&changed["ladder"], &changed["srt_passphrase"]), (&Value::Null, &Value::Null));
    assert!(api.admission.may_publish(&key, std::net::Ipv4Addr::LOCALHOST.into()).is_ok(), "patches keep the key");

    let rotated = api.post("/streams/1/rotate-key", json!({"slot": "primary"})).await.json();
    assert_ne!(rotated["sources"][0]["stream_key"], json!(key));
    assert!(api.admission.may_publish(&key, std::net::Ipv4Addr::LOCALHOST.into()).is_err());
    assert_eq!(api.call("POST", "/streams/1/rotate-key", None, &[("authorization", &api.operator)]).await.status, 200);
    assert_eq!(api.post("/streams/1/rotate-key", json!({"slot": "backup"})).await.status, 422);
    assert_eq!(api.post("/streams/1/stop", json!({})).await.json()["active"], false);
    assert_eq!(api.post("/streams/1/start", json!({})).await.json()["active"], true);

    assert_eq!(api.post("/streams", json!({"name": "cam1"})).await.status, 409);
    assert_eq!(api.delete("/streams/1").await.status, 204);
    assert_eq!(api.get("/streams/1").await.status, 404);
    assert_eq!(api.delete("/streams/1").await.status, 404);
}

#[tokio::test]
async fn faults_have_their_field() {
    let api = Api::start().await;
    api.stream("cam1").await;
    let good = json!({"name": "r", "stream_id": 1, "uri": "rtmp://h/app/k"});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (path, body, field) in [
        ("/streams", json!({}), "name"),
        ("/streams", json!({"name": "Cam"}), "name"),
        ("/streams", json!({"name": "x", "nmae": 1}), "nmae"),
        ("/streams", json!({"name": "x", "active": "yes"}), "active"),
        ("/streams", json!({"name": "x", "ladder": "nope"}), "ladder"),
        ("/streams", json!({"name": "x", "ladder": 5}), "ladder"),
        ("/streams", json!({"name": "x", "ladder": [{"name": "a", "width": 2, "bogus": 1}]}), "ladder[0].bogus"),
        ("/streams", json!({"name": "x", "ladder": [{"name": "a"}]}), "ladder[0].width"),
        (
            "/streams",
            json!({"name": "x", "ladder": [{"name": "a", "video": "source", "fit": "crop"}]}),
            "ladder[0].video",
        ),
        ("/streams", json!({"name": "x", "ladder": [{"name": "a", "video": "copy"}]}), "ladder[0].video"),
        ("/streams", json!({"name": "x", "sources": [{"kind": "push", "uri": "x"}]}), "sources[0].uri"),
        ("/streams", json!({"name": "x", "sources": [{"kind": "teleport"}]}), "sources[0].kind"),
        ("/streams", json!({"name": "x", "srt_passphrase": "planted"}), "srt_passphrase"),
        ("/restreams", json!({"name": "r", "stream_id": 1}), "uri"),
        ("/restreams", with("uri", json!("rtmp://planted")), "uri"),
        ("/restreams", with("uri", json!("srt://h:1?mode=listener")), "uri"),
        ("/restreams", with("uri", json!("srt://h:1?tpyo=planted")), "uri"),
        ("/restreams", with("stream_key", json!("planted")), "stream_key"),
        ("/restreams", with("destination_id", json!(1)), "destination_id"),
        ("/restreams", with("stream_id", json!(77)), "stream_id"),
        ("/restreams", with("stream_id", json!("1")), "stream_id"),
        ("/restreams", with("backup_uri", json!("planted")), "backup_uri"),
        ("/restreams", with("retry", json!({"give_up_minutes": -1})), "retry.give_up_minutes"),
        ("/restreams", with("retry", json!({"give_up": 1})), "retry.give_up"),
        ("/restreams", with("schedule", json!({"start_at": "tomorrow"})), "schedule.start_at"),
        ("/restreams", with("rendition", json!({"name": "x", "bogus": 1})), "rendition.bogus"),
        ("/restreams", with("rendition", json!(7)), "rendition"),
        ("/restreams", with("audio_language", json!("german")), "audio_language"),
        ("/restreams", with("audio_language", json!("und")), "audio_language"),
        ("/restreams", with("client_user_id", json!("x")), "client_user_id"),
        ("/restreams", with("bogus", json!(1)), "bogus"),
        ("/destinations", json!({"name": "d", "url": "rtmp://planted"}), "url"),
        ("/destinations", json!({"name": "d", "url": "rtmp://h/a", "platform": "myspace"}), "platform"),
        ("/apikeys", json!({"name": "x", "role": "god"}), "role"),
    ] {
        let answer = api.post(path, body.clone()).await;
        let problem = answer.json();
        assert_eq!(answer.status, 422, "{path} {body}: {}", answer.text);
        assert_eq!(problem["field"], field, "{path} {body}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(problem["status"], 422);
        for member in ["type", "title", "detail", "code"] {
            assert!(problem[member].is_string(), "{member}");
        }
        assert!(!answer.text.contains("planted"), "{}", answer.text);
    }
    assert_eq!(api.get("/streams").await.json()["items"].as_array().unwrap().len(), 1);
}

/// What the contract names for later is refused by its name, even if all else in the body is right.
#[tokio::test]
async fn what_nothing_acts_on_is_not_available() {
    let api = Api::start().await;
    api.stream("cam1").await;
    api.post("/restreams", json!({"name": "r", "stream_id": 1, "uri": "rtmp://h/app/k"})).await;
    let pull = json!([{"slot": "primary", "kind": "pull", "uri": "rtsp://u:planted@h/1"}]);
    let playlist = json!([{"kind": "playlist", "items": ["/a.mp4"], "loop": true}]);
    for (path, field, value, named) in [
        ("/streams", "sources", pull, "sources[0].uri"),
        ("/streams", "sources", playlist, "sources[0].kind"),
        ("/streams", "sources", json!([{"kind": "push", "proxy": "http://h"}]), "sources[0].proxy"),
        ("/streams", "slate", json!("card"), "slate"),
        ("/streams", "slate", json!("/srv/away.png"), "slate"),
        ("/streams", "encryption", json!({"scheme": "cbcs"}), "encryption"),
        ("/streams", "failover", json!({"content": ["black"]}), "failover.content"),
        ("/streams", "audio", json!([{"language": "deu"}]), "audio"),
        ("/streams", "encode", json!("on_demand"), "encode"),
        ("/streams", "on_demand", json!({"idle_seconds": 30}), "on_demand"),
        ("/streams", "tags", json!(["news"]), "tags"),
        ("/streams", "embed_domains", json!(["example.org"]), "embed_domains"),
        ("/restreams", "uri", json!("udp://239.1.1.1:5000?ttl=4"), "uri"),
        ("/restreams", "uri", json!("rtp://10.0.0.1:5000"), "uri"),
        ("/restreams", "backup_uri", json!("udp://10.0.0.1:5000"), "backup_uri"),
    ] {
        let mut whole = match path {
            "/streams" => json!({"name": "x"}),
            _ => json!({"name": "x", "stream_id": 1, "uri": "rtmp://h/app/k"}),
        };
        whole[field] = value.clone();
        let patch = json!({field: value});
        for answer in [api.post(path, whole).await, api.patch(&format!("{path}/1"), patch).await] {
            let problem = answer.json();
            let said = (answer.status.as_u16(), problem["code"].as_str(), problem["field"].as_str());
            assert_eq!(said, (422, Some("not_available"), Some(named)), "{path}: {}", answer.text);
            assert!(!answer.text.contains("planted"));
        }
    }
    // This is the documented body with the defaults that this version can run.
    let whole = json!({"name": "cam2", "active": true, "sources": [{"slot": "primary", "kind": "push"}], "ladder": null,
        "hls": true, "dash": true, "webrtc": true, "dvr_seconds": 60, "protected": false, "slate": null,
        "encoder_policy": "prefer_hw", "srt_passphrase": null});
    let made = api.post("/streams", whole).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!((&made.json()["webrtc"], &made.json()["slate"]), (&json!(true), &Value::Null));
}

/// A source that is fetched has an address, whose secrets are shown to nobody who does not ask for them.
#[tokio::test]
async fn a_pull_source_keeps_its_secrets() {
    let api = Api::start().await;
    let sources = |uri: &str| json!({"sources": [{"kind": "pull", "uri": uri}]});
    let whole = "rtmp://user:planted@h:1936/live/cam?token=planted";
    let mut body = sources(whole);
    body["name"] = "cam1".into();
    let made = api.post("/streams", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let shown = "rtmp://h:1936/live/cam?…";
    // As with keys, who made it sees what was stored.
    assert_eq!(made.json()["sources"][0]["uri"], whole);
    let read = api.get("/streams/1").await;
    assert_eq!(read.json()["sources"], json!([{"slot": "primary", "kind": "pull", "uri": shown}]));
    assert!(read.json()["push_urls"]["primary"].is_null(), "nobody may push to it: {}", read.text);
    // What was read may be sent back.
    let patched = api.patch("/streams/1", sources(shown)).await;
    assert_eq!(patched.status, 200, "{}", patched.text);
    assert_eq!(api.get("/streams/1?reveal=true").await.json()["sources"][0]["uri"], whole);
    let moved = api.patch("/streams/1", sources("rtmps://other/live/cam")).await;
    assert_eq!(moved.json()["sources"][0]["uri"], "rtmps://other/live/cam");
    for (uri, code) in [
        ("rtmp://h/live", "invalid"),
        ("cam", "invalid"),
        ("file:///etc/passwd", "invalid"),
        ("rtsp://h/1", "not_available"),
    ] {
        let refused = api.patch("/streams/1", sources(uri)).await;
        let problem = refused.json();
        let said = (refused.status.as_u16(), problem["code"].as_str(), problem["field"].as_str());
        assert_eq!(said, (422, Some(code), Some("sources[0].uri")), "{uri}: {}", refused.text);
    }
    let pushed = api.patch("/streams/1", json!({"sources": [{"kind": "push"}]})).await;
    assert!(pushed.json()["sources"][0]["stream_key"].is_string(), "{}", pushed.text);
    assert!(!read.text.contains("planted") && !patched.text.contains("planted"));
}

/// Each source has a slot and keys of its own, and the list is in order of preference.
#[tokio::test]
async fn a_stream_has_several_sources() {
    let api = Api::start().await;
    let sources = json!([{"kind": "push"}, {"kind": "push"}, {"slot": "studio-2", "kind": "push"}]);
    let body = json!({"name": "cam1", "sources": sources, "failover": {"loss_seconds": 2.5, "return": false}});
    let made = api.post("/streams", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let slots = |stream: &Value| -> Vec<String> {
        stream["sources"].as_array().unwrap().iter().map(|it| it["slot"].as_str().unwrap().to_owned()).collect()
    };
    let key = |stream: &Value, slot: &str| -> String {
        let sources = stream["sources"].as_array().unwrap();
        sources.iter().find(|it| it["slot"] == slot).unwrap()["stream_key"].as_str().unwrap().to_owned()
    };
    assert_eq!(slots(&made), ["primary", "backup", "studio-2"]);
    assert_eq!(made["failover"], json!({"loss_seconds": 2.5, "return_seconds": 5.0, "return": false}));
    let keys: Vec<String> = slots(&made).iter().map(|slot| key(&made, slot)).collect();
    for (slot, key) in slots(&made).iter().zip(&keys) {
        let rtmp = made["push_urls"][slot]["rtmp"].as_str().unwrap();
        assert!(rtmp.ends_with(key.as_str()), "{slot}");
        let grant = api.admission.may_publish(key, std::net::Ipv4Addr::LOCALHOST.into()).unwrap();
        assert_eq!(grant.slot.as_str(), slot);
    }

    let patch = json!({"sources": [{"slot": "studio-2", "kind": "push"}, {"slot": "primary", "kind": "push"}],
        "failover": {"return_seconds": 0}});
    let changed = api.patch("/streams/1", patch).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(slots(&changed.json()), ["studio-2", "primary"]);
    assert_eq!(changed.json()["failover"], json!({"loss_seconds": 2.5, "return_seconds": 0.0, "return": false}));
    let read = api.get("/streams/1?reveal=true").await.json();
    assert_eq!((key(&read, "primary"), key(&read, "studio-2")), (keys[0].clone(), keys[2].clone()), "keys stay");
    assert!(api.admission.may_publish(&keys[1], std::net::Ipv4Addr::LOCALHOST.into()).is_err(), "its source is gone");
    let rotated = api.post("/streams/1/rotate-key", json!({"slot": "studio-2"})).await.json();
    assert_eq!(key(&rotated, "primary"), keys[0]);
    assert_ne!(key(&rotated, "studio-2"), keys[2]);

    let push = |slot: &str| json!({"slot": slot, "kind": "push"});
    let nine: Vec<Value> = (0..9).map(|_| json!({"kind": "push"})).collect();
    for (sources, named) in [
        (json!([]), "sources"),
        (json!(nine), "sources"),
        (json!([push("a"), push("b"), push("a")]), "sources[2].slot"),
        (json!([push("Upper")]), "sources[0].slot"),
        (json!([push("slate")]), "sources[0].slot"),
        (json!([push("")]), "sources[0].slot"),
    ] {
        let refused = api.patch("/streams/1", json!({"sources": sources})).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["field"]), (422, &json!(named)), "{}", refused.text);
    }
    for (failover, named) in [
        (json!({"loss_seconds": 0.1}), "failover.loss_seconds"),
        (json!({"loss_seconds": -1}), "failover.loss_seconds"),
        (json!({"return_seconds": 1e300}), "failover.return_seconds"),
    ] {
        let refused = api.patch("/streams/1", json!({"failover": failover})).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["field"]), (422, &json!(named)), "{}", refused.text);
    }
}

/// What can be on air is told by whoever asks for it; the switch itself is seen in `e2e/failover.rs`.
#[tokio::test]
async fn a_source_that_is_not_live_is_not_switched_to() {
    let api = Api::start().await;
    api.stream("cam1").await;
    for (body, status, code) in [
        (json!({"slot": "primary"}), 409, "not_now"),
        (json!({"slot": "slate"}), 422, "not_available"),
        (json!({"slot": "No"}), 422, "invalid"),
        (json!({}), 422, "invalid"),
    ] {
        let refused = api.post("/streams/1/switch", body).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (status, &json!(code)), "{}", refused.text);
    }
    assert_eq!(api.post("/streams/9/switch", json!({"slot": null})).await.status, 404);
}

#[tokio::test]
async fn addresses_of_later_versions_say_so() {
    let api = Api::start().await;
    for (method, path) in [
        ("POST", "/streams/1/splice"),
        ("POST", "/streams/1/clips"),
        ("POST", "/streams/1/clone"),
        ("POST", "/streams/import"),
        ("GET", "/streams/1/probes"),
        ("GET", "/alerts"),
        ("GET", "/channels"),
        ("GET", "/incidents"),
        ("GET", "/usage"),
        ("GET", "/nodes"),
        ("GET", "/probes"),
    ] {
        let answer = api.call(method, path, None, &[("authorization", &api.admin)]).await;
        let problem = answer.json();
        assert_eq!((answer.status.as_u16(), problem["code"].as_str()), (404, Some("not_available")), "{method} {path}");
    }
    assert_eq!(api.get("/nothing").await.json()["code"], "not_found");
}

/// Sends Gcore's exact body, and compares what is read back of it.
#[tokio::test]
async fn restream_by_one_line() {
    let api = Api::start().await;
    for i in 1..=20 {
        api.stream(&format!("cam{i}")).await;
    }
    let body = r#"{
"name": "first restream",
"active": true,
"uri": "rtmp://a.rtmp.youtube.com/live/k17a-13s8",
"stream_id": 20,
"client_user_id": 10
}"#;
    let made = api.call("POST", "/restreams", Some(body), &[("authorization", &api.admin)]).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(!made.text.contains("13s8"), "{}", made.text);
    let restream = made.json();
    assert_eq!(restream["uri"], "rtmp://a.rtmp.youtube.com/live");
    assert_eq!(restream["stream_key"], "k17a…");
    assert_eq!((&restream["client_user_id"], &restream["stream_id"]), (&json!(10), &json!(20)));
    assert_eq!(restream["retry"], json!({"source_lost_seconds": 3.0, "give_up_minutes": 60.0}));
    assert_eq!(restream["status"]["state"], "awaiting_stream");
    for field in ["reason", "backup", "probe", "next_retry_at", "rtt_ms"] {
        assert_eq!(restream["status"][field], Value::Null, "{field}");
    }
    let id = restream["id"].as_i64().unwrap();
    let revealed = api.get(&format!("/restreams/{id}?reveal=true")).await;
    assert_eq!(revealed.json()["uri"], "rtmp://a.rtmp.youtube.com/live/k17a-13s8");
    let again = api.call("POST", "/restreams", Some(body), &[("authorization", &api.admin)]).await;
    assert_eq!((again.status.as_u16(), again.json()["field"].clone()), (409, json!("name")));
    let elsewhere =
        api.post("/restreams", json!({"name": "first restream", "stream_id": 1, "uri": "rtmp://h/a/k"})).await;
    assert_eq!(elsewhere.json()["status"]["state"], "stopped");
    assert_eq!(api.get("/restreams?stream_id=20").await.json()["items"].as_array().unwrap().len(), 1);

    // The server gives up, and a start clears the reason.
    api.context.commands.stop_restream_for(RestreamId(id), ReasonCode::SourceTimeout).await.unwrap();
    let status = api.get(&format!("/restreams/{id}")).await.json()["status"].clone();
    assert_eq!((&status["state"], &status["reason"]["code"]), (&json!("stopped"), &json!("source_timeout")));
    let started = api.post(&format!("/restreams/{id}/start"), json!({})).await.json();
    assert_eq!(started["status"]["reason"], Value::Null);
    assert_eq!(api.post(&format!("/restreams/{id}/stop"), json!({})).await.json()["active"], false);
    let retry = api.post(&format!("/restreams/{id}/retry"), json!({})).await;
    assert_eq!((retry.status.as_u16(), retry.json()["code"].clone()), (409, json!("not_running")));
}

#[tokio::test]
async fn restream_by_destination_and_one_off_srt() {
    let api = Api::start().await;
    api.stream("cam1").await;
    let saved = api.post(
        "/destinations",
        json!({"name": "YouTube", "url": "rtmp://a.rtmp.youtube.com/live2", "backup_url": null}),
    );
    let saved = saved.await;
    assert_eq!((saved.status.as_u16(), &saved.json()["platform"]), (201, &json!("youtube")), "{}", saved.text);
    let body = json!({"name": "yt", "stream_id": 1, "destination_id": 1, "stream_key": "planted-abcdef",
        "rendition": "720p", "retry": {"give_up_minutes": 0.5}, "schedule": {"start_at": "2030-01-01T01:00:00+01:00"}});
    let made = api.post("/restreams", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let restream = made.json();
    assert_eq!((&restream["stream_key"], &restream["uri"]), (&json!("plan…"), &Value::Null));
    assert_eq!(restream["schedule"]["start_at"], "2030-01-01T00:00:00Z");
    assert_eq!(restream["rendition"], "720p");
    let used = api.delete("/destinations/1").await;
    assert_eq!((used.status.as_u16(), used.json()["code"].clone()), (409, json!("in_use")));

    let changed = api.patch("/restreams/1", json!({"stream_key": "another-key-x", "rendition": null})).await;
    assert_eq!((changed.status.as_u16(), changed.json()["rendition"].clone()), (200, Value::Null), "{}", changed.text);
    assert_eq!(api.get("/restreams/1?reveal=true").await.json()["stream_key"], "another-key-x");
    let changed = api.patch("/restreams/1", json!({"uri": "rtmp://h/app/k"})).await;
    assert_eq!(changed.json()["destination_id"], Value::Null);
    assert_eq!(api.patch("/restreams/1", json!({"stream_key": "x"})).await.json()["field"], "stream_key");
    assert_eq!(api.delete("/destinations/1").await.status, 204);

    let srt = json!({"name": "srt", "stream_id": 1, "stream_key": "srt://127.0.0.1:9001?mode=caller&passphrase=planted-pass&streamid=planted-id"});
    let made = api.post("/restreams", srt).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(!made.text.contains("planted"), "{}", made.text);
    assert_eq!(made.json()["uri"], "srt://127.0.0.1:9001?mode=caller");
    assert_eq!(made.json()["status"]["warnings"][0]["code"], "srt_latency_missing");
    let lonely = api.post("/restreams", json!({"name": "x", "stream_id": 1, "stream_key": "abc"})).await;
    assert_eq!(lonely.json()["field"], "destination_id");

    let hidden =
        api.post("/destinations", json!({"name": "srt", "url": "srt://h:9?passphrase=planted-pass&latency=2s"})).await;
    assert_eq!(hidden.status, 201, "{}", hidden.text);
    assert!(!hidden.text.contains("planted"));
    assert_eq!(hidden.json()["platform"], "generic-srt");
    assert!(api.get("/destinations/2?reveal=true").await.text.contains("planted-pass"));
}

#[tokio::test]
async fn lists_have_pages() {
    let api = Api::start().await;
    for i in 1..=5 {
        api.stream(&format!("s{i}")).await;
    }
    let first = api.get("/streams?limit=3").await.json();
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next_cursor"]), (3, &json!("3")));
    let rest = api.get("/streams?limit=3&cursor=3").await.json();
    assert_eq!((rest["items"][0]["id"].clone(), &rest["next_cursor"]), (json!(4), &Value::Null));
    for (query, field) in [("limit=0", "limit"), ("limit=501", "limit"), ("limit=x", "limit"), ("cursor=x", "cursor")] {
        let answer = api.get(&format!("/streams?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.json()["field"].clone()), (422, json!(field)), "{query}");
    }
    assert_eq!(api.get("/restreams?stream_id=x").await.status, 400);
    assert_eq!(api.get("/platforms").await.json()["items"].as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn stale_changes_are_refused() {
    let api = Api::start().await;
    api.stream("cam1").await;
    let change = async |tag: &str, method: &str| {
        let body = Some(r#"{"dvr_seconds":5}"#).filter(|_| method == "PATCH");
        api.call(method, "/streams/1", body, &[("authorization", &api.admin), ("if-match", tag)]).await.status.as_u16()
    };
    assert_eq!(change("\"7\"", "PATCH").await, 412);
    assert_eq!(change("nonsense", "PATCH").await, 412);
    assert_eq!(change("\"1\"", "PATCH").await, 200);
    assert_eq!(change("\"1\"", "DELETE").await, 412);
    assert_eq!(api.get("/streams/1").await.header("etag"), "\"2\"");
    assert_eq!(change("*", "DELETE").await, 204);
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let api = Api::start().await;
    let post = async |auth: &str, key: &str, body: &str| {
        api.call("POST", "/streams", Some(body), &[("authorization", auth), ("idempotency-key", key)]).await
    };
    let first = post(&api.admin, "k1", r#"{"name":"a"}"#).await;
    let again = post(&api.admin, "k1", r#"{"name":"a"}"#).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.text, again.text, "with the key that is shown once");
    assert_eq!((again.header("etag"), again.header("location")), ("\"1\"", "/api/v1/streams/1"));
    assert_eq!(again.header("content-type"), "application/json");
    assert_eq!(post(&api.admin, "k1", r#"{"name":"b"}"#).await.status, 422);
    assert_eq!(post(&api.operator, "k1", r#"{"name":"b"}"#).await.status, 201, "keys belong to their caller");
    let refused = post(&api.admin, "k2", r#"{"name":"a"}"#).await;
    assert_eq!(refused.status, 409);
    assert_eq!(post(&api.admin, "k2", r#"{"name":"a"}"#).await.text, refused.text);
    assert_eq!(post(&api.admin, "", r#"{"name":"a"}"#).await.status, 400);
    assert_eq!(api.get("/streams").await.json()["items"].as_array().unwrap().len(), 2);
}

//! The API's rules from outside: what is refused and in which words, roles, limits, health, and the first start.

use crate::common;

use common::{SOON, weir};
use serde_json::json;
use weir_testkit::events::Event;
use weir_testkit::{Publisher, Weir};

#[test]
fn what_is_wrong_is_refused_by_name() {
    let weir = weir().start();
    let api = weir.api();
    let (first, second) = (api.create_stream("one"), api.create_stream("two"));
    api.create_restream(&first, "same", "rtmp://127.0.0.1:9/app/key");
    let restream = |stream_id: i64, extra: serde_json::Value| {
        let mut body = json!({ "name": "r", "stream_id": stream_id, "uri": "rtmp://127.0.0.1:9/app/key" });
        for (key, value) in extra.as_object().unwrap() {
            body[key] = value.clone();
        }
        api.post("/restreams", &body)
    };
    assert_eq!(restream(second.id, json!({ "name": "same" })).status, 201, "unique within its stream only");
    // Gcore's body is complete by itself.
    let gcore = json!({ "name": "first restream", "active": true, "uri": "rtmp://a.rtmp.youtube.com/live/k17a-13s8",
        "stream_id": first.id, "client_user_id": 10 });
    assert_eq!(api.post("/restreams", &gcore).status, 201);

    let cases: [(&str, serde_json::Value, &[u16], Option<&str>); 8] = [
        ("a second of that name", json!({ "name": "same" }), &[409], Some("name")),
        ("an unknown field", json!({ "nmae": "x" }), &[400, 422], Some("nmae")),
        ("a listener", json!({ "uri": "srt://127.0.0.1:9?mode=listener" }), &[422], Some("uri")),
        ("an unknown SRT parameter", json!({ "uri": "srt://127.0.0.1:9?latenzy=2" }), &[422], Some("uri")),
        ("another scheme", json!({ "uri": "ftp://127.0.0.1/app/key" }), &[422], Some("uri")),
        ("no key", json!({ "uri": "rtmp://127.0.0.1" }), &[422], Some("uri")),
        ("an empty name", json!({ "name": "" }), &[422], Some("name")),
        ("no such stream", json!({ "stream_id": 999_999 }), &[404, 422], None),
    ];
    for (what, extra, statuses, field) in cases {
        let answer = restream(first.id, extra);
        assert!(statuses.contains(&answer.status), "{what}: {answer:?}");
        for member in ["type", "title", "status", "detail", "code"] {
            assert!(!answer.body[member].is_null(), "{what}: no {member} in {}", answer.body);
        }
        if let Some(field) = field {
            assert_eq!(answer.body["field"], field, "{what}: {}", answer.body);
        }
    }
    assert_eq!(api.call("POST", "/restreams", Some("{".to_owned())).status, 400);
    assert_eq!(api.get("/restreams/999999").status, 404);
    assert_eq!(api.with_key("").get("/streams").status, 401);
    assert_eq!(api.with_key("no-such-key-at-all-000000").get("/streams").status, 401);
}

#[test]
fn lists_go_on_where_they_stopped() {
    let weir = weir().start();
    let api = weir.api();
    for number in 0..7 {
        api.create_stream(&format!("s{number}"));
    }
    let (mut names, mut path) = (Vec::new(), "/streams?limit=3".to_owned());
    loop {
        let page = api.get(&path).expect(200);
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/streams?limit=3&cursor={cursor}");
    }
    assert_eq!(names, (0..7).map(|number| format!("s{number}")).collect::<Vec<_>>());
}

#[test]
fn health_is_told_and_a_wrong_configuration_too() {
    let weir = weir().start();
    let api = weir.api().with_key("");
    assert_eq!(api.get("//healthz").status, 200);
    assert_eq!(api.get("//readyz").status, 200);
    assert!(weir.api().get("//metrics").body.as_str().unwrap().contains("weir_uptime_seconds"));

    let mut wrong = std::process::Command::new(env!("CARGO_BIN_EXE_weir"));
    wrong.args(["serve", "--data"]).arg(weir.data()).env("WEIR_RTMP__LISTN", "127.0.0.1:0");
    let output = wrong.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("rtmp.listn") && text.contains("rtmp.listen"), "{text}");
}

#[test]
fn an_api_key_can_be_made_beside_a_running_server() {
    let weir = weir().start();
    let create = |role: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["apikey", "create", "--name", role, "--role", role, "--data"]).arg(weir.data());
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let (viewer, operator) = (weir.api().with_key(&create("viewer")), weir.api().with_key(&create("operator")));
    assert_eq!(viewer.get("/streams").status, 200);
    assert_eq!(viewer.post("/streams", &json!({ "name": "x" })).status, 403);
    assert_eq!(operator.post("/streams", &json!({ "name": "x" })).status, 201);
    let destination = json!({ "name": "d", "platform": "generic-rtmp", "url": "rtmp://127.0.0.1:9/app" });
    assert_eq!(operator.post("/destinations", &destination).status, 403, "destinations are the admin's");
    assert_eq!(weir.api().post("/destinations", &destination).status, 201);
}

#[test]
fn the_demo_is_live_with_a_push_by_itself() {
    let weir: Weir = weir().arg("--demo").start();
    let api = weir.api();
    let streams = || api.get("/streams").expect(200)["items"].as_array().unwrap().clone();
    weir_testkit::wait_until("the demo and its sink were live", SOON, || {
        streams().iter().filter(|stream| stream["status"]["live"] == true).count() == 2
    });
    let restreams = api.get("/restreams").expect(200);
    let id = weir_testkit::api::id_of(&restreams["items"][0]);
    api.wait_restream(id, "streaming", SOON);
    let folder = tempfile::tempdir().unwrap();
    let played = folder.path().join("played.flv");
    let mut player = weir_testkit::ffmpeg::play(&format!("{}/play/demo-sink", weir.rtmp()), 2, &played);
    assert!(player.wait_ended(SOON).success(), "{:?}", player.output());
    assert_eq!(weir_testkit::ffmpeg::decode_errors(&played), "");
}

#[test]
fn the_event_stream_goes_on_behind_the_last_event_seen() {
    let weir = weir().start();
    let api = weir.api();
    let live = api.events(None);
    let stream = api.create_stream("cam1");
    let publish = || Publisher::publish(&weir.rtmp_address(), "live", &stream.stream_key).unwrap();
    let to = |state: &'static str| move |event: &Event| event.kind == "stream_state" && event.data["to"] == state;
    drop(publish());
    let first = live.wait_for("it started", SOON, to("starting"));
    let last = live.wait_for("it ended", SOON, to("offline"));
    assert!(last.id > first.id);
    let again = api.events(Some(first.id));
    again.wait_for("what came since", SOON, to("offline"));
    assert!(again.all().iter().all(|event| event.id > first.id), "{:?}", again.all());
    let listed = api.get(&format!("/events?since={}", first.id)).expect(200);
    assert_eq!(listed["items"][0]["id"], again.all()[0].id, "the list and the stream agree: {listed}");
}

#[test]
fn a_restreams_start_and_stop_are_told() {
    let weir = weir().start();
    let api = weir.api();
    let events = api.events(None);
    let stream = api.create_stream("cam1");
    let id = api.create_restream(&stream, "r", "rtmp://127.0.0.1:9/app/key");
    let told = |from: &'static str, to: &'static str| {
        move |event: &Event| {
            let said = (&event.data["restream_id"], &event.data["from"], &event.data["to"]);
            event.kind == "restream_state" && said == (&json!(id), &json!(from), &json!(to))
        }
    };
    events.wait_for("it was started", SOON, told("stopped", "awaiting_stream"));
    api.post(&format!("/restreams/{id}/stop"), &json!({})).expect(200);
    events.wait_for("it was stopped", SOON, told("awaiting_stream", "stopped"));
}

#[test]
fn a_restreams_rendition_keeps_what_was_said_and_a_warning_says_what_it_breaks() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let twitch = json!({ "name": "t", "platform": "twitch", "url": "rtmp://127.0.0.1:9/app" });
    let twitch = weir_testkit::api::id_of(&api.post("/destinations", &twitch).expect(201));
    let create = |name: &str, rendition: &serde_json::Value| {
        let body = json!({
            "name": name, "stream_id": stream.id, "destination_id": twitch, "stream_key": "k", "rendition": rendition,
        });
        api.post("/restreams", &body)
    };
    let codes = |shown: &serde_json::Value| -> Vec<String> {
        let warnings = shown["status"]["warnings"].as_array().unwrap();
        warnings.iter().map(|warning| warning["code"].as_str().unwrap().to_owned()).collect()
    };
    for (name, rendition, expected) in [
        ("only its size", json!({ "name": "own", "width": 1280, "height": 720 }), &[][..]),
        (
            "much",
            json!({
                "name": "own", "width": 1280, "height": 720, "gop_seconds": 10.0, "video_bitrate_kbps": 20_000,
                "rate_control": "vbr", "audio_bitrate_kbps": 320,
            }),
            &["audio_bitrate_too_high", "gop_too_long", "bitrate_too_high", "not_cbr"],
        ),
        ("sound alone", json!({ "name": "own", "audio_bitrate_kbps": 96 }), &["missing_video"]),
    ] {
        let id = weir_testkit::api::id_of(&create(name, &rendition).expect(201));
        let shown = api.get(&format!("/restreams/{id}")).expect(200);
        assert_eq!(shown["rendition"], rendition, "{name}");
        assert_eq!(codes(&shown), expected, "{name}: {shown}");
        for warning in shown["status"]["warnings"].as_array().unwrap() {
            assert_eq!(warning["suggestion"]["rate_control"], "cbr", "{name}");
        }
    }
    let half = json!({ "name": "own", "width": 1280 });
    assert_eq!(create("half", &half).expect(422)["field"], "rendition.height");
    let nothing = json!({ "name": "own" });
    assert_eq!(create("nothing", &nothing).expect(422)["field"], "rendition.width");
    let shrill = json!({ "name": "own", "audio_bitrate_kbps": 96, "loudness_lufs": -5 });
    assert_eq!(create("shrill", &shrill).expect(422)["field"], "rendition.loudness_lufs");
    // A ladder belongs to no destination, so only its maker can say its bitrate.
    let ladder = json!({ "name": "cam2", "ladder": [{ "name": "a", "width": 1280, "height": 720 }] });
    assert_eq!(api.post("/streams", &ladder).expect(422)["field"], "ladder[0].video_bitrate_kbps");
}

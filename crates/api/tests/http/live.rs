//! Tests the live board, figures over time, and what platforms object to in a restream.

use crate::common;

use common::Api;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use weir_model::{IngestStatus, Slot, StreamId, StreamState, StreamStatus};

fn live(gop_seconds: f64, bitrate_bps: u64) -> StreamStatus {
    let ingest = IngestStatus {
        protocol: "rtmp",
        slot: Slot::primary(),
        remote: None,
        video_codec: Some("h264".into()),
        audio_codec: Some("aac".into()),
        width: Some(1920),
        height: Some(1080),
        fps: Some(30.0),
        bitrate_bps,
        gop_seconds: Some(gop_seconds),
        dropped_frames: 0,
        latency_ms: None,
        rtt_ms: None,
        loss_percent: None,
        continuity_errors: None,
        srt: None,
        webrtc: None,
    };
    let state = StreamState::Live;
    StreamStatus { state, ingest: Some(ingest), ..StreamStatus::offline(OffsetDateTime::UNIX_EPOCH) }
}

/// Reads the events of a followed address, one after another.
struct Watching(BufReader<TcpStream>);

impl Watching {
    async fn open(address: std::net::SocketAddr, auth: &str) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /api/v1/live HTTP/1.1\r\nhost: x\r\nauthorization: {auth}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::new(socket))
    }

    async fn next(&mut self) -> (String, Value) {
        let mut kind = String::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).await.unwrap() > 0, "closed");
            if let Some(event) = line.strip_prefix("event: ") {
                kind = event.trim().to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (kind, serde_json::from_str(data).unwrap());
            }
        }
    }

    /// Waits for the first delta that has what is looked for.
    async fn wait(&mut self, found: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (kind, data) = self.next().await;
            assert_eq!(kind, "delta");
            if found(&data) {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn everything_first_and_then_what_changes() {
    let api = Api::start().await;
    api.stream("cam1").await;
    api.stream("cam2").await;
    api.post("/restreams", json!({"name": "tube", "stream_id": 1, "uri": "rtmp://h/app/planted-key"})).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(api.serve(listener, std::future::pending()));

    let mut watching = Watching::open(address, &api.viewer).await;
    let (kind, snapshot) = watching.next().await;
    assert_eq!(kind, "snapshot");
    let names: Vec<&str> =
        snapshot["streams"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cam1", "cam2"]);
    assert_eq!(snapshot["restreams"][0]["status"]["state"], "stopped");
    assert!(!snapshot.to_string().contains("planted"), "{snapshot}");

    let version = snapshot["config_version"].as_u64().unwrap();
    api.context.observe.board().set_stream(StreamId(1), "cam1", live(2.0, 3_000_000));
    api.context.observe.events().emit(weir_model::EventKind::StreamState, serde_json::Map::new());
    let delta = watching.wait(|delta| !delta["streams"].as_array().unwrap().is_empty()).await;
    let changed = delta["streams"].as_array().unwrap();
    assert_eq!((changed.len(), &changed[0]["status"]["state"]), (1, &json!("live")), "only what changed");
    assert_eq!(delta["config_version"], version);

    api.delete("/streams/2").await;
    let delta = watching.wait(|delta| delta["streams_gone"] != json!([])).await;
    assert_eq!(delta["streams_gone"], json!([2]));
    assert!(delta["config_version"].as_u64().unwrap() > version, "lists are to be read again");

    // A follower who comes later shares the ticks, and also begins with everything.
    let mut second = Watching::open(address, &api.viewer).await;
    let (kind, snapshot) = second.next().await;
    assert_eq!((kind.as_str(), snapshot["streams"].as_array().unwrap().len()), ("snapshot", 1));
    server.abort();
}

#[tokio::test]
async fn what_a_platform_holds_against_it_and_how_to_put_it_right() {
    let api = Api::start().await;
    api.stream("cam1").await;
    let uri = "rtmps://live-api-s.facebook.com:443/rtmp/FB-planted";
    let made = api.post("/restreams", json!({"name": "fb", "stream_id": 1, "uri": uri})).await;
    assert_eq!(made.json()["status"]["warnings"], json!([]), "nothing is known of the source");
    api.context.observe.board().set_stream(StreamId(1), "cam1", live(10.0, 3_000_000));
    let warnings = api.get("/restreams/1").await.json()["status"]["warnings"].clone();
    let warning = &warnings[0];
    assert_eq!(warning["code"], "gop_too_long");
    assert_eq!(warning["message"], "GOP is 10 s, Facebook rejects over 4 s: transcode to 2 s");
    let fixed = api.patch("/restreams/1", json!({"rendition": warning["suggestion"]})).await;
    assert_eq!(fixed.status, 200, "{}", fixed.text);
    assert_eq!(fixed.json()["status"]["warnings"], json!([]), "one click puts it right");

    // Now the platform comes from a saved destination, and the rendition is named from the stream's ladder.
    let destination = json!({"name": "own", "platform": "facebook", "url": "rtmp://127.0.0.1/live"});
    assert_eq!(api.post("/destinations", destination).await.status, 201);
    let slow = json!([{"name": "slow", "width": 640, "height": 360, "video_bitrate_kbps": 800, "gop_seconds": 8}]);
    assert_eq!(api.patch("/streams/1", json!({"ladder": slow})).await.status, 200);
    let body = json!({"name": "b", "stream_id": 1, "destination_id": 1, "stream_key": "k", "rendition": "slow"});
    let made = api.post("/restreams", body).await;
    assert_eq!(made.json()["status"]["warnings"][0]["code"], "gop_too_long", "{}", made.text);
    let list = api.get("/restreams").await.json();
    assert_eq!(list["items"][1]["status"]["warnings"][0]["suggestion"]["gop_seconds"], 2.0);
}

#[tokio::test]
async fn what_would_be_is_answered_before_anything_is_made() {
    let api = Api::start().await;
    api.stream("cam1").await;
    let destination = json!({"name": "own", "platform": "facebook", "url": "rtmp://127.0.0.1/live"});
    assert_eq!(api.post("/destinations", destination).await.status, 201);
    let slow = json!({"name": "slow", "width": 640, "height": 360, "video_bitrate_kbps": 800, "gop_seconds": 8});
    let good = json!({"name": "good", "width": 640, "height": 360, "video_bitrate_kbps": 800});
    let ladder = json!({"ladder": [{"name": "asis", "passthrough": true}, slow, good]});
    assert_eq!(api.patch("/streams/1", ladder).await.status, 200);
    let facebook = "rtmps://live-api-s.facebook.com:443/rtmp";
    let whole = format!("{facebook}/FB-planted");
    let check = async |body: Value| {
        let (text, auth) = (body.to_string(), [("authorization", &*api.operator)]);
        let answer = api.call("POST", "/restreams/check", Some(&text), &auth).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
        assert!(!answer.text.contains("planted"));
        answer.json()
    };
    let before = check(json!({"stream_id": 1, "uri": facebook})).await;
    assert_eq!(
        (&before["known"], &before["platform"], &before["warnings"]),
        (&json!(false), &json!("facebook"), &json!([]))
    );
    api.context.observe.board().set_stream(StreamId(1), "cam1", live(10.0, 3_000_000));
    for (body, code, rendition) in [
        // The address of a server is enough; a whole address and a whole body are taken as well.
        (json!({"stream_id": 1, "uri": facebook}), Some("gop_too_long"), None),
        (
            json!({"stream_id": 1, "uri": whole, "name": "fb", "active": true, "backup_uri": whole}),
            Some("gop_too_long"),
            None,
        ),
        (json!({"stream_id": 1, "destination_id": 1}), Some("gop_too_long"), None),
        (json!({"stream_id": 1, "destination_id": 1, "stream_key": "planted"}), Some("gop_too_long"), None),
        (json!({"stream_id": 1, "destination_id": 1, "rendition": "slow"}), Some("gop_too_long"), Some("slow")),
        (json!({"stream_id": 1, "destination_id": 1, "rendition": "good"}), None, Some("good")),
        (
            json!({"stream_id": 1, "uri": facebook, "rendition": {"name": "mine", "width": 640, "height": 360}}),
            None,
            Some("mine"),
        ),
        (json!({"stream_id": 1, "uri": "srt://h:1"}), None, None),
    ] {
        let said = check(body.clone()).await;
        assert_eq!(said["known"], true, "{body}");
        assert_eq!(said["warnings"][0]["code"].as_str(), code, "{body}: {said}");
        assert_eq!(said["rendition"]["name"].as_str(), rendition, "{body}: {said}");
        assert_eq!(said["of_ladder"].as_str(), code.map(|_| "good"), "{body}: {said}");
        if code.is_some() {
            let mended =
                check(json!({"stream_id": 1, "uri": facebook, "rendition": said["warnings"][0]["suggestion"]})).await;
            assert_eq!(mended["warnings"], json!([]), "{mended}");
        }
    }
    let filled =
        check(json!({"stream_id": 1, "uri": facebook, "rendition": {"name": "mine", "width": 640, "height": 360}}))
            .await;
    assert!(filled["rendition"]["gop_seconds"].is_number() && filled["rendition"]["video_bitrate_kbps"].is_number());
    for (body, field) in [
        (json!({"stream_id": 9, "uri": facebook}), "stream_id"),
        (json!({"stream_id": 1}), "uri"),
        (json!({"stream_id": 1, "uri": "http://h"}), "uri"),
        (json!({"stream_id": 1, "destination_id": 9}), "destination_id"),
        (json!({"stream_id": 1, "uri": facebook, "audio_language": "german"}), "audio_language"),
    ] {
        let refused = api.post("/restreams/check", body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.json()["field"].as_str()), (422, Some(field)), "{body}");
    }
    assert_eq!(api.get("/restreams").await.json()["items"], json!([]), "nothing is made");
    let audit = api.get("/audit").await.text;
    assert!(!audit.contains("restreams/check"), "asking is no deed: {audit}");
}

#[tokio::test]
async fn figures_over_time() {
    let api = Api::start().await;
    api.stream("cam1").await;
    api.context.observe.board().set_stream(StreamId(1), "cam1", live(2.0, 3_000_000));
    let keeping = tokio::spawn({
        let observe = api.context.observe.clone();
        let heartbeat = observe.heartbeats().join("history");
        observe.keep_history(heartbeat)
    });
    let stats = loop {
        let stats = api.get("/streams/1/stats").await.json();
        if stats["series"] != json!([]) {
            break stats;
        }
        tokio::task::yield_now().await;
    };
    keeping.abort();
    assert_eq!((&stats["step_seconds"], &stats["points"]), (&json!(1), &json!(900)));
    let bitrate = stats["series"].as_array().unwrap().iter().find(|s| s["metric"] == "ingest_bitrate_bps").unwrap();
    let last = bitrate["values"].as_array().unwrap().iter().rev().find_map(Value::as_f64).unwrap();
    assert!((last - 3e6).abs() < 3e3, "{last}");
    let day = api.get("/streams/1/stats?since=2026-01-01T00:00:00Z").await.json();
    assert_eq!(day["step_seconds"], 10);
    assert_eq!(api.get("/streams/1/stats?since=yesterday").await.status, 400);
    assert_eq!(api.get("/streams/9/stats").await.status, 404);
    assert_eq!(api.get("/restreams/9/stats").await.status, 404);
    let load = api.context.observe.load();
    assert!(load.memory_total_bytes.is_some());
}

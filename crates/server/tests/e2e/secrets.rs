//! Planted secrets are looked for wherever the server speaks (logs, events, errors, metrics, reads) and in what it stores.

use crate::common;

use common::{SOON, clip, weir};
use serde_json::json;
use weir_testkit::publisher::Feed;
use weir_testkit::{Destination, Publisher};

#[test]
fn no_secret_is_ever_said_or_stored_in_the_clear() {
    let mut weir = weir().env("RUST_LOG", "trace").start();
    let api = weir.api();
    let events = api.events(None);
    let stream = api.create_stream("cam1");
    let (good, bad) = (Destination::new(), Destination::rejecting("NetStream.Publish.Denied", "go away"));
    let planted =
        ["plantedkeygood0001", "plantedkeybad0002", "plantedquery0003", "plantedpassword0004", "plantedfield0005"];
    api.create_restream(&stream, "good", &good.url(planted[0]));
    api.create_restream(&stream, "bad", &format!("{}?token={}", bad.url(planted[1]), planted[2]));
    let with_password = bad.url("key").replace("rtmp://", &format!("rtmp://user:{}@", planted[3]));
    api.create_restream(&stream, "password", &with_password);
    let destination =
        api.post("/destinations", &json!({ "name": "d", "platform": "generic-rtmp", "url": good.server_url() }));
    let destination = weir_testkit::api::id_of(&destination.expect(201));
    let field = json!({ "uri": null, "destination_id": destination, "stream_key": planted[4] });
    let field_id = api.create_restream_with(&stream, "field", &field);
    // Refused requests contain a secret: the error names the field and not the value.
    let refused = api.post(
        "/restreams",
        &json!({ "name": "x", "stream_id": stream.id, "uri": format!("ftp://h/app/{}", planted[0]) }),
    );
    assert!(refused.status == 422 && !refused.body.to_string().contains(planted[0]), "{refused:?}");
    let unknown_key = "plantedunknownkey0006";
    assert!(Publisher::publish(&weir.rtmp_address(), "live", unknown_key).is_err());

    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    api.wait_restream(field_id, "streaming", SOON);
    good.wait_video_frames(30, SOON);
    events.wait_for("the rejection", SOON, |event| event.data.to_string().contains("auth_rejected"));
    assert!(
        good.stream_keys().contains(planted[0]) && good.stream_keys().contains(planted[4]),
        "{:?}",
        good.stream_keys()
    );

    // There is a password, right and wrong, and one that was typed where the name goes.
    let password = "plantedpasswordofauser0007";
    let typed_as_name = "plantedname0008";
    api.post("/users", &json!({ "name": "anna", "password": password, "role": "viewer" })).expect(201);
    let log_in = |name: &str, password: &str| {
        let answer = api.with_key("").post("/session", &json!({ "name": name, "password": password }));
        (answer.status, answer.body.to_string())
    };
    assert_eq!(log_in("anna", password).0, 200);
    let mut said = vec![
        ("a refused login".to_owned(), log_in(typed_as_name, "plantedwrong0009").1),
        ("another refused login".to_owned(), log_in("anna", "plantedwrong0009").1),
    ];
    let denied = api.get("/audit?outcome=denied").expect(200);
    assert!(denied["items"].as_array().unwrap().iter().all(|entry| entry["address"] == "127.0.0.1"), "{denied}");
    for path in [
        "/restreams",
        "/streams",
        "/destinations",
        "/events",
        "/system",
        "/audit",
        "/users",
        "/apikeys",
        "/ladders",
        "/streams/1/stats",
        "/restreams/1/stats",
        "//metrics",
        "//readyz",
        "/openapi.json",
    ] {
        said.push((path.to_owned(), api.get(path).body.to_string()));
    }
    said.push(("the event stream".to_owned(), events.all().iter().map(|event| event.data.to_string()).collect()));
    drop(feed);
    weir.stop(SOON);
    said.push(("the log".to_owned(), weir.output().join("\n")));
    let everywhere = [
        &planted[..],
        &[
            unknown_key,
            password,
            typed_as_name,
            "plantedwrong0009",
            stream.stream_key.as_str(),
            weir_testkit::process::ADMIN_API_KEY,
            weir_testkit::process::ADMIN_PASSWORD,
        ],
    ]
    .concat();
    for secret in &everywhere {
        for (place, text) in &said {
            if let Some(at) = text.find(secret) {
                let from = at.saturating_sub(200);
                panic!("{place} says {secret}: ...{}", text.get(from..at + secret.len()).unwrap_or_default());
            }
        }
        for path in files_under(weir.data()) {
            let bytes = std::fs::read(&path).unwrap();
            // A stream's own key is looked up when an encoder comes; destinations' keys and our own are sealed or hashed.
            let clear = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!clear || *secret == stream.stream_key, "{} holds {secret} in the clear", path.display());
        }
    }
}

/// Every file in the folder and in the folders in it.
fn files_under(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_under(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files
}

//! Tests the whole configuration as a document: it goes out, in elsewhere, and out again as it was.

use crate::common;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use common::Api;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use weir_api::portable::{Draft, Imported, PortableError, export, import};
use weir_model::{Platforms, Role};
use weir_store::{KEY_FILE, SealingKey, Store};

/// A PNG of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

async fn store_in(data: &Path) -> Store {
    Store::open(&data.join("weir.db"), &SealingKey::load_or_create(data).unwrap()).await.unwrap()
}

/// Makes everything that there can be, with gaps between the ids.
async fn furnished() -> Api {
    let api = Api::start().await;
    let store = &api.context.store;
    store.create_account("admin", Role::Admin, &"planted-password-1".into(), None).await.unwrap();
    let ok = |answer: common::Answer| assert!(answer.status.is_success(), "{}", answer.text);
    ok(api
        .post(
            "/users",
            json!({"name": "anna", "password": "planted-password-2", "role": "operator", "restream_quota": 3}),
        )
        .await);
    let rendition = json!({"name": "720p", "width": 1280, "height": 720, "video_bitrate_kbps": 3000, "fps": 29.97});
    ok(api.post("/ladders", json!({"name": "mine", "title": "Mine", "renditions": [rendition]})).await);
    for name in ["gone", "kept"] {
        let body = json!({"name": name, "platform": "youtube", "url": "rtmp://a.example/live2", "backup_url": "rtmp://b.example/live2"});
        ok(api.post("/destinations", body).await);
    }
    ok(api.delete("/destinations/1").await);
    let rich = json!({
        "name": "cam1", "active": false, "ladder": "mine", "dvr_seconds": 7200, "record": true, "protected": true,
        "encoder_policy": "sw_only", "srt_passphrase": "planted-passphrase", "webrtc": false,
        "logo": {"position": "bottom_left", "opacity": 0.5},
    });
    ok(api.post("/streams", rich).await);
    ok(api.post("/streams", json!({"name": "cam2", "ladder": [{"name": "source", "passthrough": true}]})).await);
    ok(api.delete("/streams/2").await);
    ok(api.post("/streams", json!({"name": "cam3"})).await);
    ok(api.post("/streams/1/tokens/revoke", json!({})).await);
    let png = BASE64_STANDARD.decode(PNG).unwrap();
    let headers = [("authorization", api.admin.as_str()), ("content-type", "image/png")];
    ok(api.call_with_bytes("PUT", "/streams/1/logo", Some(&png), &headers).await);
    for body in [
        json!({"name": "whole", "stream_id": 1, "active": true, "uri": "rtmp://h.example/app/planted-key-1",
               "backup_uri": "srt://h.example:9000?mode=caller&passphrase=planted-passphrase-2", "client_user_id": 77, "audio_language": "deu",
               "retry": {"source_lost_seconds": 2.345, "give_up_minutes": 0.0171}}),
        json!({"name": "by key", "stream_id": 3, "destination_id": 2, "stream_key": "planted-key-2", "rendition": "720p",
               "schedule": {"start_at": "2099-01-31T20:00:00.123Z"}}),
        json!({"name": "own", "stream_id": 3, "uri": "rtmp://h.example/app/planted-key-3",
               "rendition": {"name": "small", "width": 640, "height": 360}}),
    ] {
        ok(api.post("/restreams", body).await);
    }
    ok(api
        .post(
            "/webhooks",
            json!({"url": "https://h.example/planted-hook", "secret": "planted-secret", "types": ["stream_state"]}),
        )
        .await);
    api
}

#[tokio::test]
async fn out_and_in_and_out_again_is_the_same() {
    let api = furnished().await;
    let platforms = Platforms::load().unwrap();
    for with_secrets in [false, true] {
        let document = export(&api.context.store, with_secrets).await.unwrap();
        assert_eq!(document, export(&api.context.store, with_secrets).await.unwrap(), "nothing in it is by chance");
        assert_eq!(document.contains("planted"), with_secrets);
        assert!(document.contains("cam1") && document.ends_with("}\n"));
        let elsewhere = tempfile::tempdir().unwrap();
        if !with_secrets {
            std::fs::copy(api.context.data.join(KEY_FILE), elsewhere.path().join(KEY_FILE)).unwrap();
        }
        let store = store_in(elsewhere.path()).await;
        let mut draft = Draft::parse(document.as_bytes()).unwrap();
        assert_eq!(draft.is_sealed(), !with_secrets);
        let imported = import(draft, &store, &platforms).await.unwrap();
        let expected =
            Imported { users: 2, api_keys: 3, ladders: 1, destinations: 1, streams: 2, restreams: 3, webhooks: 1 };
        assert_eq!(imported, expected);
        assert_eq!(export(&store, with_secrets).await.unwrap(), document);
        // The imported store works: people, keys and encoders get in, and the next id is one that never was.
        assert!(store.check_password("anna", &"planted-password-2".into()).await.unwrap().is_some());
        let key = api.admin.strip_prefix("apikey ").unwrap();
        assert_eq!(store.api_key_of(&key.into()).await.unwrap().unwrap().role, Role::Admin);
        let next = store.create_api_key("next", Role::Viewer).await.unwrap().0.id.0;
        assert_eq!(next, 4);
        assert_eq!(store.last_ids().await.unwrap()["destination"], 2);
    }
}

/// A directory to try documents in, and a document that would be taken.
async fn taken() -> (TempDir, Value) {
    let api = furnished().await;
    let document = export(&api.context.store, true).await.unwrap();
    (tempfile::tempdir().unwrap(), serde_json::from_str(&document).unwrap())
}

async fn refusal(document: &Value) -> String {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path()).await;
    let refused =
        async { import(Draft::parse(document.to_string().as_bytes())?, &store, &Platforms::load().unwrap()).await };
    match refused.await.unwrap_err() {
        error @ PortableError::Document { .. } => error.to_string(),
        other => panic!("not the document's fault: {other}"),
    }
}

#[tokio::test]
async fn what_the_api_would_refuse_is_refused_where_it_stands() {
    let (_dir, good) = taken().await;
    for (pointer, value, expected) in [
        ("/weir_export", json!(2), "weir_export: it was written by a newer weir (format 2, this one reads 1)"),
        ("/weir_export", json!("x"), "weir_export: must be 1: this is no export"),
        ("/last_ids/stream", json!(1), "last_ids.stream: must be at least the last id"),
        ("/last_ids/stream", json!(i64::MAX), "last_ids.stream: must be at least"),
        ("/streams/0/body/name", json!("No!"), "streams[0].body.name: "),
        ("/streams/1/body/name", json!("cam1"), "streams[1].body.name: "),
        ("/streams/1/body/ladder", json!("nobodys"), "streams[1].body.ladder: "),
        ("/streams/0/body/dvr_seconds", json!(86_401), "streams[0].body.dvr_seconds: must be at most 86400"),
        ("/streams/0/body/dvr_seconds", json!("planted"), "streams[0].body.dvr_seconds: must be u32"),
        ("/streams/0/body/planted", json!(1), "streams[0].body.planted: is not a known field"),
        ("/streams/0/body/slate", json!("card"), "streams[0].body.slate: "),
        ("/streams/1/id", json!(1), "streams[1].id: must be above 1"),
        ("/streams/0/id", json!(-5), "streams[0].id: must be above 0"),
        ("/streams/0/stream_keys/primary", json!("short"), "streams[0].stream_keys.primary: must be 16 to 128"),
        (
            "/streams/0/stream_keys/backup",
            json!("a-key-of-a-slot-without"),
            "streams[0].stream_keys.backup: names no push",
        ),
        ("/streams/0/logo_png", json!("AAAA"), "streams[0].logo_png: "),
        ("/streams/0/logo_png", json!("?"), "streams[0].logo_png: must be Base64"),
        ("/destinations/0/body/platform", json!("myspace"), "destinations[0].body.platform: must be one of"),
        ("/destinations/0/body/url", json!("ftp://planted"), "destinations[0].body.url: "),
        ("/restreams/0/body/uri", json!("ftp://planted"), "restreams[0].body.uri: "),
        ("/restreams/1/body/destination_id", json!(1), "restreams[1].body.destination_id: names nothing that exists"),
        ("/restreams/1/body/stream_id", json!(2), "restreams[1].body.stream_id: names nothing that exists"),
        ("/restreams/0/owner_id", json!(9), "restreams[0].owner_id: names no user"),
        ("/restreams/0/stop_reason", json!("boredom"), "restreams[0].stop_reason: is not a reason"),
        (
            "/restreams/0/body/retry/give_up_minutes",
            json!(-1),
            "restreams[0].body.retry.give_up_minutes: must be a number",
        ),
        ("/ladders/0/body/renditions/0/width", json!(1), "ladders[0].body.renditions.width: "),
        ("/ladders/0/id", json!(5), "ladders[0].id: must be above 1000"),
        ("/users/0/role", json!("viewer"), "users: one of them must be an admin"),
        ("/users/1/name", json!("admin"), "users[1].name: "),
        ("/users/0/password_hash", json!("planted"), "users[0].password_hash: must be an argon2id hash"),
        (
            "/users/0/password_hash",
            // This hash would take 4 GB of memory at each login.
            json!(
                "$argon2id$v=19$m=4194304,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            ),
            "users[0].password_hash: must be an argon2id hash",
        ),
        ("/api_keys/0/key_hash", json!("AAAA"), "api_keys[0].key_hash: must be 32 bytes"),
        ("/api_keys/0/role", json!("root"), "api_keys[0].role: must be"),
        ("/webhooks/0/body/url", json!("ftp://planted"), "webhooks[0].body.url: must begin with"),
        ("/webhooks/0/body/url", json!({"sealed": "AAAA"}), "webhooks[0].body.url: was sealed with another secret.key"),
        ("/webhooks/0/created_at", json!("yesterday"), "webhooks[0].created_at: "),
    ] {
        let mut bad = good.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match bad.pointer_mut(parent).unwrap() {
            Value::Object(fields) => drop(fields.insert(field.to_owned(), value)),
            other => panic!("{pointer} of {other}"),
        }
        let said = refusal(&bad).await;
        assert!(said.contains(expected), "{pointer}: {said:?} does not say {expected:?}");
        assert!(!said.replace("body.planted", "").contains("planted"), "{said}");
    }
    let mut missing = good.clone();
    missing.as_object_mut().unwrap().remove("streams");
    assert_eq!(refusal(&missing).await, "streams: is required");
    for (text, expected) in [
        ("", "the document: is not JSON: line 1, column 0"),
        ("[1", "the document: is not JSON"),
        ("[]", "weir_export: must be 1"),
        ("{\"weir_export\":1}", "weir_export"),
        (&"[".repeat(100_000), "the document: is not JSON"),
    ] {
        let said = match Draft::parse(text.as_bytes()) {
            Ok(draft) => draft.check().unwrap_err().to_string() + " weir_export",
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{said}");
    }
    let huge = vec![b' '; weir_api::portable::DOCUMENT_BYTES_MAX + 1];
    assert_eq!(Draft::parse(&huge).unwrap_err().to_string(), "the document: is larger than 64 MB");
}

#[tokio::test]
async fn sealed_secrets_open_with_the_same_key_and_at_their_own_place_only() {
    let api = furnished().await;
    let document = export(&api.context.store, false).await.unwrap();
    let said = refusal(&serde_json::from_str(&document).unwrap()).await;
    assert!(said.starts_with("destinations[0].body.url: was sealed with another secret.key"), "{said}");
    // Somebody who may edit the document hopes that a secret shows up where it can be read.
    let mut moved: Value = serde_json::from_str(&document).unwrap();
    moved["webhooks"][0]["body"]["url"] = moved["streams"][0]["stream_keys"]["primary"].clone();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(api.context.data.join(KEY_FILE), elsewhere.path().join(KEY_FILE)).unwrap();
    let store = store_in(elsewhere.path()).await;
    let draft = Draft::parse(moved.to_string().as_bytes()).unwrap();
    let refused = import(draft, &store, &Platforms::load().unwrap()).await.unwrap_err().to_string();
    assert!(refused.starts_with("webhooks[0].body.url: was sealed"), "{refused}");
}

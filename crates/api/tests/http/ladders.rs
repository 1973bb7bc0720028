//! Tests ladders: those that come with the server are read, one's own are kept, and streams follow their changes.

use crate::common;

use common::Api;
use serde_json::{Value, json};
use weir_model::Ladder;

fn rendition(name: &str, height: u32) -> Value {
    json!({"name": name, "width": 320, "height": height, "video_bitrate_kbps": 400})
}

#[tokio::test]
async fn builtin_ones_are_read_only() {
    let api = Api::start().await;
    let list = api.get("/ladders").await.json();
    let names: Vec<&str> = list["items"].as_array().unwrap().iter().map(|l| l["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["sd", "hd", "fhd", "vertical", "low-latency", "audio-only"]);
    let hd = api.get("/ladders/2").await.json();
    assert_eq!((&hd["builtin"], &hd["renditions"][0]["name"]), (&json!(true), &json!("720p")));
    for refused in [api.patch("/ladders/2", json!({"title": "x"})).await, api.delete("/ladders/2").await] {
        assert_eq!((refused.status.as_u16(), refused.json()["code"].clone()), (409, json!("read_only")));
    }
    let taken = api.post("/ladders", json!({"name": "hd", "renditions": [rendition("a", 180)]})).await;
    assert_eq!((taken.status.as_u16(), taken.json()["field"].clone()), (422, json!("name")));
}

#[tokio::test]
async fn ones_own_are_made_used_renamed_and_kept_while_used() {
    let api = Api::start().await;
    let unknown = api.post("/streams", json!({"name": "cam1", "ladder": "mine"})).await;
    assert_eq!((unknown.status.as_u16(), unknown.json()["field"].clone()), (422, json!("ladder")));
    let made = api.post("/ladders", json!({"name": "mine", "renditions": [rendition("small", 180)]})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["id"].as_i64().unwrap();
    assert_eq!((&made.json()["title"], made.header("etag")), (&json!("mine"), "\"1\""));
    assert_eq!(api.post("/ladders", json!({"name": "mine", "renditions": [rendition("a", 180)]})).await.status, 409);
    for (body, field) in [
        (json!({"name": "x", "renditions": []}), "renditions"),
        (json!({"name": "x", "renditions": [rendition("a", 181)]}), "renditions.height"),
        (json!({"name": "x", "renditions": [{"name": "a"}]}), "renditions[0].width"),
        (json!({"name": "x y", "renditions": [rendition("a", 180)]}), "name"),
    ] {
        let refused = api.post("/ladders", body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.json()["field"].clone()), (422, json!(field)), "{body}");
    }

    let stream = api.post("/streams", json!({"name": "cam1", "ladder": "mine"})).await;
    assert_eq!(stream.status, 201, "{}", stream.text);
    let catalogue = || api.context.commands.catalogue();
    let renditions = || match catalogue().as_run(catalogue().streams().next().unwrap()).ladder {
        Some(Ladder::Inline(renditions)) => renditions.into_iter().map(|rendition| rendition.name).collect::<Vec<_>>(),
        other => vec![format!("{other:?}")],
    };
    assert_eq!(renditions(), ["small"]);
    let path = format!("/ladders/{id}");
    let change = json!({"name": "ours", "renditions": [rendition("small", 180), rendition("tall", 240)]});
    assert_eq!(api.patch(&path, change).await.status, 200);
    assert_eq!(renditions(), ["small", "tall"], "what runs follows");
    assert_eq!(api.get("/streams/1").await.json()["ladder"], json!("ours"), "the stream's row follows the name");
    let used = api.delete(&path).await;
    assert_eq!((used.status.as_u16(), used.json()["code"].clone()), (409, json!("in_use")));
    api.patch("/streams/1", json!({"ladder": "sd"})).await;
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.status, 404);
}

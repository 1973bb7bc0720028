//! A machine that is full: what does not fit is refused with figures, what runs goes on, and room that comes back is used.

use crate::common::{SOON, weir};
use serde_json::{Value, json};
use weir_testkit::api::TestStream;
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::{Api, wait_until_some};

/// What admission computes for the ladder below, from a source of 320x180 at 30 fps: the worker 0.07, sound 0.02, decoding 0.01, the
/// source's size 0.02, and half that size 0.04.
const CORES: f64 = 0.16;

fn wait_renditions(api: &Api, stream: &TestStream, state: &str) -> Vec<Value> {
    wait_until_some(&format!("the renditions of {} are {state}", stream.name), 2 * SOON, || {
        let mut renditions = api.stream_status(stream)["renditions"].as_array().cloned().unwrap_or_default();
        renditions.retain(|rendition| rendition["name"] != "source");
        (renditions.len() == 2 && renditions.iter().all(|rendition| rendition["state"] == state)).then_some(renditions)
    })
}

#[test]
fn what_does_not_fit_is_refused_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let speed = {
        let weir = weir().data(folder.path()).start();
        weir.api().get("/system").expect(200)["transcoding"]["speed"].as_f64().unwrap()
    };
    // On this machine there is room for one of them, but not for two.
    let percent = (1.5 * CORES / speed * 100.0).ceil();
    let weir = weir().data(folder.path()).set("transcode.cpu_percent", &percent.to_string()).start();
    let api = weir.api();
    let cores_free = || api.get("/system").expect(200)["transcoding"]["cores_free"].as_f64().unwrap();
    let empty = cores_free();
    assert!((empty - percent / 100.0).abs() < 0.001, "{empty}");
    let ladder = json!([
        {"name": "whole", "width": 320, "height": 180, "video_bitrate_kbps": 200},
        {"name": "half", "width": 160, "height": 90, "video_bitrate_kbps": 100},
    ]);
    let [first, second] = ["first", "second"].map(|name| api.create_stream_with(name, &json!({"ladder": ladder})));
    let clip = Clip { size: "320x180", seconds: 60, ..Clip::default() }.make(&folder.path().join("clip.flv"));
    let published = ffmpeg::publish(&clip, &weir.push_url(&first.stream_key));
    wait_renditions(&api, &first, "live");
    let _other = ffmpeg::publish(&clip, &weir.push_url(&second.stream_key));
    let refused = wait_renditions(&api, &second, "failed");
    for rendition in refused {
        let reason = rendition["reason"].as_str().unwrap();
        assert!(reason.starts_with("the machine has no room for it: it takes about 0."), "{reason}");
    }
    assert!(cores_free() < empty / 2.0, "{}", cores_free());
    wait_renditions(&api, &first, "live");
    drop(published);
    wait_renditions(&api, &second, "live");
}

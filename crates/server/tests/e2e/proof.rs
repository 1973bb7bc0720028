//! What this machine can do is tried, and tried again on demand.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{SOON, weir};
use serde_json::json;
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::wait_until;

const X264: &str = "libgstx264.so";

/// The folder of GStreamer's plugins on this machine.
fn installed() -> PathBuf {
    let asked = Command::new("pkg-config").args(["--variable=pluginsdir", "gstreamer-1.0"]).output().unwrap();
    PathBuf::from(String::from_utf8(asked.stdout).unwrap().trim())
}

/// GStreamer as it is installed here, without x264.
fn plugins_without_x264(folder: &Path) {
    for entry in fs::read_dir(installed()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != X264 && entry.file_type().unwrap().is_file() {
            symlink(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn an_encoder_that_comes_later_is_found_on_demand_and_live_streams_move_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    plugins_without_x264(&plugins);
    let weir = weir()
        .env("GST_PLUGIN_SYSTEM_PATH_1_0", plugins.to_str().unwrap())
        .env("GST_REGISTRY", folder.path().join("registry").to_str().unwrap())
        .start();
    let api = weir.api();
    let works = |system: &serde_json::Value| {
        let all = system["encoders"].as_array().unwrap();
        all.iter().find(|encoder| encoder["element"] == "x264enc").unwrap()["proof"]["ok"].as_bool().unwrap()
    };
    assert!(!works(&api.get("/system").expect(200)));
    let ladder = json!([{"name": "small", "width": 160, "height": 90, "video_bitrate_kbps": 150}]);
    let stream = api.create_stream_with("cam1", &json!({"ladder": ladder}));
    let clip = Clip { size: "320x180", seconds: 60, ..Clip::default() }.make(&folder.path().join("clip.flv"));
    let _publisher = ffmpeg::publish(&clip, &weir.push_url(&stream.stream_key));
    let is_made_by = |element: &str| {
        let status = api.stream_status(&stream);
        let all = status["renditions"].as_array().cloned().unwrap_or_default();
        all.iter().any(|it| it["name"] == "small" && it["state"] == "live" && it["encoder"] == element)
    };
    wait_until("openh264 makes the rendition", 2 * SOON, || is_made_by("openh264enc"));
    symlink(installed().join(X264), plugins.join(X264)).unwrap();
    assert!(!works(&api.get("/system").expect(200)), "it is not tried all the time");
    assert!(works(&api.post("/system/prove", &serde_json::Value::Null).expect(200)));
    wait_until("x264 makes it from now on", 2 * SOON, || is_made_by("x264enc"));
}

//! A ladder on a real NVIDIA card: `make test-gpu`, on machines that have one.
//! With a card without encoders (H100), the card decodes and x264 encodes.

use crate::common;

use std::process::Command;
use std::time::Duration;

use common::weir;
use serde_json::{Value, json};
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::{Destination, wait_until_some};

/// Drivers start slowly, and the first kernel is compiled.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs an NVIDIA card with its driver: make test-gpu"]
fn a_card_carries_a_ladder() {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).args(["doctor", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{report:#}");
    let card = &report["gpus"][0];
    assert!(card["uuid"].is_string(), "no NVIDIA card here: {}", report["gpus_reason"]);
    assert!(card["memory_total_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 30), "{card}");
    let encoders = report["encoders"].as_array().unwrap();
    let nvenc = encoders.iter().any(|it| it["family"] == "nvenc" && it["codec"] == "h264" && it["proof"]["ok"] == true);

    let folder = tempfile::tempdir().unwrap();
    let clip = Clip { seconds: 20, ..Clip::of_the_bench() }.make(&folder.path().join("source.flv"));
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream_with("cam1", &json!({"ladder": "hd"}));
    let small = Destination::new();
    api.create_restream_with(&stream, "360p", &json!({"uri": small.url("k"), "rendition": "360p", "active": true}));
    api.get("/system").expect(200);
    let mut publisher = ffmpeg::publish(&clip, &weir.push_url(&stream.stream_key));
    let expected = if nvenc { "nvh264enc" } else { "x264enc" };
    let renditions = wait_until_some(&format!("four renditions are live by {expected}"), PATIENCE, || {
        let status = api.stream_status(&stream);
        let all = status["renditions"].as_array().unwrap().clone();
        let live = |it: &&Value| it["encoder"] == expected && (it["state"] == "live" || it["state"] == "degraded");
        (all.iter().filter(live).count() == 4).then_some(all)
    });
    println!("{renditions:#?}");
    assert!(publisher.wait_ended(PATIENCE).success());
    small.wait_video_frames(200, PATIENCE);
    let file = folder.path().join("small.flv");
    small.save_flv(0, &file);
    assert_eq!(ffmpeg::decode_errors(&file), "");
    let video = ffmpeg::probe(&file)["streams"][0].clone();
    assert_eq!((video["width"].as_i64(), video["height"].as_i64()), (Some(640), Some(360)));
}

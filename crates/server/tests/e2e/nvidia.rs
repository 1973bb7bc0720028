//! NVENC without a card: GStreamer's real plugin on a stub driver. Proves the choice, the properties, the parameters asked of the driver

//! and the way back to x264; never coding, speed or pictures.

use crate::common;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::BytesMut;
use common::{SOON, clip, weir};
use serde_json::{Value, json};
use weir_media::MediaTime;
use weir_media::codec::h264::AvcConfig;
use weir_media::codec::nal;
use weir_testkit::Weir;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};
use weir_testkit::publisher::Feed;
use weir_testkit::{wait_until, wait_until_some};

/// The size of the pictures that the stub gives, which is that of the rendition.
const SIZE: (u32, u32) = (320, 180);

/// A stub driver.
struct Stub {
    folder: tempfile::TempDir,
}

impl Stub {
    fn build() -> Self {
        let stub = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(stub.path("pictures.h"), pictures()).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvidia/stub.c");
        for (part, library) in
            [("CUDA", "libcuda.so.1"), ("NVRTC", "libnvrtc.so.1"), ("NVENC", "libnvidia-encode.so.1")]
        {
            let mut compile = Command::new("cc");
            compile.args(["-shared", "-fPIC", "-Wall", &format!("-D{part}"), "-I"]).arg(stub.folder.path());
            let built = compile.arg("-o").arg(stub.path(library)).arg(&source).output().unwrap();
            let said = String::from_utf8_lossy(&built.stderr);
            assert!(built.status.success(), "the stub needs libffmpeg-nvenc-dev, which make test installs:\n{said}");
        }
        // The library is also asked for without its number.
        fs::copy(stub.path("libnvrtc.so.1"), stub.path("libnvrtc.so")).unwrap();
        stub
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The variables that make a worker find the stub; the server hands them on to its children.
    fn environment(&self) -> [(&'static str, String); 3] {
        let show = |path: &Path| path.display().to_string();
        [
            ("LD_LIBRARY_PATH", show(self.folder.path())),
            ("GST_REGISTRY", show(&self.path("registry.bin"))),
            ("NVIDIA_STUB_BROKEN", show(&self.path("broken"))),
        ]
    }
}

/// The requests to the driver, a line each.
fn asked(weir: &Weir) -> Vec<String> {
    let lines = weir.output();
    // The log's own fields follow the stub's words.
    let said = |line: &String| Some(line.split_once("nvidia-stub: ")?.1.split(" worker=").next()?.to_owned());
    lines.iter().filter_map(said).collect()
}

/// A keyframe and another picture, with parameter sets of profile High, as C.
fn pictures() -> String {
    let config = SyntheticConfig { width: SIZE.0, height: SIZE.1, ..SyntheticConfig::default() };
    let mut source = SyntheticSource::new(SyntheticConfig { audio: None, ..config });
    let sets = AvcConfig::parse(&source.tracks()[0].config).unwrap();
    let frames = source.frames_until(MediaTime::from_millis(60));
    let annex_b = |units: &[&[u8]], payload: &[u8]| {
        let mut out = BytesMut::new();
        for unit in units {
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.extend_from_slice(unit);
        }
        nal::lengths_to_annex_b(payload, &mut out).unwrap();
        out
    };
    let (sps, pps) = (sets.sps[0].clone(), sets.pps[0].clone());
    let mut high = sps.to_vec();
    (high[1], high[2]) = (100, 0);
    let mut text = String::new();
    for (name, bytes) in [
        ("PARAMETER_SETS", annex_b(&[&high, &pps], &[])),
        ("IDR", annex_b(&[&[9, 0xF0], &sps, &pps], &frames[0].payload)),
        ("P", annex_b(&[&[9, 0xF0]], &frames[1].payload)),
    ] {
        let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
        writeln!(text, "static const unsigned char {name}[] = {{{}}};", bytes.join(",")).unwrap();
    }
    text
}

fn doctor(stub: &Stub) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["doctor", "--json", "--data"])
        .arg(stub.path("data"))
        .envs(stub.environment())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).expect("the doctor prints JSON")
}

#[test]
fn nvenc_is_chosen_set_up_right_and_left_when_it_fails() {
    let stub = Stub::build();
    let report = doctor(&stub);
    let gstreamer = report["gstreamer"].as_str().unwrap();
    let proof = |codec: &str| {
        let encoders = report["encoders"].as_array().unwrap();
        encoders.iter().find(|encoder| encoder["family"] == "nvenc" && encoder["codec"] == codec).unwrap().clone()
    };
    if !matches!(gstreamer, "1.22" | "1.24") {
        // The newer implementation asks the driver for more than the stub knows.
        return;
    }
    assert_eq!(proof("h264")["proof"]["ok"], true, "{report}");
    assert!(proof("h265")["reason"].as_str().unwrap().contains("nvh265enc"), "the stub has no HEVC: {report}");

    let weir = stub.environment().iter().fold(weir(), |weir, (name, value)| weir.env(name, value)).start();
    let api = weir.api();
    let rung = |name: &str, kbps: u32, rate_control: &str| {
        json!({
            "name": name, "width": SIZE.0, "height": SIZE.1, "video_bitrate_kbps": kbps, "rate_control": rate_control,
            "gop_seconds": 1,
        })
    };
    let ladder = [rung("even", 600, "cbr"), rung("free", 400, "vbr")];
    let stream = api.create_stream_with("cam1", &json!({"ladder": ladder, "encoder_policy": "hw_only"}));
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(300_000));
    let renditions = |encoder: &str, states: &[&str]| {
        wait_until_some(&format!("both renditions are {states:?} by {encoder}"), SOON, || {
            let status = api.stream_status(&stream);
            let all = status["renditions"].as_array().unwrap().clone();
            let right = |rendition: &&Value| {
                rendition["encoder"] == encoder && states.contains(&rendition["state"].as_str().unwrap())
            };
            (all.iter().filter(right).count() == 2).then_some(all)
        })
    };
    // On a busy machine the renditions may be late.
    let all = renditions("nvh264enc", &["live", "degraded"]);
    assert!(all.iter().any(|it| it["reason"] == "NVENC H.264 works here"), "{all:?}");
    wait_until("keyframes were ordered", SOON, || asked(&weir).iter().filter(|line| *line == "forced").count() >= 4);
    let asked = asked(&weir);
    // 586 and 391 steps of 1024 bits are the nearest to 600 and 400 kbps. There
    // are no B-frames and no delay, and keyframes come from our clock alone.
    for (rate_control, average, vbv) in [("0x2", 586 * 1024, 600), ("0x1", 391 * 1024, 240)] {
        let expected = format!(
            "encode 320x180 preset=low-latency-hq gop=4294967295 interval_p=1 rc={rate_control} average={average} vbv={} zero_reorder=1 aud=1 idr=4294967295",
            vbv * 1024
        );
        assert!(asked.contains(&expected), "{expected} is not in {asked:#?}");
    }

    // The card fails from now on: after three failures x264 makes the renditions, visibly.
    api.patch(&format!("/streams/{}", stream.id), &json!({"encoder_policy": "prefer_hw"})).expect(200);
    fs::write(stub.path("broken"), "").unwrap();
    let all = renditions("x264enc", &["degraded"]);
    let failed = |it: &Value| it["reason"].as_str().is_some_and(|it| it.starts_with("NVENC H.264 failed a moment ago"));
    assert!(all.iter().any(failed), "{all:?}");
    let metrics = String::from_utf8(weir_testkit::conformance::player(&weir.http())("metrics").unwrap()).unwrap();
    let line = "weir_rendition_degraded{stream=\"cam1\",rendition=\"even\",encoder=\"x264enc\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    let events = api.get("/events?limit=500").expect(200);
    let told = events["items"].as_array().unwrap().iter().filter(|event| event["type"] == "rendition_degraded").count();
    assert!(told >= 2, "{events}");
}

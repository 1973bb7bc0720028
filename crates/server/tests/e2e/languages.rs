//! Sounds in several languages and codecs, as broadcast has them: all of them where they can be carried, one where only one can.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{SOON, weir};
use serde_json::{Value, json};
use weir_testkit::conformance::player;
use weir_testkit::{Child, Destination, ffmpeg, wait_until_some};

fn ffmpeg(args: &[&str]) {
    let output = Command::new("ffmpeg").args(["-nostdin", "-v", "error"]).args(args).output().unwrap();
    assert!(output.status.success(), "ffmpeg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Eight seconds of a picture with a tone in each language: AAC in German and Italian, AC-3 in English, MP2 in French.
fn make(path: &Path) -> PathBuf {
    let tones = [300, 500, 700, 900].map(|hertz| format!("sine=frequency={hertz}:sample_rate=48000"));
    let mut args = vec!["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"];
    tones.iter().for_each(|tone| args.extend(["-f", "lavfi", "-i", tone]));
    args.extend(["-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:a", "-map", "4:a", "-t", "8", "-ac", "2"]);
    args.extend(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-bf", "0"]);
    args.extend(["-c:a:0", "aac", "-c:a:1", "ac3", "-c:a:2", "mp2", "-c:a:3", "aac"]);
    args.extend(["-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=eng"]);
    args.extend(["-metadata:s:a:2", "language=fra", "-metadata:s:a:3", "language=ita"]);
    args.extend(["-y", path.to_str().unwrap()]);
    ffmpeg(&args);
    path.to_owned()
}

/// One sound of a file, alone.
fn sound(file: &Path, stream: &str) -> PathBuf {
    let name = format!("{}-{}.ts", file.display(), stream.replace(':', "-"));
    ffmpeg(&["-i", file.to_str().unwrap(), "-map", stream, "-c", "copy", "-y", &name]);
    name.into()
}

fn start(args: &[&str]) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error"]).args(args);
    Child::start(command)
}

/// In their order: who plays is told of all of them before the first picture.
fn sounds_of(file: &Path) -> Vec<String> {
    let probe = ffmpeg::probe(file);
    let sounds = probe["streams"].as_array().unwrap().iter().filter(|stream| stream["codec_type"] == "audio");
    sounds.map(|it| format!("{} {}", it["codec_name"], it["tags"]["language"]).replace('"', "")).collect()
}

#[test]
fn every_language_goes_where_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let source = make(&folder.path().join("source.ts"));
    let weir = weir().set("srt.listen", "127.0.0.1:0").start();
    let (api, recorder) = (weir.api(), Destination::new());
    let stream = api.create_stream("cam1");
    let pushed = api.create_restream(&stream, "default", &recorder.url("key"));
    let mut publisher = start(&[
        "-re",
        "-i",
        source.to_str().unwrap(),
        "-map",
        "0",
        "-c",
        "copy",
        "-f",
        "mpegts",
        &weir.srt_push_url(&stream.stream_key),
    ]);
    api.wait_stream(&stream, "live", SOON);

    // Asked for from the beginning, and read once, as players do it.
    let mut get = player(&format!("{}/play/cam1", weir.http()));
    let master = wait_until_some("there is HLS", SOON, || String::from_utf8(get("master.m3u8")?).ok());
    let status = wait_until_some("the source's tracks are told", SOON, || {
        let status = api.stream_status(&stream);
        (status["tracks"].as_array()?.len() == 5).then_some(status)
    });
    let told: Vec<Value> = status["tracks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|track| json!([track["id"], track["kind"], track["codec"], track["language"], track["default"]]))
        .collect();
    let expected = [
        json!([0, "video", "h264", null, true]),
        json!([1, "audio", "aac", "deu", true]),
        json!([2, "audio", "ac3", "eng", false]),
        json!([3, "audio", "mp2", "fra", false]),
        json!([4, "audio", "aac", "ita", false]),
    ];
    assert_eq!(told, expected);
    let warned: Vec<&Value> =
        status["warnings"].as_array().unwrap().iter().filter(|it| it["code"] == "codec_not_playable").collect();
    assert_eq!(warned.len(), 1, "{status}");
    assert!(warned[0]["message"].as_str().unwrap().contains("track 3, fra is MP2"), "{status}");

    let played = folder.path().join("played.ts");
    let from = format!("{}?mode=caller&streamid=request:cam1", weir.srt());
    let mut player_of_all =
        start(&["-i", &from, "-map", "0", "-c", "copy", "-t", "3", "-f", "mpegts", "-y", played.to_str().unwrap()]);
    assert!(player_of_all.wait_ended(SOON).success());
    assert_eq!(sounds_of(&played), ["aac deu", "ac3 eng", "mp2 fra", "aac ita"], "by SRT all are played");

    for line in [
        "NAME=\"deu\",LANGUAGE=\"de\",DEFAULT=YES",
        "NAME=\"ita\",LANGUAGE=\"it\",DEFAULT=NO",
        "NAME=\"eng\",LANGUAGE=\"en\"",
    ] {
        assert!(master.contains(line), "{line}: {master}");
    }
    assert!(!master.contains("LANGUAGE=\"fr\""), "MP2 is in no MP4: {master}");
    let manifest = String::from_utf8(get("manifest.mpd").unwrap()).unwrap();
    for language in ["de", "en", "it"] {
        assert_eq!(manifest.matches(&format!(" lang=\"{language}\"")).count(), 1, "{manifest}");
    }
    assert!(publisher.wait_ended(SOON).success());
    api.post(&format!("/restreams/{pushed}/stop"), &Value::Null).expect(200);

    let received = folder.path().join("received.flv");
    recorder.save_flv(0, &received);
    let frames = ffmpeg::aac_frames(&received);
    let german = ffmpeg::aac_frames(&sound(&source, "0:a:0"));
    assert!(frames.len() > 200 && frames.iter().all(|frame| german.contains(frame)), "RTMP has the default one");
}

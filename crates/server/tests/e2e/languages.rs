//! Sounds in several languages and codecs, as broadcast has them: all go out where all can be carried, and one where only one can.

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

/// Makes eight seconds of a picture with a tone in each language: AAC in German and Italian, AC-3 in English, MP2 in French.
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

/// Makes a file of one sound of another file.
fn sound(file: &Path, stream: &str) -> PathBuf {
    let name = format!("{}-{}.ts", file.display(), stream.replace(':', "-"));
    ffmpeg(&["-i", file.to_str().unwrap(), "-map", stream, "-c", "copy", "-y", &name]);
    name.into()
}

/// The frequency of the tone in the second second of a file.
fn hertz(file: &Path) -> usize {
    let args = ["-nostdin", "-v", "error", "-i", file.to_str().unwrap(), "-map", "0:a:0", "-ac", "1", "-ar", "48000"];
    let output = Command::new("ffmpeg").args(args).args(["-f", "s16le", "-"]).output().unwrap();
    let samples: Vec<i16> = output.stdout.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
    samples[48_000..96_000].windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count()
}

fn start(args: &[&str]) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error"]).args(args);
    Child::start(command)
}

/// The sounds of a file, in their order. A player is told of all of them before the first picture.
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
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let (recorder, changed, encoded) = (Destination::new(), Destination::new(), Destination::new());
    let speaking = |name: &str, to: &Destination, language: &str, rendition: Value| {
        let body = json!({"uri": to.url("key"), "audio_language": language, "rendition": rendition, "active": true});
        api.create_restream_with(&stream, name, &body)
    };
    // The source has no Spanish, so the default goes out, and a warning says so.
    let pushed = speaking("Spanish", &recorder, "es", Value::Null);
    let italian = speaking("Italian", &changed, "ita", Value::Null);
    // The English sound is AC-3, which RTMP does not carry, so a rendition encodes it as AAC.
    let with_aac = json!({"name": "source-aac", "video": "source", "audio_codec": "aac", "audio_bitrate_kbps": 128});
    let english = speaking("English", &encoded, "en", with_aac);
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

    // The multivariant playlist is asked for from the beginning, and read only once, as players do it.
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

    let missing = |status: &Value| status["warnings"].to_string().contains("audio_language_missing");
    for (id, name, language, is_missing) in
        [(pushed, "Spanish", "deu", true), (italian, "Italian", "ita", false), (english, "English", "eng", false)]
    {
        let carried = json!([{"codec": "aac", "language": language}]);
        api.wait_restream_where(id, &format!("{name} goes out as {language}"), SOON, |status| {
            status["state"] == "streaming" && status["sounds"] == carried && missing(status) == is_missing
        });
    }
    changed.wait_video_frames(60, SOON);
    let german = json!({"audio_language": "ger"});
    let patched = api.patch(&format!("/restreams/{italian}"), &german).expect(200);
    assert_eq!(patched["audio_language"], "deu");

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
    for id in [pushed, italian, english] {
        api.post(&format!("/restreams/{id}/stop"), &Value::Null).expect(200);
    }

    let received = folder.path().join("received.flv");
    recorder.save_flv(0, &received);
    let frames = ffmpeg::aac_frames(&received);
    let german = ffmpeg::aac_frames(&sound(&source, "0:a:0"));
    assert!(frames.len() > 200 && frames.iter().all(|frame| german.contains(frame)), "RTMP has the default one");

    assert_eq!(changed.connections(), 1, "another language is no reason to connect anew");
    changed.save_flv(0, &received);
    let frames = ffmpeg::aac_frames(&received);
    let italian = ffmpeg::aac_frames(&sound(&source, "0:a:3"));
    let then = frames.iter().position(|frame| german.contains(frame)).expect("it was changed");
    let (before, after) = frames.split_at(then);
    assert!(before.len() > 40 && before.iter().all(|frame| italian.contains(frame)), "{} of {}", then, frames.len());
    assert!(after.len() > 40 && after.iter().all(|frame| german.contains(frame)), "{} of {}", then, frames.len());
    let times = ffmpeg::packet_times_ms(&received, "a");
    assert!(times.windows(2).all(|pair| (0..=100).contains(&(pair[1] - pair[0]))), "{times:?}");
    assert_eq!(ffmpeg::decode_errors(&received), "");
    encoded.save_flv(0, &received);
    let hertz = hertz(&received);
    assert!((490..=510).contains(&hertz), "English hums 500 Hz: {hertz}");
}

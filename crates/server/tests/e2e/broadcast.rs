//! What broadcast sends (AC-3 and MP2 sound, MPEG-2 pictures in fields) is taken in by SRT, and made into what everyone plays.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{SOON, weir};
use serde_json::{Value, json};
use weir_testkit::conformance::player;
use weir_testkit::{Destination, ffmpeg, srt, wait_until_some};

fn ffmpeg(args: &[&str]) -> String {
    let output = Command::new("ffmpeg").args(["-nostdin", "-hide_banner"]).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ffmpeg {args:?}: {said}");
    said
}

/// Makes six seconds of a moving picture and two sounds, in MPEG-TS.
fn make(path: &Path, picture: &str, coding: &str) -> PathBuf {
    let [first, second] = [1000, 440].map(|hertz| format!("sine=frequency={hertz}:sample_rate=48000"));
    let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", &first, "-f", "lavfi", "-i", &second];
    let maps = ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-t", "6", "-pix_fmt", "yuv420p"];
    let coding: Vec<&str> = coding.split_whitespace().collect();
    ffmpeg(&[&inputs[..], &maps, &coding, &["-y", path.to_str().unwrap()]].concat());
    path.to_owned()
}

/// A rendition's pictures as one file.
fn pictures(base: &str, name: &str, folder: &Path) -> Option<PathBuf> {
    let mut get = player(base);
    let playlist = String::from_utf8(get(&format!("{name}/video.m3u8"))?).ok()?;
    let map = playlist.split("#EXT-X-MAP:URI=\"").nth(1)?.split('"').next()?;
    let mut media = get(&format!("{name}/{map}"))?;
    for line in playlist.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        media.extend(get(&format!("{name}/{line}"))?);
    }
    let file = folder.join(format!("{name}.mp4"));
    std::fs::write(&file, media).unwrap();
    Some(file)
}

#[test]
fn ac3_is_aac_beside_the_picture_as_it_is_where_rtmp_does_not_take_it() {
    let folder = tempfile::tempdir().unwrap();
    let coding = "-c:v libx264 -preset ultrafast -g 50 -bf 2 -c:a ac3 -b:a 192k -ac:a:0 6";
    let source = make(&folder.path().join("source.ts"), "testsrc2=size=320x180:rate=25", coding);
    let weir = weir().set("srt.listen", "127.0.0.1:0").start();
    let (api, recorder, other) = (weir.api(), Destination::new(), Destination::new());
    let stream = api.create_stream("cam1");
    let cure = json!({"name": "source-aac", "video": "source", "audio_codec": "aac", "audio_bitrate_kbps": 128});
    let body = json!({"uri": recorder.url("key"), "rendition": cure, "active": true});
    let cured = api.create_restream_with(&stream, "cured", &body);
    let refused = api.create_restream(&stream, "as it is", &other.url("key"));
    wait_until_some("the encoders were tried", SOON, || api.get("/system").expect(200)["encoders"].get(0).cloned());

    let mut publisher = srt::publish(&source, &weir.srt_push_url(&stream.stream_key));
    api.wait_restream(cured, "streaming", SOON);
    let status = api.wait_restream_where(refused, "knows what would help", SOON, |status| {
        status["warnings"].as_array().is_some_and(|all| all.iter().any(|warning| !warning["suggestion"].is_null()))
    });
    assert_eq!(status["warnings"][0]["code"], "codec_unsupported_by_destination", "{status}");
    assert_eq!(status["warnings"][0]["suggestion"], cure, "{status}");
    assert!(publisher.wait_ended(SOON).success());
    recorder.wait_video_frames(150, SOON);
    api.post(&format!("/restreams/{cured}/stop"), &Value::Null).expect(200);

    let received = folder.path().join("received.flv");
    recorder.save_flv(0, &received);
    assert_eq!(ffmpeg::slices(&received), ffmpeg::slices(&source), "the pictures are the source's own");
    assert_eq!(ffmpeg::decode_errors(&received), "");
    let (pictures, sound) = ffmpeg::times_ms(&received);
    assert!((pictures[0] - sound[0]).abs() < 150 && sound.len() > 250, "{pictures:?} {sound:?}");
}

#[test]
fn pictures_in_fields_are_made_whole() {
    let folder = tempfile::tempdir().unwrap();
    let picture = "testsrc2=size=720x576:rate=50,interlace=lowpass=0:scan=tff,setsar=64/45";
    let coding =
        "-c:v mpeg2video -flags +ildct+ilme -top 1 -b:v 3M -g 12 -bf 2 -c:a:0 ac3 -b:a:0 192k -c:a:1 mp2 -b:a:1 192k";
    let source = make(&folder.path().join("dvb.ts"), picture, coding);
    let weir = weir().set("srt.listen", "127.0.0.1:0").start();
    let api = weir.api();
    // The rendition has as many lines as the source, so anything left of its fields would be seen.
    let rendition = json!({"name": "whole", "width": 360, "height": 576, "fit": "stretch", "video_bitrate_kbps": 800, "audio_bitrate_kbps": 64});
    let stream = api.create_stream_with("dvb", &json!({"ladder": [rendition]}));
    let mut publisher = srt::publish(&source, &weir.srt_push_url(&stream.stream_key));
    let status = api.wait_stream(&stream, "live", SOON);
    assert_eq!(
        (&status["ingest"]["video_codec"], &status["ingest"]["height"]),
        (&json!("mpeg2"), &json!(576)),
        "{status}"
    );
    assert!(publisher.wait_ended(SOON).success());
    let base = format!("{}/play/dvb", weir.http());
    let file = wait_until_some("most of it is packaged", SOON, || {
        let file = pictures(&base, "whole", folder.path())?;
        (ffmpeg::packet_times_ms(&file, "v").len() >= 100).then_some(file)
    });
    assert_eq!(ffmpeg::decode_errors(&file), "");
    let said = ffmpeg(&["-i", file.to_str().unwrap(), "-vf", "idet", "-f", "null", "-"]);
    let count = |kind: &str| -> u32 {
        let line = said.lines().find(|line| line.contains("Multi frame detection")).unwrap_or_default();
        line.split(kind).nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    };
    let (fields, whole) = (count("TFF:") + count("BFF:"), count("Progressive:"));
    assert!(whole >= 90 && fields <= whole / 20, "{said}");
    let times = ffmpeg::packet_times_ms(&file, "v");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 40), "one picture of two fields: {times:?}");
}

//! The window on disk and recordings, over kill -9.

use crate::common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{SOON, clip, weir};
use serde_json::{Value, json};
use weir_media::MediaTime;
use weir_mux::flv::file::{FlvReader, FlvTag};
use weir_testkit::api::TestStream;
use weir_testkit::conformance::player;
use weir_testkit::destination::is_video_frame;
use weir_testkit::ffmpeg;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};
use weir_testkit::process::ADMIN_API_KEY;
use weir_testkit::publisher::Feed;
use weir_testkit::{Publisher, Weir, wait_until, wait_until_some};

/// Three times the real time of what is waited for.
const LONG: Duration = Duration::from_secs(90);

fn http_get(url: &str) -> Option<String> {
    let output = Command::new("curl").args(["--silent", "--fail", url]).output().expect("curl runs");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn fetch(url: &str, file: &Path, more: &[&str]) -> String {
    let authorization = format!("Authorization: apikey {ADMIN_API_KEY}");
    let output = Command::new("curl")
        .args(["--silent", "--header", &authorization, "--write-out", "%{http_code}", "--output"])
        .arg(file)
        .args(more)
        .arg(url)
        .output()
        .expect("curl runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn create(weir: &Weir, more: &Value) -> TestStream {
    let stream = weir.api().create_stream("cam1");
    weir.api().patch(&format!("/streams/{}", stream.id), more).expect(200);
    stream
}

fn sequence(playlist: &str, tag: &str) -> u64 {
    let line = playlist.lines().find_map(|line| line.strip_prefix(tag)).expect("the tag is there");
    line.parse().unwrap()
}

#[test]
fn a_window_plays_from_its_start_after_kill_9() {
    let mut weir = weir().set("dvr.memory_seconds", "12").set("dvr.min_free_mb", "0").start();
    let stream = create(&weir, &json!({ "dvr_seconds": 600 }));
    let video = |weir: &Weir| http_get(&format!("{}/play/cam1/source/video.m3u8", weir.http()));
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    let before = wait_until_some("seven segments are listed", LONG, || {
        video(&weir).filter(|text| text.matches("#EXTINF").count() >= 7)
    });
    let first = before.lines().find(|line| line.ends_with(".m4s") && !line.starts_with('#')).unwrap().to_owned();
    let segment = |weir: &Weir| http_get(&format!("{}/play/cam1/source/{first}", weir.http()));
    let bytes = segment(&weir).unwrap();

    weir = weir.kill_and_restart();
    drop(feed);
    let offline = wait_until_some("it plays with nobody publishing", SOON, || video(&weir));
    assert!(offline.contains(&first), "from its start:\n{offline}");
    assert_eq!(segment(&weir).unwrap(), bytes);

    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    let after = wait_until_some("it goes on", LONG, || {
        video(&weir).filter(|text| text.matches("#EXTINF").count() >= offline.matches("#EXTINF").count() + 3)
    });
    assert_eq!(after.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{after}");
    for tag in ["#EXT-X-MEDIA-SEQUENCE:", "#EXT-X-DISCONTINUITY-SEQUENCE:"] {
        assert_eq!(sequence(&after, tag), sequence(&before, tag), "{tag}");
    }
    // ffmpeg plays from the start of the window, across the crash, without complaint. It reads all of it in a moment, as a file of the
    // past and not as something live.
    let url = format!("{}/play/cam1/master.m3u8", weir.http());
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-live_start_index", "0", "-i", &url])
        .args(["-t", "18", "-f", "null", "-"])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = http_get(&format!("{}/play/cam1/manifest.mpd", weir.http())).unwrap();
    assert_eq!(manifest.matches("<Period ").count(), 2, "{manifest}");
    let range = Command::new("curl")
        .args(["--silent", "--range", "10-19", &format!("{}/play/cam1/source/{first}", weir.http())])
        .output()
        .unwrap();
    assert_eq!(range.stdout.len(), 10, "ranges of what lies on disk");

    // The window is deleted with the stream.
    let folder = weir.data().join("dvr").join(stream.id.to_string());
    assert!(folder.exists());
    weir.api().delete(&format!("/streams/{}", stream.id)).expect(204);
    wait_until("the window is deleted", SOON, || !folder.exists());
}

/// An hour less half a minute of small pictures, each as long as a part, with a keyframe every 6 s: 595 segments.
fn an_hour() -> Vec<FlvTag> {
    let config = SyntheticConfig { fps: (5, 2), gop_frames: 15, audio: None, ..SyntheticConfig::default() };
    let mut reader = FlvReader::new();
    reader.feed(&SyntheticSource::new(config).flv_file(MediaTime::from_millis(3_570_000)));
    std::iter::from_fn(|| reader.next_tag().unwrap()).collect()
}

/// Publishes faster than real time, by the stamps: each GOP goes as soon as the one before is in the playlist.
fn publish_hour(weir: &Weir, stream: &TestStream, hour: &[FlvTag]) -> Publisher {
    let mut get = player(&format!("{}/play/cam1", weir.http()));
    let mut text =
        move |path: &str| get(path).map_or(String::new(), |text| String::from_utf8_lossy(&text).into_owned());
    let segments_before = text("source/video.m3u8").matches("#EXTINF").count();
    // What each run of the server writes first.
    let init = format!("source/video/init-{}.mp4", usize::from(segments_before > 0));
    let mut publisher = Publisher::publish(&weir.rtmp_address(), "live", &stream.stream_key).unwrap();
    let (head, media) = hour.split_at(hour.iter().position(is_video_frame).unwrap());
    head.iter().for_each(|tag| publisher.send(tag).unwrap());
    for (number, gop) in media.chunks(15).enumerate() {
        gop.iter().for_each(|tag| publisher.send(tag).unwrap());
        if number == 0 {
            // The first GOP is in no playlist before the second one, and a packager that comes when both are there begins with the second.
            wait_until("the packager has begun", SOON, || !text(&init).is_empty());
            continue;
        }
        wait_until("the GOP is in the playlist", SOON, || {
            let text = text("source/video.m3u8");
            let open = text.rsplit("#EXTINF").next().unwrap_or_default();
            // The length of the newest picture is known with the next one.
            let is_open = open.matches("#EXT-X-PART:").count() >= 14;
            text.matches("#EXTINF").count() >= segments_before + number && is_open
        });
    }
    publisher
}

#[test]
fn two_hours_play_from_their_start_after_kill_9_in_the_middle() {
    let mut weir = weir().set("dvr.memory_seconds", "600").set("dvr.min_free_mb", "0").start();
    let stream = create(&weir, &json!({ "dvr_seconds": 7200 }));
    let hour = an_hour();
    let listed = |weir: &Weir, count: usize| {
        wait_until_some(&format!("{count} segments are listed"), LONG, || {
            http_get(&format!("{}/play/cam1/source/video.m3u8", weir.http()))
                .filter(|text| text.matches("#EXTINF").count() >= count)
        })
    };
    let publisher = publish_hour(&weir, &stream, &hour);
    let before = listed(&weir, 594);
    let folder = weir.data().join("dvr").join(stream.id.to_string()).join("source/video");
    let on_disk = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    wait_until("they are on disk", LONG, || on_disk() >= 594);
    weir = weir.kill_and_restart();
    drop(publisher);

    let _publisher = publish_hour(&weir, &stream, &hour);
    let after = listed(&weir, 1187);
    assert_eq!(sequence(&after, "#EXT-X-MEDIA-SEQUENCE:"), sequence(&before, "#EXT-X-MEDIA-SEQUENCE:"));
    assert_eq!(after.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    // ffmpeg finds every picture from the first one on, over the restart: two hours, less the segments at both ends of the runs.
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-live_start_index", "0", "-i"])
        .arg(format!("{}/play/cam1/source/video.m3u8", weir.http()))
        .args(["-t", "7100", "-c", "copy", "-f", "framecrc", "-"])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let pictures = output.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"0,")).count();
    assert!((17_620..=17_820).contains(&pictures), "{pictures}");
    // MPEG-TS reaches back as far, though what it is made from is on disk only.
    let ts = http_get(&format!("{}/play/cam1/ts/source/media.m3u8", weir.http())).unwrap();
    assert!(ts.matches("#EXTINF").count() >= 1186, "{}", ts.matches("#EXTINF").count());
    let first = ts.lines().find(|line| line.ends_with(".ts")).unwrap();
    let file = folder.with_file_name("first.ts");
    assert_eq!(fetch(&format!("{}/play/cam1/ts/source/{first}", weir.http()), &file, &[]), "200");
    assert_eq!((ffmpeg::decode_errors(&file), ffmpeg::packet_times_ms(&file, "v").len()), (String::new(), 15));
}

#[test]
fn a_recording_is_playable_after_kill_9() {
    let mut weir = weir().set("recording.min_free_mb", "0").start();
    let stream = create(&weir, &json!({ "record": true }));
    let of_stream = format!("/streams/{}/recordings", stream.id);
    let list = |weir: &Weir| weir.api().get(&of_stream).expect(200)["items"].as_array().unwrap().clone();
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    let growing = wait_until_some("some seconds are recorded", LONG, || {
        list(&weir).first().filter(|found| found["bytes"].as_u64().unwrap() > 120_000).cloned()
    });
    assert_eq!((&growing["recording"], &growing["duration_seconds"]), (&json!(true), &Value::Null));
    let path = format!("/recordings/{}", growing["id"]);
    assert_eq!(weir.api().delete(&path).status, 409, "not while it is recorded");

    weir = weir.kill_and_restart();
    drop(feed);
    let found = list(&weir).remove(0);
    assert_eq!((&found["id"], &found["recording"]), (&growing["id"], &json!(false)));
    assert!(found["duration_seconds"].as_f64().unwrap() > 1.0);
    assert!(found["file_name"].as_str().unwrap().contains("-cam1-"), "{found}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording.mp4");
    let url = format!("{}{}", weir.http(), found["file"].as_str().unwrap());
    assert_eq!(fetch(&url, &file, &[]), "200");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), found["bytes"].as_u64().unwrap());
    assert_eq!(ffmpeg::decode_errors(&file), "");
    let probed = ffmpeg::probe(&file);
    let codecs: Vec<_> = (0..2).map(|index| probed["streams"][index]["codec_name"].clone()).collect();
    assert_eq!(codecs, ["h264", "aac"]);
    assert!(ffmpeg::packet_times_ms(&file, "v").len() >= 60);
    let part = folder.path().join("part");
    assert_eq!(fetch(&url, &part, &["--range", "4-7"]), "206");
    assert_eq!(std::fs::read(&part).unwrap(), b"ftyp");
    assert_eq!(fetch(&url, &part, &["--range", "999999999999-"]), "416");
    assert_eq!(fetch(&format!("{}/api/v1/recordings/..%2f..%2fweir.db/file", weir.http()), &part, &[]), "404");

    // The next session is another file, which ends with the wish to record.
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    wait_until_some("a second file", SOON, || list(&weir).get(1).cloned());
    weir.api().patch(&format!("/streams/{}", stream.id), &json!({ "record": false })).expect(200);
    wait_until("it is ended", SOON, || list(&weir)[1]["recording"] == false);
    drop(feed);
    let second = list(&weir).remove(1);
    let url = format!("{}{}", weir.http(), second["file"].as_str().unwrap());
    assert_eq!(fetch(&url, &file, &[]), "200");
    assert_eq!(ffmpeg::decode_errors(&file), "");
    weir.api().delete(&path).expect(204);
    assert_eq!(list(&weir).len(), 1);
    assert_eq!(weir.api().get(&path).status, 404);
    let kinds: Vec<String> = weir.api().get("/events?limit=500").expect(200)["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    for kind in ["recording_started", "recording_ended"] {
        assert!(kinds.iter().any(|known| known == kind), "{kind}: {kinds:?}");
    }
}

//! Renditions that keep the source's picture as it is, beside sound that is encoded.

use std::path::Path;

use crate::common::{SOON, weir};
use serde_json::{Value, json};
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::{Destination, wait_until_some};

/// Sound begins and ends with the picture, give or take what an encoder adds.
const APART_MAX_MS: i64 = 150;

fn assert_in_time(file: &Path) {
    let (pictures, sound) = ffmpeg::times_ms(file);
    assert!(pictures.is_sorted_by(|a, b| a < b) && sound.is_sorted_by(|a, b| a < b), "times go forward");
    let apart = |a: Option<&i64>, b: Option<&i64>| (a.unwrap() - b.unwrap()).abs();
    assert!(apart(pictures.first(), sound.first()) < APART_MAX_MS, "{pictures:?} {sound:?}");
    assert!(apart(pictures.last(), sound.last()) < APART_MAX_MS, "{pictures:?} {sound:?}");
    let steps = sound.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(steps.into_iter().all(|step| step < 50), "there is no hole: {sound:?}");
}

#[test]
fn the_picture_is_the_sources_and_the_sound_is_encoded() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let source = Clip { seconds: 6, b_frames: 2, gop_frames: 60, ..Clip::default() }.make(&path("source.flv"));
    let (weir, recorder) = (weir().start(), Destination::new());
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let own = json!({"name": "source-aac", "video": "source", "audio_codec": "aac", "audio_bitrate_kbps": 64});
    let body = json!({"uri": recorder.url("key"), "rendition": own, "active": true});
    let restream = api.create_restream_with(&stream, "kept", &body);
    assert_eq!(api.get(&format!("/restreams/{restream}")).expect(200)["rendition"], own, "it is shown as it was said");
    // The encoders are tried before the source comes, so that its first pictures are not missed.
    wait_until_some("the encoders were tried", SOON, || {
        let encoders = api.get("/system").expect(200)["encoders"].as_array()?.len();
        (encoders > 0).then_some(encoders)
    });

    let mut publisher = ffmpeg::publish(&source, &weir.push_url(&stream.stream_key));
    api.wait_restream(restream, "streaming", SOON);
    // What the restream sends is known at once; what its rendition measures is known with the next look.
    let status = wait_until_some("the rendition is measured", SOON, || {
        let status = api.stream_status(&stream);
        let measured =
            status["renditions"].as_array()?.iter().any(|it| it["encoder"] == "avenc_aac" && it["state"] == "live");
        measured.then_some(status)
    });
    let all = status["renditions"].as_array().unwrap();
    let rendition = all.iter().find(|rendition| rendition["encoder"] == "avenc_aac").expect("it is encoded");
    let shown = (&rendition["label"], &rendition["encoder"], &rendition["width"]);
    assert_eq!(shown, (&json!("picture as it is · AAC · 64 kbps"), &json!("avenc_aac"), &json!(640)), "{status}");
    assert_eq!(rendition["target_bps"], Value::Null, "{status}");
    assert!(publisher.wait_ended(SOON).success());
    recorder.wait_video_frames(180, SOON);
    api.post(&format!("/restreams/{restream}/stop"), &Value::Null).expect(200);

    let received = path("received.flv");
    recorder.save_flv(0, &received);
    assert_eq!(ffmpeg::h264_sha256(&received), ffmpeg::h264_sha256(&source), "the pictures are the source's own");
    assert_ne!(ffmpeg::audio_sha256(&received), ffmpeg::audio_sha256(&source), "the sound is another");
    assert_eq!(ffmpeg::decode_errors(&received), "");
    assert_in_time(&received);
}

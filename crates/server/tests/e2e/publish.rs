//! Encoders that people have publish by RTMP and RTMPS, and what they send comes out at a destination.

use crate::common;

use std::path::Path;

use common::{SOON, weir_with_tls};
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::{Api, Destination, gstreamer, wait_until};

#[test]
fn ffmpeg_rtmp2sink_and_librtmp_publish_by_rtmp_and_rtmps() {
    let folder = tempfile::tempdir().unwrap();
    let clip = Clip { seconds: 3, size: "320x180", video_kbps: 300, ..Clip::default() };
    let clip = clip.make(&folder.path().join("clip.flv"));
    let weir = weir_with_tls().start();
    let api = weir.api();

    // All six run at once: they are paced by the media, not by the machine.
    std::thread::scope(|scope| {
        for program in ["ffmpeg", "rtmp2sink", "rtmpsink"] {
            for (protocol, base) in [("rtmp", weir.rtmp()), ("rtmps", weir.rtmps())] {
                let (api, clip, folder) = (&api, &clip, folder.path());
                scope.spawn(move || publishes(api, program, protocol, &base, clip, folder));
            }
        }
    });
}

fn publishes(api: &Api, program: &str, protocol: &str, base: &str, clip: &Path, folder: &Path) {
    let name = format!("{program}-{protocol}");
    let (stream, destination) = (api.create_stream(&name), Destination::new());
    let restream = api.create_restream(&stream, "push", &destination.url("key"));
    let url = format!("{base}/live/{}", stream.stream_key);
    let mut publisher = match program {
        "ffmpeg" => ffmpeg::publish(clip, &url),
        _ => gstreamer::publish(program, clip, &url),
    };
    let ingest = &api.wait_stream(&stream, "live", SOON)["ingest"];
    assert_eq!(ingest["protocol"], protocol, "{name}: {ingest}");
    assert_eq!((&ingest["width"], &ingest["height"]), (&320.into(), &180.into()), "{name}: {ingest}");
    api.wait_restream(restream, "streaming", SOON);
    assert!(publisher.wait_ended(SOON).success(), "{name}: {:?}", publisher.output());

    wait_until(&format!("{name}: all frames came out"), SOON, || destination.video_frames() >= 90);
    // Whether the encoder says goodbye or just closes, as rtmp2sink does, the stream is then over by itself.
    api.wait_stream(&stream, "offline", SOON);
    let received = folder.join(format!("{name}.flv"));
    destination.save_flv(0, &received);
    assert_eq!(ffmpeg::decode_errors(&received), "", "{name}");
    let (video, audio) = ffmpeg::times_ms(&received);
    assert_eq!(video.len(), 90, "{name}");
    assert!(audio.len() > 130, "{name}: sound too");
}

#[test]
fn an_unknown_key_is_refused_and_a_key_in_use_too() {
    let weir = common::weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let publish = |key: &str| weir_testkit::Publisher::publish(&weir.rtmp_address(), "live", key);

    let refusal = publish("no-such-key").unwrap_err();
    assert_eq!(refusal.level, "error", "{refusal:?}");
    let _first = publish(&stream.stream_key).unwrap();
    let refusal = publish(&stream.stream_key).unwrap_err();
    assert_eq!(refusal.code, "NetStream.Publish.BadName", "{refusal:?}");

    // ffmpeg gives up at once and does not hang: it gets an error, and then the connection is closed.
    let folder = tempfile::tempdir().unwrap();
    let file = Clip { seconds: 1, size: "320x180", ..Clip::default() }.make(&folder.path().join("clip.flv"));
    let mut refused = ffmpeg::publish(&file, &weir.push_url("no-such-key"));
    assert!(!refused.wait_ended(SOON).success());
}

//! Tests the testkit's own peers against real ones: what they report of a push can be believed.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use weir_testkit::destination::{HandshakeAnswer, MediaTreatment};
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::flv::read_flv;
use weir_testkit::publisher::Feed;
use weir_testkit::{Answers, Destination, Nginx, Publisher, wait_until};

const LIMIT: Duration = Duration::from_secs(10);

fn short_clip() -> Clip {
    Clip { seconds: 2, size: "320x180", video_kbps: 200, b_frames: 2, ..Clip::default() }
}

#[test]
fn a_destination_records_what_ffmpeg_pushes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let clip = short_clip().make(&folder.path().join("clip.flv"));
    let destination = Destination::new();
    let mut publisher = ffmpeg::publish(&clip, &destination.url("secret"));
    assert!(publisher.wait_ended(LIMIT).success());
    wait_until("the push ended", LIMIT, || destination.pushes().iter().any(|push| push.closed));

    let recorded = folder.path().join("recorded.flv");
    destination.save_flv(0, &recorded);
    assert_eq!(ffmpeg::h264_sha256(&recorded), ffmpeg::h264_sha256(&clip));
    assert_eq!(ffmpeg::audio_sha256(&recorded), ffmpeg::audio_sha256(&clip));
    assert_eq!(ffmpeg::packet_times_ms(&recorded, "v"), ffmpeg::packet_times_ms(&clip, "v"));
    assert_eq!(ffmpeg::decode_errors(&recorded), "");
    let push = &destination.pushes()[0];
    assert_eq!((push.app.as_str(), push.stream_key.as_deref(), push.unpublished), ("app", Some("secret"), true));
}

#[test]
fn a_publisher_reaches_a_destination_through_nginx() {
    let folder = tempfile::tempdir().unwrap();
    let clip = read_flv(&short_clip().make(&folder.path().join("clip.flv")));
    let destination = Destination::new();
    let relay = Nginx::relay(&[destination.address()]);
    let publisher = Publisher::publish(&relay.address().to_string(), "app", "key").unwrap();
    let feed = Feed::start(publisher, clip, |at_ms| at_ms as u32);
    destination.wait_video_frames(60, LIMIT);
    assert!(feed.stop() >= 60);
}

#[test]
fn nginx_records_what_a_publisher_sends() {
    let folder = tempfile::tempdir().unwrap();
    let file = short_clip().make(&folder.path().join("clip.flv"));
    let recorder = Nginx::recorder();
    let mut publisher = Publisher::publish(&recorder.address().to_string(), "app", "key").unwrap();
    for tag in read_flv(&file) {
        publisher.send(&tag).unwrap();
    }
    publisher.unpublish();
    wait_until("the recording was whole", LIMIT, || {
        let recording = recorder.recording("key");
        recording.exists() && ffmpeg::packet_times_ms(&recording, "v").len() == 60
    });
    assert_eq!(ffmpeg::h264_sha256(&recorder.recording("key")), ffmpeg::h264_sha256(&file));
}

#[test]
fn ffmpeg_listens_for_one_push() {
    let folder = tempfile::tempdir().unwrap();
    let file = short_clip().make(&folder.path().join("clip.flv"));
    let received = folder.path().join("received.flv");
    let (url, mut sink) = ffmpeg::listen(&received);
    let address = url.strip_prefix("rtmp://").and_then(|rest| rest.split('/').next()).unwrap();
    wait_until("ffmpeg listened", LIMIT, || {
        let Ok(mut publisher) = Publisher::publish(address, "app", "key") else { return false };
        for tag in read_flv(&file) {
            publisher.send(&tag).unwrap();
        }
        publisher.unpublish();
        true
    });
    sink.wait_ended(LIMIT);
    assert_eq!(ffmpeg::h264_sha256(&received), ffmpeg::h264_sha256(&file));
}

#[test]
fn a_destination_misbehaves_as_told() {
    let folder = tempfile::tempdir().unwrap();
    let clip = read_flv(&short_clip().make(&folder.path().join("clip.flv")));
    let publish = |destination: &Destination| Publisher::publish(&destination.address().to_string(), "app", "key");

    let refusal = publish(&Destination::rejecting("NetStream.Publish.Denied", "no such key")).unwrap_err();
    assert_eq!((refusal.code.as_str(), refusal.description.as_str()), ("NetStream.Publish.Denied", "no such key"));

    for media in [MediaTreatment::CloseAfter { messages: 40 }, MediaTreatment::ResetAfter { messages: 40 }] {
        let destination = Destination::treating_media(media);
        let feed = Feed::start(publish(&destination).unwrap(), clip.clone(), |at_ms| at_ms as u32);
        wait_until(&format!("{media:?} ended the feed"), LIMIT, || feed.was_cut());
        assert!(destination.received().len() >= 40);
    }

    let frozen = Destination::new();
    let _feed = Feed::start(publish(&frozen).unwrap(), clip, |at_ms| at_ms as u32);
    frozen.wait_video_frames(5, LIMIT);
    frozen.freeze();
    let before = frozen.video_frames();
    frozen.thaw();
    frozen.wait_video_frames(before + 5, LIMIT);

    let half = Destination::with(Answers { handshake: HandshakeAnswer::Half, ..Answers::default() });
    let address = half.address().to_string();
    let waiting = std::thread::spawn(move || Publisher::publish(&address, "app", "key"));
    wait_until("a connection came", LIMIT, || half.connections() == 1);
    half.stop();
    assert_eq!(waiting.join().unwrap().unwrap_err().code, "closed");
}

//! Failures at a destination are named: a code for each kind, the destination's own words, and what happens next.

use crate::common;

use std::time::Duration;

use bytes::Bytes;
use common::{SOON, clip, weir, weir_with_tls};
use serde_json::{Value, json};
use weir_mux::flv::file::{FlvTag, FlvTagKind};
use weir_testkit::ffmpeg::Clip;
use weir_testkit::publisher::Feed;
use weir_testkit::sink_session::{ConnectAnswer, PublishAnswer};
use weir_testkit::unreachable::{ClosedPort, SilentPort};
use weir_testkit::{Answers, Destination, Publisher, wait_until};

/// `connecting` lasts at most 10 s; then the reason is there.
const CONNECTING_MAX: Duration = Duration::from_secs(14);

#[test]
fn each_kind_of_failure_has_a_code_of_its_own() {
    let weir = weir_with_tls().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let (closed, silent) = (ClosedPort::new(), SilentPort::new());
    let denied = Destination::rejecting("NetStream.Publish.Denied", "the key kumquat is not known here");
    let mute = Destination::with(Answers { publish: PublishAnswer::Silence, ..Answers::default() });
    let own_certificate = weir.rtmps();
    let cases = [
        ("refused", format!("rtmp://{}/app/key", closed.address())),
        ("unreachable", format!("rtmp://{}/app/key", silent.address())),
        ("auth_rejected", denied.url("key")),
        ("timeout", mute.url("key")),
        // The certificate is signed by nobody whom this server trusts.
        ("tls_failed", format!("{own_certificate}/live/key")),
    ];
    let ids = cases.map(|(code, uri)| (code, api.create_restream(&stream, code, &uri)));
    let seen_streaming = api.events(None);
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));

    for (code, id) in ids {
        let status = api.wait_restream(id, "error", CONNECTING_MAX);
        assert_eq!(status["reason"]["code"], code, "{status}");
        assert!(status["reason"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{status}");
        assert_eq!(status["reason"]["fault"], "destination", "{status}");
        if code == "auth_rejected" {
            let message = status["reason"]["message"].to_string();
            assert!(message.contains("the key kumquat is not known here"), "the destination's own words: {message}");
        }
        seen_streaming.wait_for("its error", SOON, |event| {
            event.kind == "restream_state" && event.data.to_string().contains(&format!("\"code\":\"{code}\""))
        });
    }
    let shown = seen_streaming.all().iter().filter(|event| event.data["to"] == "streaming").count();
    assert_eq!(shown, 0, "none was ever shown as streaming");
}

#[test]
fn a_codec_that_rtmp_cannot_carry_is_named_and_nothing_is_dialled() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let destination = Destination::new();
    let id = api.create_restream(&stream, "push", &destination.url("key"));
    let publisher = Publisher::publish(&weir.rtmp_address(), "live", &stream.stream_key).unwrap();
    let _feed = Feed::start(publisher, hevc(), |at_ms| at_ms as u32);
    let status = api.wait_restream(id, "error", SOON);
    assert_eq!(status["reason"]["code"], "unsupported_codec", "{status}");
    assert_eq!(destination.connections(), 0);
}

#[test]
fn retries_are_counted_and_announced_and_back_off() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let busy = Destination::rejecting("NetStream.Publish.BadName", "already publishing");
    let id = api.create_restream(&stream, "push", &busy.url("key"));
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    let status = api.wait_restream_where(id, "announces a retry", SOON, |status| {
        status["state"] == "error" && status["next_retry_at"].is_string()
    });
    assert!(status["attempt"].as_u64() >= Some(1), "{status}");
    api.wait_restream_where(id, "is at its third attempt", SOON, |status| status["attempt"].as_u64() >= Some(3));
    // An attempt is counted when it begins, and reaches the destination a moment later.
    wait_until("the third attempt reaches the destination", SOON, || busy.pushes().len() >= 3);
    let pushes = busy.pushes();
    let gap = |number: usize| (pushes[number].at - pushes[number - 1].at).as_secs_f64();
    // The waits double from 1 s, each give or take 20 %, and the attempts themselves take time.
    assert!((0.8..2.0).contains(&gap(1)) && (1.6..3.5).contains(&gap(2)), "{} and {}", gap(1), gap(2));

    // "Retry now" does not wait for the fourth attempt; the destination has changed its mind meanwhile.
    busy.answer(Answers::default());
    api.post(&format!("/restreams/{id}/retry"), &Value::Null).expect(200);
    busy.wait_video_frames(1, Duration::from_secs(2));
    api.wait_restream(id, "streaming", SOON);
}

#[test]
fn a_dead_source_is_given_up_after_its_time() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let destination = Destination::new();
    let retry = json!({ "source_lost_seconds": 1, "give_up_minutes": 0.05 });
    let id = api.create_restream_with(&stream, "push", &json!({ "uri": destination.url("key"), "retry": retry }));
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    api.wait_restream(id, "streaming", SOON);
    feed.stop();
    api.wait_restream(id, "awaiting_stream", SOON);
    let status = api.wait_restream(id, "stopped", SOON);
    assert_eq!(status["reason"]["code"], "source_timeout", "{status}");

    // The source alone does not bring the restream back; a start does.
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    api.wait_stream(&stream, "live", SOON);
    assert_eq!(api.restream_status(id)["state"], "stopped");
    api.post(&format!("/restreams/{id}/start"), &Value::Null).expect(200);
    api.wait_restream(id, "streaming", SOON);
}

#[test]
fn a_redirect_is_followed_and_a_password_is_answered() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let goal = Destination::new();
    let redirect = ConnectAnswer::Redirect { url: goal.server_url() };
    let redirecting = Destination::with(Answers { connect: redirect, ..Answers::default() });
    let auth = weir_testkit::adobe_auth::AdobeAuth { user: "ada".to_owned(), password: "lovelace".to_owned() };
    let asking = Destination::with(Answers { connect: ConnectAnswer::AdobeAuth(auth), ..Answers::default() });
    let redirected = api.create_restream(&stream, "redirected", &redirecting.url("key"));
    let with_password = asking.url("key").replace("rtmp://", "rtmp://ada:lovelace@");
    let asked = api.create_restream(&stream, "asked", &with_password);
    let wrong_password = asking.url("key").replace("rtmp://", "rtmp://ada:babbage@");
    let wrong = api.create_restream(&stream, "wrong", &wrong_password);
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));

    api.wait_restream(redirected, "streaming", SOON);
    api.wait_restream(asked, "streaming", SOON);
    goal.wait_video_frames(30, SOON);
    asking.wait_video_frames(30, SOON);
    let status = api.wait_restream(wrong, "error", SOON);
    assert_eq!(status["reason"]["code"], "auth_rejected", "{status}");
}

/// HEVC as Enhanced RTMP carries it: a real decoder configuration, and pictures that nobody here decodes.
fn hevc() -> Vec<FlvTag> {
    let folder = tempfile::tempdir().unwrap();
    let clip = Clip { seconds: 1, size: "320x180", video_codec: "libx265", audio: false, ..Clip::default() };
    let mp4 = std::fs::read(clip.make(&folder.path().join("clip.mp4"))).unwrap();
    // An MP4 box has its length, its name and its content.
    let name_at = mp4.windows(4).position(|window| window == b"hvcC").expect("an HEVC track");
    let length = u32::from_be_bytes(mp4[name_at - 4..name_at].try_into().unwrap()) as usize;
    let config = &mp4[name_at + 4..name_at - 4 + length];
    let tag = |timestamp_ms: u32, parts: &[&[u8]]| FlvTag {
        kind: FlvTagKind::Video,
        timestamp_ms,
        body: Bytes::from(parts.concat()),
    };
    // 0x90 is extended header, keyframe, sequence start; 0x91 is coded frames, with a composition time of 0.
    let mut tags = vec![tag(0, &[&[0x90], b"hvc1", config])];
    // The picture is one IDR unit (NAL type 19) behind its length.
    let picture = [0, 0, 0, 6, 19 << 1, 1, 0xAF, 0x80, 0x10, 0x20];
    tags.extend((0..30).map(|number| tag(number * 33, &[&[0x91], b"hvc1", &[0, 0, 0], &picture])));
    tags
}

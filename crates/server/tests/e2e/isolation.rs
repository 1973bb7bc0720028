//! One destination's trouble is its own: a wedged, a killed and a closing one beside nine that lose nothing.

use crate::common;

use std::time::{Duration, Instant};

use common::{SOON, clip, frame_numbers, weir};
use weir_testkit::destination::{MediaTreatment, is_keyframe, is_video_frame};
use weir_testkit::publisher::Feed;
use weir_testkit::{Destination, ffmpeg, wait_until};

/// A destination that stalls silently leaves `streaming` in 10 s or less.
const STALL_KNOWN: Duration = Duration::from_secs(10);
/// A reset or a close is known in 3 s or less.
const CLOSE_KNOWN: Duration = Duration::from_secs(3);

#[test]
fn nine_of_ten_lose_nothing_while_one_is_wedged() {
    let folder = tempfile::tempdir().unwrap();
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let destinations: Vec<Destination> = (0..10).map(|_| Destination::new()).collect();
    let restreams: Vec<i64> = destinations
        .iter()
        .enumerate()
        .map(|(number, destination)| api.create_restream(&stream, &format!("r{number}"), &destination.url("key")))
        .collect();
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(1_500_000));
    for id in &restreams {
        api.wait_restream(*id, "streaming", SOON);
    }

    let (wedged, healthy) = (&destinations[0], &destinations[1..]);
    wedged.wait_video_frames(45, SOON);
    wedged.freeze();
    let wedged_at = Instant::now();
    let status =
        api.wait_restream_where(restreams[0], "left streaming", STALL_KNOWN, |status| status["state"] != "streaming");
    println!("wedged: {} after {:.1} s", status["reason"]["code"], wedged_at.elapsed().as_secs_f64());
    assert_eq!((&status["state"], &status["reason"]["code"]), (&"error".into(), &"stalled".into()), "{status}");
    // The window forgives 6 s, and the kernel's buffers some more; twice that is a loss.
    healthy[0].wait_video_frames(healthy[0].video_frames() + 30 * 8, SOON);
    let before = wedged.received().len();
    wedged.thaw();
    api.wait_restream_where(restreams[0], "is streaming and tells its loss", Duration::from_secs(30), |status| {
        status["state"] == "streaming" && status["dropped_frames"].as_u64() > Some(0)
    });
    wait_until("the wedged one had fresh video", SOON, || wedged.received().len() > before + 150);

    let sent = feed.stop();
    for (number, destination) in healthy.iter().enumerate() {
        destination.wait_video_frames(usize::try_from(sent).unwrap(), SOON);
        let numbers = frame_numbers(destination.received().iter().map(|received| &received.tag));
        // The clip is looped, so its 300 numbers come round and round.
        let whole = numbers.iter().enumerate().all(|(at, frame)| *frame == at as u64 % 300);
        assert!(whole, "destination {}: {numbers:?}", number + 1);
        assert_eq!(api.restream_status(restreams[number + 1])["dropped_frames"], 0);
    }
    for connection in 0..wedged.connections() {
        let received: Vec<_> =
            wedged.received().into_iter().filter(|received| received.connection == connection).collect();
        let pictures: Vec<_> =
            received.iter().map(|received| &received.tag).filter(|tag| is_video_frame(tag)).collect();
        let numbers = frame_numbers(pictures.iter().copied());
        for at in 1..numbers.len() {
            let expected = (numbers[at - 1] + 1) % 300;
            assert!(numbers[at] == expected || is_keyframe(pictures[at]), "after a gap it goes on with a keyframe");
        }
        if !pictures.is_empty() {
            let file = folder.path().join(format!("wedged{connection}.flv"));
            wedged.save_flv(connection, &file);
            assert_eq!(ffmpeg::decode_errors(&file), "", "connection {connection}");
        }
    }
}

#[test]
fn a_destination_that_closes_or_resets_is_known_and_pushed_to_again() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let (closing, resetting) = (
        Destination::treating_media(MediaTreatment::CloseAfter { messages: 200 }),
        Destination::treating_media(MediaTreatment::ResetAfter { messages: 200 }),
    );
    let ids = [&closing, &resetting]
        .map(|destination| api.create_restream(&stream, &destination.address().to_string(), &destination.url("key")));
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(300_000));
    for (id, destination) in ids.into_iter().zip([&closing, &resetting]) {
        api.wait_restream(id, "streaming", SOON);
        wait_until("the destination went away", SOON, || destination.received().len() >= 200);
        let status =
            api.wait_restream_where(id, "left streaming", CLOSE_KNOWN, |status| status["state"] != "streaming");
        assert!(status["reason"]["code"].is_string() && status["attempt"].is_u64(), "{status}");
        // The first new attempt comes after 1 s, give or take 20 %.
        destination.wait_first_frame_of(1, Duration::from_secs(5));
    }
}

#[test]
fn a_killed_destination_is_pushed_to_again_at_once() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let destination = Destination::new();
    let id = api.create_restream(&stream, "push", &destination.url("key"));
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(300_000));
    api.wait_restream(id, "streaming", SOON);
    destination.wait_video_frames(30, SOON);

    destination.close_connections();
    let killed_at = Instant::now();
    let again = destination.wait_first_frame_of(1, SOON).at - killed_at;
    println!("killed, and video there again after {:.2} s", again.as_secs_f64());
    assert!(again <= Duration::from_millis(2_100), "{again:?}");
    api.wait_restream(id, "streaming", SOON);
}

#[test]
fn changing_one_restream_disturbs_no_other() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let (steady, edited, moved_to) = (Destination::new(), Destination::new(), Destination::new());
    let steady_id = api.create_restream(&stream, "steady", &steady.url("key"));
    let edited_id = api.create_restream(&stream, "edited", &edited.url("key"));
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(300_000));
    api.wait_restream(steady_id, "streaming", SOON);
    api.wait_restream(edited_id, "streaming", SOON);

    api.patch(&format!("/restreams/{edited_id}"), &serde_json::json!({ "uri": moved_to.url("other") })).expect(200);
    moved_to.wait_video_frames(30, SOON);
    wait_until("the old connection was closed", SOON, || edited.pushes()[0].closed);
    let added = api.create_restream(&stream, "added", &edited.url("again"));
    api.wait_restream(added, "streaming", SOON);
    assert_eq!(api.delete(&format!("/restreams/{added}")).status, 204);
    api.post(&format!("/restreams/{edited_id}/stop"), &serde_json::Value::Null).expect(200);
    api.wait_restream(edited_id, "stopped", SOON);

    let sent = feed.stop();
    steady.wait_video_frames(usize::try_from(sent).unwrap(), SOON);
    assert_eq!(steady.connections(), 1);
    let numbers = frame_numbers(steady.received().iter().map(|received| &received.tag));
    assert!(numbers.iter().enumerate().all(|(at, frame)| *frame == at as u64 % 300), "{numbers:?}");
}

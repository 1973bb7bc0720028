//! What survives: configuration over kill -9, pushes over a restart, connections over a publisher that comes back.

use crate::common;

use std::time::{Duration, Instant};

use common::{SOON, clip, weir};
use serde_json::json;
use weir_testkit::publisher::Feed;
use weir_testkit::{Destination, Publisher};

#[test]
fn kill_9_loses_no_acknowledged_change_and_a_restart_resumes_by_itself() {
    let mut weir = weir().start();
    let destination = Destination::new();
    let stream = weir.api().create_stream("cam1");
    let pushed = weir.api().create_restream(&stream, "push", &destination.url("key"));
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    weir.api().wait_restream(pushed, "streaming", SOON);
    let mut names = vec!["push".to_owned()];
    for round in 0..3 {
        // The server is killed in the moment after the last answer.
        for number in 0..20 {
            let name = format!("r{round}-{number}");
            weir.api().create_restream_with(
                &stream,
                &name,
                &json!({ "uri": "rtmp://127.0.0.1:9/app/key", "active": false }),
            );
            names.push(name);
        }
        let renamed = format!("push {round}");
        weir.api().patch(&format!("/restreams/{pushed}"), &json!({ "name": renamed })).expect(200);
        names[0] = renamed;
        weir = weir.kill_and_restart();
        let kept = weir.api().get(&format!("/restreams?stream_id={}&limit=500", stream.id)).expect(200);
        let kept: Vec<_> =
            kept["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(kept, names, "round {round}");
    }
    drop(feed);

    // The key is the same, the restream is the same, and nobody has started anything.
    let connections = destination.connections();
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    weir.api().wait_restream(pushed, "streaming", SOON);
    destination.wait_first_frame_of(connections, SOON);
}

#[test]
fn a_publisher_that_comes_back_keeps_every_connection() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let destinations = [Destination::new(), Destination::new()];
    let ids =
        [0, 1].map(|number| api.create_restream(&stream, &format!("r{number}"), &destinations[number].url("key")));
    let clip = clip(200_000);
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip);
    let folder = tempfile::tempdir().unwrap();
    let played = folder.path().join("played.flv");
    let mut player = weir_testkit::ffmpeg::play(&format!("{}/play/cam1", weir.rtmp()), 60, &played);
    for id in ids {
        api.wait_restream(id, "streaming", SOON);
    }
    destinations[0].wait_video_frames(60, SOON);

    // The publisher goes without a word and is back within the 3 s, with a clock that starts from somewhere else.
    drop(feed);
    let back_at = Instant::now() + Duration::from_millis(1_500);
    while Instant::now() < back_at {
        for id in ids {
            assert_eq!(api.restream_status(id)["state"], "streaming", "within source_lost_seconds");
        }
    }
    let publisher = Publisher::publish(&weir.rtmp_address(), "live", &stream.stream_key).unwrap();
    let before = destinations.each_ref().map(Destination::video_frames);
    let _feed = Feed::start(publisher, clip, |at_ms| (at_ms + 7_777_777) as u32);
    for (number, destination) in destinations.iter().enumerate() {
        destination.wait_video_frames(before[number] + 60, SOON);
        assert_eq!(destination.connections(), 1, "nothing reconnected");
        let times: Vec<u32> = destination
            .received()
            .iter()
            .filter(|received| weir_testkit::destination::is_video_frame(&received.tag))
            .map(|received| received.tag.timestamp_ms)
            .collect();
        assert!(times.is_sorted_by(|a, b| a < b), "one monotonic timeline: {times:?}");
        let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!((1_000..4_000).contains(&gap), "the gap is the outage, not the encoder's clock: {gap} ms");
    }
    assert!(!player.has_ended(), "the player stayed too: {:?}", player.output());
}

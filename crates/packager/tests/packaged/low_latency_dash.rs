//! With low-latency DASH the manifest lists the segment that is being made, and its parts are given out as they come.

use crate::support;

use std::time::Duration;

use support::{Rig, publish, time, tracks_of, write};
use weir_media::MediaTime;
use weir_packager::{Answer, Growing, PackagerConfig, Unfinished};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

/// A source of 10 fps with GOPs of 2 s, so that a part has 4 frames.
fn slow() -> SyntheticConfig {
    SyntheticConfig { fps: (10, 1), gop_frames: 20, ..SyntheticConfig::default() }
}

async fn growing(rig: &Rig, path: &str) -> Growing {
    match rig.packager.answer(path, None).await {
        Answer::Growing { segment, .. } => *segment,
        other => panic!("{path}: {other:?}"),
    }
}

#[tokio::test]
async fn the_manifest_lists_what_is_being_made() {
    let rig = Rig::new(PackagerConfig::default()).await;
    publish(&mut rig.publisher(), slow(), 0.0, 4.75).await;
    let (plain, low) = (rig.text("manifest.mpd").await, rig.text("manifest-ll.mpd").await);
    assert!(plain.contains("<S t=\"0\" d=\"180000\" r=\"1\"/>") && !plain.contains("availabilityTime"), "{plain}");
    for expected in [
        "minimumUpdatePeriod=\"PT0.5S\"",
        "<Latency target=\"3000\" min=\"1500\" max=\"6000\"/>",
        // This is 2 s less a part of 420 ms.
        "availabilityTimeOffset=\"1.580\" availabilityTimeComplete=\"false\"",
        // The third segment has begun, and will be as long as the others.
        "<S t=\"0\" d=\"180000\" r=\"2\"/>",
    ] {
        assert!(low.contains(expected), "{expected} is missing in\n{low}");
    }
    assert_eq!(rig.text("manifest-ll.mpd?token=a.b").await.matches("?token=a.b\"").count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_segment_grows_to_what_it_will_be() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    let mut source = SyntheticSource::new(slow());
    publisher.set_tracks(tracks_of(&source));
    write(&mut publisher, source.frames_until(time(2.75)), MediaTime::ZERO).await;
    let early = rig.packager.answer("source/video/1.m4s", None).await;
    let Answer::Growing { tag, content_type: "video/mp4", .. } = early else { panic!("{early:?}") };
    let mut segment = growing(&rig, "source/video/1.m4s").await;
    let reading = tokio::spawn(async move {
        let mut parts = Vec::new();
        while let Some(part) = segment.next().await {
            parts.push(part.unwrap());
        }
        parts
    });
    tokio::task::yield_now().await;
    write(&mut publisher, source.frames_until(time(3.95)), MediaTime::ZERO).await;
    assert!(!reading.is_finished(), "the segment is not at its end");
    write(&mut publisher, source.frames_until(time(4.25)), MediaTime::ZERO).await;
    let parts = reading.await.unwrap();
    assert_eq!(parts.len(), 5);
    let Answer::Found { body, tag: later, .. } = rig.packager.answer("source/video/1.m4s", None).await else {
        panic!("it is complete")
    };
    assert!(parts.concat() == body, "the same bytes");
    assert_eq!(tag, later);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_finished_says_so() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    let mut source = SyntheticSource::new(slow());
    publisher.set_tracks(tracks_of(&source));
    write(&mut publisher, source.frames_until(time(2.75)), MediaTime::ZERO).await;
    let mut slow_reader = growing(&rig, "source/video/1.m4s").await;
    assert!(slow_reader.next().await.unwrap().is_ok());
    for second in 3..60 {
        write(&mut publisher, source.frames_until(time(f64::from(second))), MediaTime::ZERO).await;
    }
    assert_eq!(slow_reader.next().await, Some(Err(Unfinished)), "it has left memory");

    // The source falls silent. The segment ends with what there is of it.
    let open = rig.checked("source/video.m3u8").await.segments.last().unwrap().parts.last().unwrap().uri.clone();
    let open = format!("source/{}.m4s", open.strip_suffix(".m4s").unwrap().rsplit_once('.').unwrap().0);
    let mut segment = growing(&rig, &open).await;
    let begun = tokio::time::Instant::now();
    while let Some(part) = segment.next().await {
        assert!(part.is_ok());
    }
    assert!(begun.elapsed() <= Duration::from_secs(6));
    assert!(support::is_immutable(&rig.packager.answer(&open, None).await));
}

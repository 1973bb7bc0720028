//! What is encoded is cut by the stream's clock: it makes no difference who cuts it and when they began, and no number or time comes twice.

use std::time::{Duration, Instant};

use time::OffsetDateTime;
use weir_hub::StreamClock;
use weir_media::{Frame, MediaKind};
use weir_packager::{Cuts, PackagerConfig};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

use crate::support::{self, Rig, checker, kind_of, publish, tracks_of};

const MADE: &str = "720p/video.m3u8";

fn config() -> PackagerConfig {
    PackagerConfig {
        keyframes_apart: Duration::from_secs(2),
        window: Duration::from_secs(60),
        ..PackagerConfig::default()
    }
}

/// What an encoder of ours makes between two times. Its first picture is a keyframe, and so is the first of each slot.
fn made(from: f64, to: f64) -> (SyntheticSource, Vec<Frame>) {
    let mut source = SyntheticSource::new(SyntheticConfig { gop_frames: 60, ..SyntheticConfig::default() });
    let frames = source.frames_until(support::time(to)).into_iter().filter(|frame| frame.dts >= support::time(from));
    let mut is_first = true;
    let frames = frames.map(|mut frame| {
        if kind_of(&frame) == MediaKind::Video {
            frame.flags.keyframe |= std::mem::take(&mut is_first);
        }
        frame
    });
    let frames = frames.collect();
    (source, frames)
}

async fn make(rig: &Rig, from: f64, to: f64) {
    let (source, frames) = made(from, to);
    let mut publisher = rig.hub.publish_rendition("720p");
    publisher.set_tracks(tracks_of(&source));
    for frame in frames {
        publisher.write(frame, Instant::now());
        tokio::task::yield_now().await;
    }
}

fn told(playlist: &checker::Playlist) -> Vec<(u64, String, f64)> {
    playlist.complete().map(|segment| (segment.number, segment.date.clone(), segment.duration)).collect()
}

#[tokio::test]
async fn two_packagers_cut_and_number_alike_whenever_they_began() {
    let zero_at = OffsetDateTime::now_utc();
    let rigs = [0.0, 3.3, 8.0].map(|from| async move {
        let rig = Rig::by(StreamClock::begun(zero_at, 500), config()).await;
        let _following = rig.follow("720p", Cuts::ByClock);
        tokio::task::yield_now().await;
        make(&rig, from, 21.0).await;
        (told(&rig.checked(MADE).await), told(&rig.checked("720p/audio.m3u8").await))
    });
    let [all, later, latest] = rigs;
    let (all, later, latest) = (all.await, later.await, latest.await);
    assert_eq!(all.0.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), (500..510).collect::<Vec<_>>());
    // The first segment that the later one has is cut short by the end of its slot.
    assert_eq!((later.0[0].0, later.0[0].2), (501, 0.7));
    assert_eq!((&later.0[1..], &later.1[1..]), (&all.0[2..], &all.1[2..]));
    assert_eq!((&latest.0[..], &latest.1[1..]), (&all.0[4..], &all.1[5..]));
}

#[tokio::test]
async fn a_kept_picture_has_the_numbers_of_what_is_made_beside_it_while_its_keyframes_are_as_far_apart() {
    for (phase, is_same_time) in [(0.0, true), (0.7, false)] {
        let rig = Rig::by(StreamClock::begun(OffsetDateTime::now_utc(), 100), config()).await;
        let _following = rig.follow("720p", Cuts::ByClock);
        tokio::task::yield_now().await;
        publish(&mut rig.publisher(), SyntheticConfig { audio: None, ..SyntheticConfig::default() }, phase, 20.5).await;
        make(&rig, 0.0, 20.5).await;
        let (kept, made) = (rig.checked("source/video.m3u8").await, rig.checked(MADE).await);
        let numbers = |playlist: &checker::Playlist| -> Vec<u64> { playlist.complete().map(|it| it.number).collect() };
        assert_eq!(numbers(&kept), numbers(&made), "{phase}");
        let dates =
            |playlist: &checker::Playlist| -> Vec<String> { playlist.complete().map(|it| it.date.clone()).collect() };
        assert_eq!(dates(&kept) == dates(&made), is_same_time, "{phase}");
    }
}

#[tokio::test]
async fn a_worker_that_is_replaced_and_a_source_that_pauses_leave_no_hole_in_the_numbers() {
    let rig = Rig::by(StreamClock::begun(OffsetDateTime::now_utc(), 100), config()).await;
    let _following = rig.follow("720p", Cuts::ByClock);
    tokio::task::yield_now().await;
    // One worker makes pictures up to 9.1 s, and another one from 9.5 s on. Then nothing comes for half a minute.
    make(&rig, 0.0, 9.1).await;
    make(&rig, 9.5, 13.0).await;
    make(&rig, 43.3, 49.0).await;
    let playlist = rig.checked(MADE).await;
    let segments: Vec<(u64, f64)> = playlist.complete().map(|it| (it.number, it.duration)).collect();
    let numbers: Vec<u64> = segments.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (100..100 + numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!((playlist.target, playlist.discontinuities), (2, 1));
    assert!(segments.iter().all(|(_, length)| *length <= 2.05), "{segments:?}");
    // Each segment begins with its slot, except the one behind the pause.
    let zero_at = rig.hub.clock().zero_at().unwrap();
    let starts: Vec<i64> = playlist
        .complete()
        .map(|it| {
            let at = OffsetDateTime::parse(&it.date, &time::format_description::well_known::Rfc3339).unwrap();
            ((at - zero_at).as_seconds_f64() * 1000.0).round() as i64
        })
        .collect();
    let is_slot = |at: &&i64| (*at + 1) % 2000 <= 2;
    assert_eq!(starts.iter().filter(is_slot).count(), starts.len() - 1, "{starts:?}");
}

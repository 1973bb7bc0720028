//! The stream hub: its pulse, its starts, its tracks.

use super::*;
use crate::{Next, Tracks};
use bytes::Bytes;
use weir_media::{Codec, Frame, FrameFlags, MediaTime, TrackId, TrackInfo};

fn frame(track: TrackId, millis: i64, keyframe: bool) -> Frame {
    let time = MediaTime::from_millis(millis);
    let flags = FrameFlags { keyframe, discontinuity: false };
    Frame { track, dts: time, pts: time, flags, payload: Bytes::from_static(b"x") }
}

fn info(id: TrackId, codec: Codec) -> Arc<TrackInfo> {
    Arc::new(TrackInfo::new(id, codec, Bytes::from_static(b"config")))
}

fn picture(codec: Codec) -> Tracks {
    Tracks::from_iter([info(TrackId::SOURCE_VIDEO, codec)])
}

#[test]
fn pulse_follows_the_publisher() {
    let hub = StreamHub::new(WindowLimits::FRAMES);
    let start = Instant::now();
    let second = Duration::from_secs(1);
    assert!(!hub.pulse().is_live(start, second));

    let mut publisher = hub.publish_source(Instant::now());
    publisher.set_tracks(picture(Codec::H264));
    publisher.write(frame(TrackId::SOURCE_VIDEO, 0, false), start);
    assert!(!hub.pulse().is_live(start, second), "nothing to start on yet");
    publisher.write(frame(TrackId::SOURCE_VIDEO, 33, true), start);
    assert!(hub.pulse().is_live(start, second));
    assert!(!hub.pulse().is_live(start + second, second), "a silent publisher is not live");
    drop(publisher);
    assert!(!hub.pulse().attached);
    assert!(!hub.pulse().is_live(start, second));
    assert_eq!(hub.pulse().sessions, 1);
}

#[test]
fn the_stream_s_time_runs_on_from_the_latest_frame() {
    let hub = StreamHub::new(WindowLimits::FRAMES);
    let start = Instant::now();
    assert_eq!(hub.pulse().time_at(start), None);
    let mut publisher = hub.publish_source(start);
    publisher.set_tracks(picture(Codec::H264));
    publisher.write(frame(TrackId::SOURCE_VIDEO, 500, true), start);
    publisher.set_tracks(Tracks::from_iter([
        info(TrackId::SOURCE_VIDEO, Codec::H264),
        info(TrackId::SOURCE_AUDIO, Codec::Aac),
    ]));
    // The sound here comes behind the picture, as it may.
    publisher.write(frame(TrackId::SOURCE_AUDIO, 450, true), start);
    for (after_ms, time_ms) in [(0, 500), (300, 800)] {
        let at = start + Duration::from_millis(after_ms);
        assert_eq!(hub.pulse().time_at(at).map(MediaTime::as_millis), Some(time_ms));
    }
}

#[test]
fn audio_alone_offers_a_start_each_second() {
    let hub = StreamHub::new(WindowLimits::FRAMES);
    let mut publisher = hub.publish_source(Instant::now());
    publisher.set_tracks(Tracks::from_iter([info(TrackId::SOURCE_AUDIO, Codec::Aac)]));
    for number in 0..120 {
        publisher.write(frame(TrackId::SOURCE_AUDIO, number * 21, true), Instant::now());
    }
    let mut subscriber = hub.source().subscribe();
    let Some(Next::Item(first)) = subscriber.try_next() else { panic!("no start") };
    // Starts are at 0, 1,008 (48 x 21) and 2,016 ms.
    assert_eq!(first.frame.dts.as_millis(), 2_016);
    assert!(first.tracks.audio().is_some() && first.is_start());
}

#[test]
fn each_entry_carries_the_tracks_in_force_when_it_was_written() {
    let hub = StreamHub::new(WindowLimits::FRAMES);
    let mut subscriber = hub.source().subscribe();
    let mut publisher = hub.publish_source(Instant::now());
    for (number, codec) in [Codec::H264, Codec::H265].into_iter().enumerate() {
        publisher.set_tracks(picture(codec));
        publisher.write(frame(TrackId::SOURCE_VIDEO, number as i64, true), Instant::now());
        let Some(Next::Item(entry)) = subscriber.try_next() else { panic!("no frame") };
        assert_eq!(entry.track().codec, codec);
    }
}

#[test]
fn a_frame_of_a_track_that_nobody_announced_goes_nowhere() {
    let hub = StreamHub::new(WindowLimits::FRAMES);
    let mut publisher = hub.publish_source(Instant::now());
    publisher.set_tracks(picture(Codec::H264));
    publisher.write(frame(TrackId(7), 0, true), Instant::now());
    assert_eq!(hub.pulse().last_frame_at, None);
    assert!(hub.source().subscribe().try_next().is_none());
}

#[test]
fn a_replaced_publisher_does_not_speak_for_its_successor() {
    let hub = StreamHub::new(WindowLimits::FRAMES);
    let now = Instant::now();
    let old = hub.publish_source(now);
    let mut new = hub.publish_source(now);
    new.set_tracks(picture(Codec::H264));
    new.write(frame(TrackId::SOURCE_VIDEO, 0, true), now);
    drop(old);
    assert!(hub.pulse().attached && hub.pulse().is_live(now, Duration::from_secs(1)));
    drop(new);
    assert!(!hub.pulse().attached);
}

#[test]
fn media_of_long_ago_is_no_start_for_newcomers() {
    let now = Instant::now();
    for (away, kept) in [(Duration::from_secs(5), true), (Duration::from_secs(11), false)] {
        let hub = StreamHub::new(WindowLimits::FRAMES);
        let mut publisher = hub.publish_source(now);
        publisher.set_tracks(picture(Codec::H264));
        publisher.write(frame(TrackId::SOURCE_VIDEO, 0, true), now);
        drop(publisher);
        let _again = hub.publish_source(now + away);
        assert_eq!(hub.source().subscribe().try_next().is_some(), kept, "away for {away:?}");
    }
}

#[test]
fn a_publisher_knows_whether_anyone_is_in_a_hurry() {
    let hub = StreamHub::new(WindowLimits::FRAMES);
    let publisher = hub.publish_source(Instant::now());
    let _recorder = hub.source().subscribe_unhurried();
    assert!(!publisher.is_hurried());
    let (first, second) = (hub.source().subscribe(), hub.source().subscribe());
    drop(first);
    assert!(publisher.is_hurried());
    drop(second);
    assert!(!publisher.is_hurried());
}

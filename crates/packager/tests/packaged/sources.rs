//! Sources as they are in life: they restart, change, fall silent, lack a track, and come in any pattern of frames.

use crate::support;

use std::time::Duration;

use proptest::prelude::*;
use support::{Rig, checker, publish, time, tracks_of, write};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use weir_media::{Frame, FrameFlags, MediaTime, TrackId};
use weir_model::EventKind;
use weir_packager::{Answer, Cuts, PackagerConfig};
use weir_testkit::ffmpeg;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

#[tokio::test]
async fn a_publisher_that_restarts_at_once_leaves_no_trace() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut before: Option<checker::Playlist> = None;
    for session in 0..20 {
        // The publisher is gone for 300 ms each time.
        publish(&mut rig.publisher(), SyntheticConfig::default(), f64::from(session) * 4.3, 4.0).await;
        let after = rig.checked("source/video.m3u8").await;
        assert_eq!((after.discontinuities, after.discontinuity_sequence), (0, 0), "session {session}");
        if let Some(before) = &before {
            checker::check_reload(before, &after).unwrap();
        }
        before = Some(after);
        rig.checked("source/audio.m3u8").await;
    }
    assert_eq!(before.unwrap().segments.last().unwrap().number, 39);
    let init = rig.packager.answer("source/video/init-1.mp4", None).await;
    assert_eq!(init, Answer::NotFound, "one configuration, one init segment");
}

#[tokio::test]
async fn a_source_that_was_away_comes_back_after_one_discontinuity() {
    let mut rig = Rig::new(PackagerConfig { window: Duration::from_secs(120), ..PackagerConfig::default() }).await;
    publish(&mut rig.publisher(), SyntheticConfig::default(), 0.0, 5.0).await;
    publish(&mut rig.publisher(), SyntheticConfig::default(), 45.0, 5.0).await;
    rig.finish().await;
    for path in ["source/video.m3u8", "source/audio.m3u8"] {
        let playlist = rig.checked(path).await;
        let breaks: Vec<u64> = playlist.segments.iter().map(|segment| segment.breaks).collect();
        assert_eq!(breaks, [0, 0, 0, 1, 1, 1], "{path}");
        assert!(playlist.segments.iter().all(|segment| segment.duration < 2.1), "no giant segment: {path}");
        assert_eq!(playlist.target, 2);
    }
    for path in ["master.m3u8", "manifest.mpd"] {
        let answer = rig.packager.answer(path, None).await;
        assert_eq!(answer, Answer::NotReady, "nothing is offered of a rendition that is closed: {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_segment_and_is_told_once() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    publish(&mut publisher, SyntheticConfig::default(), 0.0, 2.9).await;
    assert_eq!(rig.checked("source/video.m3u8").await.complete().count(), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let playlist = rig.checked("source/video.m3u8").await;
    assert_eq!((playlist.complete().count(), playlist.segments.len()), (2, 2));
    let events = rig.observe.events().since(None, 10);
    let late: Vec<_> = events.iter().filter(|event| event.kind == EventKind::SegmentLate).collect();
    assert_eq!(late.len(), 1);
    assert_eq!((&late[0].fields["stream_id"], &late[0].fields["rendition"]), (&7.into(), &"source".into()));
    publish(&mut publisher, SyntheticConfig::default(), 62.9, 7.0).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let events = rig.observe.events().since(None, 10);
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::SegmentLate).count(), 2, "late anew");
    let playlist = rig.checked("source/video.m3u8").await;
    assert_eq!(
        (playlist.media_sequence, playlist.discontinuity_sequence),
        (2, 1),
        "what was before is out of the window"
    );
}

#[tokio::test]
async fn a_new_configuration_gets_its_own_init_segment_and_period() {
    let mut rig = Rig::new(PackagerConfig { window: Duration::from_secs(60), ..PackagerConfig::default() }).await;
    let large = SyntheticConfig { width: 640, height: 360, ..SyntheticConfig::default() };
    publish(&mut rig.publisher(), SyntheticConfig::default(), 0.0, 5.0).await;
    let mut publisher = rig.publisher();
    publish(&mut publisher, large, 5.0, 5.5).await;
    let manifest = rig.text("manifest.mpd").await;
    assert_eq!(manifest.matches("<Period").count(), 2, "{manifest}");
    assert!(manifest.contains("<Period id=\"p5000\" start=\"PT5.000S\">"), "{manifest}");
    assert!(manifest.contains("presentationTimeOffset=\"450000\" startNumber=\"3\""), "{manifest}");
    assert!(manifest.contains("width=\"320\"") && manifest.contains("width=\"640\""));
    assert!(rig.text("master.m3u8").await.contains("RESOLUTION=640x360"));
    drop(publisher);
    rig.finish().await;
    let video = rig.checked("source/video.m3u8").await;
    let maps: Vec<(&str, u64)> = video.segments.iter().map(|segment| (&*segment.map, segment.breaks)).collect();
    let (old, new) = (("video/init-0.mp4", 0), ("video/init-1.mp4", 1));
    assert_eq!(maps, [old, old, old, new, new, new]);
    let audio = rig.checked("source/audio.m3u8").await;
    let maps: Vec<(&str, u64)> = audio.segments.iter().map(|segment| (&*segment.map, segment.breaks)).collect();
    let (old, new) = (("audio/init-0.mp4", 0), ("audio/init-0.mp4", 1));
    assert_eq!(maps, [old, old, old, new, new, new], "sound is as it was, and counts the same discontinuities");
    let folder = tempfile::tempdir().unwrap();
    for (path, init, width) in [
        ("source/video.m3u8", "video/init-0.mp4", 320),
        ("source/video.m3u8", "video/init-1.mp4", 640),
        ("source/audio.m3u8", "audio/init-0.mp4", 0),
    ] {
        let file = rig.append(folder.path(), path, init).await;
        assert_eq!(ffmpeg::decode_errors(&file), "", "{init}");
        assert_eq!(ffmpeg::probe(&file)["streams"][0]["width"].as_u64().unwrap_or(0), width, "{init}");
    }
}

#[tokio::test]
async fn pictures_alone_and_sound_alone_are_streams() {
    let mut rig = Rig::new(PackagerConfig::default()).await;
    let silent = SyntheticConfig { audio: None, ..SyntheticConfig::default() };
    publish(&mut rig.publisher(), silent, 0.0, 5.0).await;
    let master = rig.text("master.m3u8").await;
    assert!(!master.contains("AUDIO") && !master.contains("mp4a"), "{master}");
    assert_eq!(rig.packager.answer("source/audio.m3u8", None).await, Answer::NotFound);
    rig.finish().await;
    assert_eq!(rig.checked("source/video.m3u8").await.complete().count(), 3);

    let mut rig = Rig::new(PackagerConfig::default()).await;
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    let mut publisher = rig.publisher();
    publisher.set_tracks(tracks_of(&source).audios().cloned().collect());
    let sound = source.frames_until(time(7.5)).into_iter().filter(|frame| frame.track == TrackId::SOURCE_AUDIO);
    write(&mut publisher, sound.collect(), MediaTime::ZERO).await;
    let master = rig.text("master.m3u8").await;
    assert!(master.ends_with("CODECS=\"mp4a.40.2\"\nsource/audio.m3u8\n"), "{master}");
    assert!(rig.text("manifest.mpd").await.contains("contentType=\"audio\""));
    rig.finish().await;
    let audio = rig.checked("source/audio.m3u8").await;
    assert_eq!((audio.complete().count(), audio.target), (4, 2));
    let folder = tempfile::tempdir().unwrap();
    rig.dump(folder.path(), &["source/audio.m3u8"]).await;
    assert_eq!(ffmpeg::decode_errors(&folder.path().join("source/audio.m3u8")), "");
}

#[tokio::test]
async fn sound_may_join_leave_and_come_back() {
    let rig = Rig::new(PackagerConfig { window: Duration::from_secs(60), ..PackagerConfig::default() }).await;
    let silent = SyntheticConfig { audio: None, ..SyntheticConfig::default() };
    publish(&mut rig.publisher(), silent.clone(), 0.0, 4.0).await;
    publish(&mut rig.publisher(), SyntheticConfig::default(), 4.0, 4.5).await;
    assert!(rig.text("master.m3u8").await.contains("AUDIO=\"source\""));
    let audio = rig.checked("source/audio.m3u8").await;
    assert_eq!(audio.media_sequence, 2, "numbered as the picture is");
    publish(&mut rig.publisher(), silent, 8.5, 4.5).await;
    assert!(!rig.text("master.m3u8").await.contains("AUDIO="));
    publish(&mut rig.publisher(), SyntheticConfig::default(), 13.0, 4.5).await;
    assert!(rig.text("master.m3u8").await.contains("AUDIO=\"source\""));
    let video = rig.checked("source/video.m3u8").await;
    assert_eq!(video.discontinuities, 0, "the picture never changed");
    rig.checked("source/audio.m3u8").await;
}

#[tokio::test]
async fn keyframes_far_apart_are_the_target_and_a_missing_one_is_done_without() {
    let mut rig = Rig::new(PackagerConfig { window: Duration::from_secs(120), ..PackagerConfig::default() }).await;
    let long = SyntheticConfig { gop_frames: 150, ..SyntheticConfig::default() };
    publish(&mut rig.publisher(), long, 0.0, 16.0).await;
    let playlist = rig.checked("source/video.m3u8").await;
    assert_eq!((playlist.target, playlist.complete().count()), (5, 3));
    let never = SyntheticConfig { gop_frames: 100_000, ..SyntheticConfig::default() };
    publish(&mut rig.publisher(), never, 16.0, 50.0).await;
    rig.finish().await;
    let playlist = rig.checked("source/video.m3u8").await;
    assert_eq!(playlist.target, 5);
    assert!(playlist.segments.iter().all(|segment| segment.duration <= 5.35));
    assert!(!playlist.independent);
}

#[tokio::test]
async fn a_rendition_that_comes_back_goes_on_where_it_stopped() {
    let mut rig = Rig::new(PackagerConfig { window: Duration::from_secs(60), ..PackagerConfig::default() }).await;
    publish(&mut rig.publisher(), SyntheticConfig::default(), 0.0, 5.0).await;
    rig.running.abort();
    assert!((&mut rig.running).await.unwrap_err().is_cancelled());
    assert_eq!(rig.checked("source/video.m3u8").await.complete().count(), 3, "all there is can be played");
    let run = |name: &str| tokio::spawn(rig.packager.clone().run(rig.hub.source(), name.to_owned(), Cuts::AtKeyframes));
    let again = run("source");
    tokio::task::yield_now().await;
    run("source").await.unwrap();
    run("no/name").await.unwrap();
    publish(&mut rig.publisher(), SyntheticConfig::default(), 6.0, 5.0).await;
    let playlist = rig.checked("source/video.m3u8").await;
    assert_eq!((playlist.media_sequence, playlist.segments.last().unwrap().number), (0, 5));
    again.abort();
}

#[tokio::test]
async fn a_pause_within_a_gop_loses_no_picture() {
    for (pause, breaks) in [(0.5, 0), (2.0, 1)] {
        let rig = Rig::new(PackagerConfig { window: Duration::from_secs(60), ..PackagerConfig::default() }).await;
        let mut publisher = rig.publisher();
        let mut source = SyntheticSource::new(SyntheticConfig::default());
        publisher.set_tracks(tracks_of(&source));
        write(&mut publisher, source.frames_until(time(3.0)), MediaTime::ZERO).await;
        write(&mut publisher, source.frames_until(time(6.1)), time(pause)).await;
        let playlist = rig.checked("source/video.m3u8").await;
        assert_eq!(playlist.discontinuities, breaks, "{pause}");
        assert_eq!(playlist.part_target, 0.42, "{pause}");
        let mut pictures = 0;
        for segment in playlist.complete() {
            let file = rig.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await;
            pictures += checker::samples(&file);
        }
        assert_eq!(pictures, 180, "{pause}");
        let in_parts =
            |playlist: &checker::Playlist| playlist.segments.iter().filter(|it| !it.parts.is_empty()).count();
        // A picture that lasts through the short pause is too long for a part. Before the long pause, the picture counts as ended.
        assert_eq!(in_parts(&playlist) < playlist.segments.len(), breaks == 0, "{pause}");
        write(&mut publisher, source.frames_until(time(14.1)), time(pause)).await;
        assert!(in_parts(&rig.checked("source/video.m3u8").await) >= 3, "{pause}: the newest ones are there in parts");
    }
}

#[tokio::test]
async fn renditions_share_boundaries_and_a_master_playlist() {
    let config = PackagerConfig { window: Duration::from_secs(60), ..PackagerConfig::default() };
    let rig = Rig::new(config).await;
    let mut made = rig.hub.publish_rendition("360p");
    let follower = rig.follow("360p", Cuts::ByClock);
    tokio::task::yield_now().await;
    let mut publisher = rig.publisher();
    // The source has a keyframe each second. The other rendition is a second late, has no sound, and starts out of phase.
    let second = SyntheticConfig { gop_frames: 30, ..SyntheticConfig::default() };
    let small = SyntheticConfig { width: 160, height: 90, audio: None, ..second.clone() };
    publish(&mut publisher, second.clone(), 0.0, 4.5).await;
    assert_eq!(rig.text("master.m3u8").await.matches("#EXT-X-STREAM-INF").count(), 1);
    publish(&mut made, small, 3.0, 10.0).await;
    let mut source = SyntheticSource::new(second);
    let later = source.frames_until(time(12.5)).into_iter().filter(|frame| frame.dts > time(4.5));
    write(&mut publisher, later.collect(), MediaTime::ZERO).await;

    let master = rig.text("master.m3u8").await;
    assert_eq!(master.matches("#EXT-X-STREAM-INF").count(), 2, "{master}");
    assert!(master.ends_with(",AUDIO=\"source\"\n360p/video.m3u8\n"), "it has the source's sound: {master}");
    let dates = |playlist: checker::Playlist| -> Vec<(u64, String)> {
        playlist.complete().map(|segment| (segment.number, segment.date.clone())).collect()
    };
    let (source, made_dates) =
        (dates(rig.checked("source/video.m3u8").await), dates(rig.checked("360p/video.m3u8").await));
    let shared: Vec<_> = made_dates.iter().skip(1).filter(|found| source.contains(found)).collect();
    assert_eq!(shared.len(), 4, "same numbers at the same times: {source:?} {made_dates:?}");
    let text = rig.text("source/video.m3u8").await;
    assert!(text.contains("#EXT-X-RENDITION-REPORT:URI=\"../360p/video.m3u8\",LAST-MSN="), "{text}");
    let manifest = rig.text("manifest.mpd").await;
    assert_eq!((manifest.matches("<Representation ").count(), manifest.matches("<Period").count()), (3, 1));

    follower.abort();
    assert!(follower.await.unwrap_err().is_cancelled());
    assert_eq!(rig.text("master.m3u8").await.matches("#EXT-X-STREAM-INF").count(), 1, "it left");
}

#[tokio::test]
async fn the_wall_clock_is_the_stream_s_however_late_its_renditions_are() {
    let rig = Rig::new(PackagerConfig { window: Duration::from_secs(60), ..PackagerConfig::default() }).await;
    // The source itself is not packaged, but only what is made from it.
    rig.running.abort();
    let follower = rig.follow("360p", Cuts::ByClock);
    tokio::task::yield_now().await;
    publish(&mut rig.hub.publish_rendition("360p"), SyntheticConfig::default(), 100.0, 4.5).await;
    let playlist = rig.checked("360p/video.m3u8").await;
    let began = OffsetDateTime::parse(&playlist.segments[0].date, &Rfc3339).unwrap();
    let since_zero = began - rig.hub.clock().zero_at().unwrap();
    assert!((since_zero.as_seconds_f64() - 100.0).abs() < 0.002, "{since_zero}");
    follower.abort();
}

#[tokio::test]
async fn memory_is_bounded_whatever_the_window() {
    let config = PackagerConfig { window: Duration::from_secs(3600), window_bytes_max: 0, ..PackagerConfig::default() };
    let rig = Rig::new(config).await;
    let heavy = SyntheticConfig { video_bitrate_bps: Some(20_000_000), ..SyntheticConfig::default() };
    publish(&mut rig.publisher(), heavy, 0.0, 24.0).await;
    let playlist = rig.checked("source/video.m3u8").await;
    assert!(playlist.media_sequence > 0);
    let mut bytes = 0;
    for segment in playlist.complete() {
        bytes += rig.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await.len();
    }
    assert!(bytes <= PackagerConfig::WINDOW_BYTES_MIN, "{bytes}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// The frames come in any pattern: in steps of any length, with keyframes anywhere, B-frames, and sound that comes and goes.
    #[test]
    fn playlists_keep_the_rules_whatever_comes(
        frames in prop::collection::vec((0_i64..400, prop::bool::weighted(0.1), 0_i64..200, any::<bool>()), 50..400),
        holes in prop::collection::vec((0_usize..400, 0_i64..20_000), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut rig = Rig::new(PackagerConfig { window: Duration::from_secs(3600), ..PackagerConfig::default() }).await;
            let source = SyntheticSource::new(SyntheticConfig::default());
            let mut publisher = rig.publisher();
            publisher.set_tracks(tracks_of(&source));
            let (mut now, mut before) = (0, [None, None]);
            for (index, (step, keyframe, offset, sound)) in frames.into_iter().enumerate() {
                now += step + holes.iter().filter(|hole| hole.0 == index).map(|hole| hole.1).sum::<i64>();
                let track = if sound { TrackId::SOURCE_AUDIO } else { TrackId::SOURCE_VIDEO };
                let offset = if sound { 0 } else { offset };
                let flags = FrameFlags { keyframe: keyframe || sound, discontinuity: false };
                let (dts, pts) = (MediaTime::from_millis(now), MediaTime::from_millis(now + offset));
                write(&mut publisher, vec![Frame { track, dts, pts, flags, payload: "x".into() }], MediaTime::ZERO).await;
                for (path, before) in ["source/video.m3u8", "source/audio.m3u8"].into_iter().zip(&mut before) {
                    let Answer::Found { .. } = rig.packager.answer(path, None).await else { continue };
                    let after = rig.checked(path).await;
                    if let Some(before) = before {
                        checker::check_reload(before, &after).unwrap();
                    }
                    *before = Some(after);
                }
            }
            rig.finish().await;
            for path in ["source/video.m3u8", "source/audio.m3u8"] {
                let Answer::Found { .. } = rig.packager.answer(path, None).await else { continue };
                let playlist = rig.checked(path).await;
                let mut end = 0;
                for segment in playlist.complete() {
                    let body = rig.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await;
                    for (decode, duration, _) in checker::chunks(&body) {
                        assert!(decode >= end, "decode times go back in {path}, {}", segment.number);
                        end = decode + duration;
                    }
                }
            }
        });
    }
}

//! Playlists and manifests as players see them: word for word, on reload, when a player asks to wait, and when it asks nonsense.

use crate::support;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use support::{Rig, checker, publish, time, tracks_of, write};
use weir_media::MediaTime;
use weir_observe::Counter;
use weir_packager::{Answer, Cache, PackagerConfig};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

/// A source of 10 fps with GOPs of 2 s. A part has 4 frames, so that a playlist is short enough to read.
fn slow() -> SyntheticConfig {
    SyntheticConfig { fps: (10, 1), gop_frames: 20, ..SyntheticConfig::default() }
}

fn without_dates(text: &str) -> String {
    let kept = text.lines().map(|line| match line.split_once("DATE-TIME:") {
        Some((tag, _)) => format!("{tag}DATE-TIME:..."),
        None => line.to_owned(),
    });
    kept.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_media_playlist_reads_like_this() {
    let rig = Rig::new(PackagerConfig::default()).await;
    publish(&mut rig.publisher(), slow(), 0.0, 2.85).await;
    let expected = r#"#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=1.260
#EXT-X-PART-INF:PART-TARGET=0.420
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="video/init-0.mp4"
#EXT-X-PROGRAM-DATE-TIME:...
#EXT-X-PART:DURATION=0.40001,URI="video/0.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40000,URI="video/0.1.m4s"
#EXT-X-PART:DURATION=0.40000,URI="video/0.2.m4s"
#EXT-X-PART:DURATION=0.40000,URI="video/0.3.m4s"
#EXT-X-PART:DURATION=0.40000,URI="video/0.4.m4s"
#EXTINF:2.00000,
video/0.m4s
#EXT-X-PROGRAM-DATE-TIME:...
#EXT-X-PART:DURATION=0.40001,URI="video/1.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.40000,URI="video/1.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="video/1.2.m4s"
#EXT-X-RENDITION-REPORT:URI="audio.m3u8",LAST-MSN=1,LAST-PART=1"#;
    let text = rig.text("source/video.m3u8").await;
    assert_eq!(without_dates(&text), expected);
    checker::check(&text).unwrap();

    let with_token = rig.text("source/video.m3u8?token=abc.1").await;
    for address in ["init-0.mp4", "0.m4s", "0.0.m4s", "1.2.m4s", "audio.m3u8"] {
        assert!(with_token.contains(&format!("{address}?token=abc.1")), "{address}:\n{with_token}");
    }
    assert_eq!(with_token.matches("URI=").count() + 1, with_token.matches("?token=abc.1").count());
}

#[tokio::test]
async fn each_version_of_a_text_is_written_once_for_all_tokens() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    publish(&mut publisher, slow(), 0.0, 6.75).await;
    let written = || rig.observe.counters().get(Counter::PlayTextsWritten);
    let found = |answer: Answer| match answer {
        Answer::Found { body, tag, .. } => (body, tag),
        other => panic!("{other:?}"),
    };
    for path in ["master.m3u8", "source/video.m3u8", "source/audio.m3u8", "ts/master.m3u8", "ts/source/media.m3u8"] {
        let before = written();
        let mut tags = BTreeSet::new();
        for token in [None, Some("a"), Some("b"), Some("a"), None] {
            let (body, tag) = found(rig.packager.answer_to(path, Some("token=junk&x=1"), token).await);
            let text = String::from_utf8(body.to_vec()).unwrap();
            let put = token.map_or(String::new(), |token| format!("?token={token}"));
            assert_eq!(text.replace(&put, ""), rig.text(path).await, "{path}");
            assert_eq!(text.contains("?token="), token.is_some(), "{path}");
            tags.insert(tag);
        }
        assert_eq!((written() - before, tags.len()), (1, 3), "{path}");
    }
    let (text, tag) = found(rig.packager.answer("source/video.m3u8", None).await);
    let (same, same_tag) = found(rig.packager.answer("source/video.m3u8", Some("token=junk")).await);
    assert_eq!((text.as_ptr(), tag), (same.as_ptr(), same_tag), "what needs no token takes none");
    publish(&mut publisher, slow(), 6.75, 1.0).await;
    assert_ne!(found(rig.packager.answer("source/video.m3u8", None).await).1, tag);
    let refused = rig.packager.answer_to("source/video.m3u8", None, Some("a\"b")).await;
    assert!(matches!(refused, Answer::BadRequest(_)));
}

#[tokio::test]
async fn a_multivariant_playlist_reads_like_this() {
    let rig = Rig::new(PackagerConfig::default()).await;
    assert_eq!(rig.packager.answer("master.m3u8", None).await, Answer::NotReady);
    assert_eq!(rig.packager.answer("manifest.mpd", None).await, Answer::NotReady);
    publish(&mut rig.publisher(), slow(), 0.0, 4.5).await;
    let text = rig.text("master.m3u8").await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "#EXTM3U",
            "#EXT-X-VERSION:9",
            "#EXT-X-INDEPENDENT-SEGMENTS",
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"source\",NAME=\"source\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",\
             URI=\"source/audio.m3u8\"",
        ]
    );
    let variant = checker::attributes(lines[4].strip_prefix("#EXT-X-STREAM-INF:").unwrap());
    let [video, audio] = ["source/video/0.m4s", "source/audio/0.m4s"];
    let bits = (rig.get(video).await.len() + rig.get(audio).await.len()) as f64 * 8.0 / 2.0;
    let peak: f64 = variant["BANDWIDTH"].parse().unwrap();
    let average: f64 = variant["AVERAGE-BANDWIDTH"].parse().unwrap();
    assert!((peak / bits - 1.0).abs() < 0.1 && average <= peak, "{peak} and {average} for {bits} bps");
    assert_eq!((&*variant["RESOLUTION"], &*variant["FRAME-RATE"], &*variant["AUDIO"]), ("320x180", "10.000", "source"));
    let tracks = SyntheticSource::new(slow()).tracks();
    let codec = &tracks[0].video.as_ref().unwrap().codec_string;
    assert_eq!(variant["CODECS"], format!("{codec},mp4a.40.2"));
    assert_eq!(lines[5..], ["source/video.m3u8"]);
    // The codec's string is that of the configuration: profile, constraints and level stand in bytes 1 to 3 of the record.
    let config = &tracks[0].config;
    assert_eq!(*codec, format!("avc1.{:02x}{:02x}{:02x}", config[1], config[2], config[3]));
    let token = rig.text("master.m3u8?token=t").await;
    assert_eq!(token.matches("?token=t").count(), 2);
}

#[tokio::test]
async fn a_manifest_lists_the_same_files() {
    let rig = Rig::new(PackagerConfig::default()).await;
    publish(&mut rig.publisher(), slow(), 0.0, 6.5).await;
    let text = rig.text("manifest.mpd").await;
    for expected in [
        "type=\"dynamic\"",
        "minimumUpdatePeriod=\"PT2S\" timeShiftBufferDepth=\"PT12S\"",
        "suggestedPresentationDelay=\"PT6S\"",
        "<Period id=\"p0\" start=\"PT0.000S\">",
        "contentType=\"video\" mimeType=\"video/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\"",
        "width=\"320\" height=\"180\" frameRate=\"10\">",
        "<SegmentTemplate timescale=\"90000\" presentationTimeOffset=\"0\" startNumber=\"0\" \
         initialization=\"source/video/init-0.mp4\" media=\"source/video/$Number$.m4s\">",
        "<S t=\"0\" d=\"180000\" r=\"2\"/>",
        "contentType=\"audio\" mimeType=\"audio/mp4\"",
        "audioSamplingRate=\"48000\">",
        "media=\"source/audio/$Number$.m4s\"",
        "<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"20",
    ] {
        assert!(text.contains(expected), "{expected} is missing:\n{text}");
    }
    let token = rig.text("manifest.mpd?token=t").await;
    assert_eq!(token.matches(".m4s?token=t\"").count(), 2);
    // Segments of sound begin where those of the picture do, to within a frame of sound.
    let starts = |kind: &str| {
        let from = text.find(&format!("contentType=\"{kind}\"")).unwrap();
        let timeline = &text[from..from + text[from..].find("</SegmentTimeline>").unwrap()];
        let scale = if kind == "video" { 90_000.0 } else { 48_000.0 };
        let mut found = Vec::new();
        for row in timeline.split("<S ").skip(1) {
            let number = |name: &str| {
                let value = row.split_once(&format!("{name}=\""))?.1;
                value[..value.find('"')?].parse::<f64>().ok()
            };
            for repeat in 0..=number("r").unwrap_or(0.0) as u32 {
                found.push((number("t").unwrap() + f64::from(repeat) * number("d").unwrap()) / scale);
            }
        }
        found
    };
    let (video, audio) = (starts("video"), starts("audio"));
    assert_eq!((video.len(), audio.len()), (3, 3), "{text}");
    assert!(video.iter().zip(&audio).all(|(video, audio)| (0.0..0.022).contains(&(audio - video))), "{audio:?}");
}

#[tokio::test]
async fn what_is_off_is_not_there() {
    for (hls, dash, path, there) in [
        (false, true, "master.m3u8", false),
        (false, true, "source/video.m3u8", false),
        (false, true, "source/video/0.0.m4s", false),
        (false, true, "source/video/0.m4s", true),
        (true, false, "manifest.mpd", false),
        (true, false, "source/video/0.m4s", true),
        (false, false, "source/video/0.m4s", false),
        (true, true, "source/video/7.m4s", false),
        (true, true, "source/video/0.99.m4s", false),
        (true, true, "source/video/init-1.mp4", false),
        (true, true, "other/video.m3u8", false),
        (true, true, "other/video/0.0.m4s", false),
        (true, true, "source/video/7.0.m4s", false),
        (true, true, "source/video/init-0.mp4", true),
    ] {
        let rig = Rig::new(PackagerConfig { hls, dash, ..PackagerConfig::default() }).await;
        publish(&mut rig.publisher(), slow(), 0.0, 3.0).await;
        let answer = rig.packager.answer(path, None).await;
        assert_eq!(support::is_immutable(&answer), there, "{hls} {dash} {path}: {answer:?}");
        assert_eq!(answer == Answer::NotFound, !there);
    }
}

#[tokio::test(start_paused = true)]
async fn reloads_wait_for_what_they_ask() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    let mut source = SyntheticSource::new(slow());
    publisher.set_tracks(tracks_of(&source));
    write(&mut publisher, source.frames_until(time(2.85)), MediaTime::ZERO).await;
    // The newest part is part 1 of segment 1.
    for (query, expected) in [
        ("_HLS_msn=0", "found"),
        ("_HLS_msn=0&_HLS_part=99", "found"),
        ("_HLS_msn=1&_HLS_part=1", "found"),
        ("_HLS_msn=1&_HLS_part=2", "later"),
        ("_HLS_msn=1", "later"),
        ("_HLS_msn=2&_HLS_part=0", "later"),
        ("_HLS_msn=3", "later"),
        ("_HLS_msn=1&_HLS_part=12", "bad"),
        ("_HLS_msn=4", "bad"),
        ("_HLS_msn=18446744073709551615", "bad"),
        ("_HLS_part=0", "bad"),
        ("_HLS_msn=a", "bad"),
    ] {
        let answer = rig.packager.answer("source/video.m3u8", Some(query));
        match tokio::time::timeout(Duration::from_millis(1), answer).await {
            Ok(Answer::Found { cache: Cache::Playlist, .. }) => assert_eq!(expected, "found", "{query}"),
            Ok(Answer::BadRequest(_)) => assert_eq!(expected, "bad", "{query}"),
            Err(_) => assert_eq!(expected, "later", "{query}"),
            Ok(other) => panic!("{query}: {other:?}"),
        }
    }
    let packager = rig.packager.clone();
    let part = tokio::spawn(async move { packager.answer("source/video/1.2.m4s", None).await });
    let packager = rig.packager.clone();
    let list = tokio::spawn(async move { packager.answer("source/video.m3u8", Some("_HLS_msn=1&_HLS_part=2")).await });
    tokio::task::yield_now().await;
    assert!(!part.is_finished() && !list.is_finished());
    write(&mut publisher, source.frames_until(time(3.25)), MediaTime::ZERO).await;
    assert!(support::is_immutable(&part.await.unwrap()));
    let Answer::Found { body, .. } = list.await.unwrap() else { panic!("the playlist is there") };
    assert!(String::from_utf8_lossy(&body).contains("video/1.2.m4s"));

    // Nothing comes any more. Silence ends the segment, so that all that came can be had, and whoever waits for more is told to come again.
    let begun = tokio::time::Instant::now();
    assert_eq!(rig.packager.answer("source/video.m3u8", Some("_HLS_msn=2")).await, Answer::NotReady);
    assert_eq!(begun.elapsed().as_secs(), 6);
    let playlist = rig.checked("source/video.m3u8").await;
    assert_eq!((playlist.complete().count(), playlist.hint), (2, None));
}

#[tokio::test]
async fn delta_updates_leave_out_what_is_old() {
    let config = PackagerConfig { window: Duration::from_secs(60), ..PackagerConfig::default() };
    let rig = Rig::new(config).await;
    let mut publisher = rig.publisher();
    publish(&mut publisher, slow(), 0.0, 10.5).await;
    assert_eq!(rig.checked("source/video.m3u8?_HLS_skip=YES").await.skipped, 0, "nothing is old yet");
    publish(&mut publisher, slow(), 10.5, 28.5).await;
    let full = rig.checked("source/video.m3u8").await;
    let delta = rig.checked("source/video.m3u8?_HLS_skip=YES").await;
    assert!(delta.skipped > 8, "{delta:?}");
    assert_eq!(delta.skipped as usize + delta.segments.len(), full.segments.len());
    checker::check_reload(&full, &delta).unwrap();
    let kept: f64 = delta.segments.iter().map(|segment| segment.duration).sum();
    assert!(kept >= 12.0, "{kept} s kept");
}

#[tokio::test]
async fn the_window_moves_and_old_files_stay_a_while() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    let mut source = SyntheticSource::new(slow());
    publisher.set_tracks(tracks_of(&source));
    let mut before: Option<checker::Playlist> = None;
    for second in 1..80 {
        write(&mut publisher, source.frames_until(time(f64::from(second) + 0.05)), MediaTime::ZERO).await;
        let Answer::Found { .. } = rig.packager.answer("source/video.m3u8", None).await else { continue };
        let after = rig.checked("source/video.m3u8").await;
        if let Some(before) = &before {
            checker::check_reload(before, &after).unwrap();
        }
        before = Some(after);
    }
    let playlist = before.unwrap();
    assert!(playlist.media_sequence > 30);
    let listed: f64 = playlist.complete().map(|segment| segment.duration).sum();
    assert!((10.0..=12.0).contains(&listed), "{listed} s");
    let file = |number: u64| format!("source/video/{number}.m4s");
    assert!(support::is_immutable(&rig.packager.answer(&file(playlist.media_sequence - 5), None).await));
    assert_eq!(rig.packager.answer(&file(playlist.media_sequence - 9), None).await, Answer::NotFound);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Whatever is asked for, the answer comes within the time that a reload may wait at most.
    #[test]
    fn every_request_is_answered(
        path in "(source|other|\\.\\.)?/?(video|audio)?(\\.m3u8|/init-[0-9]{0,11}\\.mp4|/[0-9]{0,20}(\\.[0-9]{0,20})?\\.m4s)|master\\.m3u8|manifest\\.mpd|.{0,40}",
        query in prop::option::of("(_HLS_(msn|part|skip)=[0-9YES]{0,20}&?){0,3}(token=[a-z.<\"&]{0,9})?|.{0,40}"),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new(PackagerConfig::default()).await;
            publish(&mut rig.publisher(), slow(), 0.0, 2.75).await;
            let begun = tokio::time::Instant::now();
            let answer = rig.packager.answer(&path, query.as_deref()).await;
            assert!(begun.elapsed() <= Duration::from_millis(6_010), "{path} {query:?}: {answer:?}");
            if let Answer::Found { body, cache: Cache::Playlist, .. } = answer {
                let text = String::from_utf8(body.to_vec()).unwrap();
                assert!(text.contains("#EXT-X-STREAM-INF") || checker::check(&text).is_ok(), "{text}");
            }
        });
    }
}

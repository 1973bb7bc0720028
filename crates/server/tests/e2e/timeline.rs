//! Playlists, manifests and media stay valid whatever the publisher and its clock do, and come in time.

use crate::common;

use std::thread;
use std::time::{Duration, Instant};

use common::{SOON, clip, weir};
use weir_media::{Codec, MediaTime};
use weir_mux::flv::file::{FlvReader, FlvTag, FlvTagKind};
use weir_testkit::conformance::{Rule, Watcher, player};
use weir_testkit::ffmpeg::Clip;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource, coded_clip};
use weir_testkit::publisher::{Feed, looped};
use weir_testkit::{Publisher, Weir, ffmpeg, wait_until, wait_until_some};

const VIDEO: &str = "source/video.m3u8";
const AUDIO: &str = "source/audio.m3u8";

fn watcher(weir: &Weir, name: &str) -> Watcher<impl FnMut(&str) -> Option<Vec<u8>> + use<>> {
    Watcher::new(player(&format!("{}/play/{name}", weir.http())))
}

fn synthetic(config: SyntheticConfig) -> Vec<FlvTag> {
    let mut reader = FlvReader::new();
    reader.feed(&SyntheticSource::new(config).flv_file(MediaTime::from_millis(10_000)));
    std::iter::from_fn(|| reader.next_tag().unwrap()).collect()
}

/// Sends the clip in real time for so long, and then is gone without a word.
fn publish_and_die(weir: &Weir, stream_key: &str, clip: &[FlvTag], length: Duration) {
    let mut publisher = wait_until_some("the key is free again", SOON, || {
        Publisher::publish(&weir.rtmp_address(), "live", stream_key).ok()
    });
    let start = Instant::now();
    for (at_ms, tag) in looped(clip).take_while(|(at_ms, _)| u128::from(*at_ms) < length.as_millis()) {
        thread::sleep((start + Duration::from_millis(at_ms)).saturating_duration_since(Instant::now()));
        publisher.send(&FlvTag { timestamp_ms: at_ms as u32, ..tag.clone() }).unwrap();
    }
}

/// The rules about parts that do not apply here. If a picture lasts from one encoder to the next, or as long as a broken clock says, no
/// parts have the length that they must have. Such segments are listed as a whole.
const IN_PARTS: &[Rule] = &[Rule::PartsListed, Rule::PreloadHint];

/// Publishes to one address with an encoder that is started again with another rate and another GOP each time. Each pair is the pictures a
/// second, and the seconds between keyframes.
fn encoders_started_again(encoders: &[(u32, u32)], seconds: u32) {
    let weir = weir().start();
    let stream = weir.api().create_stream("cam1");
    let folder = tempfile::tempdir().unwrap();
    let mut watcher = watcher(&weir, "cam1");
    for (fps, gop_seconds) in encoders {
        let clip = Clip {
            seconds,
            size: "160x90",
            fps: *fps,
            gop_frames: fps * gop_seconds,
            video_kbps: 100,
            ..Clip::default()
        };
        let clip = clip.make(&folder.path().join(format!("{fps}-{gop_seconds}.flv")));
        let mut encoder = ffmpeg::publish(&clip, &weir.push_url(&stream.stream_key));
        watcher.look_for(Duration::from_secs(seconds.into()));
        encoder.wait_ended(SOON);
    }
    for path in [VIDEO, AUDIO] {
        let playlist = watcher.playlist(path).unwrap();
        assert_eq!(
            (playlist.target_seconds, playlist.part_target),
            (u64::from(encoders[0].1.max(2)), Some(0.42)),
            "{path}"
        );
    }
    // The multivariant playlist is fetched before the others, so its codecs may be those of the encoder before.
    watcher.assert_valid_but(&[IN_PARTS, &[Rule::Codecs]].concat());
}

#[test]
fn encoders_of_other_rates_change_no_target() {
    encoders_started_again(&[(30, 1), (8, 4), (25, 2)], 5);
}

#[test]
#[ignore = "long: make test-long"]
fn encoders_of_all_rates_change_no_target() {
    let encoders = [(8, 3), (60, 10), (10, 1), (15, 7), (24, 2), (25, 4), (30, 5), (50, 6), (9, 8), (30, 9)];
    encoders_started_again(&encoders, 40);
}

/// Kills a publisher after 1.2 s and starts it again, over and over, while a player plays `seconds` of its stream.
fn publishers_killed_and_restarted(sessions: u64, seconds: u32) {
    let weir = weir().start();
    let stream = weir.api().create_stream("cam1");
    let clip = clip(200_000);
    let mut watcher = watcher(&weir, "cam1");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.mkv");
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..sessions {
                publish_and_die(&weir, &stream.stream_key, &clip, Duration::from_millis(1200));
                thread::sleep(Duration::from_millis(200));
            }
        });
        wait_until("a classic player finds two segments", SOON, || {
            watcher.look();
            watcher.playlist(VIDEO).is_some_and(|playlist| playlist.complete().count() >= 2)
        });
        let mut player = ffmpeg::play(&format!("{}/play/cam1/{VIDEO}", weir.http()), seconds, &file);
        let mut breaks = 0;
        wait_until("a player plays across the restarts", Duration::from_secs(60), || {
            watcher.look();
            breaks =
                breaks.max(watcher.playlist(VIDEO).map_or(0, |it| it.discontinuity_sequence + it.discontinuities()));
            player.has_ended()
        });
        assert!(breaks <= sessions, "{breaks} discontinuities");
        println!("{breaks} discontinuities over {sessions} restarts, {} segments judged", watcher.segments_checked());
    });
    watcher.assert_valid_but(IN_PARTS);
    let times = ffmpeg::packet_times_ms(&file, "v");
    let length = times.last().unwrap() - times[0];
    assert!(length + 3000 > i64::from(seconds) * 1000, "it played {length} ms");
}

#[test]
fn a_publisher_killed_and_restarted_eight_times() {
    publishers_killed_and_restarted(8, 7);
}

#[test]
#[ignore = "long: make test-long"]
fn a_publisher_killed_and_restarted_twenty_times() {
    publishers_killed_and_restarted(20, 18);
}

/// What the publisher's clock says when `at_ms` have really passed. It breaks in another way every `phase_ms`.
fn broken_clock(at_ms: u64, phase_ms: u64) -> u32 {
    const HOUR_MS: u64 = 3_600_000;
    let base = 5_000_000 + at_ms;
    let stamp = match at_ms / phase_ms {
        0 => base,
        1 => base + HOUR_MS,
        2 => base - HOUR_MS,
        3 => at_ms - 3 * phase_ms,
        // In this phase times come in groups of the same time, and in the next one they zigzag.
        4 => base / 200 * 200,
        5 => base - at_ms % 5 * 30,
        _ => base,
    };
    stamp as u32
}

fn clocks_that_break(phase_ms: u64) {
    let weir = weir().start();
    let stream = weir.api().create_stream("cam1");
    let publisher = Publisher::publish(&weir.rtmp_address(), "live", &stream.stream_key).unwrap();
    let _feed = Feed::start(publisher, clip(200_000), move |at_ms| broken_clock(at_ms, phase_ms));
    let mut watcher = watcher(&weir, "cam1");
    wait_until("it can be watched", SOON, || watcher.look());
    let (start, mut newest, mut since, mut longest) = (Instant::now(), None, Instant::now(), Duration::ZERO);
    while start.elapsed() < Duration::from_millis(7 * phase_ms) {
        watcher.look();
        let now = watcher.playlist(VIDEO).and_then(|playlist| playlist.complete().next_back().map(|it| it.number));
        if now != newest {
            longest = longest.max(since.elapsed());
            (newest, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(100));
    }
    longest = longest.max(since.elapsed());
    println!("longest time without a new segment: {longest:?}; the newest is {newest:?}");
    // A new segment takes two target durations (4 s) at most, and a busy machine adds up to 3 s.
    assert!(longest < Duration::from_secs(4 + 3), "{longest:?}");
    watcher.assert_valid_but(IN_PARTS);
}

#[test]
fn clocks_that_leap_reset_repeat_and_fall() {
    clocks_that_break(2000);
}

#[test]
#[ignore = "long: make test-long"]
fn clocks_that_leap_reset_repeat_and_fall_for_longer() {
    clocks_that_break(4000);
}

#[test]
fn millisecond_counters_wrap_unseen_in_two_streams_at_once() {
    let weir = weir().start();
    let starts = [("wrap24", (1_u64 << 24) - 3000), ("wrap32", (1 << 32) - 3000)];
    let feeds = starts.map(|(name, start)| {
        let stream = weir.api().create_stream(name);
        let publisher = Publisher::publish(&weir.rtmp_address(), "live", &stream.stream_key).unwrap();
        Feed::start(publisher, clip(200_000), move |at_ms| (start + at_ms) as u32)
    });
    let mut watchers = starts.map(|(name, _)| watcher(&weir, name));
    wait_until("both have played across the wrap", SOON * 2, || {
        watchers.iter_mut().all(|watcher| {
            watcher.look();
            watcher.playlist(VIDEO).is_some_and(|playlist| playlist.complete().count() >= 4)
        })
    });
    for watcher in watchers {
        watcher.assert_valid();
        let playlist = watcher.playlist(VIDEO).unwrap();
        assert_eq!((playlist.discontinuity_sequence, playlist.discontinuities()), (0, 0));
    }
    assert!(feeds.iter().all(|feed| !feed.was_cut()));
}

#[test]
fn the_first_part_and_the_first_playlist_come_soon() {
    let weir = weir().start();
    let stream = weir.api().create_stream("cam1");
    let start = Instant::now();
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &synthetic(SyntheticConfig::default()));
    let mut get = player(&format!("{}/play/cam1", weir.http()));
    let mut first = |what: &str, wanted: &str| {
        wait_until(what, SOON, || get(VIDEO).is_some_and(|text| String::from_utf8_lossy(&text).contains(wanted)));
        start.elapsed()
    };
    let part = first("the first part is listed", "#EXT-X-PART:");
    let segment = first("the first segment is listed", "#EXTINF:");
    get("master.m3u8").expect("the multivariant playlist is there");
    println!("first part after {part:?}, first playable playlist after {segment:?} (GOP of 2 s)");
    // Playlists begin with the first segment, which takes 2.5 s, and a busy machine adds some.
    assert!(part < Duration::from_millis(2500 + 2000), "{part:?}");
    assert!(segment < Duration::from_millis(2500 + 3000), "{segment:?}");
}

#[test]
fn numbers_and_time_go_on_over_a_server_that_is_killed() {
    let mut weir = weir().start();
    let stream = weir.api().create_stream("cam1");
    let clip = synthetic(SyntheticConfig::default());
    let (mut newest, mut zeros) = (None, Vec::new());
    for round in 0..2 {
        let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip);
        let mut watcher = watcher(&weir, "cam1");
        wait_until("a segment is listed", SOON, || {
            watcher.look();
            watcher.playlist(VIDEO).is_some_and(|playlist| playlist.complete().count() >= 1)
        });
        zeros.push(watcher.manifest().unwrap().availability_start_millis);
        for segment in watcher.playlist(VIDEO).unwrap().complete() {
            let told = Some((segment.number, segment.wall_millis.unwrap()));
            let rises =
                newest.zip(told).is_none_or(|(before, now): ((u64, i64), _)| now.0 > before.0 && now.1 > before.1);
            assert!(rises, "round {round}: {told:?} after {newest:?}");
            newest = told;
        }
        watcher.assert_valid();
        weir = weir.kill_and_restart();
        drop(feed);
    }
    assert_eq!(zeros[0], zeros[1], "one clock for as long as the stream exists");
}

#[test]
fn codecs_and_single_tracks() {
    let weir = weir().start();
    let of_kind = |kind: FlvTagKind| clip(200_000).into_iter().filter(|tag| tag.kind == kind).collect::<Vec<_>>();
    let cases = [
        ("sound", of_kind(FlvTagKind::Audio), "mp4a.40.2", vec![AUDIO]),
        ("pictures", of_kind(FlvTagKind::Video), "avc1.", vec![VIDEO]),
        ("hevc", coded_clip(Codec::H265, Some(Codec::Opus)), "hvc1.", vec![VIDEO, AUDIO]),
        ("av1", coded_clip(Codec::Av1, None), "av01.", vec![VIDEO]),
    ];
    let live: Vec<_> = cases
        .into_iter()
        .map(|(name, clip, codec, playlists)| {
            let stream = weir.api().create_stream(name);
            let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip);
            (name, codec, playlists, watcher(&weir, name), feed)
        })
        .collect();
    for (name, codec, playlists, mut watcher, feed) in live {
        wait_until(&format!("{name} has three segments in each playlist"), SOON * 2, || {
            watcher.look();
            let enough = |path: &&str| watcher.playlist(path).is_some_and(|playlist| playlist.complete().count() >= 3);
            playlists.iter().all(enough)
        });
        watcher.assert_valid();
        let master = player(&format!("{}/play/{name}", weir.http()))("master.m3u8").unwrap();
        let master = String::from_utf8(master).unwrap();
        assert!(master.contains(&format!("CODECS=\"{codec}")), "{name}: {master}");
        drop(feed);
    }
}

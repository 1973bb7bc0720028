//! What sources do to their clocks, case by case, against the truth: real time since the first frame.

use std::time::Duration;

use super::*;

const VIDEO: TrackId = TrackId::SOURCE_VIDEO;
const AUDIO: TrackId = TrackId::SOURCE_AUDIO;
const HOUR_MS: i64 = 3_600_000;
/// One frame at 30 fps, rounded up to the millisecond.
const FRAME_MS: i64 = 34;

/// One frame of a source: when it was really taken, and on which track.
#[derive(Clone, Copy, Debug)]
struct Taken {
    track: TrackId,
    kind: MediaKind,
    at_ms: i64,
}

#[derive(Clone, Debug)]
struct Got {
    taken: Taken,
    stamped: Stamped,
    event: Option<TimelineEvent>,
}

/// 30 fps of video and AAC at 48 kHz, interleaved, in truncated milliseconds as RTMP has them.
fn source(from_ms: i64, to_ms: i64) -> Vec<Taken> {
    let video = (0..).map(|n| Taken { track: VIDEO, kind: MediaKind::Video, at_ms: n * 1_000 / 30 });
    let audio = (0..).map(|n| Taken { track: AUDIO, kind: MediaKind::Audio, at_ms: n * 1_024 / 48 });
    let within = |frames: &mut dyn Iterator<Item = Taken>| -> Vec<Taken> {
        frames.skip_while(|frame| frame.at_ms < from_ms).take_while(|frame| frame.at_ms < to_ms).collect()
    };
    let mut all = within(&mut video.into_iter());
    all.extend(within(&mut audio.into_iter()));
    all.sort_by_key(|frame| (frame.at_ms, frame.track));
    all
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap())
}

/// Sends frames; `clock` says what the source stamps, in milliseconds of any sign, and the wire keeps `bits` of it.
fn send(timeline: &mut Timeline, frames: &[Taken], bits: u8, mut clock: impl FnMut(Taken) -> i64) -> Vec<Got> {
    frames
        .iter()
        .map(|&taken| {
            let raw = u64::from_ne_bytes(clock(taken).to_ne_bytes()) & ((1 << bits) - 1);
            let (stamped, event) = timeline.stamp(taken.track, taken.kind, raw, 0, millis(taken.at_ms));
            Got { taken, stamped, event }
        })
        .collect()
}

fn error_ms(got: &Got) -> i64 {
    got.stamped.dts.as_millis() - got.taken.at_ms
}

fn worst_error_ms(all: &[Got]) -> i64 {
    all.iter().map(|got| error_ms(got).abs()).max().unwrap_or(0)
}

fn assert_monotonic(all: &[Got]) {
    for track in [VIDEO, AUDIO] {
        let times: Vec<_> = all.iter().filter(|got| got.taken.track == track).map(|got| got.stamped.dts).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{track:?}: {times:?}");
    }
    assert!(all.iter().all(|got| got.stamped.pts >= got.stamped.dts));
}

fn events(all: &[Got]) -> Vec<TimelineEvent> {
    all.iter().filter_map(|got| got.event).collect()
}

fn cuts(all: &[Got], track: TrackId) -> usize {
    all.iter().filter(|got| got.taken.track == track && got.stamped.discontinuity).count()
}

fn started(clock: WireClock) -> Timeline {
    let mut timeline = Timeline::new();
    timeline.begin_session(clock);
    timeline
}

/// The difference of sound and picture, which must stay the source's own to the millisecond.
fn assert_relation_kept(all: &[Got]) {
    let of = |track| all.iter().rev().find(|got| got.taken.track == track).map(error_ms).unwrap();
    assert_eq!(of(VIDEO), of(AUDIO), "sound and picture moved against each other");
}

#[test]
fn a_steady_source_passes_unchanged() {
    for start in [0, 20_000_021, (1 << 31) - 5_000] {
        let mut timeline = started(WireClock::RTMP);
        let all = send(&mut timeline, &source(0, 60_000), 32, |taken| start + taken.at_ms);
        assert_eq!(worst_error_ms(&all), 0);
        assert_eq!(events(&all), []);
        assert_eq!(cuts(&all, VIDEO) + cuts(&all, AUDIO), 0);
        assert_monotonic(&all);
    }
}

#[test]
fn counters_wrap_unnoticed() {
    for (name, bits, start) in [
        ("24 bits", 24, (1_i64 << 24) - 5_000),
        ("24 bits, on the millisecond", 24, (1 << 24) - 33),
        ("32 bits", 32, (1 << 32) - 5_000),
        ("32 bits, on the millisecond", 32, (1 << 32) - 33),
    ] {
        let mut timeline = started(WireClock::RTMP);
        let all = send(&mut timeline, &source(0, 20_000), bits, |taken| start + taken.at_ms);
        assert_eq!(worst_error_ms(&all), 0, "{name}");
        assert_eq!(events(&all), [TimelineEvent::Wrapped { bits }], "{name}: told once, not once a track");
        assert_eq!(cuts(&all, VIDEO) + cuts(&all, AUDIO), 0, "{name}");
    }
}

#[test]
fn a_33_bit_counter_wraps_unnoticed() {
    let mut timeline = started(WireClock::MPEG_TS);
    let start = (1_u64 << 33) - 90_000;
    for frame in 0..90_u64 {
        let raw = (start + frame * 3_003) & ((1 << 33) - 1);
        let (stamped, event) =
            timeline.stamp(VIDEO, MediaKind::Video, raw, 6_006, Duration::from_micros(frame * 33_367));
        assert_eq!(stamped.dts.as_ticks(90_000), i64::try_from(frame * 3_003).unwrap());
        assert_eq!((stamped.pts - stamped.dts).as_ticks(90_000), 6_006);
        assert_eq!(event.is_some(), frame == 30);
    }
}

#[test]
fn every_24_bit_wrap_counts() {
    let mut timeline = started(WireClock::RTMP);
    // 24 hours of sparse frames: a frame each 4 s, five wraps.
    let frames: Vec<_> =
        (0..21_600).map(|n| Taken { track: AUDIO, kind: MediaKind::Audio, at_ms: n * 4_000 }).collect();
    let all = send(&mut timeline, &frames, 24, |taken| taken.at_ms);
    assert_eq!(worst_error_ms(&all), 0);
    assert_eq!(timeline.counts().wraps, 5);
}

#[test]
fn a_32_bit_counter_passes_24_bits_without_a_wrap() {
    let mut timeline = started(WireClock::RTMP);
    let all = send(&mut timeline, &source(0, 20_000), 32, |taken| (1 << 24) - 5_000 + taken.at_ms);
    assert_eq!(worst_error_ms(&all), 0);
    assert_eq!(events(&all), []);
}

#[test]
fn a_24_bit_wrap_of_one_track_before_the_other() {
    let mut timeline = started(WireClock::RTMP);
    // Sound is stamped 300 ms behind the picture, so that it passes the edge later.
    let start = (1 << 24) - 5_000;
    let all = send(&mut timeline, &source(0, 20_000), 24, |taken| {
        start + taken.at_ms - if taken.track == AUDIO { 300 } else { 0 }
    });
    assert_eq!(timeline.counts(), TimelineCounts { sessions: 1, wraps: 1, backward: 15, ..TimelineCounts::default() });
    let last = &all[all.len() - 40..];
    assert!(last.iter().all(|got| error_ms(got) == if got.taken.track == AUDIO { -300 } else { 0 }));
}

#[test]
fn jumps_are_repaired_within_a_frame_and_once() {
    for by in [HOUR_MS, -HOUR_MS, 10_000, -10_000, 4_000, -4_000, -1_000, 24 * HOUR_MS, 600 * HOUR_MS, -600 * HOUR_MS] {
        for audio_late_ms in [0, 21, 100, 1_000, 2_500] {
            for video_late_ms in [0, 500] {
                let case = format!("{by} ms, sound {audio_late_ms} ms later, picture {video_late_ms} ms later");
                let mut timeline = started(WireClock::RTMP);
                let all = send(&mut timeline, &source(0, 40_000), 32, |taken| {
                    let late = if taken.track == AUDIO { audio_late_ms } else { video_late_ms };
                    2 * HOUR_MS + taken.at_ms + if taken.at_ms >= 10_000 + late { by } else { 0 }
                });
                assert!(worst_error_ms(&all) <= FRAME_MS, "{case}: off by {}", worst_error_ms(&all));
                assert_monotonic(&all);
                assert_relation_kept(&all);
                let events = events(&all);
                assert!(matches!(events[..], [TimelineEvent::Jump { .. }]), "{case}: {events:?}");
                assert_eq!((cuts(&all, VIDEO), cuts(&all, AUDIO)), (1, 1), "{case}");
            }
        }
    }
}

#[test]
fn a_reset_to_zero_is_named() {
    for reset_at in [5_000, 10_000, HOUR_MS] {
        let mut timeline = started(WireClock::RTMP);
        let from = reset_at - 5_000;
        let all = send(&mut timeline, &source(from, reset_at + 20_000), 32, |taken| {
            if taken.at_ms < reset_at { taken.at_ms } else { taken.at_ms - reset_at }
        });
        assert!(worst_error_ms(&all) <= FRAME_MS, "off by {}", worst_error_ms(&all));
        assert!(matches!(events(&all)[..], [TimelineEvent::Reset { .. }]), "{:?}", events(&all));
        assert_relation_kept(&all);
        assert_monotonic(&all);
    }
}

#[test]
fn one_broken_stamp_harms_one_frame() {
    for by in [HOUR_MS, -HOUR_MS, 5_000, -5_000, -700] {
        let mut timeline = started(WireClock::RTMP);
        let all = send(&mut timeline, &source(0, 30_000), 32, |taken| {
            let broken = taken.track == VIDEO && taken.at_ms == 10_000;
            HOUR_MS + taken.at_ms + if broken { by } else { 0 }
        });
        assert!(worst_error_ms(&all) <= FRAME_MS, "{by}: off by {}", worst_error_ms(&all));
        let after: Vec<_> = all.iter().filter(|got| got.taken.at_ms > 10_100).collect();
        assert!(after.iter().all(|got| error_ms(got) == 0), "{by}: the clock was left for good");
        assert_monotonic(&all);
    }
}

#[test]
fn a_jump_and_nearly_back_is_two_jumps() {
    for missing_ms in [-1_500, -449, 0, 449, 1_500] {
        let mut timeline = started(WireClock::RTMP);
        let all = send(&mut timeline, &source(0, 20_000), 32, |taken| match taken.at_ms {
            ..8_000 => 2 * HOUR_MS + taken.at_ms,
            8_000..11_000 => taken.at_ms,
            _ => 2 * HOUR_MS + taken.at_ms + missing_ms,
        });
        assert!(worst_error_ms(&all) <= 2 * FRAME_MS, "{missing_ms}: off by {}", worst_error_ms(&all));
        assert_relation_kept(&all);
        assert_monotonic(&all);
    }
}

#[test]
fn a_source_with_two_clocks_keeps_both() {
    // Sound stamped from zero, picture from an hour: broken, and still both run at their own pace.
    let mut timeline = started(WireClock::RTMP);
    let all = send(&mut timeline, &source(0, 60_000), 32, |taken| {
        taken.at_ms + if taken.track == VIDEO { HOUR_MS } else { 0 }
    });
    assert!(worst_error_ms(&all) <= FRAME_MS, "off by {}", worst_error_ms(&all));
    assert_eq!(events(&all).len(), 1, "{:?}", events(&all));
    assert_monotonic(&all);
}

#[test]
fn duplicates_move_by_the_smallest_step() {
    let mut timeline = started(WireClock::RTMP);
    let mut got = Vec::new();
    for (raw, at) in [(0, 0), (33, 33), (33, 66), (33, 99), (34, 120), (133, 133)] {
        got.push(timeline.stamp(VIDEO, MediaKind::Video, raw, 0, millis(at)));
    }
    let nanos: Vec<_> = got.iter().map(|(stamped, _)| stamped.dts.as_nanos()).collect();
    assert_eq!(nanos, [0, 33_000_000, 33_000_001, 33_000_002, 34_000_000, 133_000_000]);
    assert_eq!(timeline.counts().duplicates, 2);
}

#[test]
fn backward_stamps_stay_distinct_in_milliseconds() {
    let mut timeline = started(WireClock::RTMP);
    // Presentation times sent as decode times, with two B-frames.
    let millis_out: Vec<_> = [(0, 0), (100, 33), (33, 66), (66, 100), (200, 133), (133, 166), (166, 200), (300, 233)]
        .map(|(raw, at)| timeline.stamp(VIDEO, MediaKind::Video, raw, 0, millis(at)).0.dts.as_millis())
        .to_vec();
    assert_eq!(millis_out, [0, 100, 101, 102, 200, 201, 202, 300]);
    assert_eq!(timeline.counts(), TimelineCounts { sessions: 1, backward: 4, ..TimelineCounts::default() });
}

#[test]
fn reconnects_continue_after_the_real_gap() {
    for gap_ms in [0, 20, 100, 3_000, HOUR_MS] {
        for restart in [0, 777_777, (1 << 32) - 10] {
            let case = format!("gap {gap_ms} ms, clock from {restart}");
            let mut timeline = started(WireClock::RTMP);
            let mut all = send(&mut timeline, &source(0, 10_000), 32, |taken| taken.at_ms);
            timeline.begin_session(WireClock::RTMP);
            let again = 10_000 + gap_ms;
            all.extend(send(&mut timeline, &source(again, again + 10_000), 32, |taken| taken.at_ms - again + restart));
            assert!(worst_error_ms(&all) <= FRAME_MS, "{case}: off by {}", worst_error_ms(&all));
            assert_monotonic(&all);
            assert_relation_kept(&all[all.len() - 100..]);
            assert_eq!((cuts(&all, VIDEO), cuts(&all, AUDIO)), (1, 1), "{case}");
            assert!(matches!(events(&all)[0], TimelineEvent::Resumed { .. }), "{case}: {:?}", events(&all));
        }
    }
}

#[test]
fn a_session_begins_where_the_streams_clock_is() {
    for begins_ms in [0, 40, 2_000, 365 * 24 * HOUR_MS] {
        let mut timeline = started(WireClock::RTMP);
        let all = send(&mut timeline, &source(begins_ms, begins_ms + 3_000), 32, |taken| taken.at_ms - begins_ms);
        assert_eq!(worst_error_ms(&all), 0, "{begins_ms}");
    }
    // A clock that is fast by a hundredth is ahead by 600 ms after a minute: the next session is on time again.
    let mut timeline = started(WireClock::RTMP);
    let frames = source(0, 60_000);
    let fast = send(&mut timeline, &frames, 32, |taken| taken.at_ms + taken.at_ms / 100);
    assert!(error_ms(fast.last().unwrap()) > 500);
    timeline.begin_session(WireClock::RTMP);
    let again = send(&mut timeline, &source(62_000, 63_000), 32, |taken| taken.at_ms);
    assert_eq!(worst_error_ms(&again), 0);
    // Where it can't go back it is one frame on.
    let mut timeline = started(WireClock::RTMP);
    send(&mut timeline, &frames, 32, |taken| taken.at_ms + taken.at_ms / 100);
    timeline.begin_session(WireClock::RTMP);
    let at_once = send(&mut timeline, &source(60_000, 61_000), 32, |taken| taken.at_ms);
    assert!((500..700).contains(&error_ms(&at_once[0])), "{}", error_ms(&at_once[0]));
}

#[test]
fn a_reconnect_without_any_time_is_one_frame_later() {
    let mut timeline = started(WireClock::RTMP);
    let last = send(&mut timeline, &source(0, 5_000), 32, |taken| taken.at_ms).pop().unwrap();
    timeline.begin_session(WireClock::RTMP);
    let (stamped, _) = timeline.stamp(VIDEO, MediaKind::Video, 0, 0, millis(last.taken.at_ms));
    let step = (stamped.dts - last.stamped.dts).as_millis();
    assert!((20..=FRAME_MS).contains(&step), "{step} ms");
}

#[test]
fn a_hundred_reconnects_keep_sound_and_picture_together() {
    let mut timeline = started(WireClock::RTMP);
    let mut at = 0;
    for session in 0..100_i64 {
        timeline.begin_session(WireClock::RTMP);
        let all = send(&mut timeline, &source(at, at + 2_000), 32, |taken| taken.at_ms - at + session * 12_345);
        assert_monotonic(&all);
        assert_relation_kept(&all);
        at += 2_000 + session * 7 % 500;
    }
    let last = send(&mut timeline, &source(at, at + 40), 32, |taken| taken.at_ms - (at - 2_000)).pop().unwrap();
    assert!(error_ms(&last).abs() <= 100 * FRAME_MS, "each reconnect may cost a frame: {}", error_ms(&last));
}

#[test]
fn another_protocol_may_take_over() {
    let mut timeline = started(WireClock::RTMP);
    send(&mut timeline, &source(0, 10_000), 32, |taken| taken.at_ms);
    timeline.begin_session(WireClock::MPEG_TS);
    for frame in 0..60_u64 {
        let now = millis(12_000) + Duration::from_micros(frame * 33_367);
        let (stamped, _) = timeline.stamp(VIDEO, MediaKind::Video, 8_000_000 + frame * 3_003, 0, now);
        let truth = i64::try_from(now.as_millis()).unwrap();
        assert!((stamped.dts.as_millis() - truth).abs() <= FRAME_MS, "{:?} at {now:?}", stamped.dts);
    }
}

#[test]
fn composition_times_are_kept_and_bounded() {
    for (cts, expected_ms) in [(0, 0), (67, 67), (-20, 0), (1_000, 1_000), (i64::MAX, 16_000), (i64::MIN, 0)] {
        let mut timeline = started(WireClock::RTMP);
        let (stamped, _) = timeline.stamp(VIDEO, MediaKind::Video, 500, cts, Duration::ZERO);
        assert_eq!((stamped.pts - stamped.dts).as_millis(), expected_ms, "{cts}");
    }
}

#[test]
fn a_duplicate_keeps_its_presentation_time() {
    let mut timeline = started(WireClock::RTMP);
    timeline.stamp(VIDEO, MediaKind::Video, 0, 66, Duration::ZERO);
    let (stamped, event) = timeline.stamp(VIDEO, MediaKind::Video, 0, 33, millis(33));
    assert_eq!(event, Some(TimelineEvent::Duplicate));
    assert_eq!((stamped.dts.as_nanos(), stamped.pts.as_millis()), (1, 33));
}

#[test]
fn sound_alone_is_a_stream() {
    let mut timeline = started(WireClock::RTMP);
    let frames: Vec<_> = source(0, 30_000).into_iter().filter(|taken| taken.track == AUDIO).collect();
    let all = send(&mut timeline, &frames, 32, |taken| taken.at_ms + if taken.at_ms > 15_000 { HOUR_MS } else { 0 });
    assert!(worst_error_ms(&all) <= FRAME_MS);
    assert_eq!(events(&all).len(), 1);
    assert_monotonic(&all);
}

#[test]
fn a_second_track_that_began_earlier_starts_at_zero() {
    let mut timeline = started(WireClock::RTMP);
    timeline.stamp(VIDEO, MediaKind::Video, 1_000, 0, Duration::ZERO);
    let times: Vec<_> = [960, 981, 1_002, 1_024]
        .map(|raw| timeline.stamp(AUDIO, MediaKind::Audio, raw, 0, Duration::ZERO).0.dts.as_millis())
        .to_vec();
    assert_eq!(times, [0, 1, 2, 24]);
}

#[test]
fn network_stalls_and_bursts_are_no_jumps() {
    for stall_ms in [500, 5_000, 60_000] {
        let mut timeline = started(WireClock::RTMP);
        let mut all = Vec::new();
        for taken in source(0, 120_000) {
            // What is taken during the stall arrives right after it, all at once.
            let arrival =
                if (10_000..10_000 + stall_ms).contains(&taken.at_ms) { 10_000 + stall_ms } else { taken.at_ms };
            let raw = u64::try_from(taken.at_ms).unwrap();
            let (stamped, event) = timeline.stamp(taken.track, taken.kind, raw, 0, millis(arrival));
            all.push(Got { taken, stamped, event });
        }
        assert_eq!(worst_error_ms(&all), 0, "{stall_ms}");
        assert_eq!(events(&all), [], "{stall_ms}");
    }
}

#[test]
fn frames_dropped_by_the_encoder_leave_their_gap() {
    // 20 s of stall; the encoder kept 2 s of it, dropped 18, and sends on.
    let mut timeline = started(WireClock::RTMP);
    let mut all = Vec::new();
    for taken in source(0, 60_000) {
        if (12_000..30_000).contains(&taken.at_ms) {
            continue;
        }
        let arrival = if (10_000..30_000).contains(&taken.at_ms) { 30_000 } else { taken.at_ms };
        let raw = u64::try_from(taken.at_ms).unwrap();
        let (stamped, event) = timeline.stamp(taken.track, taken.kind, raw, 0, millis(arrival));
        all.push(Got { taken, stamped, event });
    }
    assert_eq!(worst_error_ms(&all), 0);
    assert_eq!(events(&all), []);
}

#[test]
fn a_source_faster_than_real_time_is_followed() {
    let mut timeline = started(WireClock::RTMP);
    for taken in source(0, 600_000) {
        let now = Duration::from_micros(u64::try_from(taken.at_ms * 10).unwrap());
        let raw = u64::try_from(taken.at_ms).unwrap();
        let (stamped, event) = timeline.stamp(taken.track, taken.kind, raw, 0, now);
        assert_eq!((stamped.dts.as_millis(), event), (taken.at_ms, None));
    }
}

#[test]
fn a_frozen_clock_gives_way_to_the_wall() {
    let mut timeline = started(WireClock::RTMP);
    let top = (1 << 31) - 1;
    let all = send(&mut timeline, &source(0, 60_000), 32, |taken| (top - 10_000 + taken.at_ms).min(top));
    assert_monotonic(&all);
    // It takes 3 s to be sure, and then again.
    assert!(worst_error_ms(&all) <= 3_000 + 2 * FRAME_MS, "off by {}", worst_error_ms(&all));
    assert!(timeline.counts().frozen >= 10, "{:?}", timeline.counts());
}

#[test]
fn a_track_that_creeps_back_is_a_jump_in_the_end() {
    let mut timeline = started(WireClock::RTMP);
    let mut worst = 0;
    for frame in 0..300_i64 {
        let raw = u64::try_from(HOUR_MS - frame * 400).unwrap();
        let (stamped, _) = timeline.stamp(VIDEO, MediaKind::Video, raw, 0, millis(frame * 33));
        worst = worst.max((stamped.dts.as_millis() - frame * 33).abs());
    }
    assert!(worst < 3_000, "{worst}");
}

//! What holds for any input, and for any sequence of a real source's faults.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Input {
    Session { rate_hz: u32, bits: u8 },
    Frame { track: u32, raw: u64, cts: i64, passed_ms: u64 },
}

fn any_input() -> impl Strategy<Value = Input> {
    let edge = prop_oneof![Just(1_u64 << 24), Just(1 << 32), Just(1 << 33), Just(1 << 63), Just(0)];
    let raw = prop_oneof![
        any::<u64>(),
        0..100_000_u64,
        (edge, -5_000_i64..5_000).prop_map(|(edge, by)| edge.wrapping_add_signed(by)),
    ];
    let clock = prop_oneof![Just((1_000, 32)), Just((90_000, 33)), (any::<u32>(), any::<u8>()),];
    prop_oneof![
        1 => clock.prop_map(|(rate_hz, bits)| Input::Session { rate_hz, bits }),
        20 => (0..3_u32, raw, prop_oneof![any::<i64>(), -100..1_000_i64], prop_oneof![Just(0), 0..100_u64, any::<u32>().prop_map(u64::from)])
            .prop_map(|(track, raw, cts, passed_ms)| Input::Frame { track, raw, cts, passed_ms }),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The clock of both tracks leaps by this much.
    Jump {
        by_ms: i64,
        audio_late_ms: i64,
    },
    Reset,
    /// The connection is lost for this long; the clock starts at some value.
    Reconnect {
        gap_ms: i64,
        start: i64,
    },
    /// Nothing arrives for this long; then everything at once.
    Stall {
        ms: i64,
    },
    /// Frames carry the stamp of the one before.
    Duplicates {
        count: usize,
    },
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let by_ms = prop_oneof![4_000..10_000_000_i64, -10_000_000..-1_000_i64];
    prop_oneof![
        (by_ms, 0..1_000_i64).prop_map(|(by_ms, audio_late_ms)| Fault::Jump { by_ms, audio_late_ms }),
        Just(Fault::Reset),
        (0..100_000_i64, 0..1_i64 << 32).prop_map(|(gap_ms, start)| Fault::Reconnect { gap_ms, start }),
        (0..30_000_i64).prop_map(|ms| Fault::Stall { ms }),
        (1..5_usize).prop_map(|count| Fault::Duplicates { count }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_input_gives_a_monotonic_timeline(inputs in prop::collection::vec(any_input(), 1..300)) {
        let mut timeline = Timeline::new();
        let mut now = Duration::ZERO;
        let mut last: HashMap<u32, MediaTime> = HashMap::new();
        for input in inputs {
            match input {
                Input::Session { rate_hz, bits } => {
                    timeline.begin_session(WireClock { rate_hz, bits });
                }
                Input::Frame { track, raw, cts, passed_ms } => {
                    now += Duration::from_millis(passed_ms);
                    let kind = if track == 0 { MediaKind::Video } else { MediaKind::Audio };
                    let (stamped, _) = timeline.stamp(TrackId(track), kind, raw, cts, now);
                    prop_assert!(stamped.dts >= MediaTime::ZERO);
                    prop_assert!(stamped.pts >= stamped.dts);
                    if let Some(last) = last.insert(track, stamped.dts) {
                        prop_assert!(stamped.dts > last, "{:?} after {last:?}", stamped.dts);
                    }
                    prop_assert!(timeline.mappings.len() <= MAPPINGS_MAX);
                }
            }
        }
    }

    /// A source that keeps real time between its faults stays within a frame (and its jitter) of the wall clock for each
    /// fault, and sound and picture stay together to the millisecond.
    #[test]
    fn faults_cost_a_frame_each(
        faults in prop::collection::vec((any_fault(), 2_000..20_000_i64), 1..12),
        start in 0..1_i64 << 32,
        jitter in prop::collection::vec(0..30_i64, 16),
    ) {
        const FRAME_MS: i64 = 34;
        const JITTER_MS: i64 = 30;
        let mut timeline = Timeline::new();
        timeline.begin_session(WireClock::RTMP);
        let (mut at_ms, mut clock_ms) = (0_i64, start);
        let mut arrived_ms = 0;
        let mut budget_ms = FRAME_MS + JITTER_MS;
        let mut count = 0_usize;
        let quiet_start = (Fault::Stall { ms: 0 }, 2_000);
        for (fault, until_next_ms) in [quiet_start].into_iter().chain(faults) {
            let (mut audio_late_ms, mut stall_until, mut duplicates, mut leap) = (0, 0, 0, 0);
            match fault {
                Fault::Jump { by_ms, audio_late_ms: late } => { audio_late_ms = late; leap = by_ms; }
                Fault::Reset => { leap = -(clock_ms.rem_euclid(1 << 32)); }
                Fault::Reconnect { gap_ms, start } => {
                    at_ms += gap_ms;
                    timeline.begin_session(WireClock::RTMP);
                    clock_ms = start;
                }
                Fault::Stall { ms } => stall_until = at_ms + ms,
                Fault::Duplicates { count } => duplicates = count,
            }
            // A reset by less than a jump is a stamp that runs backward for as long, and a loss of as much.
            budget_ms += 2 * (FRAME_MS + JITTER_MS) + if leap.abs() < 1_000 { leap.abs() } else { 0 };
            let (from_ms, from_clock) = (at_ms, clock_ms);
            let mut errors: HashMap<u32, i64> = HashMap::new();
            // A stall ends before the next fault: a connection that is lost takes what it held with it.
            let until_ms = (from_ms + until_next_ms).max(stall_until + 2_000);
            while at_ms < until_ms {
                let passed = at_ms - from_ms;
                let arrival = at_ms.max(stall_until) + jitter[count % jitter.len()];
                arrived_ms = arrival.max(arrived_ms);
                let now = Duration::from_millis(u64::try_from(arrived_ms).unwrap());
                for (track, kind, late) in [(0, MediaKind::Video, 0), (1, MediaKind::Audio, audio_late_ms)] {
                    let stamp = from_clock + if duplicates > 0 { -33 } else { passed } + if passed >= late { leap } else { 0 };
                    let raw = u64::try_from(stamp.rem_euclid(1 << 32)).unwrap();
                    let (stamped, _) = timeline.stamp(TrackId(track), kind, raw, 0, now);
                    errors.insert(track, stamped.dts.as_millis() - at_ms);
                }
                duplicates = duplicates.saturating_sub(1);
                count += 1;
                at_ms += 33;
            }
            clock_ms = from_clock + leap + at_ms - from_ms;
            prop_assert!(errors[&0].abs() <= budget_ms, "{fault:?}: off by {} ms of {budget_ms}", errors[&0]);
            prop_assert_eq!(errors[&0], errors[&1], "after {:?}", fault);
            prop_assert_eq!(timeline.counts().frozen, 0);
        }
    }
}

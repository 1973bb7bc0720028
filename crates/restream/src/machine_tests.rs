//! Tests the push's state machine under a clock that is moved by hand: every rule of retrying and of telling the truth.

use super::*;
use weir_net::Eagerness;

/// A push under test. Time is moved by hand, and what the machine asks for is only noted.
struct Bench {
    machine: Machine,
    start: Instant,
    now: Instant,
    source_live: bool,
    last_frame_at: Option<Instant>,
    dials: Vec<f64>,
    doors: Vec<f64>,
    hang_ups: usize,
    gave_up: bool,
}

fn rules(source_lost_s: f64, give_up_s: f64) -> RetryRules {
    RetryRules { source_lost: Duration::from_secs_f64(source_lost_s), give_up: Duration::from_secs_f64(give_up_s) }
}

impl Bench {
    fn new(rules: RetryRules) -> Self {
        Self::with(rules, Eagerness::default())
    }

    fn with(rules: RetryRules, eagerness: Eagerness) -> Self {
        let now = Instant::now();
        Self {
            machine: Machine::new(rules, Backoff::new(eagerness, 42), now),
            start: now,
            now,
            source_live: false,
            last_frame_at: None,
            dials: Vec::new(),
            doors: Vec::new(),
            hang_ups: 0,
            gave_up: false,
        }
    }

    fn seconds(&self) -> f64 {
        (self.now - self.start).as_secs_f64()
    }

    fn tell(&mut self, input: Input) {
        match self.machine.handle(input, self.now) {
            Some(Action::Dial) => self.dials.push(self.seconds()),
            Some(Action::Redial) => {
                self.hang_ups += 1;
                self.dials.push(self.seconds());
            }
            Some(Action::HangUp) => self.hang_ups += 1,
            Some(Action::LookAtDoor) => self.doors.push(self.seconds()),
            Some(Action::GiveUp) => self.gave_up = true,
            None => {}
        }
    }

    /// Lets time pass in steps of 100 ms, as the task's clock would, and tells how the source is at each step.
    fn pass(&mut self, seconds: f64) {
        let until = self.now + Duration::from_secs_f64(seconds);
        while self.now < until {
            self.now += Duration::from_millis(100);
            if self.source_live {
                self.last_frame_at = Some(self.now);
            }
            self.tell(Input::Source { live: self.source_live, last_frame_at: self.last_frame_at });
        }
    }

    /// Lets time pass while more and more bytes are acknowledged.
    fn flow(&mut self, seconds: f64) {
        let until = self.now + Duration::from_secs_f64(seconds);
        while self.now < until {
            self.pass(0.5);
            let acked_bytes = u64::try_from((self.now - self.start).as_millis()).unwrap();
            self.tell(Input::Progress { acked_bytes, outstanding: true });
        }
    }

    fn source(&mut self, live: bool) {
        self.source_live = live;
        if live {
            self.last_frame_at = Some(self.now);
        }
        self.tell(Input::Source { live, last_frame_at: self.last_frame_at });
    }

    fn fail(&mut self, code: ReasonCode, retry: Retry) {
        self.tell(Input::Failed(Failure { reason: Reason::new(code, "as told"), retry }));
    }

    fn streaming(rules: RetryRules) -> Self {
        let mut bench = Self::new(rules);
        bench.source(true);
        bench.tell(Input::Accepted);
        bench.tell(Input::Progress { acked_bytes: 1, outstanding: true });
        bench.assert(RestreamState::Streaming);
        bench
    }

    #[track_caller]
    fn assert(&self, state: RestreamState) {
        assert_eq!(self.machine.view().state, state, "at {:.1} s: {:?}", self.seconds(), self.machine);
    }

    #[track_caller]
    fn assert_error(&self, code: ReasonCode) {
        self.assert(RestreamState::Error);
        assert_eq!(self.machine.view().reason.map(|reason| reason.code), Some(code));
    }
}

#[test]
fn waits_for_the_source_without_end_and_begins_by_itself() {
    let mut bench = Bench::new(rules(3.0, 5.0));
    bench.pass(60.0);
    bench.assert(RestreamState::AwaitingStream);
    assert!(bench.dials.is_empty() && !bench.gave_up, "a source that never came is not a source that went");
    bench.source(true);
    bench.assert(RestreamState::Connecting);
    assert_eq!((bench.dials.len(), bench.machine.view().attempt), (1, 1));
}

#[test]
fn streaming_is_shown_only_after_acceptance_and_progress() {
    let mut bench = Bench::new(RetryRules::default());
    bench.source(true);
    bench.tell(Input::Progress { acked_bytes: 99, outstanding: true });
    bench.assert(RestreamState::Connecting);
    bench.tell(Input::Accepted);
    bench.assert(RestreamState::Connecting);
    bench.tell(Input::Progress { acked_bytes: 0, outstanding: true });
    bench.assert(RestreamState::Connecting);
    bench.tell(Input::Progress { acked_bytes: 10, outstanding: true });
    bench.assert(RestreamState::Streaming);
    assert!(bench.machine.view().connected_since.is_some());
}

#[test]
fn accepted_without_progress_is_stalled_within_ten_seconds_of_dialling() {
    for accept_after in [0.0, 3.0, 8.0] {
        let mut bench = Bench::new(RetryRules::default());
        bench.source(true);
        bench.pass(accept_after);
        bench.tell(Input::Accepted);
        while bench.machine.view().state == RestreamState::Connecting {
            bench.pass(0.1);
            bench.tell(Input::Progress { acked_bytes: 0, outstanding: true });
        }
        bench.assert_error(ReasonCode::Stalled);
        assert!(bench.seconds() <= 10.1, "accepted after {accept_after} s, stalled at {:.1} s", bench.seconds());
    }
}

#[test]
fn stall_is_seen_in_time_kept_open_and_ends_without_reconnect() {
    let mut bench = Bench::streaming(RetryRules::default());
    bench.flow(5.0);
    let stopped_at = bench.seconds();
    while bench.machine.view().state == RestreamState::Streaming {
        bench.pass(0.1);
        bench.tell(Input::Progress { acked_bytes: 1, outstanding: true });
    }
    bench.assert_error(ReasonCode::Stalled);
    assert!(bench.seconds() - stopped_at <= 7.0);
    assert!(bench.machine.view().next_retry_at.is_some());
    bench.pass(10.0);
    bench.tell(Input::Progress { acked_bytes: u64::MAX, outstanding: true });
    bench.assert(RestreamState::Streaming);
    assert_eq!((bench.dials.len(), bench.hang_ups), (1, 0));
}

#[test]
fn stall_without_end_hangs_up_and_backs_off() {
    let mut bench = Bench::streaming(RetryRules::default());
    let until = bench.now + STALL_AFTER + STALL_KEPT_FOR + Duration::from_millis(500);
    while bench.now < until {
        bench.pass(0.1);
        bench.tell(Input::Progress { acked_bytes: 1, outstanding: true });
    }
    bench.assert_error(ReasonCode::Stalled);
    assert_eq!(bench.hang_ups, 1);
    bench.pass(1.3);
    assert_eq!(bench.dials.len(), 2);
}

#[test]
fn silence_of_the_source_is_no_stall() {
    let mut bench = Bench::streaming(RetryRules::default());
    for _ in 0..20 {
        bench.pass(1.0);
        bench.tell(Input::Progress { acked_bytes: 1, outstanding: false });
        bench.assert(RestreamState::Streaming);
    }
}

#[test]
fn short_source_loss_reconnects_nothing() {
    for (gone_s, shown) in [
        (2.0, RestreamState::Streaming),
        (2.9, RestreamState::Streaming),
        (3.1, RestreamState::AwaitingStream),
        (9.0, RestreamState::AwaitingStream),
    ] {
        let mut bench = Bench::streaming(RetryRules::default());
        bench.flow(5.0);
        bench.source(false);
        bench.pass(gone_s);
        bench.assert(shown);
        bench.source(true);
        bench.assert(RestreamState::Streaming);
        assert_eq!((bench.dials.len(), bench.hang_ups), (1, 0), "gone {gone_s} s");
    }
}

#[test]
fn long_source_loss_hangs_up_without_blame_and_dials_at_once_when_back() {
    let mut bench = Bench::streaming(RetryRules::default());
    bench.source(false);
    bench.pass(30.0);
    bench.assert(RestreamState::AwaitingStream);
    assert_eq!(bench.hang_ups, 1);
    bench.source(true);
    bench.assert(RestreamState::Connecting);
    assert_eq!((bench.dials.len(), bench.machine.view().attempt), (2, 1));
}

#[test]
fn gives_up_after_its_time_and_stays_so() {
    let mut bench = Bench::streaming(rules(3.0, 60.0));
    bench.source(false);
    bench.pass(59.0);
    bench.assert(RestreamState::AwaitingStream);
    bench.pass(1.5);
    bench.assert(RestreamState::Stopped);
    assert!(bench.gave_up);
    assert_eq!(bench.machine.view().reason.unwrap().code, ReasonCode::SourceTimeout);
    bench.source(true);
    bench.pass(10.0);
    bench.tell(Input::RetryNow);
    bench.assert(RestreamState::Stopped);
    assert_eq!(bench.dials.len(), 1);
}

#[test]
fn a_source_that_returns_resets_the_give_up_timer() {
    let mut bench = Bench::streaming(rules(3.0, 60.0));
    for _ in 0..3 {
        bench.source(false);
        bench.pass(50.0);
        bench.source(true);
        bench.tell(Input::Accepted);
        bench.tell(Input::Progress { acked_bytes: u64::MAX, outstanding: true });
        bench.assert(RestreamState::Streaming);
    }
    assert!(!bench.gave_up);
}

#[test]
fn failures_back_off_with_growing_gaps_and_show_the_next_try() {
    let mut bench = Bench::new(RetryRules::default());
    bench.source(true);
    for attempt in 1..=6 {
        bench.assert(RestreamState::Connecting);
        assert_eq!(bench.machine.view().attempt, attempt);
        bench.fail(ReasonCode::Timeout, Retry::Backoff);
        bench.assert_error(ReasonCode::Timeout);
        let dials = bench.dials.len();
        let next = bench.machine.view().next_retry_at.unwrap();
        while bench.dials.len() == dials {
            bench.pass(0.1);
        }
        assert!(bench.now >= next && bench.now - next <= Duration::from_millis(100));
    }
    let gaps: Vec<f64> = bench.dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, expected) in gaps.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]) {
        assert!((expected * 0.8..=expected * 1.2 + 0.1).contains(gap), "{gaps:?}");
    }
}

#[test]
fn only_sixty_healthy_seconds_forgive() {
    for (streamed_s, expected_gap_max) in [(10.0, 4.9), (61.0, 1.3)] {
        let mut bench = Bench::new(RetryRules::default());
        bench.source(true);
        for _ in 0..2 {
            bench.fail(ReasonCode::Timeout, Retry::Backoff);
            bench.pass(2.5);
        }
        bench.tell(Input::Accepted);
        bench.flow(streamed_s);
        bench.fail(ReasonCode::Refused, Retry::Backoff);
        let gap = (bench.machine.view().next_retry_at.unwrap() - bench.now).as_secs_f64();
        let expected_gap_min = if streamed_s > 60.0 { 0.8 } else { 3.2 };
        assert!((expected_gap_min..=expected_gap_max).contains(&gap), "{streamed_s} s healthy, then {gap} s");
    }
}

#[test]
fn a_refused_port_is_watched_and_taken_when_it_opens() {
    let mut bench = Bench::new(RetryRules::default());
    bench.source(true);
    for _ in 0..5 {
        bench.fail(ReasonCode::Refused, Retry::BackoffAndWatchDoor);
        let until = bench.machine.view().next_retry_at.unwrap();
        while bench.now < until {
            bench.pass(0.1);
        }
    }
    bench.fail(ReasonCode::Refused, Retry::BackoffAndWatchDoor);
    let (dials, looked) = (bench.dials.len(), bench.doors.len());
    bench.pass(5.0);
    assert_eq!((bench.dials.len(), bench.doors.len()), (dials, looked + 3), "looking is not trying");
    bench.assert_error(ReasonCode::Refused);
    bench.tell(Input::DoorOpened);
    assert_eq!(bench.dials.len(), dials + 1);
    bench.assert(RestreamState::Connecting);
}

/// The seconds between attempts.
fn gaps(bench: &Bench) -> Vec<f64> {
    bench.dials.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Lets time pass. Each attempt fails at once in that way, and each look at the port finds it open.
fn fail_for(bench: &mut Bench, seconds: f64, retry: Retry) {
    let (mut failed, mut looked) = (0, bench.doors.len());
    let until = bench.now + Duration::from_secs_f64(seconds);
    while bench.now < until {
        if bench.dials.len() > failed {
            failed = bench.dials.len();
            bench.fail(ReasonCode::Refused, retry);
        }
        if bench.doors.len() > looked {
            looked = bench.doors.len();
            bench.tell(Input::DoorOpened);
        }
        bench.pass(0.1);
    }
}

#[test]
fn a_port_that_takes_the_connect_is_not_looked_at_whatever_comes_of_it() {
    let mut bench = Bench::new(RetryRules::default());
    bench.source(true);
    fail_for(&mut bench, 60.0, Retry::Backoff);
    assert!(bench.doors.is_empty());
    let gaps = gaps(&bench);
    assert!(gaps.len() >= 5, "{gaps:?}");
    for (gap, expected) in gaps.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]) {
        assert!((expected * 0.8..=expected * 1.2 + 0.2).contains(gap), "{gaps:?}");
    }
}

#[test]
fn a_look_is_believed_once_in_each_wait() {
    let mut bench = Bench::new(RetryRules::default());
    bench.source(true);
    // The port refuses each attempt, and is open whenever it is looked at: that is the worst that a half-dead balancer does.
    fail_for(&mut bench, 300.0, Retry::BackoffAndWatchDoor);
    // The waits go on doubling. A look shortens every other wait to its own pace, and the waits between are waited out.
    let shortened = gaps(&bench).iter().filter(|gap| **gap < 2.0).count();
    assert!(bench.dials.len() <= 15, "{:?}", bench.dials);
    assert!(shortened <= bench.dials.len() / 2 + 1, "{:?}", gaps(&bench));
    for pair in gaps(&bench).windows(2).skip(2) {
        assert!(pair[0] > 2.0 || pair[1] > 2.0, "two looks in a row were believed: {:?}", gaps(&bench));
    }
}

#[test]
fn looks_stay_within_the_budget_of_attempts() {
    let budget = 10;
    let eagerness = Eagerness { attempts_per_10_minutes: Some(budget), ..Eagerness::default() };
    let mut bench = Bench::with(RetryRules::default(), eagerness);
    bench.source(true);
    fail_for(&mut bench, 1_800.0, Retry::BackoffAndWatchDoor);
    for window in bench.dials.windows(budget as usize + 1) {
        assert!(window[budget as usize] - window[0] >= 599.0, "more than {budget} in ten minutes: {:?}", bench.dials);
    }
    assert!(bench.dials.len() > 20, "the budget is used: {:?}", bench.dials);
}

#[test]
fn retry_now_works_in_every_waiting_state() {
    let mut waiting = Bench::new(RetryRules::default());
    waiting.source(true);
    waiting.fail(ReasonCode::AuthRejected, Retry::Backoff);
    waiting.tell(Input::RetryNow);
    assert_eq!(waiting.dials.len(), 2);

    let mut blocked = Bench::new(RetryRules::default());
    blocked.source(true);
    blocked.fail(ReasonCode::UnsupportedCodec, Retry::Pointless);
    blocked.pass(100.0);
    blocked.assert_error(ReasonCode::UnsupportedCodec);
    assert_eq!((blocked.dials.len(), blocked.machine.view().next_retry_at), (1, None), "pointless is not retried");
    blocked.tell(Input::RetryNow);
    assert_eq!(blocked.dials.len(), 2);

    let mut stalled = Bench::streaming(RetryRules::default());
    while stalled.machine.view().state == RestreamState::Streaming {
        stalled.pass(0.1);
        stalled.tell(Input::Progress { acked_bytes: 1, outstanding: true });
    }
    stalled.tell(Input::RetryNow);
    assert_eq!((stalled.dials.len(), stalled.hang_ups), (2, 1));
}

#[test]
fn unsupported_media_blocks_until_it_changes() {
    let mut bench = Bench::new(RetryRules::default());
    bench.tell(Input::Blocked(Reason::new(ReasonCode::UnsupportedCodec, "h265 needs Enhanced RTMP")));
    bench.source(true);
    bench.pass(5.0);
    bench.assert_error(ReasonCode::UnsupportedCodec);
    assert!(bench.dials.is_empty());
    bench.tell(Input::Unblocked);
    assert_eq!(bench.dials.len(), 1);
    bench.tell(Input::Accepted);
    bench.tell(Input::Blocked(Reason::new(ReasonCode::UnsupportedCodec, "h265 again")));
    assert_eq!(bench.hang_ups, 1);
}

#[test]
fn waiting_goes_on_while_the_source_is_away_but_says_so() {
    let mut bench = Bench::new(RetryRules::default());
    bench.source(true);
    bench.fail(ReasonCode::AuthRejected, Retry::Backoff);
    bench.source(false);
    bench.pass(3.5);
    bench.assert(RestreamState::AwaitingStream);
    assert_eq!(bench.dials.len(), 1, "no attempt without a source");
}

#[test]
fn a_flapping_destination_never_kills_the_machine() {
    let mut bench = Bench::new(RetryRules::default());
    bench.source(true);
    for round in 0..500_u64 {
        match round % 5 {
            0 => bench.tell(Input::Accepted),
            1 => bench.flow(3.0),
            2 => bench.fail(ReasonCode::Refused, Retry::BackoffAndWatchDoor),
            3 => bench.source(round % 2 == 0),
            _ => bench.pass(90.0),
        }
    }
    bench.source(true);
    bench.pass(75.0);
    bench.tell(Input::Accepted);
    bench.flow(1.0);
    bench.assert(RestreamState::Streaming);
}

/// If a deadline were in the past, the task would spin.
#[test]
fn deadlines_are_never_in_the_past() {
    let mut bench = Bench::streaming(rules(3.0, 60.0));
    let check = |bench: &Bench| assert!(bench.machine.deadline(bench.now).is_none_or(|at| at > bench.now));
    for _ in 0..100 {
        bench.flow(0.5);
        check(&bench);
    }
    bench.source(false);
    for _ in 0..700 {
        bench.pass(0.1);
        check(&bench);
    }
    bench.assert(RestreamState::Stopped);
    let mut bench = Bench::new(RetryRules::default());
    bench.source(true);
    bench.fail(ReasonCode::Refused, Retry::BackoffAndWatchDoor);
    for round in 0..300 {
        bench.pass(0.1);
        check(&bench);
        if round % 50 == 0 {
            bench.source(round % 100 == 0);
        }
    }
}

#[test]
fn an_outage_is_as_old_as_its_first_failure() {
    let mut bench = Bench::streaming(rules(3.0, 60.0));
    assert_eq!(bench.machine.view().failing_since, None);
    bench.flow(5.0);
    bench.fail(ReasonCode::Refused, Retry::Backoff);
    let began = bench.now;
    for _ in 0..4 {
        assert_eq!(bench.machine.view().failing_since, Some(began));
        bench.pass(20.0);
        if bench.machine.view().state == RestreamState::Connecting {
            assert_eq!(bench.machine.view().failing_since, Some(began), "an attempt does not end it");
            bench.fail(ReasonCode::Timeout, Retry::Backoff);
        }
        assert!(bench.machine.view().since > began, "the state is newer");
    }
    bench.tell(Input::RetryNow);
    bench.tell(Input::Accepted);
    bench.tell(Input::Progress { acked_bytes: 1_000_000, outstanding: true });
    bench.assert(RestreamState::Streaming);
    assert_eq!(bench.machine.view().failing_since, None);
    // Without a source there is nothing that could fail.
    bench.fail(ReasonCode::Refused, Retry::Backoff);
    bench.source(false);
    bench.pass(5.0);
    bench.assert(RestreamState::AwaitingStream);
    assert_eq!(bench.machine.view().failing_since, None);
}

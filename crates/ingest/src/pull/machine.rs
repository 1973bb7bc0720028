//! The states of one pull. What happens and the time move them, and both are arguments: there is no I/O here.
//!
//! ```text
//!            opened                first frame
//!   Calling ---------> Open (empty) ----------> Open (flowing)
//!    ^   \ failed, or longer than CALLING_MAX    / \ closed, or no frame for STALLED_AFTER
//!    |    v            v no frame in time       v
//!    +--- Waiting <----+------------------------+        A pull never ends by itself.
//! ```

use std::time::{Duration, Instant};

use weir_model::{Fault, Reason, ReasonCode, SourceState};
use weir_net::Backoff;

/// The most time from the call to the far end's consent. Each protocol has shorter limits for its steps, and names the step.
pub(crate) const CALLING_MAX: Duration = Duration::from_secs(20);

/// So long a source may be connected without giving a frame.
pub(crate) const FIRST_FRAME_WITHIN: Duration = Duration::from_secs(15);

/// A source that gave frames and then none for so long is stalled, and is called anew.
pub(crate) const STALLED_AFTER: Duration = Duration::from_secs(10);

/// A source that gave frames for so long was healthy: its next failure is the first one again.
pub(crate) const HEALTHY_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct PullMachine {
    backoff: Backoff,
    phase: Phase,
    /// Why the last attempt failed. None once frames have come again.
    reason: Option<Reason>,
    shown: SourceState,
    since: Instant,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Calling { since: Instant },
    Open { since: Instant, first_frame_at: Option<Instant>, last_frame_at: Option<Instant> },
    Waiting { until: Instant },
}

/// Something that happened to the pull.
#[derive(Debug)]
pub(crate) enum PullInput {
    /// The far end consented, and media may come.
    Opened,
    /// The attempt or the connection ended.
    Failed(Reason),
    /// When the last frame of this connection came.
    Flowed { last_frame_at: Option<Instant> },
    /// Somebody asked to try at once.
    RetryNow,
    /// Nothing happened, but time has passed.
    Tick,
}

/// What the pull must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullAction {
    Call,
    HangUp,
}

/// What a pull shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PullView {
    pub(crate) state: SourceState,
    pub(crate) since: Instant,
    pub(crate) reason: Option<Reason>,
    pub(crate) attempt: u32,
    pub(crate) next_retry_at: Option<Instant>,
}

impl PullMachine {
    pub(crate) fn new(backoff: Backoff, now: Instant) -> Self {
        Self { backoff, phase: Phase::Idle, reason: None, shown: SourceState::Connecting, since: now }
    }

    /// Takes an input, and returns what the pull must do now. No other function changes the state.
    pub(crate) fn handle(&mut self, input: PullInput, now: Instant) -> Option<PullAction> {
        let action = self.apply(input, now).or_else(|| self.pass_time(now));
        let shown = self.state();
        if shown != self.shown {
            (self.shown, self.since) = (shown, now);
        }
        action
    }

    /// When the machine must be called again at the latest, even if nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle => None,
            Phase::Calling { since } => Some(since + CALLING_MAX),
            Phase::Open { since, last_frame_at, .. } => {
                Some(last_frame_at.map_or(since + FIRST_FRAME_WITHIN, |at| at + STALLED_AFTER))
            }
            Phase::Waiting { until } => Some(until),
        }
    }

    pub(crate) fn view(&self) -> PullView {
        let attempting = !matches!(self.phase, Phase::Waiting { .. });
        PullView {
            state: self.shown,
            since: self.since,
            reason: self.reason.clone(),
            attempt: self.backoff.failures() + u32::from(attempting),
            next_retry_at: if let Phase::Waiting { until } = self.phase { Some(until) } else { None },
        }
    }

    fn state(&self) -> SourceState {
        match self.phase {
            Phase::Open { last_frame_at: Some(_), .. } => SourceState::Live,
            // An attempt does not end an outage.
            _ if self.reason.is_some() => SourceState::Failing,
            _ => SourceState::Connecting,
        }
    }

    fn apply(&mut self, input: PullInput, now: Instant) -> Option<PullAction> {
        match input {
            PullInput::Opened => {
                if let Phase::Calling { .. } = self.phase {
                    self.phase = Phase::Open { since: now, first_frame_at: None, last_frame_at: None };
                }
                None
            }
            PullInput::Failed(reason) => self.failed(reason, now),
            PullInput::Flowed { last_frame_at: Some(at) } => {
                if let Phase::Open { first_frame_at, last_frame_at, .. } = &mut self.phase {
                    first_frame_at.get_or_insert(at);
                    *last_frame_at = Some(at);
                    self.reason = None;
                }
                None
            }
            PullInput::RetryNow => match self.phase {
                Phase::Waiting { .. } => self.call(now),
                _ => None,
            },
            PullInput::Flowed { last_frame_at: None } | PullInput::Tick => None,
        }
    }

    fn failed(&mut self, reason: Reason, now: Instant) -> Option<PullAction> {
        match self.phase {
            Phase::Idle | Phase::Waiting { .. } => return None,
            Phase::Open { first_frame_at: Some(first), last_frame_at: Some(last), .. }
                if last - first >= HEALTHY_AFTER =>
            {
                self.backoff.healthy();
            }
            Phase::Calling { .. } | Phase::Open { .. } => {}
        }
        self.reason = Some(reason);
        self.phase = Phase::Waiting { until: self.backoff.failed(now) };
        Some(PullAction::HangUp)
    }

    fn call(&mut self, now: Instant) -> Option<PullAction> {
        self.backoff.attempt(now);
        self.phase = Phase::Calling { since: now };
        Some(PullAction::Call)
    }

    /// Does what is due by time alone.
    fn pass_time(&mut self, now: Instant) -> Option<PullAction> {
        let due = self.deadline().is_none_or(|at| at <= now);
        match self.phase {
            _ if !due => None,
            Phase::Idle | Phase::Waiting { .. } => self.call(now),
            Phase::Calling { .. } => {
                let message = format!("the far end did not consent within {} s", CALLING_MAX.as_secs());
                self.failed(source_reason(ReasonCode::Timeout, message), now)
            }
            Phase::Open { last_frame_at: None, .. } => {
                let within = FIRST_FRAME_WITHIN.as_secs();
                let message = format!("it is connected, and no picture or sound came within {within} s");
                self.failed(source_reason(ReasonCode::NoVideo, message), now)
            }
            Phase::Open { .. } => {
                let message = format!("it is connected, and nothing has come for {} s", STALLED_AFTER.as_secs());
                self.failed(source_reason(ReasonCode::Stalled, message), now)
            }
        }
    }
}

/// A reason that lies with the source.
pub(crate) fn source_reason(code: ReasonCode, message: impl Into<String>) -> Reason {
    Reason::new(code, message).with_fault(Fault::Source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_net::Eagerness;

    fn machine(now: Instant) -> PullMachine {
        let eagerness = Eagerness { delay_max: Duration::from_secs(10), ..Eagerness::default() };
        PullMachine::new(Backoff::new(eagerness, 1), now)
    }

    fn refused() -> PullInput {
        PullInput::Failed(source_reason(ReasonCode::Refused, "no"))
    }

    fn shown(machine: &PullMachine) -> (SourceState, Option<ReasonCode>, u32) {
        let view = machine.view();
        (view.state, view.reason.map(|reason| reason.code), view.attempt)
    }

    #[test]
    fn a_dead_peer_is_tried_for_ever() {
        let mut now = Instant::now();
        let mut machine = machine(now);
        assert_eq!(machine.handle(PullInput::Tick, now), Some(PullAction::Call));
        assert_eq!(shown(&machine), (SourceState::Connecting, None, 1));
        for attempt in 1..1_000 {
            assert_eq!(machine.handle(refused(), now), Some(PullAction::HangUp));
            assert_eq!(shown(&machine), (SourceState::Failing, Some(ReasonCode::Refused), attempt));
            let at = machine.view().next_retry_at.unwrap();
            assert!(at - now <= Duration::from_secs(12), "attempt {attempt}");
            assert_eq!(machine.handle(PullInput::Tick, now), None, "it waits");
            now = at;
            assert_eq!(machine.handle(PullInput::Tick, now), Some(PullAction::Call));
            assert_eq!(shown(&machine), (SourceState::Failing, Some(ReasonCode::Refused), attempt + 1));
        }
    }

    #[test]
    fn each_silence_has_its_reason() {
        let start = Instant::now();
        let seconds = |s: u64| start + Duration::from_secs(s);
        // Each case has whether the far end consented, when the last frame came, and when it fails as what.
        for (opened, frame_at, at, code) in [
            (false, None, CALLING_MAX, ReasonCode::Timeout),
            (true, None, FIRST_FRAME_WITHIN, ReasonCode::NoVideo),
            (true, Some(3), STALLED_AFTER + Duration::from_secs(3), ReasonCode::Stalled),
        ] {
            let mut machine = machine(start);
            machine.handle(PullInput::Tick, start);
            if opened {
                machine.handle(PullInput::Opened, start);
            }
            let flowed = || PullInput::Flowed { last_frame_at: frame_at.map(seconds) };
            assert_eq!(machine.handle(flowed(), seconds(frame_at.unwrap_or(1))), None);
            assert_eq!(machine.handle(flowed(), start + at - Duration::from_millis(1)), None, "{code}");
            assert_eq!(machine.handle(flowed(), start + at), Some(PullAction::HangUp), "{code}");
            assert_eq!(shown(&machine).1, Some(code));
        }
    }

    #[test]
    fn frames_end_an_outage_and_only_health_resets_the_count() {
        let start = Instant::now();
        let mut machine = machine(start);
        machine.handle(PullInput::Tick, start);
        for (flows_for, failures) in [(1, 1), (2, 2), (10, 1)] {
            let began = machine.view().next_retry_at.unwrap_or(start);
            machine.handle(PullInput::Tick, began);
            machine.handle(PullInput::Opened, began);
            machine.handle(PullInput::Flowed { last_frame_at: Some(began) }, began);
            let until = began + Duration::from_secs(flows_for);
            machine.handle(PullInput::Flowed { last_frame_at: Some(until) }, until);
            assert_eq!((shown(&machine).0, shown(&machine).1), (SourceState::Live, None));
            machine.handle(refused(), until);
            assert_eq!(shown(&machine), (SourceState::Failing, Some(ReasonCode::Refused), failures));
        }
    }

    #[test]
    fn who_asks_has_it_tried_at_once() {
        let now = Instant::now();
        let mut machine = machine(now);
        machine.handle(PullInput::Tick, now);
        assert_eq!(machine.handle(PullInput::RetryNow, now), None, "it is being tried");
        machine.handle(refused(), now);
        assert_eq!(machine.handle(PullInput::RetryNow, now), Some(PullAction::Call));
        assert_eq!(
            machine.handle(PullInput::Failed(source_reason(ReasonCode::Ended, "")), now),
            Some(PullAction::HangUp)
        );
        assert_eq!(machine.handle(refused(), now), None, "what has ended can't fail");
    }
}

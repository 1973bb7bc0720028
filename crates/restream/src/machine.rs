//! The states of one push. What happens and the time move them, and both are arguments: there is no I/O here.
//!
//! ```text
//!            source live              accepted            acknowledged progress
//!   Idle ----------------> Dialing -------------> Open ------------------------> (flowing)
//!    ^                        |                    |  \ no progress for STALL_AFTER: stalled, kept open a while
//!    |  waited, source gone   v failed             v lost
//!    +----------------------- Waiting <------------+       Blocked: trying again can't help
//!    +-- no source for give_up: GaveUp                      until the source changes or somebody asks
//! ```

use std::time::{Duration, Instant};

use weir_model::{Fault, Reason, ReasonCode, RestreamState, RetryRules};
use weir_net::Backoff;

/// A connection that streamed this long was healthy: the next failure starts the count anew. After a shorter connection the count goes on.
/// Otherwise a destination that accepts and drops would be hammered once a second.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// A connection is stalled when media is unacknowledged and no acknowledgement has come for this long. The contract allows 10 s from the
/// moment that the far end stops. Its kernel goes on acknowledging until its receive buffer is full (128 kB hold 2 s of 500 kbps).
pub const STALL_AFTER: Duration = Duration::from_secs(6);

/// A stalled connection is kept this much longer. Most stalls end, and a connection that survives does not split a recording.
pub const STALL_KEPT_FOR: Duration = Duration::from_secs(20);

/// The most time from dialling to the first acknowledged media. The contract says that `connecting` ends within it.
pub const CONNECTING_MAX: Duration = Duration::from_secs(10);

/// The connection is kept this long without a source, so that an encoder's restart (3 to 5 s) reconnects nothing. All the same, the
/// state says `awaiting_stream` from `source_lost` on.
pub const LINGER: Duration = Duration::from_secs(10);

/// While a push waits, a port that refused the connect is looked at this often. Nobody is there to be disturbed, and a server that restarts
/// is found in 2 s instead of at the end of a long back-off. A port that took the connect is never looked at, whatever came of it: that it
/// is open is not news. A look is believed once: if the attempt that it brought about fails, the next one waits its whole time.
pub const DOOR_EVERY: Duration = Duration::from_millis(1_500);

#[derive(Debug)]
pub struct Machine {
    rules: RetryRules,
    backoff: Backoff,
    phase: Phase,
    /// Since when the source gives nothing. None while the source lives.
    source_gone_at: Option<Instant>,
    /// Whether the source has lived at some time in this run. Only then does `give_up` count.
    source_was_live: bool,
    shown: Shown,
    since: Instant,
    /// When the outage began that retries have not ended yet. None while all is well, and while there is nothing to push.
    failing_since: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Dialing { since: Instant, on_a_look: bool },
    Open(Open),
    Waiting { until: Instant, reason: Reason, look: Look },
    Blocked { reason: Reason },
    GaveUp,
}

/// Whether the port is looked at while the push waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// A look would tell nothing, or what the last one told has just proved wrong.
    Never,
    At(Instant),
    /// The port was found open, and `until` was brought forward.
    Believed,
}

#[derive(Debug)]
struct Open {
    dialed_at: Instant,
    accepted_at: Instant,
    acked_bytes: u64,
    progress_at: Instant,
    flowing_since: Option<Instant>,
    stalled_at: Option<Instant>,
}

/// Something that happened to the push.
#[derive(Debug)]
pub enum Input {
    /// Whether the source lives, told at each tick and whenever it changes. `last_frame_at` is when a loss began.
    Source { live: bool, last_frame_at: Option<Instant> },
    /// The destination accepted the publish.
    Accepted,
    /// The attempt or the connection ended.
    Failed(Failure),
    /// How much the far end has acknowledged in all, and whether more is under way to it.
    Progress { acked_bytes: u64, outstanding: bool },
    /// The refused port was looked at, and somebody is there now.
    DoorOpened,
    /// Somebody asked to try at once.
    RetryNow,
    /// The source can't be sent to this destination as it is.
    Blocked(Reason),
    /// The source can be sent to this destination, perhaps again.
    Unblocked,
    /// Nothing happened, but time has passed.
    Tick,
}

#[derive(Debug)]
pub struct Failure {
    pub reason: Reason,
    pub retry: Retry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Backoff,
    /// Nothing listens there, as far as the connect itself can tell. The push waits, and looks whether the port opens.
    BackoffAndWatchDoor,
    Pointless,
}

/// What the push must do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Dial,
    /// Drop the attempt or the connection, if there is one.
    HangUp,
    /// Hang up, then dial again.
    Redial,
    /// See whether the port accepts a connection, and do nothing more.
    LookAtDoor,
    /// Stop the restream for good, with the reason `source_timeout`.
    GiveUp,
}

/// What a push shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub state: RestreamState,
    pub since: Instant,
    pub failing_since: Option<Instant>,
    pub reason: Option<Reason>,
    pub attempt: u32,
    pub next_retry_at: Option<Instant>,
    pub connected_since: Option<Instant>,
}

impl View {
    /// What a push shows before its start and after its end.
    pub fn stopped(since: Instant) -> Self {
        let state = RestreamState::Stopped;
        Self { state, since, failing_since: None, reason: None, attempt: 0, next_retry_at: None, connected_since: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    state: RestreamState,
    reason: Option<Reason>,
}

impl Machine {
    pub fn new(rules: RetryRules, backoff: Backoff, now: Instant) -> Self {
        let shown = Shown { state: RestreamState::AwaitingStream, reason: None };
        Self {
            rules,
            backoff,
            phase: Phase::Idle,
            source_gone_at: Some(now),
            source_was_live: false,
            shown,
            since: now,
            failing_since: None,
        }
    }

    /// Takes an input, and returns what the push must do now. No other function changes the state.
    pub fn handle(&mut self, input: Input, now: Instant) -> Option<Action> {
        let mut action = self.apply(input, now);
        if action.is_none() {
            action = self.pass_time(now);
        }
        let shown = self.show(now);
        if shown != self.shown {
            self.shown = shown;
            self.since = now;
        }
        match self.shown.state {
            RestreamState::Error => self.failing_since = self.failing_since.or(Some(now)),
            // An attempt does not end an outage.
            RestreamState::Connecting => {}
            RestreamState::Streaming | RestreamState::AwaitingStream | RestreamState::Stopped => {
                self.failing_since = None;
            }
        }
        action
    }

    /// When the machine must be called again at the latest, even if nothing happens. This is never in the past, because what is due by now
    /// has been done.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let gone = self.source_gone_at;
        let source = gone.map(|at| at + self.rules.source_lost);
        let give_up = gone.filter(|_| self.source_was_live).map(|at| at + self.rules.give_up);
        let phase = match &self.phase {
            Phase::Waiting { until, look: Look::At(at), .. } => [Some(*until), Some(*at)],
            Phase::Waiting { until, .. } => [Some(*until), None],
            Phase::Open(open) => {
                let stall = open.stalled_at.map_or(open.progress_at + STALL_AFTER, |at| at + STALL_KEPT_FOR);
                [Some(stall), gone.map(|at| at + self.linger())]
            }
            Phase::Idle | Phase::Dialing { .. } | Phase::Blocked { .. } | Phase::GaveUp => [None, None],
        };
        [source, give_up].into_iter().chain(phase).flatten().filter(|at| *at > now).min()
    }

    pub fn view(&self) -> View {
        let attempting = matches!(self.phase, Phase::Dialing { .. } | Phase::Open(_));
        View {
            state: self.shown.state,
            since: self.since,
            failing_since: self.failing_since,
            reason: self.shown.reason.clone(),
            attempt: self.backoff.failures() + u32::from(attempting),
            next_retry_at: match &self.phase {
                Phase::Waiting { until, .. } => Some(*until),
                Phase::Open(open) => open.stalled_at.map(|at| at + STALL_KEPT_FOR),
                _ => None,
            },
            connected_since: match &self.phase {
                Phase::Open(open) => Some(open.accepted_at),
                _ => None,
            },
        }
    }

    fn apply(&mut self, input: Input, now: Instant) -> Option<Action> {
        match input {
            Input::Source { live: true, .. } => {
                self.source_was_live = true;
                // While nothing came from the source, the destination had nothing to acknowledge.
                if self.source_gone_at.take().is_some()
                    && let Phase::Open(open) = &mut self.phase
                {
                    open.progress_at = now;
                }
            }
            Input::Source { live: false, last_frame_at } => {
                // A loss begins at the last frame. A source that never gave a frame has been gone since this run began.
                self.source_gone_at.get_or_insert(last_frame_at.unwrap_or(now));
            }
            Input::Accepted => self.accepted(now),
            Input::Failed(failure) => return self.failed(failure, now),
            Input::Progress { acked_bytes, outstanding } => self.progress(acked_bytes, outstanding, now),
            Input::DoorOpened => {
                if let Phase::Waiting { until, look: look @ Look::At(_), .. } = &mut self.phase {
                    // The platform's budget of attempts still holds.
                    *until = self.backoff.allowed_at(now).min(*until);
                    *look = Look::Believed;
                }
            }
            Input::RetryNow => return self.retry_now(now),
            Input::Blocked(reason) => {
                let connected = matches!(self.phase, Phase::Dialing { .. } | Phase::Open(_));
                if !matches!(self.phase, Phase::GaveUp) {
                    self.phase = Phase::Blocked { reason };
                }
                return connected.then_some(Action::HangUp);
            }
            Input::Unblocked => {
                if matches!(&self.phase, Phase::Blocked { reason } if reason.code == ReasonCode::UnsupportedCodec) {
                    self.phase = Phase::Idle;
                }
            }
            Input::Tick => {}
        }
        None
    }

    fn accepted(&mut self, now: Instant) {
        if let Phase::Dialing { since, .. } = self.phase {
            self.phase = Phase::Open(Open {
                dialed_at: since,
                accepted_at: now,
                acked_bytes: 0,
                progress_at: now,
                flowing_since: None,
                stalled_at: None,
            });
        }
    }

    fn failed(&mut self, failure: Failure, now: Instant) -> Option<Action> {
        let on_a_look = match self.phase {
            Phase::Dialing { on_a_look, .. } => on_a_look,
            Phase::Open(_) => false,
            _ => return None,
        };
        self.note_health(now);
        if failure.retry == Retry::Pointless {
            self.phase = Phase::Blocked { reason: failure.reason };
            return Some(Action::HangUp);
        }
        let until = self.backoff.failed(now);
        let watch = failure.retry == Retry::BackoffAndWatchDoor && !on_a_look;
        let look = if watch { Look::At(now + DOOR_EVERY) } else { Look::Never };
        self.phase = Phase::Waiting { until, reason: failure.reason, look };
        Some(Action::HangUp)
    }

    fn progress(&mut self, acked_bytes: u64, outstanding: bool, now: Instant) {
        let Phase::Open(open) = &mut self.phase else { return };
        if acked_bytes > open.acked_bytes {
            open.acked_bytes = acked_bytes;
            open.progress_at = now;
            open.stalled_at = None;
            open.flowing_since.get_or_insert(now);
        } else if !outstanding {
            // The destination has nothing to acknowledge, so it is the source that is silent, not the destination.
            open.progress_at = now;
            open.stalled_at = None;
        }
    }

    fn retry_now(&mut self, now: Instant) -> Option<Action> {
        match &self.phase {
            Phase::Waiting { .. } | Phase::Blocked { .. } if self.source_gone_at.is_none() => self.dial(now),
            Phase::Waiting { .. } | Phase::Blocked { .. } => {
                self.phase = Phase::Idle;
                None
            }
            Phase::Open(open) if open.stalled_at.is_some() => {
                self.dial(now);
                Some(Action::Redial)
            }
            _ => None,
        }
    }

    fn dial(&mut self, now: Instant) -> Option<Action> {
        self.backoff.attempt(now);
        let on_a_look = matches!(self.phase, Phase::Waiting { look: Look::Believed, .. });
        self.phase = Phase::Dialing { since: now, on_a_look };
        Some(Action::Dial)
    }

    /// Does what is due by time alone.
    fn pass_time(&mut self, now: Instant) -> Option<Action> {
        if let Some(gone_at) = self.source_gone_at {
            let gone = now.saturating_duration_since(gone_at);
            if self.source_was_live && gone >= self.rules.give_up && !matches!(self.phase, Phase::GaveUp) {
                self.phase = Phase::GaveUp;
                return Some(Action::GiveUp);
            }
            if gone >= self.linger() && matches!(self.phase, Phase::Open(_)) {
                // A source that ends is no failure of the destination, so there is no back-off.
                self.note_health(now);
                self.phase = Phase::Idle;
                return Some(Action::HangUp);
            }
        }
        let source_lives = self.source_gone_at.is_none();
        match &mut self.phase {
            Phase::Idle if source_lives => self.dial(now),
            Phase::Waiting { until, .. } if *until <= now => {
                if source_lives {
                    self.dial(now)
                } else {
                    self.phase = Phase::Idle;
                    None
                }
            }
            Phase::Waiting { look: Look::At(at), .. } if *at <= now && source_lives => {
                *at = now + DOOR_EVERY;
                Some(Action::LookAtDoor)
            }
            Phase::Open(open) => {
                let quiet = now.saturating_duration_since(open.progress_at) >= STALL_AFTER;
                let slow_start = open.flowing_since.is_none()
                    && now.saturating_duration_since(open.dialed_at) >= CONNECTING_MAX
                    && now > open.progress_at;
                if open.stalled_at.is_none() && source_lives && (quiet || slow_start) {
                    open.stalled_at = Some(now);
                }
                if open.stalled_at.is_some_and(|at| now.saturating_duration_since(at) >= STALL_KEPT_FOR) {
                    let failure = Failure { reason: stalled(), retry: Retry::Backoff };
                    return self.failed(failure, now);
                }
                if open.flowing_since.is_some_and(|at| now.saturating_duration_since(at) >= HEALTHY_AFTER) {
                    self.backoff.healthy();
                }
                None
            }
            Phase::Idle | Phase::Dialing { .. } | Phase::Waiting { .. } | Phase::Blocked { .. } | Phase::GaveUp => None,
        }
    }

    /// Resets the count of failures when a connection ends that had streamed for long, as time does while the connection is open.
    fn note_health(&mut self, now: Instant) {
        if let Phase::Open(Open { flowing_since: Some(at), .. }) = &self.phase
            && now.saturating_duration_since(*at) >= HEALTHY_AFTER
        {
            self.backoff.healthy();
        }
    }

    fn show(&self, now: Instant) -> Shown {
        let plain = |state| Shown { state, reason: None };
        let error = |reason: &Reason| Shown { state: RestreamState::Error, reason: Some(reason.clone()) };
        let source_lost =
            self.source_gone_at.is_some_and(|at| now.saturating_duration_since(at) >= self.rules.source_lost);
        match &self.phase {
            Phase::GaveUp => Shown { state: RestreamState::Stopped, reason: Some(source_timeout(self.rules.give_up)) },
            Phase::Blocked { reason } if reason.fault != Fault::Source || !source_lost => error(reason),
            Phase::Idle => plain(RestreamState::AwaitingStream),
            _ if source_lost => plain(RestreamState::AwaitingStream),
            Phase::Dialing { .. } => plain(RestreamState::Connecting),
            Phase::Open(Open { stalled_at: Some(_), .. }) => error(&stalled()),
            Phase::Open(Open { flowing_since: Some(_), .. }) => plain(RestreamState::Streaming),
            Phase::Open(_) => plain(RestreamState::Connecting),
            Phase::Waiting { reason, .. } | Phase::Blocked { reason } => error(reason),
        }
    }

    fn linger(&self) -> Duration {
        LINGER.max(self.rules.source_lost)
    }
}

fn stalled() -> Reason {
    let message = format!("the destination has acknowledged nothing for {} s", STALL_AFTER.as_secs());
    Reason::new(ReasonCode::Stalled, message)
}

fn source_timeout(give_up: Duration) -> Reason {
    let minutes = give_up.as_secs_f64() / 60.0;
    Reason::new(
        ReasonCode::SourceTimeout,
        format!("the source was gone for {minutes:.1} minutes; start it again by hand"),
    )
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

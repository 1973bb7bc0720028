//! Runs one push: it tells the state machine of the source, the connection and the clock, and does what the machine asks for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use weir_hub::{Cold, Feeds, StreamHub};
use weir_media::{Language, TrackInfo};
use weir_model::{
    EventKind, PushStatus, Reason, ReasonCode, RestreamId, RestreamState, RetryRules, SentSound, StreamId,
};
use weir_net::{Backoff, Dialer, Eagerness};
use weir_observe::{Counter, Observe, fields};

use crate::gauge::{Clock, Gauge};
use crate::machine::{Action, Failure, Input, Machine, View};
use crate::target::{FlowEvent, OpenPush, Target, Wanted};

/// The source is not live when nothing has come for so long. Half a second of jitter, as on a lossy uplink, is not a loss yet.
const SOURCE_QUIET_AFTER: Duration = Duration::from_secs(1);

/// How often progress is looked at. Just after acceptance it is often, so that `streaming` shows without delay, and later once a second.
const LOOK_EVERY_AT_FIRST: Duration = Duration::from_millis(50);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What all pushes of a stream share.
#[derive(Clone, Debug)]
pub struct PushContext {
    pub hub: StreamHub,
    pub feeds: Feeds,
    pub observe: Observe,
    pub dialer: Dialer,
    /// How much the kernel buffers for each push by TCP.
    pub send_buffer_bytes: u32,
}

/// What one push has to do.
#[derive(Clone, Debug)]
pub(crate) struct PushPlan {
    pub(crate) restream_id: RestreamId,
    pub(crate) stream_id: StreamId,
    pub(crate) backup: bool,
    pub(crate) rendition: String,
    /// The language of the sound, where only one sound can be carried. It may change while the push runs.
    pub(crate) language: watch::Receiver<Option<Language>>,
    pub(crate) rules: RetryRules,
    pub(crate) eagerness: Eagerness,
    /// Where the push goes, or why it can't go anywhere.
    pub(crate) target: Result<Arc<dyn Target>, Reason>,
}

/// How a push ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushOutcome {
    Stopped,
    GaveUp,
}

pub(crate) struct PushTask {
    context: PushContext,
    plan: PushPlan,
    machine: Machine,
    gauge: Gauge,
    connection: Connection,
    shown: View,
    connects: u64,
    gave_up: bool,
}

/// The connection in each of its conditions.
enum Connection {
    None,
    Dialing(BoxFuture<'static, Result<Box<dyn OpenPush>, Failure>>),
    Open(Box<dyn OpenPush>),
    Closing { goodbye: BoxFuture<'static, ()>, then_dial: bool },
    Looking(BoxFuture<'static, bool>),
}

/// Why the task woke.
enum Wake {
    Stop,
    Look,
    Retry,
    Speak,
    Connection(Report),
}

/// What the connection reports.
enum Report {
    Dialed(Result<Box<dyn OpenPush>, Failure>),
    Flow(Result<FlowEvent, Failure>),
    Closed { then_dial: bool },
    Looked { open: bool },
}

impl Connection {
    /// Waits for the next report. It is cancel-safe, because each future is kept until it is ready.
    async fn report(&mut self) -> Report {
        match self {
            Self::None => std::future::pending().await,
            Self::Dialing(dialing) => Report::Dialed(dialing.await),
            Self::Open(open) => Report::Flow(open.run().await),
            Self::Closing { goodbye, then_dial } => {
                let then_dial = *then_dial;
                goodbye.await;
                Report::Closed { then_dial }
            }
            Self::Looking(looking) => Report::Looked { open: looking.await },
        }
    }
}

impl PushTask {
    pub(crate) fn new(context: PushContext, plan: PushPlan) -> Self {
        let now = Clock::read().now;
        let seed =
            (plan.restream_id.0.unsigned_abs() << 1 | u64::from(plan.backup)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let machine = Machine::new(plan.rules, Backoff::new(plan.eagerness, seed), now);
        let shown = View::stopped(now);
        Self {
            context,
            plan,
            machine,
            gauge: Gauge::default(),
            connection: Connection::None,
            shown,
            connects: 0,
            gave_up: false,
        }
    }

    /// Runs until it is cancelled or gives up. `retry` wakes it to try at once.
    ///
    /// It takes `self` by reference, because an async function that takes `self` by value keeps it twice in its future.
    pub(crate) async fn run(&mut self, stop: &CancellationToken, retry: &Notify) -> PushOutcome {
        let mut pulse = self.context.hub.watch_pulse();
        let mut tracks = self.context.hub.rendition(&self.plan.rendition).watch_tracks();
        let mut language = self.plan.language.clone();
        let mut look_at = tokio::time::Instant::now();
        // The push was shown as stopped, and is not stopped any more.
        self.show_changes();
        if let Err(reason) = self.plan.target.clone() {
            self.tell(Input::Blocked(reason));
        }
        self.report_status();
        while !self.gave_up {
            let deadline = self.machine.deadline(Clock::read().now).map_or(look_at, |at| look_at.min(at.into()));
            let rare = Cold::new(async {
                tokio::select! {
                    () = stop.cancelled() => Wake::Stop,
                    () = sleep_until(deadline) => Wake::Look,
                    changed = pulse.changed() => if changed.is_ok() { Wake::Look } else { Wake::Stop },
                    changed = tracks.changed() => if changed.is_ok() { Wake::Look } else { Wake::Stop },
                    () = retry.notified() => Wake::Retry,
                    changed = language.changed() => if changed.is_ok() { Wake::Speak } else { Wake::Stop },
                }
            });
            let wake = tokio::select! {
                biased;
                report = self.connection.report() => Wake::Connection(report),
                wake = rare => wake,
            };
            match wake {
                Wake::Stop => break,
                Wake::Look => {}
                Wake::Retry => self.tell(Input::RetryNow),
                Wake::Speak => self.speak(),
                Wake::Connection(report) => self.on_report(report),
            }
            let now = tokio::time::Instant::now();
            let looking = now >= look_at;
            if looking {
                self.look_at_progress();
            }
            self.look_at_source();
            let changed = self.show_changes();
            if looking || changed {
                self.report_status();
                let at_first = self.shown.state == RestreamState::Connecting && self.shown.connected_since.is_some();
                look_at = now + if at_first { LOOK_EVERY_AT_FIRST } else { LOOK_EVERY };
            }
        }
        self.leave().await
    }

    async fn leave(&mut self) -> PushOutcome {
        self.look_at_progress();
        match std::mem::replace(&mut self.connection, Connection::None) {
            Connection::Open(open) => open.close().await,
            Connection::Closing { goodbye, .. } => goodbye.await,
            Connection::None | Connection::Dialing(_) | Connection::Looking(_) => {}
        }
        self.show_changes();
        if !self.gave_up {
            self.show(View::stopped(Clock::read().now));
        }
        self.report_status();
        if self.gave_up { PushOutcome::GaveUp } else { PushOutcome::Stopped }
    }

    fn tell(&mut self, input: Input) {
        if let Some(action) = self.machine.handle(input, Clock::read().now) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dial => self.dial(),
            Action::Redial => self.hang_up(true),
            Action::HangUp => self.hang_up(false),
            Action::LookAtDoor => {
                if let (Connection::None, Ok(target)) = (&self.connection, &self.plan.target) {
                    self.connection = Connection::Looking(Arc::clone(target).port_is_open(self.context.dialer.clone()));
                }
            }
            Action::GiveUp => {
                self.hang_up(false);
                self.gave_up = true;
            }
        }
    }

    fn dial(&mut self) {
        if let Connection::Closing { then_dial, .. } = &mut self.connection {
            *then_dial = true;
            return;
        }
        let Ok(target) = self.plan.target.clone() else { return };
        let wanted = Wanted { rendition: self.plan.rendition.clone(), language: self.language() };
        self.connects += 1;
        self.connection = Connection::Dialing(target.dial(self.context.clone(), wanted));
    }

    fn language(&self) -> Option<Language> {
        *self.plan.language.borrow()
    }

    /// Tells the connection which language is wished for: it may have been opened with another.
    fn speak(&mut self) {
        let language = self.language();
        if let Connection::Open(open) = &mut self.connection {
            open.speak(language);
        }
    }

    fn hang_up(&mut self, then_dial: bool) {
        self.look_at_dropped();
        match std::mem::replace(&mut self.connection, Connection::None) {
            Connection::Open(open) => {
                self.gauge.disconnected();
                self.connection = Connection::Closing { goodbye: open.close(), then_dial };
            }
            Connection::Closing { goodbye, .. } => self.connection = Connection::Closing { goodbye, then_dial },
            Connection::None | Connection::Dialing(_) | Connection::Looking(_) if then_dial => self.dial(),
            Connection::None | Connection::Dialing(_) | Connection::Looking(_) => {}
        }
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Dialed(Ok(open)) => {
                self.connection = Connection::Open(open);
                // The wished language may have changed while the connection was dialled.
                self.speak();
                self.tell(Input::Accepted);
            }
            Report::Dialed(Err(failure)) => self.fail(failure),
            Report::Flow(Ok(FlowEvent::FirstWrite)) => self.look_at_progress(),
            Report::Flow(Ok(FlowEvent::Said(words))) => {
                tracing::info!(restream_id = %self.plan.restream_id, words, "the destination says");
            }
            // The connection is still there, so a goodbye can be said on it.
            Report::Flow(Ok(FlowEvent::Unwelcome { failure, instead })) => {
                if let Some(target) = instead {
                    self.plan.target = Ok(target);
                }
                self.tell(Input::Failed(failure));
            }
            // The stream is being taken down, and this task will be too.
            Report::Flow(Ok(FlowEvent::FeedEnded)) => self.hang_up(false),
            Report::Flow(Err(failure)) => {
                self.look_at_dropped();
                self.gauge.disconnected();
                self.fail(failure);
            }
            Report::Closed { then_dial } => {
                self.connection = Connection::None;
                if then_dial {
                    self.dial();
                }
            }
            Report::Looked { open } => {
                self.connection = Connection::None;
                if open {
                    self.tell(Input::DoorOpened);
                }
            }
        }
    }

    /// Tells the machine of a failure after which the connection is gone already, so that no goodbye can be said.
    fn fail(&mut self, failure: Failure) {
        self.connection = Connection::None;
        self.tell(Input::Failed(failure));
    }

    fn look_at_source(&mut self) {
        let now = Clock::read().now;
        if let Ok(target) = &self.plan.target {
            let tracks = self.context.hub.rendition(&self.plan.rendition).tracks();
            let check = if tracks.is_empty() { Ok(()) } else { target.check_tracks(&tracks, self.language()) };
            self.tell(match check {
                Err(why) => Input::Blocked(Reason::new(ReasonCode::UnsupportedCodec, why)),
                Ok(()) => Input::Unblocked,
            });
        }
        let pulse = self.context.hub.pulse();
        self.tell(Input::Source { live: pulse.is_live(now, SOURCE_QUIET_AFTER), last_frame_at: pulse.last_frame_at });
    }

    fn look_at_progress(&mut self) {
        let Connection::Open(open) = &mut self.connection else { return };
        let progress = open.progress();
        let dropped = open.take_dropped_frames();
        let (acked_bytes, outstanding) = (progress.acked_bytes, progress.outstanding);
        self.gauge.progress(progress, dropped, Clock::read().now);
        self.context.observe.counters().add(Counter::HubSkippedFrames, dropped);
        self.tell(Input::Progress { acked_bytes, outstanding });
    }

    /// Takes the last figures of a connection that is about to end.
    fn look_at_dropped(&mut self) {
        if let Connection::Open(open) = &mut self.connection {
            let (progress, dropped) = (open.progress(), open.take_dropped_frames());
            self.gauge.progress(progress, dropped, Clock::read().now);
        }
    }

    /// Tells of a change of the state, and returns whether there was one.
    fn show_changes(&mut self) -> bool {
        self.show(self.machine.view())
    }

    fn show(&mut self, view: View) -> bool {
        let before = std::mem::replace(&mut self.shown, view);
        let view = &self.shown;
        if before.state == view.state && before.reason == view.reason {
            return before != *view;
        }
        let reason = view.reason.as_ref();
        let event = fields([
            ("restream_id", self.plan.restream_id.0.into()),
            ("stream_id", self.plan.stream_id.0.into()),
            ("slot", if self.plan.backup { "backup" } else { "primary" }.into()),
            ("from", before.state.as_str().into()),
            ("to", view.state.as_str().into()),
            ("code", reason.map(|reason| reason.code.as_str()).into()),
            ("message", reason.map(|reason| reason.message.as_str()).into()),
            ("fault", reason.map(|reason| reason.fault.as_str()).into()),
            ("attempt", view.attempt.into()),
        ]);
        self.context.observe.events().emit(EventKind::RestreamState, event);
        true
    }

    fn report_status(&mut self) {
        let stream = self.context.observe.stream_status(self.plan.stream_id);
        let encoded = stream.renditions.iter().find(|rendition| rendition.name == self.plan.rendition);
        // The source's own rendition has no target, so what the source sends now is what should arrive.
        let target_bps = encoded.and_then(|rendition| rendition.target_bps);
        let target_bps = target_bps.or(stream.ingest.map(|ingest| ingest.bitrate_bps)).filter(|bps| *bps > 0);
        let advice = self.plan.target.as_ref().map_or(&[][..], |target| target.advice());
        let tracks = self.context.hub.rendition(&self.plan.rendition).tracks();
        let sounds = self.plan.target.as_ref().map(|target| target.sounds(&tracks, self.language()));
        let status = PushStatus {
            sounds: sounds.unwrap_or_default().into_iter().map(sent).collect(),
            ..self.gauge.status(&self.shown, target_bps, advice, Clock::read())
        };
        let connects = std::mem::take(&mut self.connects);
        self.context.observe.board().update_push(self.plan.restream_id, self.plan.backup, status, connects);
    }
}

fn sent(info: &TrackInfo) -> SentSound {
    SentSound { codec: info.codec.to_string(), language: info.language.map(|language| language.to_string()) }
}

//! One push running: the state machine driven by the source, the connection and the clock.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use weir_hub::{Cold, Feeds, StreamHub};
use weir_model::{EventKind, Reason, ReasonCode, RestreamId, RestreamState, RetryRules, StreamId};
use weir_observe::{Counter, Observe, fields};
use weir_rtmp::net::{PushError, PushEvent, PushOptions};
use weir_rtmp::session::is_auth_rejection;
use weir_rtmp::url::RtmpUrl;

use crate::backoff::{Backoff, Eagerness};
use crate::failure;
use crate::gauge::{Clock, Gauge};
use crate::link::{Dialed, LinkError, LinkEvent, OpenLink};
use crate::machine::{Action, Failure, Input, Machine, Retry, View};
use crate::rtmp_link::RtmpLink;
use crate::srt_link::SrtLink;
use crate::target::Target;

/// The source is not live when nothing came for so long. Half a second of jitter on a lossy uplink is nothing yet.
const SOURCE_QUIET_AFTER: Duration = Duration::from_secs(1);

/// How often progress is looked at: soon after acceptance, so that `streaming` shows without delay; then once a second.
const LOOK_EVERY_AT_FIRST: Duration = Duration::from_millis(50);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What every push of a stream shares.
#[derive(Clone, Debug)]
pub struct PushContext {
    pub hub: StreamHub,
    pub feeds: Feeds,
    pub observe: Observe,
    pub options: PushOptions,
}

/// What one push is to do.
#[derive(Clone, Debug)]
pub(crate) struct PushPlan {
    pub(crate) restream_id: RestreamId,
    pub(crate) stream_id: StreamId,
    pub(crate) backup: bool,
    pub(crate) rendition: String,
    pub(crate) rules: RetryRules,
    pub(crate) eagerness: Eagerness,
    /// Where to, or why nowhere.
    pub(crate) target: Result<Target, Reason>,
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
    link: Link,
    shown: View,
    connects: u64,
    gave_up: bool,
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The connection, in whatever condition.
enum Link {
    None,
    Dialing(Boxed<Result<Dialed, LinkError>>),
    Open(OpenLink),
    Closing { goodbye: Boxed<()>, then_dial: bool },
    Looking(Boxed<bool>),
}

/// Why the task woke.
enum Wake {
    Stop,
    Look,
    Retry,
    Link(LinkReport),
}

/// What the link reports.
enum LinkReport {
    Dialed(Result<Dialed, LinkError>),
    Flow(Result<LinkEvent, LinkError>),
    Closed { then_dial: bool },
    Looked { open: bool },
}

impl Link {
    /// Cancel-safe: each future is kept until it is ready.
    async fn report(&mut self) -> LinkReport {
        match self {
            Self::None => std::future::pending().await,
            Self::Dialing(dialing) => LinkReport::Dialed(dialing.await),
            Self::Open(open) => LinkReport::Flow(open.run().await),
            Self::Closing { goodbye, then_dial } => {
                let then_dial = *then_dial;
                goodbye.await;
                LinkReport::Closed { then_dial }
            }
            Self::Looking(looking) => LinkReport::Looked { open: looking.await },
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
        Self { context, plan, machine, gauge: Gauge::default(), link: Link::None, shown, connects: 0, gave_up: false }
    }

    /// Runs until cancelled or given up. `retry` wakes it to try at once.
    ///
    /// By reference: an async function that takes `self` keeps it twice in its future.
    pub(crate) async fn run(&mut self, stop: &CancellationToken, retry: &Notify) -> PushOutcome {
        let mut pulse = self.context.hub.watch_pulse();
        let mut tracks = self.context.hub.rendition(&self.plan.rendition).watch_tracks();
        let mut look_at = tokio::time::Instant::now();
        // It was stopped, and is not any more.
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
                }
            });
            let wake = tokio::select! {
                biased;
                report = self.link.report() => Wake::Link(report),
                wake = rare => wake,
            };
            match wake {
                Wake::Stop => break,
                Wake::Look => {}
                Wake::Retry => self.tell(Input::RetryNow),
                Wake::Link(report) => self.on_link(report),
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
        match std::mem::replace(&mut self.link, Link::None) {
            // Boxed, like every future that is needed rarely: inside this one, each push would hold room for it all its life.
            Link::Open(open) => Box::pin(open.close()).await,
            Link::Closing { goodbye, .. } => goodbye.await,
            Link::None | Link::Dialing(_) | Link::Looking(_) => {}
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
                if let (Link::None, Ok(target)) = (&self.link, &self.plan.target) {
                    let look = target.clone().door_is_open(self.context.options.clone());
                    self.link = Link::Looking(Box::pin(look));
                }
            }
            Action::GiveUp => {
                self.hang_up(false);
                self.gave_up = true;
            }
        }
    }

    fn dial(&mut self) {
        if let Link::Closing { then_dial, .. } = &mut self.link {
            *then_dial = true;
            return;
        }
        let Ok(target) = self.plan.target.clone() else { return };
        let options = self.context.options.clone();
        self.connects += 1;
        self.link = Link::Dialing(Box::pin(target.dial(options)));
    }

    fn hang_up(&mut self, then_dial: bool) {
        self.look_at_dropped();
        match std::mem::replace(&mut self.link, Link::None) {
            Link::Open(open) => {
                self.gauge.disconnected();
                self.link = Link::Closing { goodbye: Box::pin(open.close()), then_dial };
            }
            Link::Closing { goodbye, .. } => self.link = Link::Closing { goodbye, then_dial },
            Link::None | Link::Dialing(_) | Link::Looking(_) if then_dial => self.dial(),
            Link::None | Link::Dialing(_) | Link::Looking(_) => {}
        }
    }

    fn on_link(&mut self, report: LinkReport) {
        match report {
            LinkReport::Dialed(Ok(dialed)) => {
                self.link = Link::Open(self.open(dialed));
                self.tell(Input::Accepted);
            }
            LinkReport::Dialed(Err(error)) => self.fail(failure::of(&error)),
            LinkReport::Flow(Ok(LinkEvent::FirstWrite)) => self.look_at_progress(),
            LinkReport::Flow(Ok(LinkEvent::Rtmp(event))) => self.on_push_event(event),
            // The stream is being taken down; so will be this task.
            LinkReport::Flow(Ok(LinkEvent::FeedEnded)) => self.hang_up(false),
            LinkReport::Flow(Err(error)) => {
                self.look_at_dropped();
                self.gauge.disconnected();
                self.fail(failure::of(&error));
            }
            LinkReport::Closed { then_dial } => {
                self.link = Link::None;
                if then_dial {
                    self.dial();
                }
            }
            LinkReport::Looked { open } => {
                self.link = Link::None;
                if open {
                    self.tell(Input::DoorOpened);
                }
            }
        }
    }

    fn open(&self, dialed: Dialed) -> OpenLink {
        let (feeds, rendition, lane) = (&self.context.feeds, &self.plan.rendition, Handle::current());
        match dialed {
            Dialed::Rtmp(connection) => {
                OpenLink::Rtmp(Box::new(RtmpLink::new(*connection, feeds.feed(rendition, None, &lane))))
            }
            Dialed::Srt(connection) => {
                let payload_bytes = match &self.plan.target {
                    Ok(Target::Srt { call, .. }) => call.payload_bytes,
                    _ => None,
                };
                let feed = feeds.feed(rendition, (), &lane);
                OpenLink::Srt(Box::new(SrtLink::new(*connection, payload_bytes, feed)))
            }
        }
    }

    /// The connection is gone already: nothing to say goodbye to.
    fn fail(&mut self, failure: Failure) {
        self.link = Link::None;
        self.tell(Input::Failed(failure));
    }

    fn on_push_event(&mut self, event: PushEvent) {
        match event {
            PushEvent::Status { level, code, description } if level == "error" => {
                let auth = is_auth_rejection(&code, &description);
                let failure = failure::of_rtmp(&PushError::Rejected { code, description, auth });
                self.tell(Input::Failed(failure));
            }
            PushEvent::Status { level, code, description } => {
                tracing::info!(restream_id = %self.plan.restream_id, level, code, description, "the destination says");
            }
            PushEvent::ReconnectRequest { tc_url } => {
                if let (Some(url), Ok(Target::Rtmp(target))) =
                    (tc_url.and_then(|url| RtmpUrl::parse(&url).ok()), &mut self.plan.target)
                    // A key never moves from an encrypted connection to an open one because a server says so.
                    && (url.tls || !target.url.tls)
                {
                    target.url = RtmpUrl { credentials: target.url.credentials.clone(), ..url };
                }
                let reason = Reason::new(ReasonCode::Refused, "the destination asked to be connected to anew");
                self.tell(Input::Failed(Failure { reason, retry: Retry::Backoff }));
            }
            PushEvent::Drained => {}
        }
    }

    fn look_at_source(&mut self) {
        let now = Clock::read().now;
        if let Ok(target) = &self.plan.target {
            let tracks = self.context.hub.rendition(&self.plan.rendition).tracks();
            let check = if tracks.is_empty() { Ok(()) } else { target.check_tracks(&tracks) };
            self.tell(match check {
                Err(why) => Input::Blocked(Reason::new(ReasonCode::UnsupportedCodec, why)),
                Ok(()) => Input::Unblocked,
            });
        }
        let pulse = self.context.hub.pulse();
        self.tell(Input::Source { live: pulse.is_live(now, SOURCE_QUIET_AFTER), last_frame_at: pulse.last_frame_at });
    }

    fn look_at_progress(&mut self) {
        let Link::Open(open) = &mut self.link else { return };
        let progress = open.progress();
        let dropped = open.take_dropped_frames();
        let (acked_bytes, outstanding) = (progress.acked_bytes, progress.outstanding);
        self.gauge.progress(progress, dropped, Clock::read().now);
        self.context.observe.counters().add(Counter::HubSkippedFrames, dropped);
        self.tell(Input::Progress { acked_bytes, outstanding });
    }

    /// Takes the last figures of a connection that is about to end.
    fn look_at_dropped(&mut self) {
        if let Link::Open(open) = &mut self.link {
            let (progress, dropped) = (open.progress(), open.take_dropped_frames());
            self.gauge.progress(progress, dropped, Clock::read().now);
        }
    }

    /// Tells of a change of state; returns whether there was one.
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
        // The source has none: what it sends now is what should arrive.
        let target_bps = encoded.and_then(|rendition| rendition.target_bps);
        let target_bps = target_bps.or(stream.ingest.map(|ingest| ingest.bitrate_bps)).filter(|bps| *bps > 0);
        let advice = self.plan.target.as_ref().map_or(&[][..], Target::advice);
        let status = self.gauge.status(&self.shown, target_bps, advice, Clock::read());
        let connects = std::mem::take(&mut self.connects);
        self.context.observe.board().update_push(self.plan.restream_id, self.plan.backup, status, connects);
    }
}

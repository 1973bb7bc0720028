//! Fetches a stream's source: it calls the far end, tries again for ever, and tells truthfully how it goes. Each protocol is a file.

mod aes_cbc;
mod file;
mod get;
mod hls;
mod http;
mod machine;
mod reasons;
mod rtmp;
mod seat;
mod srt;
mod udp;
mod udp_ports;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use weir_model::{PullUrl, Reason, Slot, SourceState};
use weir_net::{Backoff, Dialer, Eagerness};

use crate::{Intake, MediaDirs};
use machine::{PullAction, PullInput, PullMachine};
use seat::Seat;

pub use udp_ports::UdpPorts;

/// A source is looked at this often while it flows.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How eagerly a source is tried. Everything behind a stream waits for its source, and one call in ten seconds disturbs nobody, so the
/// longest wait is shorter than that of a push.
const EAGERNESS: Eagerness =
    Eagerness { delay_min: Duration::from_secs(1), delay_max: Duration::from_secs(10), attempts_per_10_minutes: None };

/// What a pull shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullStatus {
    pub state: SourceState,
    pub since: OffsetDateTime,
    pub reason: Option<Reason>,
    /// Attempts since the source last lived; 1 is the first.
    pub attempt: u32,
    pub next_retry_at: Option<OffsetDateTime>,
}

/// What all pulls share.
#[derive(Clone, Debug)]
pub struct PullKit {
    pub dialer: Dialer,
    pub udp_ports: UdpPorts,
    pub media_dirs: MediaDirs,
}

/// How each source of a stream goes that is fetched. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct PullStatuses {
    shared: watch::Sender<BTreeMap<Slot, PullStatus>>,
}

impl PullStatuses {
    pub fn subscribe(&self) -> watch::Receiver<BTreeMap<Slot, PullStatus>> {
        self.shared.subscribe()
    }

    fn tell(&self, slot: &Slot, status: PullStatus) {
        self.shared.send_if_modified(|shown| {
            let changed = shown.get(slot) != Some(&status);
            if changed {
                shown.insert(slot.clone(), status);
            }
            changed
        });
    }

    fn forget(&self, slot: &Slot) {
        self.shared.send_if_modified(|shown| shown.remove(slot).is_some());
    }
}

/// A running pull. Dropping the handle ends it.
#[derive(Debug)]
pub struct PullHandle {
    task: AbortHandle,
    slot: Slot,
    told: PullStatuses,
    retry: Arc<Notify>,
}

impl PullHandle {
    /// Has the pull try at once if it waits.
    pub fn retry(&self) {
        self.retry.notify_one();
    }
}

impl Drop for PullHandle {
    fn drop(&mut self) {
        self.task.abort();
        self.told.forget(&self.slot);
    }
}

/// Starts to fetch a source for a slot of the intake, on `lane`. How it goes is told to `told`, until the handle is dropped.
pub fn start(
    url: PullUrl,
    (intake, slot): (Intake, Slot),
    kit: PullKit,
    told: PullStatuses,
    lane: &Handle,
) -> PullHandle {
    let retry = Arc::new(Notify::new());
    let pull = Pull {
        seat: Seat::new(intake, slot.clone(), url.masked()),
        url,
        kit,
        told: told.clone(),
        retry: Arc::clone(&retry),
    };
    PullHandle { task: lane.spawn(pull.run()).abort_handle(), slot, told, retry }
}

struct Pull {
    url: PullUrl,
    seat: Seat,
    kit: PullKit,
    told: PullStatuses,
    retry: Arc<Notify>,
}

impl Pull {
    async fn run(self) {
        let stream_id = self.seat.stream_id();
        let seed = stream_id.0.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut machine = PullMachine::new(Backoff::new(EAGERNESS, seed), Instant::now().into_std());
        let mut clock = WallTimes::default();
        let seen = hls::Seen::default();
        let mut fetching = None;
        let mut logged = None;
        let mut input = PullInput::Tick;
        loop {
            let now = Instant::now();
            let action = machine.handle(input, now.into_std());
            match action {
                Some(PullAction::Call) => fetching = Some(Box::pin(self.fetch(&seen))),
                Some(PullAction::HangUp) => {
                    fetching = None;
                    self.seat.leave();
                }
                None => {}
            }
            let view = machine.view();
            if view.reason.is_none() {
                logged = None;
            }
            if action == Some(PullAction::HangUp)
                && let Some(reason) = &view.reason
                && logged.replace(reason.code) != Some(reason.code)
            {
                // A source may be dead for days, so a reason has a line only where it is new.
                let (source, code) = (self.seat.remote(), reason.code.as_str());
                tracing::info!(%stream_id, source, code, reason = reason.message, "the source was lost or could not be fetched");
            }
            let status = PullStatus {
                state: view.state,
                since: clock.tell(view.since, now.into_std()),
                reason: view.reason,
                attempt: view.attempt,
                next_retry_at: view.next_retry_at.map(|at| clock.tell(at, now.into_std())),
            };
            self.told.tell(self.seat.slot(), status);
            let look_at = machine.deadline().map_or(now + LOOK_EVERY, |at| Instant::from_std(at).min(now + LOOK_EVERY));
            let report = async {
                match &mut fetching {
                    Some(fetching) => fetching.await,
                    None => std::future::pending().await,
                }
            };
            input = tokio::select! {
                reason = report => PullInput::Failed(reason),
                // A connection that opened and failed at once may leave its mark for the next one.
                () = self.seat.opened() => if self.seat.is_taken() { PullInput::Opened } else { PullInput::Tick },
                () = self.retry.notified() => PullInput::RetryNow,
                () = sleep_until(look_at) => PullInput::Flowed { last_frame_at: self.seat.last_frame_at() },
            };
        }
    }

    /// Fetches the source once, until that ends. Returns why it did.
    async fn fetch(&self, seen: &hls::Seen) -> Reason {
        let (PullKit { dialer, udp_ports, media_dirs }, seat) = (&self.kit, &self.seat);
        match &self.url {
            PullUrl::Rtmp { server, login, name } => rtmp::fetch((server, login.as_ref(), name), dialer, seat).await,
            PullUrl::Srt(url) => srt::fetch(url, dialer, seat).await,
            PullUrl::Http(url) => http::fetch(url, dialer, (seat, seen)).await,
            PullUrl::File(path) => file::fetch(path, media_dirs, seat).await,
            PullUrl::Udp(source) => udp::fetch(source, udp_ports, dialer, seat).await,
        }
    }
}

/// The moments that were told last, with the wall time that was told of each. The same moment is told the same way every time, although
/// two clocks never quite agree.
#[derive(Debug, Default)]
struct WallTimes {
    told: Vec<(std::time::Instant, OffsetDateTime)>,
}

/// A status tells two moments: since and next retry.
const TOLD_MAX: usize = 4;

impl WallTimes {
    fn tell(&mut self, at: std::time::Instant, now: std::time::Instant) -> OffsetDateTime {
        if let Some((_, wall)) = self.told.iter().find(|(told, _)| *told == at) {
            return *wall;
        }
        let wall = OffsetDateTime::now_utc();
        let wall = if at >= now { wall + (at - now) } else { wall - (now - at) };
        if self.told.len() == TOLD_MAX {
            self.told.remove(0);
        }
        self.told.push((at, wall));
        wall
    }
}

//! What is happening: events, the live board of every stream and restream, and metrics. All stages report here, and whoever shows or
//! judges the state of the server reads it.

mod audience;
mod board;
mod counters;
mod event;
mod heartbeat;
mod history;
mod load;
mod prometheus;
mod refusals;
mod series;
mod warned;
mod wish;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use weir_model::{EventKind, RestreamId, StreamId, StreamStatus};

pub use board::{Board, RestreamLine, StreamLine, Viewer, ViewerBook, WorkerLine};
pub use counters::{Counter, Counters};
pub use event::{Event, EventCursor, EventLog, fields};
pub use heartbeat::{Heartbeat, Heartbeats, SILENCE_MAX, Silence};
pub use history::{History, Metric, Past, SERIES_MAX, Subject};
pub use load::Load;
pub use refusals::{RefusalKind, RefusalReport};
pub use series::{COARSE_SECONDS, COARSE_STEP_SECONDS, FINE_SECONDS, SERIES_BYTES_MAX};
pub use wish::{PlatformWarning, RestreamView, RestreamWish, missing_language, sent};

/// How often the past is recorded, and held-back refusals and new warnings are told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The handle for those who report and those who read; all clones share one state.
#[derive(Clone, Debug)]
pub struct Observe {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    events: EventLog,
    board: Board,
    counters: Counters,
    history: History,
    heartbeats: Heartbeats,
    load: load::LoadMeter,
    refusals: refusals::Refusals,
    warned: warned::Warned,
    started_at: OffsetDateTime,
    /// When the server started, by a clock that is never set.
    began: Instant,
}

impl Observe {
    /// For tests and tools: the first event's id is taken from the clock.
    pub fn new() -> Self {
        Self::with_events_from(u64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000).unwrap_or(1))
    }

    /// Gives this id to the first event. Whoever starts a server again makes sure that the ids go on rising.
    pub fn with_events_from(first_id: u64) -> Self {
        let started_at = OffsetDateTime::now_utc();
        let shared = Shared {
            events: EventLog::new(first_id),
            board: Board::default(),
            counters: Counters::default(),
            history: History::new(started_at),
            heartbeats: Heartbeats::default(),
            load: load::LoadMeter::default(),
            refusals: refusals::Refusals::default(),
            warned: warned::Warned::default(),
            started_at,
            began: Instant::now(),
        };
        Self { shared: Arc::new(shared) }
    }

    pub fn started_at(&self) -> OffsetDateTime {
        self.shared.started_at
    }

    /// How long this server has run, whatever was done to the wall clock meanwhile.
    pub fn uptime(&self) -> Duration {
        self.shared.began.elapsed()
    }

    pub fn events(&self) -> &EventLog {
        &self.shared.events
    }

    pub fn board(&self) -> &Board {
        &self.shared.board
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub fn history(&self) -> &History {
        &self.shared.history
    }

    pub fn heartbeats(&self) -> &Heartbeats {
        &self.shared.heartbeats
    }

    /// How busy this machine was in the last second.
    pub fn load(&self) -> Load {
        self.shared.load.read()
    }

    /// Counts a refusal and reports it, unless the same one was reported a
    /// moment ago: then it becomes part of a number that is reported later.
    pub fn refused(&self, refusal: &RefusalReport<'_>) {
        self.counters().add(refusal.kind.counter(), 1);
        if let Some(due) = self.shared.refusals.note(refusal, Instant::now()) {
            self.events().emit_refusal(due.kind.event(), due.fields);
        }
    }

    /// Records the past and reports what was held back, for as long as it is polled.
    pub async fn keep_history(self, heartbeat: Heartbeat) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            heartbeat.beat();
            self.shared.load.look();
            self.shared.history.look(self.board(), Instant::now());
            for due in self.shared.refusals.take_due(Instant::now()) {
                self.events().emit_refusal(due.kind.event(), due.fields);
            }
            for due in self.shared.warned.look(&self.restreams(), Instant::now()) {
                self.events().emit(EventKind::RestreamWarning, due);
            }
        }
    }

    /// The status of a stream; one that has reported nothing is `offline` since the server's start.
    pub fn stream_status(&self, id: StreamId) -> StreamStatus {
        self.board().stream(id).unwrap_or_else(|| StreamStatus::offline(self.shared.started_at))
    }

    /// A restream as it is, merged from what is asked of it and what runs. None where no such restream is stored.
    pub fn restream(&self, id: RestreamId) -> Option<RestreamView> {
        self.board().view(id, |stream| self.stream_status(stream))
    }

    /// Every restream that is stored, with what is asked of it.
    pub(crate) fn restreams(&self) -> Vec<(RestreamId, RestreamWish, RestreamView)> {
        let mut sources = BTreeMap::new();
        let mut merged = Vec::new();
        for (id, wish) in self.board().wishes() {
            let source = sources.entry(wish.stream_id).or_insert_with(|| self.stream_status(wish.stream_id));
            let view = wish.merged_with(self.board().restream(id), source);
            merged.push((id, wish, view));
        }
        merged
    }

    /// The text that `/metrics` serves.
    pub fn render_prometheus(&self) -> String {
        prometheus::render(self)
    }
}

impl Default for Observe {
    fn default() -> Self {
        Self::new()
    }
}

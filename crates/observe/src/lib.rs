//! What is: events, the live board of every stream and restream, and metrics. Everyone tells it, only the API reads it.

mod audience;
mod board;
mod counters;
mod event;
mod prometheus;

use std::sync::Arc;

use time::OffsetDateTime;
use weir_model::{RestreamId, RestreamStatus, StreamId, StreamStatus};

pub use board::{Board, RestreamLine, StreamLine, Viewer, ViewerBook, ViewerKind, WorkerLine};
pub use counters::{Counter, Counters};
pub use event::{Event, EventCursor, EventLog, fields};

/// The handle that is passed to whoever tells or reads; clones share it.
#[derive(Clone, Debug)]
pub struct Observe {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    events: EventLog,
    board: Board,
    counters: Counters,
    started_at: OffsetDateTime,
}

impl Observe {
    pub fn new() -> Self {
        let started_at = OffsetDateTime::now_utc();
        let shared = Shared {
            events: EventLog::new(started_at),
            board: Board::default(),
            counters: Counters::default(),
            started_at,
        };
        Self { shared: Arc::new(shared) }
    }

    pub fn started_at(&self) -> OffsetDateTime {
        self.shared.started_at
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

    /// `offline` since the server's start for a stream that nothing was heard of.
    pub fn stream_status(&self, id: StreamId) -> StreamStatus {
        self.board().stream(id).unwrap_or_else(|| StreamStatus::offline(self.shared.started_at))
    }

    /// `stopped` since the server's start for a restream that is not running.
    pub fn restream_status(&self, id: RestreamId) -> RestreamStatus {
        self.board().restream(id).unwrap_or_else(|| RestreamStatus::stopped(self.shared.started_at))
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

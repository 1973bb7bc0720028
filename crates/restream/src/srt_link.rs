//! An open SRT push: batches from the feed's cursor, message by message, onto the connection.

use std::time::{Duration, Instant};

use weir_hub::FeedHandle;
use weir_model::PathFigures;
use weir_srt::from_frames::TsBatcher;
use weir_srt::outlet::{Outlet, Sent};
use weir_srt::path::{Direction, PathMeter};
use weir_srt::{ConnectionLost, SrtConnection};

use crate::link::{LinkEvent, Progress};

/// The path's figures are taken this often; what has arrived is looked at as often as is asked.
const PATH_EVERY: Duration = Duration::from_millis(900);

#[derive(Debug)]
pub(crate) struct SrtLink {
    connection: SrtConnection,
    outlet: Outlet,
    has_written: bool,
    meter: PathMeter,
    path: Option<(Instant, PathFigures)>,
    /// The far end has acknowledged so much, or been given up on it. Never falls.
    acked_bytes: u64,
    acked_at: Instant,
    /// Keeps the feed running.
    _feed: FeedHandle<TsBatcher>,
}

/// How an open push ended.
#[derive(Debug)]
pub(crate) struct SrtLost {
    pub(crate) why: ConnectionLost,
    /// Nothing was heard of the far end for some seconds before.
    pub(crate) silent: bool,
}

impl SrtLink {
    pub(crate) fn new(connection: SrtConnection, payload_bytes: Option<u32>, feed: FeedHandle<TsBatcher>) -> Self {
        Self {
            connection,
            outlet: Outlet::new(feed.subscribe(), payload_bytes),
            has_written: false,
            meter: PathMeter::new(Direction::Send),
            path: None,
            acked_bytes: 0,
            acked_at: Instant::now(),
            _feed: feed,
        }
    }

    /// Pushes until something is worth knowing. Cancel-safe.
    pub(crate) async fn run(&mut self) -> Result<LinkEvent, SrtLost> {
        loop {
            match self.outlet.send(&self.connection).await {
                Ok(Sent::Batch) if !std::mem::replace(&mut self.has_written, true) => return Ok(LinkEvent::FirstWrite),
                Ok(Sent::Batch) => {}
                Ok(Sent::FeedEnded) => return Ok(LinkEvent::FeedEnded),
                Err(why) => {
                    let owed = self.outlet.written_bytes() > self.acked_bytes;
                    let silent = owed && self.acked_at.elapsed() >= SILENT_AFTER;
                    return Err(SrtLost { why, silent });
                }
            }
        }
    }

    pub(crate) fn progress(&mut self) -> Progress {
        let stats = self.connection.stats();
        let now = Instant::now();
        let written_bytes = self.outlet.written_bytes();
        // What was given up because its time had passed was never acknowledged.
        let arrived = written_bytes.saturating_sub(stats.send_buffered_bytes + stats.send_dropped_bytes);
        if arrived > self.acked_bytes || stats.send_buffered_bytes == 0 {
            self.acked_at = now;
        }
        self.acked_bytes = self.acked_bytes.max(arrived);
        if self.path.as_ref().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= PATH_EVERY) {
            self.path = Some((now, self.meter.look(&stats, now)));
        }
        Progress {
            written_bytes,
            acked_bytes: self.acked_bytes,
            outstanding: stats.send_buffered_bytes > 0,
            rtt_ms: Some(stats.rtt_ms),
            tcp_loss_percent: None,
            path: self.path.as_ref().map(|(_, figures)| figures.clone()),
        }
    }

    /// Pictures passed over since the last call.
    pub(crate) fn take_dropped_frames(&mut self) -> u64 {
        self.outlet.take_dropped_frames()
    }

    pub(crate) async fn close(self) {
        self.connection.close().await;
    }
}

/// A far end that leaves says so; one that vanished is found by libsrt after five seconds without a word. Progress is looked at
/// once a second.
const SILENT_AFTER: Duration = Duration::from_secs(3);

//! An open RTMP push: batches from the feed's cursor, through the outlet, onto the connection.

use std::collections::VecDeque;
use std::time::Instant;

use weir_hub::{Cursor, FeedHandle, Next};
use weir_rtmp::batch::{Outlet, SharedBatch};
use weir_rtmp::from_frames::RtmpBatcher;
use weir_rtmp::net::{PublishConnection, PushError, PushEvent};
use weir_rtmp::parcel::Parcel;

use crate::link::{LinkEvent, Progress};
use crate::tcp_loss::TcpLoss;

/// Taken from the cursor in one go when the connection was behind: what one vectored write takes.
const BATCHES_AT_ONCE_MAX: usize = 64;

/// ... and no more than this, so that a slow destination holds little beside the shared window.
const BYTES_AT_ONCE_MAX: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct RtmpLink {
    connection: PublishConnection,
    cursor: Cursor<SharedBatch>,
    outlet: Outlet,
    /// Taken from the cursor, not yet with the kernel.
    pending: VecDeque<Parcel>,
    has_written: bool,
    dropped_frames: u64,
    /// What connecting alone had written: handshake and commands are no media.
    written_before_media: u64,
    loss: TcpLoss,
    /// Keeps the feed running.
    _feed: FeedHandle<RtmpBatcher>,
}

impl RtmpLink {
    pub(crate) fn new(connection: PublishConnection, feed: FeedHandle<RtmpBatcher>) -> Self {
        let cursor = feed.subscribe();
        let outlet = Outlet::new(connection.stream_id());
        let written_before_media = connection.progress().written_bytes;
        let pending = VecDeque::new();
        Self {
            connection,
            cursor,
            outlet,
            pending,
            has_written: false,
            dropped_frames: 0,
            written_before_media,
            loss: TcpLoss::default(),
            _feed: feed,
        }
    }

    /// Pushes until something is worth knowing. Cancel-safe: what was taken from the cursor is in `pending`.
    pub(crate) async fn run(&mut self) -> Result<LinkEvent, PushError> {
        loop {
            if self.pending.is_empty() {
                tokio::select! {
                    biased;
                    next = self.cursor.next() => match self.take(next) {
                        Some(event) => return Ok(event),
                        None => self.take_more(),
                    },
                    event = self.connection.drive(&mut self.pending) => return event.map(LinkEvent::Rtmp),
                }
            }
            if !self.pending.is_empty() {
                let first = !std::mem::replace(&mut self.has_written, true);
                match self.connection.drive(&mut self.pending).await? {
                    PushEvent::Drained if first => return Ok(LinkEvent::FirstWrite),
                    PushEvent::Drained => {}
                    event => return Ok(LinkEvent::Rtmp(event)),
                }
            }
        }
    }

    /// Of media alone.
    pub(crate) fn progress(&mut self) -> Progress {
        let progress = self.connection.progress();
        Progress {
            written_bytes: progress.written_bytes.saturating_sub(self.written_before_media),
            acked_bytes: progress.acked_bytes.saturating_sub(self.written_before_media),
            outstanding: progress.acked_bytes < progress.written_bytes,
            rtt_ms: progress.rtt_us.map(|us| f64::from(us) / 1_000.0),
            tcp_loss_percent: self.loss.look(progress.sent_segments, progress.resent_segments, Instant::now()),
            path: None,
        }
    }

    /// Pictures passed over since the last call.
    pub(crate) fn take_dropped_frames(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_frames)
    }

    pub(crate) async fn close(self) {
        self.connection.close().await;
    }

    fn take(&mut self, next: Next<SharedBatch>) -> Option<LinkEvent> {
        match next {
            Next::Item(batch) => {
                let parcel = self.outlet.parcel(&batch);
                if !parcel.is_empty() {
                    self.pending.push_back(parcel);
                }
                None
            }
            Next::Skipped { items } => {
                // A batch is one picture with its sound.
                self.dropped_frames += items;
                self.outlet.skipped();
                None
            }
            Next::Closed => Some(LinkEvent::FeedEnded),
        }
    }

    /// What else is there already: after a stall, many batches leave in one write.
    fn take_more(&mut self) {
        let mut bytes: usize = self.pending.iter().map(Parcel::left_bytes).sum();
        while self.pending.len() < BATCHES_AT_ONCE_MAX && bytes < BYTES_AT_ONCE_MAX {
            match self.cursor.try_next() {
                Some(next @ (Next::Item(_) | Next::Skipped { .. })) => {
                    self.take(next);
                    bytes += self.pending.back().map_or(0, Parcel::left_bytes);
                }
                // The end is met again by `next`.
                Some(Next::Closed) | None => break,
            }
        }
    }
}

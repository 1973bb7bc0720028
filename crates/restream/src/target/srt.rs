//! Pushes by SRT: it takes batches from the feed's cursor, and sends them message by message to the connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use weir_hub::{FeedHandle, Tracks};
use weir_media::{Language, TrackInfo};
use weir_model::{Advice, PathFigures, Reason, ReasonCode, SrtUrl};
use weir_net::{DialFault, Dialer};
use weir_srt::from_frames::{TsBatcher, check_tracks};
use weir_srt::outlet::{Outlet, Sent};
use weir_srt::path::{Direction, PathMeter};
use weir_srt::{CallError, CallTarget, ConnectionLost, SrtConnection, call, knock};

use super::{FlowEvent, FlowProgress, OpenPush, Target, Wanted};
use crate::failure::{DOOR_TIMEOUT, of_dial};
use crate::machine::{Failure, Retry};
use crate::push::PushContext;

/// The path's figures are taken this often. How much has arrived is looked at whenever it is asked for.
const PATH_EVERY: Duration = Duration::from_millis(900);

/// A connection that ends after so long without an acknowledgement had a far end that vanished. A far end that leaves says so at once, and
/// libsrt finds one that vanished after five seconds without a word. Progress is looked at once a second, so by then the last
/// acknowledgement was seen four to five seconds ago.
const SILENT_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct SrtTarget {
    listener: CallTarget,
    advice: Vec<Advice>,
}

impl SrtTarget {
    pub(crate) fn new(url: &SrtUrl, advice: Vec<Advice>) -> Self {
        let listener = CallTarget {
            host: url.host.clone(),
            port: url.port,
            stream_id: url.streamid.as_ref().map(|secret| secret.expose().to_owned()),
            passphrase: url.passphrase.as_ref().map(|secret| secret.expose().to_owned()),
            key_bytes: url.pbkeylen,
            latency: url.latency_us.map(Duration::from_micros),
            payload_bytes: url.pkt_size,
            send_buffer_bytes: url.send_buffer_size,
            receives: false,
        };
        Self { listener, advice }
    }
}

impl Target for SrtTarget {
    fn check_tracks(&self, tracks: &Tracks, _language: Option<Language>) -> Result<(), String> {
        check_tracks(tracks).map_err(|error| error.to_string())
    }

    fn sounds<'a>(&self, tracks: &'a Tracks, _language: Option<Language>) -> Vec<&'a TrackInfo> {
        tracks.audios().map(|info| &**info).collect()
    }

    fn advice(&self) -> &[Advice] {
        &self.advice
    }

    fn dial(
        self: Arc<Self>,
        context: PushContext,
        wanted: Wanted,
    ) -> BoxFuture<'static, Result<Box<dyn OpenPush>, Failure>> {
        Box::pin(async move {
            let connection = call(&self.listener, &context.dialer).await.map_err(|error| failed(&error))?;
            let feed = context.feeds.feed(&wanted.rendition, (), &Handle::current());
            Ok(Box::new(OpenSrtPush::new(connection, self.listener.payload_bytes, feed)) as Box<dyn OpenPush>)
        })
    }

    fn port_is_open(self: Arc<Self>, dialer: Dialer) -> BoxFuture<'static, bool> {
        Box::pin(async move {
            let CallTarget { host, port, .. } = &self.listener;
            let deadline = tokio::time::Instant::now() + DOOR_TIMEOUT;
            let look = async {
                for address in dialer.resolve(host, *port, deadline).await.unwrap_or_default() {
                    if knock(address).await {
                        return true;
                    }
                }
                false
            };
            tokio::time::timeout_at(deadline, look).await.unwrap_or(false)
        })
    }
}

#[derive(Debug)]
struct OpenSrtPush {
    connection: SrtConnection,
    outlet: Outlet,
    has_written: bool,
    meter: PathMeter,
    path: Option<(Instant, PathFigures)>,
    /// How many bytes the far end has acknowledged. This never falls.
    acked_bytes: u64,
    acked_at: Instant,
    /// Holding this keeps the feed running.
    _feed: FeedHandle<TsBatcher>,
}

impl OpenSrtPush {
    fn new(connection: SrtConnection, payload_bytes: Option<u32>, feed: FeedHandle<TsBatcher>) -> Self {
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
}

impl OpenPush for OpenSrtPush {
    fn run(&mut self) -> BoxFuture<'_, Result<FlowEvent, Failure>> {
        Box::pin(async {
            loop {
                match self.outlet.send(&self.connection).await {
                    Ok(Sent::Batch) if !std::mem::replace(&mut self.has_written, true) => {
                        return Ok(FlowEvent::FirstWrite);
                    }
                    Ok(Sent::Batch) => {}
                    Ok(Sent::FeedEnded) => return Ok(FlowEvent::FeedEnded),
                    Err(why) => {
                        let owed = self.outlet.written_bytes() > self.acked_bytes;
                        return Err(lost(&why, owed && self.acked_at.elapsed() >= SILENT_AFTER));
                    }
                }
            }
        })
    }

    fn progress(&mut self) -> FlowProgress {
        let stats = self.connection.stats();
        let now = Instant::now();
        let written_bytes = self.outlet.written_bytes();
        // Bytes that were given up because their time had passed were never acknowledged.
        let arrived = written_bytes.saturating_sub(stats.send_buffered_bytes + stats.send_dropped_bytes);
        if arrived > self.acked_bytes || stats.send_buffered_bytes == 0 {
            self.acked_at = now;
        }
        self.acked_bytes = self.acked_bytes.max(arrived);
        if self.path.as_ref().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= PATH_EVERY) {
            self.path = Some((now, self.meter.look(&stats, now)));
        }
        FlowProgress {
            written_bytes,
            acked_bytes: self.acked_bytes,
            outstanding: stats.send_buffered_bytes > 0,
            rtt_ms: Some(stats.rtt_ms),
            tcp_loss_percent: None,
            path: self.path.as_ref().map(|(_, figures)| figures.clone()),
        }
    }

    fn take_dropped_frames(&mut self) -> u64 {
        self.outlet.take_dropped_frames()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.connection.close().await })
    }
}

fn failed(error: &CallError) -> Failure {
    let message = error.to_string();
    let (code, retry) = match error {
        // If nobody is there, nobody is disturbed by a look.
        CallError::Dial(DialFault::Unreachable) => (ReasonCode::Unreachable, Retry::BackoffAndWatchDoor),
        CallError::Dial(fault) => return of_dial(fault, message),
        // What a listener does not want now, it may want later: the key may be in use, or the stream may not be there yet.
        CallError::Rejected { .. } => (ReasonCode::SrtRejected, Retry::Backoff),
        // Retrying can help, because the other side may be given the passphrase meanwhile.
        CallError::EncryptionMismatch { .. } => (ReasonCode::EncryptionMismatch, Retry::Backoff),
        CallError::Setup(_) => (ReasonCode::Internal, Retry::Backoff),
    };
    Failure { reason: Reason::new(code, message), retry }
}

/// The failure that a lost connection makes. `silent` says that nothing had been heard of the far end for some seconds.
fn lost(why: &ConnectionLost, silent: bool) -> Failure {
    let (code, message) = match why {
        ConnectionLost::Gone if silent => {
            (ReasonCode::Stalled, "nothing was heard of the destination any more".to_owned())
        }
        ConnectionLost::Gone => (ReasonCode::Refused, "the destination closed the connection".to_owned()),
        ConnectionLost::Other(_) => (ReasonCode::Internal, why.to_string()),
    };
    Failure { reason: Reason::new(code, message), retry: Retry::Backoff }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_code() {
        for (failure, code, retry) in [
            (
                failed(&CallError::Dial(DialFault::Unreachable)),
                ReasonCode::Unreachable,
                // Nobody listens there, so a look disturbs nobody.
                Retry::BackoffAndWatchDoor,
            ),
            (failed(&CallError::Dial(DialFault::Resolve)), ReasonCode::Unreachable, Retry::Backoff),
            (failed(&CallError::Dial(DialFault::NotPermitted)), ReasonCode::Refused, Retry::Pointless),
            (failed(&CallError::Rejected { code: 1403 }), ReasonCode::SrtRejected, Retry::Backoff),
            (failed(&CallError::EncryptionMismatch { code: 10 }), ReasonCode::EncryptionMismatch, Retry::Backoff),
            (lost(&ConnectionLost::Gone, false), ReasonCode::Refused, Retry::Backoff),
            (lost(&ConnectionLost::Gone, true), ReasonCode::Stalled, Retry::Backoff),
        ] {
            assert_eq!((failure.reason.code, failure.retry), (code, retry), "{}", failure.reason.message);
        }
        let rejected = failed(&CallError::Rejected { code: 1403 });
        assert!(rejected.reason.message.contains("1403"), "the code is told");
    }
}

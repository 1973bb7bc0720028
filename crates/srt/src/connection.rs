//! An open SRT connection: messages in, messages out, and what its path is like.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::ffi::{self, Socket, State, code};
use crate::reactor::Watched;
use crate::seat::Seat;
use crate::stats::SrtStats;

/// The largest message of live mode: an MTU of 1500 without the headers of IP, UDP and SRT.
pub const PAYLOAD_BYTES_MAX: usize = 1_456;

/// After the far end has gone libsrt says "connection lost" while up to one latency of media still waits for its time.
const DRAIN_BEYOND_LATENCY: Duration = Duration::from_millis(100);

/// How often is looked for media that comes due after the end.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a goodbye may take: what is on its way is waited for, then the far end is told.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A look at whether all is acknowledged; the round trip of a near destination.
const CLOSE_LOOK_EVERY: Duration = Duration::from_millis(10);

/// A lost wake of the library costs no more than this.
const WAKE_AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// The connection is over; all of libsrt's words for it mean this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionLost {
    #[error("the far end closed the connection or vanished")]
    Gone,
    #[error("{0}")]
    Other(String),
}

/// What a look for a message gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes of the buffer.
    Message(usize),
    /// None now.
    Nothing,
    /// None any more.
    End,
}

pub struct SrtConnection {
    watched: Watched,
    remote: SocketAddr,
    stream_id: String,
    receive_latency: Duration,
    /// The last figures that the library gave: it has none of a connection that is over.
    last_stats: Mutex<SrtStats>,
    /// Since when the far end is gone, while its last media is still read.
    lost_at: Option<Instant>,
    /// Of a call; behind the socket, which leaves it first.
    _seat: Option<Seat>,
}

impl SrtConnection {
    pub(crate) fn new(watched: Watched, remote: SocketAddr, seat: Option<Seat>) -> Self {
        let stream_id = watched.socket.stream_id();
        let stats = watched.socket.stats().map(SrtStats::from).unwrap_or_default();
        let receive_latency = Duration::from_millis(u64::from(stats.receive_latency_ms));
        Self { watched, remote, stream_id, receive_latency, last_stats: Mutex::new(stats), lost_at: None, _seat: seat }
    }

    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// As the caller said it. Often holds a stream key: not for logs.
    pub fn stream_id(&self) -> &str {
        &self.stream_id
    }

    pub fn stats(&self) -> SrtStats {
        let mut last = self.last_stats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stats) = self.socket().stats() {
            *last = stats.into();
        }
        *last
    }

    pub fn is_open(&self) -> bool {
        self.socket().state() == State::Connected
    }

    /// The next message, if its time has come. `buffer` should hold [`PAYLOAD_BYTES_MAX`].
    pub fn try_receive(&mut self, buffer: &mut [u8]) -> Received {
        match self.socket().receive(buffer) {
            Ok(0) => Received::End,
            Ok(bytes) => Received::Message(bytes),
            Err(fault) if fault.code == code::WOULD_BLOCK_RECEIVE => Received::Nothing,
            Err(fault) if fault.code == code::CONNECTION_LOST => {
                let lost_at = *self.lost_at.get_or_insert_with(Instant::now);
                let drained = lost_at.elapsed() >= self.receive_latency + DRAIN_BEYOND_LATENCY;
                if drained { Received::End } else { Received::Nothing }
            }
            Err(fault) => {
                tracing::debug!(code = fault.code, message = fault.message, "an SRT connection ends");
                Received::End
            }
        }
    }

    /// Waits until it is worth looking for a message. Cancel-safe.
    pub async fn readable(&self) {
        if self.lost_at.is_some() {
            return sleep(DRAIN_LOOK_EVERY).await;
        }
        let _ = timeout(WAKE_AT_LEAST_EVERY, self.watched.bell.readable.notified()).await;
    }

    /// Whether the library took the message; not where its buffer is full.
    pub fn try_send(&self, message: &[u8]) -> Result<bool, ConnectionLost> {
        match self.socket().send(message) {
            Ok(()) => Ok(true),
            Err(fault) if [code::WOULD_BLOCK_SEND, code::CONGESTED].contains(&fault.code) => Ok(false),
            Err(fault) if [code::CONNECTION_LOST, code::NOT_CONNECTED, code::BAD_SOCKET].contains(&fault.code) => {
                Err(ConnectionLost::Gone)
            }
            Err(fault) => Err(ConnectionLost::Other(fault.message)),
        }
    }

    /// Waits until it is worth trying to send again; an error once the connection is over. Cancel-safe.
    pub async fn writable(&self) -> Result<(), ConnectionLost> {
        let _ = timeout(WAKE_AT_LEAST_EVERY, self.watched.bell.writable.notified()).await;
        if self.is_open() { Ok(()) } else { Err(ConnectionLost::Gone) }
    }

    /// Waits for the end. Cancel-safe; not beside [`Self::writable`], which rings for the same.
    pub async fn lost(&self) -> ConnectionLost {
        loop {
            if let Err(lost) = self.writable().await {
                return lost;
            }
        }
    }

    /// Waits until what was sent has arrived, for at most a second, then says goodbye.
    pub async fn close(self) {
        let all_arrived = async {
            while self.is_open() && self.stats().send_buffered_bytes > 0 {
                sleep(CLOSE_LOOK_EVERY).await;
            }
        };
        let _ = timeout(CLOSE_TIMEOUT, all_arrived).await;
    }

    fn socket(&self) -> &Socket {
        &self.watched.socket
    }
}

/// What a connection is watched for.
pub(crate) const EVENTS: i32 = ffi::READABLE | ffi::WRITABLE;

impl fmt::Debug for SrtConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtConnection").field("remote", &self.remote).finish_non_exhaustive()
    }
}

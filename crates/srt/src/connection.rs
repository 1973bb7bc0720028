//! An open SRT connection: it receives and sends messages, and knows what its path is like.

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

/// After the far end has gone libsrt says "connection lost", while up to one latency of media still waits for its time.
const DRAIN_BEYOND_LATENCY: Duration = Duration::from_millis(100);

/// How often a receiver looks for media that comes due after the end.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(5);

/// The longest time that a goodbye may take. It waits for what is on its way, then tells the far end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a goodbye looks whether everything was acknowledged. It is the round trip of a near destination.
const CLOSE_LOOK_EVERY: Duration = Duration::from_millis(10);

/// A wake that the library loses costs no more than this.
const WAKE_AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// The connection is over. All of libsrt's words for it mean this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionLost {
    #[error("the far end closed the connection or vanished")]
    Gone,
    #[error("{0}")]
    Other(String),
}

/// The result of a look for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// There is a message, which has this many bytes of the buffer.
    Message(usize),
    /// There is no message now.
    Nothing,
    /// There will be no message any more.
    End,
}

pub struct SrtConnection {
    watched: Watched,
    remote: SocketAddr,
    stream_id: String,
    receive_latency: Duration,
    /// The last figures that the library gave. It has none of a connection that is over.
    last_stats: Mutex<SrtStats>,
    /// The time since which the far end is gone, while its last media is still read.
    lost_at: Option<Instant>,
    /// The place of a call on its local port. The field stands behind the socket, so that the socket is dropped first.
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

    /// The stream id as the caller said it. It often holds a stream key, so it must not go into logs.
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

    /// Gives the message to the library. Returns false if the library's buffer is full.
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

    /// Waits until a message may be sent again. Returns an error once the connection is over. Cancel-safe.
    pub async fn writable(&self) -> Result<(), ConnectionLost> {
        let _ = timeout(WAKE_AT_LEAST_EVERY, self.watched.bell.writable.notified()).await;
        if self.is_open() { Ok(()) } else { Err(ConnectionLost::Gone) }
    }

    /// Waits for the end of the connection. Cancel-safe. It must not be awaited beside [`Self::writable`], which waits for the same bell.
    pub async fn lost(&self) -> ConnectionLost {
        loop {
            if let Err(lost) = self.writable().await {
                return lost;
            }
        }
    }

    /// Waits until what was sent has arrived and its time has come, for at most a second, then says goodbye: at that word most receivers
    /// throw away media that still waits for its time.
    pub async fn close(self) {
        let all_played = async {
            while self.is_open() && self.stats().send_buffered_bytes > 0 {
                sleep(CLOSE_LOOK_EVERY).await;
            }
            if self.is_open() && self.stats().sent_packets > 0 {
                sleep(Duration::from_millis(u64::from(self.stats().send_latency_ms)) + CLOSE_LOOK_EVERY).await;
            }
        };
        let _ = timeout(CLOSE_TIMEOUT, all_played).await;
    }

    fn socket(&self) -> &Socket {
        &self.watched.socket
    }
}

/// The events for which a connection is watched.
pub(crate) const EVENTS: i32 = ffi::READABLE | ffi::WRITABLE;

impl fmt::Debug for SrtConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtConnection").field("remote", &self.remote).finish_non_exhaustive()
    }
}

//! Calls a listener: from an address to an open connection, or to the reason why there is none.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use weir_net::{DialFault, Dialer};

use crate::connection::{EVENTS, SrtConnection};
use crate::ffi::{Fault, Opt, Socket, State};
use crate::options::{milliseconds, set_for_caller};
use crate::reactor::Watched;
use crate::reject;
use crate::seat::Seat;

/// If there is no answer for this long, nobody is there. A handshake that is lost is repeated four times a second.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// libsrt tells of its own timeout; this limit is for when it does not.
const BEYOND_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that opens without a wake is found this soon.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whom to call and what to say. `Debug` shows neither stream id nor passphrase.
#[derive(Clone)]
pub struct CallTarget {
    pub host: String,
    pub port: u16,
    pub stream_id: Option<String>,
    pub passphrase: Option<String>,
    /// The length of the key: 16, 24 or 32 bytes.
    pub key_bytes: Option<u8>,
    /// The latency that we ask for in both directions. The far end may want more.
    pub latency: Option<Duration>,
    /// The most bytes that one message holds.
    pub payload_bytes: Option<u32>,
    pub send_buffer_bytes: Option<u32>,
    /// Whether media comes from there, and not from us.
    pub receives: bool,
}

impl std::fmt::Debug for CallTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallTarget").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error(transparent)]
    Dial(#[from] DialFault),
    #[error("the listener rejected the call with code {code}: {}", reject::words(*code))]
    Rejected { code: i32 },
    #[error("encryption does not match: {}", reject::words(*code))]
    EncryptionMismatch { code: i32 },
    #[error("SRT can't be set up so: {0}")]
    Setup(String),
}

const UNREACHABLE: CallError = CallError::Dial(DialFault::Unreachable);

impl From<Fault> for CallError {
    fn from(fault: Fault) -> Self {
        Self::Setup(fault.message)
    }
}

/// Calls the addresses of the host in turn until one answers.
pub async fn call(target: &CallTarget, dialer: &Dialer) -> Result<SrtConnection, CallError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT + BEYOND_TIMEOUT;
    let mut last = UNREACHABLE;
    for address in dialer.resolve(&target.host, target.port, deadline).await? {
        match call_address(target, address, deadline).await {
            Ok(connection) => return Ok(connection),
            // Somebody answered, so the answer counts and no other address is tried.
            Err(error @ (CallError::Rejected { .. } | CallError::EncryptionMismatch { .. })) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn call_address(target: &CallTarget, address: SocketAddr, deadline: Instant) -> Result<SrtConnection, CallError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left <= BEYOND_TIMEOUT {
        return Err(UNREACHABLE);
    }
    let socket = prepared(target, left - BEYOND_TIMEOUT)?;
    let seat = Seat::take(&socket, address)?;
    let watched = Watched::new(socket, EVENTS)?;
    watched.socket.connect(address)?;
    loop {
        match watched.socket.state() {
            State::Connected => return Ok(SrtConnection::new(watched, address, Some(seat))),
            State::Broken => return Err(refusal(watched.socket.reject_reason())),
            State::Connecting if Instant::now() >= deadline => return Err(UNREACHABLE),
            State::Connecting => {
                let _ = timeout(LOOK_EVERY, watched.bell.writable.notified()).await;
            }
        }
    }
}

fn prepared(target: &CallTarget, timeout: Duration) -> Result<Socket, Fault> {
    let socket = Socket::create()?;
    set_for_caller(&socket, target.send_buffer_bytes, target.receives)?;
    socket.set_int(Opt::ConnectTimeoutMs, milliseconds(timeout))?;
    if let Some(latency) = target.latency {
        socket.set_int(Opt::LatencyMs, milliseconds(latency))?;
    }
    if let Some(bytes) = target.payload_bytes.and_then(|bytes| i32::try_from(bytes).ok()) {
        socket.set_int(Opt::PayloadBytes, bytes)?;
    }
    if let Some(stream_id) = &target.stream_id {
        socket.set_text(Opt::StreamId, stream_id)?;
    }
    if let Some(passphrase) = &target.passphrase {
        if let Some(bytes) = target.key_bytes {
            socket.set_int(Opt::KeyBytes, i32::from(bytes))?;
        }
        socket.set_text(Opt::Passphrase, passphrase)?;
    }
    Ok(socket)
}

fn refusal(code: i32) -> CallError {
    match code {
        reject::TIMEOUT => UNREACHABLE,
        reject::BAD_SECRET | reject::UNSECURE => CallError::EncryptionMismatch { code },
        code => CallError::Rejected { code },
    }
}

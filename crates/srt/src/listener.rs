//! Listens on one port for any number of callers. Each caller is asked about before it is let in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::connection::{EVENTS, SrtConnection};
use crate::ffi::{self, Answer, Asking, Fault, Hook, Opt, Socket};
use crate::options::set_for_listener;
use crate::reactor::Watched;
use crate::reject;
use crate::stream_id::SrtStreamId;
use weir_net::{CapLimits, Caps, Permit};

/// The number of callers that may wait to be accepted. libsrt rejects more.
const BACKLOG: i32 = 256;

/// A wake that the library loses costs no more than this.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The limits that a listener sets to its callers.
#[derive(Clone, Copy, Debug)]
pub struct ListenLimits {
    pub connections_max: usize,
    /// The most connections from one IPv4 address or one IPv6 /64.
    pub connections_per_ip_max: usize,
    /// The least latency of both directions. Callers may want more.
    pub latency: Duration,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self { connections_max: 4_096, connections_per_ip_max: 256, latency: Duration::from_millis(120) }
    }
}

/// Decides who may come in. It is asked on libsrt's thread that reads the port, so its answers must come from memory, at once.
pub trait Gate: Send + Sync + 'static {
    fn ask(&self, id: &SrtStreamId<'_>, remote: SocketAddr) -> Result<Admittance, i32>;

    /// Tells of a caller that was rejected without a question to the gate.
    fn turned_away(&self, _remote: SocketAddr, _code: i32) {}
}

/// What a caller that may come in has to bring. `Debug` does not show the passphrase.
#[derive(Clone, Default)]
pub struct Admittance {
    /// The passphrase of the connection. `None` means that it must not be encrypted.
    pub passphrase: Option<String>,
    /// A latency that is more than the listener's own.
    pub latency: Option<Duration>,
}

impl std::fmt::Debug for Admittance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admittance").field("encrypted", &self.passphrase.is_some()).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ListenError(String);

impl From<Fault> for ListenError {
    fn from(fault: Fault) -> Self {
        Self(fault.message)
    }
}

#[derive(Debug)]
pub struct SrtListener {
    watched: Watched,
    local_addr: SocketAddr,
    caps: Arc<Caps>,
}

/// A connection that was let in. When `permit` is dropped, another one may come in its place.
#[derive(Debug)]
pub struct Accepted {
    pub connection: SrtConnection,
    pub permit: Permit,
}

impl SrtListener {
    pub fn bind(address: SocketAddr, limits: ListenLimits, gate: Arc<dyn Gate>) -> Result<Self, ListenError> {
        let socket = Socket::create()?;
        set_for_listener(&socket, limits.latency)?;
        if address.is_ipv6() {
            // The socket takes both families, as TCP listeners do. libsrt has to be told so.
            socket.set_int(Opt::Ipv6Only, 0)?;
        }
        let caps = Caps::new(CapLimits {
            connections_max: limits.connections_max,
            connections_per_ip_max: limits.connections_per_ip_max,
            requests_per_ip_max: usize::MAX,
        });
        socket.set_hook(hook(Arc::clone(&caps), gate))?;
        socket.bind(address)?;
        let local_addr = socket.local_addr()?;
        let watched = Watched::new(socket, ffi::READABLE)?;
        watched.socket.listen(BACKLOG)?;
        Ok(Self { watched, local_addr, caps })
    }

    /// The caps of this listener: how many connections there may be, and how many there are.
    pub fn caps(&self) -> &Arc<Caps> {
        &self.caps
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The number of connections that are open now.
    pub fn connections_open(&self) -> usize {
        self.caps.open_connections()
    }

    /// The next caller that was let in. Cancel-safe.
    pub async fn accept(&self) -> Accepted {
        loop {
            while let Ok((socket, remote)) = self.watched.socket.accept() {
                // More callers may have come at once than there are places. They were let in, and are closed here.
                let Some(permit) = self.caps.admit(remote.ip()) else { continue };
                match Watched::new(socket, EVENTS) {
                    Ok(watched) => {
                        let connection = SrtConnection::new(watched, remote, None);
                        return Accepted { connection, permit };
                    }
                    Err(fault) => tracing::warn!(message = fault.message, "an SRT connection can't be watched"),
                }
            }
            let _ = timeout(LOOK_EVERY, self.watched.bell.readable.notified()).await;
        }
    }
}

fn hook(caps: Arc<Caps>, gate: Arc<dyn Gate>) -> Hook {
    Box::new(move |asking: &Asking<'_>| {
        let readable = match caps.has_place(asking.remote.ip()) {
            true => SrtStreamId::parse(asking.stream_id).map_err(|_| reject::BAD_REQUEST),
            false => Err(reject::OVERLOAD),
        };
        if let Err(code) = readable {
            gate.turned_away(asking.remote, code);
        }
        match readable.and_then(|id| gate.ask(&id, asking.remote)) {
            Ok(Admittance { passphrase, latency }) => {
                let latency_ms = latency.map(crate::options::milliseconds);
                Answer::Admit { passphrase, latency_ms }
            }
            Err(code) => Answer::Reject(code),
        }
    })
}

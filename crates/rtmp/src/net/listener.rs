//! Accepts connections within the caps, and never stops doing so because of an error.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};

use super::now;
use weir_net::{CapLimits, Caps, Permit, PlaceUse, TrustedProxies};

/// The number of connections that the kernel keeps for us while we are busy.
const BACKLOG: u32 = 1024;
/// The pause after an accept that failed for want of descriptors or memory, so that we do not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The limits that a listener sets to its peers.
#[derive(Debug, Clone, Copy)]
pub struct ListenLimits {
    pub connections_max: usize,
    /// The most connections from one IPv4 address or one IPv6 /64.
    pub connections_per_ip_max: usize,
    /// The time from accept to the end of the RTMP handshake, the handshake of TLS included.
    pub handshake_timeout: Duration,
    /// The time from accept to an accepted publish or play. It starts again when the last of them has ended.
    pub intent_timeout: Duration,
    /// The time that a publisher may let pass without sending a byte.
    pub idle_timeout: Duration,
    /// The time that a peer may let pass without taking a byte of what waits for it.
    pub write_stall_timeout: Duration,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            connections_per_ip_max: 256,
            handshake_timeout: Duration::from_secs(5),
            intent_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            write_stall_timeout: Duration::from_secs(10),
        }
    }
}

/// A listening RTMP (or, with a TLS configuration, RTMPS) socket.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    local_addr: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: ListenLimits,
    caps: Arc<Caps>,
    proxies: TrustedProxies,
}

/// An accepted connection from which nothing has been read yet. It is not bound to a runtime until it is served.
#[derive(Debug)]
pub struct Incoming {
    pub remote: SocketAddr,
    pub tls: bool,
    pub(super) tcp: std::net::TcpStream,
    pub(super) tls_config: Option<Arc<rustls::ServerConfig>>,
    pub(super) limits: ListenLimits,
    pub(super) accepted_at: Instant,
    pub(super) permit: Permit,
    /// The trusted proxies if `remote` is one of them. Such a peer may begin by saying for whom the connection is.
    pub(super) proxies: Option<TrustedProxies>,
}

impl Incoming {
    /// The connection's place. Its task has to be told to the place; the place ends that task in favour of a newcomer if all places are
    /// taken and this connection has not got as far as publishing or playing.
    pub fn place(&self) -> Arc<PlaceUse> {
        Arc::clone(self.permit.place())
    }

    /// Whether another connection, which had only waited, was closed to make room for this one.
    pub fn made_room(&self) -> bool {
        self.permit.made_room()
    }
}

impl Listener {
    pub async fn bind(
        addr: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        limits: ListenLimits,
    ) -> io::Result<Self> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // Without this option a restart would wait until the old connections have left TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        let tcp = socket.listen(BACKLOG)?;
        let local_addr = tcp.local_addr()?;
        let caps = Caps::new(CapLimits {
            connections_max: limits.connections_max,
            connections_per_ip_max: limits.connections_per_ip_max,
            requests_per_ip_max: usize::MAX,
        });
        Ok(Self { tcp, local_addr, tls, limits, caps, proxies: TrustedProxies::default() })
    }

    /// Sets the proxies that may say, by the PROXY protocol, for whom a connection is.
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// The caps of this listener: how many connections there may be, and how many there are.
    pub fn caps(&self) -> &Arc<Caps> {
        &self.caps
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The next connection within the caps. Those over the caps are closed and counted here. This waits for no peer to send anything.
    pub async fn accept(&self) -> Incoming {
        loop {
            match self.accept_within_caps().await {
                Ok(Some(incoming)) => return incoming,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept RTMP connections, trying again");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// The number of connections that are open now.
    pub fn connections_open(&self) -> usize {
        self.caps.open_connections()
    }

    /// The number of connections that were closed at once because of the caps.
    pub fn connections_refused(&self) -> u64 {
        self.caps.refused()
    }

    async fn accept_within_caps(&self) -> io::Result<Option<Incoming>> {
        let (tcp, remote) = match self.tcp.accept().await {
            Ok(accepted) => accepted,
            // The peer left the queue before we accepted it. That is nobody's fault, so the next one is accepted.
            Err(error) if super::transport::is_end(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let proxies = self.proxies.trusts(remote.ip()).then(|| self.proxies.clone());
        let permit = if proxies.is_some() { self.caps.admit_proxy() } else { self.caps.admit(remote.ip()) };
        let Some(permit) = permit else {
            tracing::debug!(%remote, "RTMP connection over the caps, closed");
            return Ok(None);
        };
        // Delaying small packets gains nothing: answers are small and awaited, and media is coalesced by its writer. The call fails only
        // on a dead socket.
        if tcp.set_nodelay(true).is_err() {
            return Ok(None);
        }
        Ok(Some(Incoming {
            remote,
            tls: self.tls.is_some(),
            tcp: tcp.into_std()?,
            tls_config: self.tls.clone(),
            limits: self.limits,
            accepted_at: now(),
            permit,
            proxies,
        }))
    }
}

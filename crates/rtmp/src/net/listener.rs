//! Accepting connections, within the caps, without ever failing for good.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};

use super::now;
use weir_net::{CapLimits, Caps, Permit, Place, TrustedProxies};

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: u32 = 1024;
/// The pause after an accept that failed for want of descriptors or memory, so as not to spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// What a listener puts up with.
#[derive(Debug, Clone, Copy)]
pub struct ListenLimits {
    pub connections_max: usize,
    /// From one IPv4 address or one IPv6 /64.
    pub connections_per_ip_max: usize,
    /// From accept to the end of the RTMP handshake, that of TLS included.
    pub handshake_timeout: Duration,
    /// From accept to an accepted publish or play, and again after the last of them ended.
    pub intent_timeout: Duration,
    /// Without a byte from a publisher.
    pub idle_timeout: Duration,
    /// Without the peer taking a byte of what waits for it.
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

/// An accepted connection on which nothing was read yet. Not bound to a runtime until it is served.
#[derive(Debug)]
pub struct Incoming {
    pub remote: SocketAddr,
    pub tls: bool,
    pub(super) tcp: std::net::TcpStream,
    pub(super) tls_config: Option<Arc<rustls::ServerConfig>>,
    pub(super) limits: ListenLimits,
    pub(super) accepted_at: Instant,
    pub(super) permit: Permit,
    /// Set where `remote` is a trusted proxy, which may begin with whom it comes for.
    pub(super) proxies: Option<TrustedProxies>,
}

impl Incoming {
    /// The connection's place: its task, once told there, is ended for a newcomer when all places are taken and this one has not got
    /// as far as publishing or playing.
    pub fn place(&self) -> Arc<Place> {
        Arc::clone(self.permit.place())
    }

    /// Whether another connection, which only waited, had to go for this one.
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
        // Or a restart would wait for the old connections to leave TIME_WAIT.
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

    /// Who may say, by the PROXY protocol, for whom a connection is.
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// How many there may be, and are.
    pub fn caps(&self) -> &Arc<Caps> {
        &self.caps
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The next connection within the caps; those over them are closed and counted here. Waits for no peer.
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

    /// Connections open now.
    pub fn connections_open(&self) -> usize {
        self.caps.open_connections()
    }

    /// Connections closed at once because of the caps.
    pub fn connections_refused(&self) -> u64 {
        self.caps.refused()
    }

    async fn accept_within_caps(&self) -> io::Result<Option<Incoming>> {
        let (tcp, remote) = match self.tcp.accept().await {
            Ok(accepted) => accepted,
            // The peer left the queue before we came: nobody's fault, next one.
            Err(error) if super::transport::is_end(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let proxies = self.proxies.trusts(remote.ip()).then(|| self.proxies.clone());
        let permit = if proxies.is_some() { self.caps.admit_proxy() } else { self.caps.admit(remote.ip()) };
        let Some(permit) = permit else {
            tracing::debug!(%remote, "RTMP connection over the caps, closed");
            return Ok(None);
        };
        // Answers are small and awaited; media is coalesced by its writer. Fails only on a dead socket.
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

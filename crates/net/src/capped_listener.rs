//! A TCP port: it accepts connections within the caps, and never stops doing so because of an error.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::{CapLimits, Caps, Permit, PlaceUse, TrustedProxies, Visit};

/// The number of connections that the kernel keeps for us while we are busy.
const BACKLOG: u32 = 1024;
/// The pause after an accept that failed for want of descriptors or memory, so that we do not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub struct CappedListener {
    tcp: TcpListener,
    local_addr: SocketAddr,
    caps: Arc<Caps>,
    proxies: TrustedProxies,
}

/// An accepted connection from which nothing has been read yet. It is not bound to a runtime until it is opened, and has its place in the
/// caps until it is dropped.
#[derive(Debug)]
pub struct Newcomer {
    /// Where the connection comes from. If a proxy opened it, this is known once the connection is open.
    pub remote: SocketAddr,
    pub accepted_at: Instant,
    /// None once the connection is open.
    tcp: Option<std::net::TcpStream>,
    permit: Permit,
    /// The trusted proxies if `remote` is one of them. Such a peer may begin by saying for whom the connection is.
    proxies: Option<TrustedProxies>,
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    #[error("it came through a proxy, and the address behind that has as many connections as it may have")]
    TooMany,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl CappedListener {
    pub fn bind(address: SocketAddr, limits: CapLimits, proxies: TrustedProxies) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // Without this option a restart would wait until the old connections have left TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let tcp = socket.listen(BACKLOG)?;
        let local_addr = tcp.local_addr()?;
        Ok(Self { tcp, local_addr, caps: Caps::new(limits), proxies })
    }

    /// How many connections there may be, and how many there are.
    pub fn caps(&self) -> &Arc<Caps> {
        &self.caps
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The next connection within the caps. Those over the caps are closed and counted here. This waits for no peer to send anything, and
    /// is cancel-safe.
    pub async fn accept(&self) -> Newcomer {
        loop {
            match self.accept_within_caps().await {
                Ok(Some(newcomer)) => return newcomer,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, address = %self.local_addr, "cannot accept connections, trying again");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    async fn accept_within_caps(&self) -> io::Result<Option<Newcomer>> {
        let (tcp, remote) = match self.tcp.accept().await {
            Ok(accepted) => accepted,
            // The peer left the queue before we accepted it. That is nobody's fault, so the next one is accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let proxies = self.proxies.trusts(remote.ip()).then(|| self.proxies.clone());
        let permit = if proxies.is_some() { self.caps.admit_proxy() } else { self.caps.admit(remote.ip()) };
        let Some(permit) = permit else {
            tracing::debug!(%remote, address = %self.local_addr, "a connection over the caps was closed");
            return Ok(None);
        };
        // Delaying small packets gains nothing: answers are small and awaited, and media is coalesced by its writer. The call fails only
        // on a dead socket.
        if tcp.set_nodelay(true).is_err() {
            return Ok(None);
        }
        let accepted_at = tokio::time::Instant::now().into_std();
        Ok(Some(Newcomer { remote, accepted_at, tcp: Some(tcp.into_std()?), permit, proxies }))
    }
}

impl Newcomer {
    /// The connection's place. Its task has to be told to the place; the place ends that task in favour of another newcomer if all places
    /// are taken and this connection has not begun anything.
    pub fn place(&self) -> Arc<PlaceUse> {
        Arc::clone(self.permit.place())
    }

    /// Whether another connection, which had only waited, was closed to make room for this one.
    pub fn made_room(&self) -> bool {
        self.permit.made_room()
    }

    /// Opens the connection on the current runtime, and learns from a proxy for whom it is. The caller limits the time.
    pub async fn open(&mut self) -> Result<TcpStream, NotOpened> {
        let tcp = self.tcp.take().ok_or(io::ErrorKind::NotConnected).map_err(io::Error::from)?;
        let mut tcp = TcpStream::from_std(tcp)?;
        if let Some(proxies) = &self.proxies {
            // The future is boxed: only the few connections that come through a proxy need the room for its header.
            self.remote = Box::pin(proxies.source(&mut tcp, self.remote)).await?;
            if !proxies.trusts(self.remote.ip()) && !self.permit.count_for(self.remote.ip()) {
                return Err(NotOpened::TooMany);
            }
        }
        Ok(tcp)
    }

    /// Begins what the connection was let in for. While the visit goes on, the place is not given to another newcomer.
    pub fn begin(&self) -> Option<Visit> {
        self.permit.begin(self.remote.ip())
    }
}

//! The only way out of the process: it finds a host's addresses, tries those that may be called one after the other, and makes TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Egress, InForce, tls_fault};

/// How long an address gets while another one waits behind it: a dead IPv6 route must not use up the time of IPv4.
const NOT_LAST_TIMEOUT: Duration = Duration::from_secs(2);

/// Knows who may be called, and whom TLS trusts. All clones share both, which may be replaced while they use them.
#[derive(Clone)]
pub struct Dialer {
    egress: Egress,
    trust: InForce<ClientConfig>,
}

/// How a TCP connection is opened.
#[derive(Clone, Copy, Debug)]
pub struct TcpOptions {
    /// The time limit for each address.
    pub timeout: Duration,
    /// The size of the kernel's send buffer; None leaves it to the kernel.
    pub send_buffer_bytes: Option<u32>,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialFault {
    #[error("the host name does not resolve")]
    Resolve,
    #[error("the address is not allowed by the egress rules")]
    NotPermitted,
    #[error("the connection was refused")]
    Refused,
    #[error("the host did not answer")]
    Unreachable,
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("no answer in time (TLS handshake)")]
    TlsTimeout,
}

impl Dialer {
    /// Makes a dialer; `trust` says whose certificates are trusted.
    pub fn new(egress: Egress, trust: impl Into<InForce<ClientConfig>>) -> Self {
        Self { egress, trust: trust.into() }
    }

    /// A dialer that follows these rules, and trusts as this one does.
    pub fn within(&self, egress: Egress) -> Self {
        Self { egress, ..self.clone() }
    }

    /// Trusts by this from now on, as do all clones; open connections stay.
    pub fn trust(&self, trust: Arc<ClientConfig>) {
        self.trust.replace(trust);
    }

    /// Whether the egress rules let us reach this address.
    pub fn permits(&self, address: IpAddr) -> bool {
        self.egress.permits(address)
    }

    /// The addresses of a host that may be called, in the order in which they should be tried.
    pub async fn resolve(&self, host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, DialFault> {
        timeout_at(deadline, self.egress.resolve(host, port)).await.unwrap_or(Err(DialFault::Resolve))
    }

    /// Connects to the first of a host's addresses that accepts.
    pub async fn tcp(
        &self,
        host: &str,
        port: u16,
        options: TcpOptions,
        deadline: Instant,
    ) -> Result<TcpStream, DialFault> {
        let addresses = self.resolve(host, port, deadline).await?;
        let mut fault = DialFault::Unreachable;
        for (index, address) in addresses.iter().enumerate() {
            let is_last = index + 1 == addresses.len();
            let limit = if is_last { options.timeout } else { options.timeout.min(NOT_LAST_TIMEOUT) };
            match timeout_at(deadline.min(Instant::now() + limit), connect(*address, options)).await {
                Ok(Ok(socket)) => return Ok(socket),
                // A refusal tells more than the silence of another address.
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => fault = DialFault::Refused,
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Err(fault)
    }

    /// Makes TLS on a connection to `host`.
    pub async fn tls<S>(&self, host: &str, socket: S, deadline: Instant) -> Result<TlsStream<S>, DialFault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| DialFault::Tls("the host is not a name that a certificate can be for".to_owned()))?;
        match timeout_at(deadline, TlsConnector::from(self.trust.get()).connect(name, socket)).await {
            Err(_) => Err(DialFault::TlsTimeout),
            Ok(Err(error)) => Err(DialFault::Tls(tls_fault(&error))),
            Ok(Ok(tls)) => Ok(tls),
        }
    }
}

/// By default it calls everybody it may, and trusts no certificate.
impl Default for Dialer {
    fn default() -> Self {
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        #[expect(clippy::expect_used, reason = "ring has what TLS 1.2 and 1.3 need, whatever the machine")]
        let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
        let trust = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Self::new(Egress::default(), Arc::new(trust))
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("egress", &self.egress).finish_non_exhaustive()
    }
}

async fn connect(address: SocketAddr, options: TcpOptions) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.connect(address).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const OPTIONS: TcpOptions = TcpOptions { timeout: Duration::from_secs(5), send_buffer_bytes: None };

    #[tokio::test]
    async fn faults_say_where_it_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap().port();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let shut_in = Dialer::default().within(Egress::new(["127.0.0.0/8".parse().unwrap()], []));
        for (dialer, host, port, expected) in [
            (Dialer::default(), "127.0.0.1", open, None),
            (Dialer::default(), "127.0.0.1", closed, Some(DialFault::Refused)),
            (Dialer::default(), "no-such-host.invalid", open, Some(DialFault::Resolve)),
            (shut_in, "127.0.0.1", open, Some(DialFault::NotPermitted)),
        ] {
            let deadline = Instant::now() + Duration::from_secs(10);
            let answer = dialer.tcp(host, port, OPTIONS, deadline).await;
            assert_eq!(answer.err(), expected, "{host}:{port}");
        }
    }

    #[tokio::test]
    async fn who_speaks_no_tls_is_told_from_who_says_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dialer = Dialer::default();
        let far = Instant::now() + Duration::from_secs(10);
        let connect = async || dialer.tcp("127.0.0.1", port, OPTIONS, far).await.unwrap();
        let silent = dialer.tls("127.0.0.1", connect().await, Instant::now() + Duration::from_millis(20)).await;
        assert_eq!(silent.unwrap_err(), DialFault::TlsTimeout);
        let socket = connect().await;
        drop(listener);
        assert!(matches!(dialer.tls("127.0.0.1", socket, far).await.unwrap_err(), DialFault::Tls(_)));
    }
}

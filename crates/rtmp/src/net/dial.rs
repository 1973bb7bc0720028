//! From an address to an open transport: DNS, egress rule, TCP to each address in turn, TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{TlsConnector, TlsStream};
use weir_net::{Egress, EgressFault, tls_fault};

use super::push::PushOptions;
use super::push_error::{PushError, PushPhase};
use super::transport::{CountedTcp, Transport};
use crate::url::RtmpUrl;

/// What an address gets when another one waits behind it: a dead IPv6 route must not use up the time of IPv4.
const NOT_LAST_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) async fn dial(url: &RtmpUrl, options: &PushOptions, deadline: Instant) -> Result<Transport, PushError> {
    let addresses = resolve(url, &options.egress, deadline).await?;
    let tcp = connect_any(&addresses, options, deadline).await?;
    // Media is coalesced by its writer, acks and pongs are awaited by the peer: nothing gains from waiting.
    tcp.set_nodelay(true)?;
    let tcp = CountedTcp::new(tcp);
    if !url.tls {
        return Ok(Transport::Plain(tcp));
    }
    let name = ServerName::try_from(url.host.clone())
        .map_err(|_| PushError::TlsFailed("the host is not a name that a certificate can be for".to_owned()))?;
    let connecting = TlsConnector::from(options.tls.get()).connect(name, tcp);
    match timeout_at(deadline, connecting).await {
        Err(_) => Err(PushError::Timeout { phase: PushPhase::Tls }),
        Ok(Err(error)) => Err(PushError::TlsFailed(tls_fault(&error))),
        Ok(Ok(tls)) => Ok(Transport::Tls(Box::new(TlsStream::Client(tls)))),
    }
}

async fn resolve(url: &RtmpUrl, egress: &Egress, deadline: Instant) -> Result<Vec<SocketAddr>, PushError> {
    match timeout_at(deadline, egress.resolve(&url.host, url.port)).await {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(EgressFault::NotPermitted)) => Err(PushError::NotPermitted),
        Ok(Err(EgressFault::Resolve)) | Err(_) => Err(PushError::Resolve),
    }
}

async fn connect_any(
    addresses: &[SocketAddr],
    options: &PushOptions,
    deadline: Instant,
) -> Result<TcpStream, PushError> {
    let mut failure = PushError::Unreachable;
    for (index, address) in addresses.iter().enumerate() {
        let is_last = index + 1 == addresses.len();
        let limit = options.tcp_connect_timeout;
        let limit = if is_last { limit } else { limit.min(NOT_LAST_TIMEOUT) };
        match timeout_at(deadline.min(Instant::now() + limit), connect(*address, options)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            // An active refusal says more than silence from another address.
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => failure = PushError::Refused,
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Err(failure)
}

async fn connect(address: SocketAddr, options: &PushOptions) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A big kernel buffer would hide seconds of a stall.
    socket.set_send_buffer_size(options.send_buffer_bytes)?;
    socket.connect(address).await
}

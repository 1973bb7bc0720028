//! Opens a transport to an address.

use tokio::time::Instant;
use tokio_rustls::TlsStream;
use weir_net::TcpOptions;

use super::client::ClientOptions;
use super::client_error::ClientError;
use super::transport::{CountedTcp, Transport};
use crate::url::RtmpUrl;

pub(super) async fn dial(url: &RtmpUrl, options: &ClientOptions, deadline: Instant) -> Result<Transport, ClientError> {
    // A big kernel buffer would hide seconds of a stall.
    let tcp = TcpOptions { timeout: options.tcp_connect_timeout, send_buffer_bytes: Some(options.send_buffer_bytes) };
    let tcp = options.dialer.tcp(&url.host, url.port, tcp, deadline).await?;
    // Delaying small packets gains nothing: media is coalesced by its writer, and the peer waits for our acks and pongs.
    tcp.set_nodelay(true)?;
    let tcp = CountedTcp::new(tcp);
    if !url.tls {
        return Ok(Transport::Plain(tcp));
    }
    let tls = options.dialer.tls(&url.host, tcp, deadline).await?;
    Ok(Transport::Tls(Box::new(TlsStream::Client(tls))))
}

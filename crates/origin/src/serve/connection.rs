//! Serves one connection from its first byte on: it finds out who the client is, whether TLS is spoken, and which HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use weir_net::{Client, Permit, TrustedProxies};
use weir_observe::Counter;

use super::{Guest, MAX_HEADER_BYTES, Shared, http2};
use crate::patient_io::PatientIo;

/// The time for the TLS handshake.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that was accepted and has its place.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) socket: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) permit: Permit,
    /// Set if `peer` is a trusted proxy.
    pub(super) proxies: Option<TrustedProxies>,
}

impl Shared {
    pub(super) async fn welcome(
        self: Arc<Self>,
        arrival: Arrival,
        tls: Option<TlsAcceptor>,
        drain: watch::Receiver<bool>,
    ) {
        let Some((socket, guest)) = self.introduce(arrival, tls.is_some()).await else { return };
        let (shared, ip) = (Arc::clone(&self), guest.ip());
        let on_stall = move || shared.cut_off(ip);
        let socket = PatientIo::new(socket, self.limits.stall_timeout, Arc::new(on_stall));
        let Some(tls) = tls else { return self.talk(socket, guest, drain).await };
        // An error here is the peer's: it speaks no TLS, or does not trust us.
        let limit = TLS_TIMEOUT.min(self.limits.head_timeout);
        let Ok(Ok(socket)) = timeout(limit, tls.accept(socket)).await else { return };
        if socket.get_ref().1.alpn_protocol() == Some(b"h2") {
            // This is boxed, so that viewers' connections do not carry the room for it.
            Box::pin(http2::serve(&self, socket, guest, drain)).await;
        } else {
            self.talk(socket, guest, drain).await;
        }
    }

    /// Finds out who the client is. Returns none if it can't be talked to.
    async fn introduce(&self, arrival: Arrival, is_tls: bool) -> Option<(TcpStream, Guest)> {
        let Arrival { socket, peer, mut permit, mut proxies } = arrival;
        let _ = socket.set_nodelay(true);
        let mut socket = TcpStream::from_std(socket).ok()?;
        let mut client = Client { ip: peer.ip(), secure: is_tls };
        if let Some(trusted) = proxies.take() {
            // This is boxed, so that viewers' connections do not carry the room for a header that only proxies write.
            let header = Box::pin(trusted.take_header(&mut socket));
            let header = match timeout(self.limits.head_timeout, header).await {
                Ok(Ok(header)) => header.unwrap_or_default(),
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                    self.odd_proxy.raise(peer.ip());
                    return None;
                }
                Ok(Err(_)) | Err(_) => return None,
            };
            client.secure |= header.secure;
            client.ip = header.source.map_or(peer.ip(), |source| source.ip().to_canonical());
            if trusted.trusts(client.ip) {
                proxies = Some(trusted);
            } else if !permit.count_for(client.ip) {
                self.turn_away(socket, client.ip, is_tls);
                return None;
            }
        }
        Some((socket, Guest::new(permit, client, proxies, self.https.is_some())))
    }

    /// Answers players' plain requests on the short way. A connection with any other request goes over to the HTTP library.
    async fn talk<S>(self: &Arc<Self>, socket: S, guest: Guest, mut drain: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(socket) = self.origin.serve_short(socket, &guest, &mut drain, self.limits.head_timeout).await {
            // This is boxed, so that viewers' connections do not carry the room for it.
            Box::pin(self.talk_any(socket, guest, drain)).await;
        }
    }

    async fn talk_any<S>(self: &Arc<Self>, socket: S, guest: Guest, mut drain: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.limits.head_timeout).max_buf_size(MAX_HEADER_BYTES);
        let (guest, shared) = (Arc::new(guest), Arc::clone(self));
        let ip = guest.ip();
        let service = service_fn(move |request: Request<Incoming>| {
            let (guest, shared) = (Arc::clone(&guest), Arc::clone(&shared));
            async move { Ok::<_, Infallible>(shared.answer(request, &guest).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(socket), service);
        tokio::pin!(connection);
        // The guard that `wait_for` returns must be dropped, or it would be held while the connection is awaited below.
        let draining = async { drop(drain.wait_for(|draining| *draining).await) };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = draining => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // An error here is the peer's: it hung up, or sent what is no HTTP.
        if ended.is_err_and(|error| error.is_parse()) {
            self.unreadable.raise(ip);
        }
    }

    /// Counts and logs a client that took nothing for too long.
    pub(super) fn cut_off(&self, ip: std::net::IpAddr) {
        self.observe.counters().add(Counter::HttpSlowReaders, 1);
        self.slow.raise(ip);
    }
}

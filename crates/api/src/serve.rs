//! The HTTP listener, HTTP/1.1 and HTTP/2: connections that are too many, too slow or too chatty end before they cost much.
//!
//! Connections live on threads of their own, where viewers are answered on the spot. What is for the API goes over to the
//! runtime of the control plane: a hundred thousand viewers must not make an operator's click wait, nor the other way round.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use weir_control::Lanes;
use weir_observe::{Counter, Heartbeat, Observe};

use crate::context::{ApiContext, Peer};
use crate::origin::{Complaint, Guest, Guests, HttpLimits, Origin, OriginBody, PatientIo};
use crate::problem::Problem;

/// Viewers and all others; each idle connection costs about 20 kB.
pub const MAX_CONNECTIONS: usize = 10_000;

/// Request line and headers together; hyper's least is 8 KiB.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Requests at once on one HTTP/2 connection: a player has five.
const HTTP2_STREAMS_MAX: u32 = 64;

/// A silent HTTP/2 connection is asked this often whether it is still there.
const HTTP2_PING_EVERY: Duration = Duration::from_secs(30);

/// To send all headers of a request, the first and each later one on the connection (so an idle one ends, too).
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// For the TLS handshake.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// After running out of file descriptors: wait, rather than spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What newcomers of a full address are told, if they speak in the clear.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Everything that is answered over HTTP, for any number of listeners. Clones share it.
#[derive(Clone, Debug)]
pub struct HttpServer {
    shared: Arc<Shared>,
    /// Not among what connections share: the last to let go of a lane waits for its end, and must not be on it.
    lanes: Lanes,
}

#[derive(Debug)]
struct Shared {
    router: Router,
    origin: Origin,
    guests: Guests,
    observe: Observe,
    /// Where the router runs.
    control: Handle,
    full: Complaint,
    slow: Complaint,
    unreadable: Complaint,
}

impl HttpServer {
    /// To be called in the control plane's runtime. `lanes` carry the connections.
    pub fn new(context: ApiContext, limits: HttpLimits, lanes: Lanes) -> Self {
        let shared = Shared {
            origin: Origin::new(context.playback.clone(), context.observe.clone(), context.thumbnails.clone()),
            guests: Guests::new(limits),
            observe: context.observe.clone(),
            router: crate::router(context),
            control: Handle::current(),
            full: Complaint::new("too many HTTP connections from one address"),
            slow: Complaint::new("an HTTP client that did not read was cut off"),
            unreadable: Complaint::new("an HTTP request that can't be read"),
        };
        Self { shared: Arc::new(shared), lanes }
    }

    /// Serves until `shutdown` ends, then lets requests under way finish; dropped, it cuts them off.
    ///
    /// With a TLS configuration it is HTTPS.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        shutdown: impl Future<Output = ()>,
        heartbeat: Heartbeat,
    ) {
        let tls = tls.map(|config| {
            let mut config = ServerConfig::clone(&config);
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            TlsAcceptor::from(Arc::new(config))
        });
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (draining, _) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut number = 0;
        tokio::pin!(shutdown);
        loop {
            let slot = Arc::clone(&slots);
            let accepted = async {
                // Full: let newcomers wait in the kernel's queue.
                let permit = slot.acquire_owned().await.map_err(|_| io::Error::other("closed"))?;
                let (socket, peer) = listener.accept().await?;
                Ok::<_, io::Error>((socket, peer.ip(), permit))
            };
            let (socket, ip, permit) = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => continue,
                accepted = heartbeat.idle(accepted) => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "could not accept an HTTP connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let Some(guest) = self.shared.guests.admit(ip) else {
                self.shared.turn_away(socket, ip, tls.is_some());
                continue;
            };
            // Leaves this runtime's reactor for that of its lane.
            let Ok(socket) = socket.into_std() else { continue };
            number += 1;
            let (shared, tls, drain) = (Arc::clone(&self.shared), tls.clone(), draining.subscribe());
            let connection = async move {
                shared.welcome(socket, guest, tls, drain).await;
                drop(permit);
            };
            connections.spawn_on(connection, self.lanes.pick(number));
        }
        drop(listener);
        draining.send_replace(true);
        while connections.join_next().await.is_some() {}
    }
}

impl Shared {
    fn turn_away(&self, mut socket: TcpStream, ip: IpAddr, is_tls: bool) {
        self.observe.counters().add(Counter::HttpLimited, 1);
        self.full.raise(ip);
        if !is_tls {
            // Fits into the kernel's buffer: it never waits.
            let _ = futures_util::FutureExt::now_or_never(socket.write_all(TOO_MANY));
        }
    }

    async fn welcome(
        self: &Arc<Self>,
        socket: std::net::TcpStream,
        guest: Guest,
        tls: Option<TlsAcceptor>,
        drain: watch::Receiver<bool>,
    ) {
        let _ = socket.set_nodelay(true);
        let Ok(socket) = TcpStream::from_std(socket) else { return };
        let (shared, ip) = (Arc::clone(self), guest.ip());
        let on_stall = move || {
            shared.observe.counters().add(Counter::HttpSlowReaders, 1);
            shared.slow.raise(ip);
        };
        let socket = PatientIo::new(socket, Arc::new(on_stall));
        match tls {
            None => self.talk(socket, guest, drain).await,
            // An error is the peer's: it speaks no TLS, or does not trust us.
            Some(tls) => {
                if let Ok(Ok(socket)) = timeout(TLS_TIMEOUT, tls.accept(socket)).await {
                    self.talk(socket, guest, drain).await;
                }
            }
        }
    }

    /// Players' plain requests are answered on the short way; a connection with any other goes over to the HTTP library.
    async fn talk<S>(self: &Arc<Self>, socket: S, guest: Guest, mut drain: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(socket) = self.origin.serve_short(socket, &guest, &mut drain, HEADER_TIMEOUT).await {
            // Boxed, so that viewers' connections do not carry the room for this.
            Box::pin(self.talk_any(socket, guest, drain)).await;
        }
    }

    async fn talk_any<S>(self: &Arc<Self>, socket: S, guest: Guest, mut drain: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(HTTP2_PING_EVERY)
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_header_list_size(MAX_HEADER_BYTES as u32);
        let (guest, shared) = (Arc::new(guest), Arc::clone(self));
        let ip = guest.ip();
        let service = service_fn(move |request: Request<Incoming>| {
            let (guest, shared) = (Arc::clone(&guest), Arc::clone(&shared));
            async move { Ok::<_, Infallible>(shared.answer(request, &guest).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(socket), service);
        tokio::pin!(connection);
        // Its guard must not live on while the connection is awaited below.
        let draining = async { drop(drain.wait_for(|draining| *draining).await) };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = draining => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // An error here is the peer's: hung up, or sent what is no HTTP.
        if ended.is_err_and(|error| error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)) {
            self.unreadable.raise(ip);
        }
    }

    async fn answer(&self, request: Request<Incoming>, guest: &Guest) -> Response<OriginBody> {
        if Origin::serves(request.uri().path()) {
            let (parts, _) = request.into_parts();
            return self.origin.respond(&parts, guest).await;
        }
        // Boxed, so that viewers' requests do not carry the room for this.
        Box::pin(self.route(request, guest.ip())).await
    }

    async fn route(&self, mut request: Request<Incoming>, ip: IpAddr) -> Response<OriginBody> {
        request.extensions_mut().insert(Peer(ip));
        let routed = self.router.clone().oneshot(request.map(Body::new));
        let mut running = Running(self.control.spawn(routed));
        match (&mut running.0).await {
            Ok(Ok(response)) => response.map(OriginBody::Routed),
            Ok(Err(never)) => match never {},
            Err(_) => Problem::internal().into_response().map(OriginBody::Routed),
        }
    }
}

/// A request on the other runtime; it ends with the client who asked.
struct Running<T>(JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

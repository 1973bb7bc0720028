//! The HTTP listener ends connections that are too many, too slow or too chatty before they cost much.
//!
//! Connections live on threads of their own, where viewers are answered on the spot. Requests for the API go over to the runtime of the
//! control plane: a hundred thousand viewers must not make an operator's click wait, nor the other way round.
//!
//! HTTP/2 is spoken over TLS only, if the client has asked for it in the handshake. No browser and no player does otherwise.

mod connection;
mod exchange;
mod guest;
mod http2;
mod received;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use hyper::body::Body as HttpBody;
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use weir_control::Lanes;
use weir_net::{CapLimits, Caps, Client, TrustedProxies};
use weir_observe::{Counter, Heartbeat, Observe};

use crate::body::{HeldBody, OriginBody};
use crate::complaint::Complaint;
use crate::origin::Origin;

pub(crate) use guest::Guest;
pub use guest::HttpLimits;

/// The most bytes of request line and headers together. The least that hyper allows is 8 KiB.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;

/// The listener waits so long after it has run out of file descriptors, rather than spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The answer to newcomers from an address that has its full share, if they speak in the clear.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Machines ask for these by address, and have no use for being sent elsewhere.
const NEVER_SENT_TO_HTTPS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The address of the client, which the router gets with each request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Whether the request came over TLS, to us or to a proxy that is trusted to say so. The router gets this with each request, too.
#[derive(Debug, Clone, Copy)]
pub struct OverTls(pub bool);

/// What answers the requests that come over the same connections and are not from viewers.
#[derive(Clone, Debug)]
pub struct Rest {
    pub router: Router,
    /// How the router's clients are told that too much was asked (429), or that something broke (500).
    pub refusal: fn(StatusCode) -> Response<Body>,
}

/// The rules for all connections.
#[derive(Clone, Debug)]
pub struct HttpRules {
    pub limits: HttpLimits,
    pub proxies: TrustedProxies,
    /// `https://host`: where whoever comes in the clear is sent.
    pub https: Option<String>,
}

/// Everything that is answered over HTTP, for any number of listeners. A clone shares it.
#[derive(Clone, Debug)]
pub struct HttpServer {
    shared: Arc<Shared>,
    /// The lanes are not among what connections share: whoever drops the last reference to a lane waits for its end, and so must not run on
    /// it.
    lanes: Lanes,
}

#[derive(Debug)]
struct Shared {
    origin: Origin,
    rest: Rest,
    limits: HttpLimits,
    caps: Arc<Caps>,
    proxies: TrustedProxies,
    /// `https://host`: where whoever comes in the clear is sent.
    https: Option<String>,
    observe: Observe,
    /// The runtime that answers what is not from viewers.
    control: Handle,
    full: Complaint,
    made_room: Complaint,
    slow: Complaint,
    unreadable: Complaint,
    odd_proxy: Complaint,
}

impl HttpServer {
    /// Must be called in the control plane's runtime. `lanes` are the threads that carry the connections.
    pub fn new(origin: Origin, rest: Rest, rules: HttpRules, lanes: Lanes) -> Self {
        let HttpRules { limits, proxies, https } = rules;
        let shared = Shared {
            observe: origin.observe().clone(),
            origin,
            rest,
            limits,
            caps: Caps::new(CapLimits {
                connections_max: limits.connections_max,
                connections_per_ip_max: limits.connections_per_ip_max,
                requests_per_ip_max: limits.requests_per_ip_max,
            }),
            proxies,
            https,
            control: Handle::current(),
            full: Complaint::new("too many HTTP connections, or too many from one address"),
            made_room: Complaint::new(
                "an HTTP connection that waited was closed for a newcomer, all places being taken",
            ),
            slow: Complaint::new("an HTTP client that did not read was cut off"),
            unreadable: Complaint::new("an HTTP request that can't be read"),
            odd_proxy: Complaint::new("a trusted proxy's PROXY header can't be read"),
        };
        Self { shared: Arc::new(shared), lanes }
    }

    /// The counts of connections and requests, and their limits.
    pub fn caps(&self) -> &Arc<Caps> {
        &self.shared.caps
    }

    /// Serves until `shutdown` ends, and then lets requests under way finish. If this future is dropped, they are cut off.
    ///
    /// With a TLS configuration, the listener speaks HTTPS.
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
        let (draining, _) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut number = 0;
        tokio::pin!(shutdown);
        loop {
            let (socket, peer) = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => continue,
                accepted = heartbeat.idle(accept(&listener)) => accepted,
            };
            let shared = Arc::clone(&self.shared);
            let proxies = shared.proxies.trusts(peer.ip()).then(|| shared.proxies.clone());
            let permit = if proxies.is_some() { shared.caps.admit_proxy() } else { shared.caps.admit(peer.ip()) };
            let Some(permit) = permit else {
                shared.turn_away(socket, peer.ip(), tls.is_some());
                continue;
            };
            if permit.made_room() {
                shared.observe.counters().add(Counter::PlacesGivenUp, 1);
                shared.made_room.raise(peer.ip());
            }
            // The socket leaves this runtime's reactor, and joins that of its lane later.
            let Ok(socket) = socket.into_std() else { continue };
            number += 1;
            let place = Arc::clone(permit.place());
            let arrival = connection::Arrival { socket, peer, permit, proxies };
            let connection = shared.welcome(arrival, tls.clone(), draining.subscribe());
            place.served_by(connections.spawn_on(connection, self.lanes.pick(number)));
        }
        drop(listener);
        draining.send_replace(true);
        while connections.join_next().await.is_some() {}
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => return (socket, SocketAddr::new(peer.ip().to_canonical(), peer.port())),
            Err(error) => {
                tracing::warn!(%error, "could not accept an HTTP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Shared {
    fn turn_away(&self, mut socket: TcpStream, ip: IpAddr, is_tls: bool) {
        self.observe.counters().add(Counter::HttpLimited, 1);
        self.full.raise(ip);
        if !is_tls {
            // The words fit into the kernel's buffer, so this never waits.
            let _ = futures_util::FutureExt::now_or_never(socket.write_all(TOO_MANY));
        }
    }

    /// Answers any request of a client. The request counts for the client's address until the body of the answer has been sent.
    async fn answer<B>(&self, request: Request<B>, guest: &Guest) -> Response<HeldBody>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let client = guest.client_of(request.headers());
        let uri = request.uri();
        if guest.is_sent_to_https(client) && !NEVER_SENT_TO_HTTPS.contains(&uri.path()) {
            return self.send_to_https(uri).map(|body| HeldBody::new(body, None));
        }
        let is_playback = Origin::serves(uri.path());
        let visit = self.origin.begin(guest, client);
        let response = match (&visit, is_playback) {
            (None, true) => Origin::busy(),
            (None, false) => self.refuse(StatusCode::TOO_MANY_REQUESTS),
            (Some(_), true) => self.origin.respond(&request.into_parts().0, client).await,
            // This is boxed, so that viewers' requests do not carry the room for it.
            (Some(_), false) => Box::pin(self.route(request.map(Body::new), client)).await,
        };
        response.map(|body| HeldBody::new(body, visit))
    }

    async fn route(&self, mut request: Request<Body>, client: Client) -> Response<OriginBody> {
        request.extensions_mut().insert(Peer(client.ip));
        request.extensions_mut().insert(OverTls(client.secure));
        let mut running = Running(self.control.spawn(self.rest.router.clone().oneshot(request)));
        match (&mut running.0).await {
            Ok(Ok(response)) => response.map(OriginBody::Routed),
            Ok(Err(never)) => match never {},
            Err(_) => self.refuse(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn refuse(&self, status: StatusCode) -> Response<OriginBody> {
        (self.rest.refusal)(status).map(OriginBody::Routed)
    }

    fn send_to_https(&self, uri: &Uri) -> Response<OriginBody> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let location = format!("{}{path}", self.https.as_deref().unwrap_or_default());
        let mut response = Response::new(OriginBody::empty());
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// A request that runs on the control plane's runtime. It ends when the client who asked has gone.
struct Running<T>(JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

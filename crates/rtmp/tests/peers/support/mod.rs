//! What the connection tests share: a handler that records, keys that are refused, and TLS with a private CA.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use weir_net::{CapLimits, CappedListener, Dialer, Egress, TrustedProxies};
use weir_rtmp::net::{
    BoxFuture, ClientError, ClientOptions, ClientTarget, CloseReason, Handler, MediaMessage, Outgoing, PLAY_CHUNK_SIZE,
    PeerTimeouts, PlayRequest, Playing, PublishConnection, PublishRequest, PublishSession, Publishing, PushEvent,
    Refusal, RefusalCode, connect_publish, serve,
};
use weir_rtmp::parcel::Parcel;
use weir_rtmp::url::RtmpUrl;
use weir_rtmp::wire::{Header, Message, Value, type_id, write_chunks};

/// Long enough for a loaded machine; nothing waits this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) enum Seen {
    Publish { app: String, key: String, query: String, connect: Vec<(String, Value)> },
    Media { key: String, message: MediaMessage },
    Unpublish { key: String },
    Play { app: String, name: String, query: String },
    PlayDropped,
    Closed(CloseReason),
}

/// Accepts everything but the keys `denied`, `busy` and `badmedia`, and reports what it sees.
pub(crate) struct Recorder {
    seen: mpsc::UnboundedSender<Seen>,
    pub(crate) kick: Mutex<Vec<oneshot::Sender<Refusal>>>,
    pub(crate) play: Mutex<VecDeque<Parcel>>,
}

impl Handler for Recorder {
    async fn publish(&self, request: PublishRequest) -> Result<Publishing, Refusal> {
        let key = request.stream_key.expose().to_owned();
        let (app, query, connect) = (request.app, request.query, request.connect);
        let _ = self.seen.send(Seen::Publish { app, key: key.clone(), query, connect });
        match &*key {
            "denied" => return Err(Refusal::new(RefusalCode::Denied, "this key is not known")),
            "busy" => return Err(Refusal::new(RefusalCode::BadName, "already publishing")),
            "silent" => std::future::pending().await,
            _ => {}
        }
        let (kick, kicked) = oneshot::channel();
        self.kick.lock().unwrap().push(kick);
        let ended: BoxFuture<'static, Refusal> = Box::pin(async {
            match kicked.await {
                Ok(refusal) => refusal,
                Err(_) => std::future::pending().await,
            }
        });
        Ok(Publishing { session: Box::new(Recording { key, seen: self.seen.clone() }), ended })
    }

    async fn play(&self, request: PlayRequest) -> Result<Playing, Refusal> {
        let PlayRequest { app, name, query, .. } = request;
        let unknown = name == "unknown";
        let _ = self.seen.send(Seen::Play { app, name, query });
        if unknown {
            return Err(Refusal::new(RefusalCode::NotFound, "no such stream"));
        }
        let media = std::mem::take(&mut *self.play.lock().unwrap());
        let media = Box::new(Replay { media, seen: self.seen.clone() });
        Ok(Playing { media, ended: Box::pin(std::future::pending()) })
    }
}

struct Recording {
    key: String,
    seen: mpsc::UnboundedSender<Seen>,
}

impl PublishSession for Recording {
    fn media(&mut self, message: MediaMessage) -> Result<(), Refusal> {
        if self.key == "badmedia" {
            return Err(Refusal::new(RefusalCode::Unsupported, "this codec is not carried"));
        }
        let _ = self.seen.send(Seen::Media { key: self.key.clone(), message });
        Ok(())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.seen.send(Seen::Unpublish { key: self.key.clone() });
    }
}

struct Replay {
    media: VecDeque<Parcel>,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Outgoing for Replay {
    fn poll_parcel(&mut self, _: &mut Context<'_>) -> Poll<Option<Parcel>> {
        Poll::Ready(self.media.pop_front())
    }
}

/// Media that is there, after which more may come.
pub(crate) struct Pending(pub(crate) VecDeque<Parcel>);

impl Pending {
    pub(crate) fn of(parcels: impl IntoIterator<Item = Parcel>) -> Self {
        Self(parcels.into_iter().collect())
    }
}

impl Outgoing for Pending {
    fn poll_parcel(&mut self, _: &mut Context<'_>) -> Poll<Option<Parcel>> {
        self.0.pop_front().map_or(Poll::Pending, |parcel| Poll::Ready(Some(parcel)))
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let _ = self.seen.send(Seen::PlayDropped);
    }
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) listener: Arc<CappedListener>,
    seen: mpsc::UnboundedReceiver<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(None, PeerTimeouts::default()).await
    }

    pub(crate) async fn start_with(tls: Option<Arc<rustls::ServerConfig>>, timeouts: PeerTimeouts) -> Self {
        Self::serve(tls, timeouts, 256)
    }

    /// A server that one address may have so many connections to.
    pub(crate) async fn start_within(connections_per_ip_max: usize) -> Self {
        Self::serve(None, PeerTimeouts::default(), connections_per_ip_max)
    }

    fn serve(tls: Option<Arc<rustls::ServerConfig>>, timeouts: PeerTimeouts, connections_per_ip_max: usize) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let recorder = Arc::new(Recorder { seen: sender.clone(), kick: Mutex::default(), play: Mutex::default() });
        let limits = CapLimits { connections_max: 4_096, connections_per_ip_max, requests_per_ip_max: usize::MAX };
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let listener = Arc::new(CappedListener::bind(address, limits, TrustedProxies::default()).unwrap());
        let addr = listener.local_addr();
        let task = tokio::spawn({
            let (recorder, listener) = (Arc::clone(&recorder), Arc::clone(&listener));
            async move {
                loop {
                    let newcomer = listener.accept().await;
                    let (recorder, sender, tls) = (Arc::clone(&recorder), sender.clone(), tls.clone());
                    tokio::spawn(async move {
                        let reason = serve(newcomer, tls, timeouts, recorder).await;
                        let _ = sender.send(Seen::Closed(reason));
                    });
                }
            }
        });
        Self { addr, recorder, listener, seen, task }
    }

    pub(crate) async fn next(&mut self) -> Seen {
        tokio::time::timeout(PATIENCE, self.seen.recv()).await.expect("nothing seen in time").unwrap()
    }

    pub(crate) async fn closed(&mut self) -> CloseReason {
        loop {
            if let Seen::Closed(reason) = self.next().await {
                return reason;
            }
        }
    }

    pub(crate) fn kick(&self, refusal: Refusal) {
        let kick = self.recorder.kick.lock().unwrap().pop().unwrap();
        kick.send(refusal).unwrap();
    }

    pub(crate) fn target(&self, tls: bool, key: &str) -> ClientTarget {
        let scheme = if tls { "rtmps" } else { "rtmp" };
        let url = RtmpUrl::parse(&format!("{scheme}://localhost:{}/live", self.addr.port())).unwrap();
        ClientTarget { url, stream_key: key.into(), enhanced: false }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One certificate for localhost, and clients that trust only it.
pub(crate) struct Tls {
    pub(crate) server: Arc<rustls::ServerConfig>,
    pub(crate) client: Arc<rustls::ClientConfig>,
}

impl Tls {
    pub(crate) fn new() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_cert = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert = leaf.signed_by(&key, &issuer).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![cert.der().clone()],
                rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca_cert.der().clone()).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { server: Arc::new(server), client: Arc::new(client) }
    }
}

pub(crate) fn options() -> ClientOptions {
    ClientOptions::new(Dialer::default())
}

pub(crate) fn within(egress: Egress) -> ClientOptions {
    ClientOptions::new(Dialer::default().within(egress))
}

pub(crate) fn trusting(client: Arc<rustls::ClientConfig>) -> ClientOptions {
    ClientOptions::new(Dialer::new(Egress::default(), client))
}

pub(crate) async fn push(target: &ClientTarget, options: &ClientOptions) -> Result<PublishConnection, ClientError> {
    tokio::time::timeout(PATIENCE, connect_publish(target, options)).await.expect("no answer at all")
}

/// A whole message in the form in which a destination's queue holds it.
pub(crate) fn media(stream_id: u32, type_id: u8, timestamp_ms: u32, payload: &[u8]) -> Parcel {
    let message = Message { type_id, stream_id, timestamp_ms, payload: Bytes::copy_from_slice(payload) };
    let mut out = BytesMut::new();
    let csid = if type_id == type_id::AUDIO { 4 } else { 6 };
    write_chunks(&mut out, csid, Header::Full, &message, PLAY_CHUNK_SIZE as usize);
    out.freeze().into()
}

/// Drives until all of `pending` is written.
pub(crate) async fn drive_all(connection: &mut PublishConnection, pending: &mut Pending) {
    let drained =
        async { while connection.drive(pending).await.unwrap() != PushEvent::Drained || !pending.0.is_empty() {} };
    tokio::time::timeout(PATIENCE, drained).await.expect("not written in time");
}

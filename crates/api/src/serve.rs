//! The HTTP/1.1 listener: connections that are too many, too slow or too chatty end before they cost much.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Viewers come with the playback issue and count here too; each idle connection costs about 20 kB.
pub const MAX_CONNECTIONS: usize = 10_000;

/// Request line and headers together; hyper's least is 8 KiB.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;

/// To send all headers of a request, the first and each later one on the connection (so an idle one ends, too).
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// For the TLS handshake.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// After running out of file descriptors: wait, rather than spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` ends, then lets requests under way finish (bounded by whoever awaits this).
///
/// With a TLS configuration it is HTTPS.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let tls = tls.map(TlsAcceptor::from);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (draining, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let slot = Arc::clone(&slots);
        let accepted = async {
            // Full: let newcomers wait in the kernel's queue.
            let permit = slot.acquire_owned().await.map_err(|_| io::Error::other("closed"))?;
            Ok::<_, io::Error>((listener.accept().await?.0, permit))
        };
        let (socket, permit) = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "could not accept an HTTP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let _ = socket.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let drain = draining.subscribe();
        let tls = tls.clone();
        connections.spawn(async move {
            match tls {
                None => talk(TokioIo::new(socket), service, drain).await,
                // An error is the peer's: it speaks no TLS, or does not trust us.
                Some(tls) => {
                    if let Ok(Ok(socket)) = timeout(TLS_TIMEOUT, tls.accept(socket)).await {
                        talk(TokioIo::new(socket), service, drain).await;
                    }
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    draining.send_replace(true);
    while connections.join_next().await.is_some() {}
}

async fn talk<S>(socket: TokioIo<S>, service: TowerToHyperService<Router>, mut drain: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(socket, service)
        .with_upgrades();
    tokio::pin!(connection);
    // Its guard must not live on while the connection is awaited below.
    let draining = async { drop(drain.wait_for(|draining| *draining).await) };
    // An error here is the peer's: hung up, or sent what is no HTTP.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = draining => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

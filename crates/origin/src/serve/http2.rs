//! HTTP/2, on a connection that has agreed on it in its TLS handshake. It is as strict as HTTP/1.1 about time and room.
//!
//! It stands on the protocol's own library, without an HTTP library above it: whether a client takes anything of a stream can only be seen
//! where the stream's window is.

use std::sync::Arc;
use std::time::Duration;

use h2::Reason;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::exchange::{Ended, Exchange, Progress};
use super::{Guest, MAX_HEADER_BYTES, Shared};

/// The most requests at once. A player has five, the dashboard ten.
const STREAMS_MAX: u32 = 64;
/// The most streams that the client has taken back and that the library has not told us of yet. This is the library's own number.
const RESET_STREAMS_MAX: usize = 20;
/// How many bytes may wait in each stream for the socket to take them. They are counted references, no copies.
pub(super) const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// The room for bodies that are sent to us. One stream has the protocol's default, and all together have as much as one body may.
const STREAM_WINDOW_BYTES: u32 = 65_535;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// The time for the client's preface, which comes with the end of the TLS handshake.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for the last words, whether or not the socket takes them.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) async fn serve<S>(shared: &Arc<Shared>, socket: S, guest: Guest, mut drain: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .max_concurrent_reset_streams(RESET_STREAMS_MAX)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let limit = PREFACE_TIMEOUT.min(shared.limits.head_timeout);
    let Ok(Ok(mut connection)) = timeout(limit, builder.handshake(socket)).await else { return };

    let (guest, progress) = (Arc::new(guest), Arc::new(Progress::default()));
    // Each exchange is a task of its own, so that one whose answer is being made keeps no other waiting. All end with the connection.
    let mut exchanges = JoinSet::new();
    let idle = sleep(shared.limits.head_timeout);
    tokio::pin!(idle);
    let draining = async { drop(drain.wait_for(|draining| *draining).await) };
    tokio::pin!(draining);
    let mut is_draining = false;
    loop {
        tokio::select! {
            request = connection.accept() => match request {
                Some(Ok((request, respond))) => {
                    let exchange = Exchange {
                        shared: Arc::clone(shared),
                        guest: Arc::clone(&guest),
                        progress: Arc::clone(&progress),
                    };
                    exchanges.spawn(exchange.run(request, respond));
                }
                // The connection has ended, or what came is no HTTP/2.
                Some(Err(_)) | None => return,
            },
            Some(ended) = exchanges.join_next() => {
                if matches!(ended, Ok(Ended::Stalled)) {
                    shared.cut_off(guest.ip());
                    // One answer that is not read may be a film that was paused. If no other is read either, nobody is there.
                    if progress.silence() >= shared.limits.stall_timeout {
                        return say_goodbye(connection, Reason::ENHANCE_YOUR_CALM).await;
                    }
                }
                idle.as_mut().reset(Instant::now() + shared.limits.head_timeout);
            }
            () = &mut idle, if exchanges.is_empty() => return say_goodbye(connection, Reason::NO_ERROR).await,
            () = &mut draining, if !is_draining => {
                is_draining = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// Ends all streams and the connection, and says why if the client takes the words at once.
async fn say_goodbye<S>(mut connection: Connection<S, bytes::Bytes>, reason: Reason)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    connection.abrupt_shutdown(reason);
    let _ = timeout(GOODBYE_TIMEOUT, std::future::poll_fn(|cx| connection.poll_closed(cx))).await;
}

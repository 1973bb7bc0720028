//! Serving one accepted connection from the TLS handshake to its close.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use tokio::time::{Sleep, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::handler::{Handler, PlayRequest, Playing, PublishRequest, Publishing};
use super::listener::Incoming;
use super::transport::{CountedTcp, Transport};
use super::{now, random_bytes};
use crate::session::{Refusal, RefusalCode, ServerEvent, ServerSession, ServerTimers, SessionError, StreamName};

/// One read takes at most this, so one connection holds a core for no longer than parsing it takes.
const READ_BYTES: usize = 32 * 1024;
/// No more is read from a peer that leaves this much of our answers lying: that bounds the answers.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// Slices of one vectored write.
const SLICES_MAX: usize = 16;
/// How long a peer that was turned away gets to read why and to close.
const LINGER: Duration = Duration::from_secs(1);

/// How a connection came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed, with or without ceremony.
    PeerClosed,
    /// We turned a publisher or player away, or ended an accepted one.
    Refused(Refusal),
    /// The stream that was played has ended.
    PlayEnded,
    HandshakeTimeout,
    /// Connected, but neither published nor played.
    IntentTimeout,
    /// A publisher that sent nothing.
    IdleTimeout,
    /// A peer that took nothing.
    WriteStalled,
    /// The peer broke the protocol.
    Protocol(SessionError),
    Tls(String),
    Io(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("closed by the peer"),
            Self::Refused(refusal) => write!(f, "refused ({:?}): {}", refusal.code, refusal.description),
            Self::PlayEnded => f.write_str("the played stream ended"),
            Self::HandshakeTimeout => f.write_str("no handshake in time"),
            Self::IntentTimeout => f.write_str("no publish or play in time"),
            Self::IdleTimeout => f.write_str("the publisher sent nothing for too long"),
            Self::WriteStalled => f.write_str("the peer took nothing for too long"),
            Self::Protocol(error) => write!(f, "protocol error: {error}"),
            Self::Tls(error) => write!(f, "TLS failed: {error}"),
            Self::Io(error) => write!(f, "connection failed: {error}"),
        }
    }
}

impl From<SessionError> for CloseReason {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::HandshakeTimeout => Self::HandshakeTimeout,
            SessionError::IntentTimeout => Self::IntentTimeout,
            SessionError::IdleTimeout => Self::IdleTimeout,
            error => Self::Protocol(error),
        }
    }
}

impl From<io::Error> for CloseReason {
    fn from(error: io::Error) -> Self {
        if super::transport::is_end(&error) { Self::PeerClosed } else { Self::Io(error.to_string()) }
    }
}

impl Incoming {
    /// Serves the whole connection on the current runtime. Its place in the caps is free when this returns.
    pub async fn serve<H: Handler>(self, handler: Arc<H>) -> CloseReason {
        let Self { remote, tls, tcp, tls_config, limits, accepted_at, permit } = self;
        let opening = open(tcp, tls_config, accepted_at + limits.handshake_timeout);
        let reason = match opening.await {
            Err(reason) => reason,
            Ok((transport, random)) => {
                let timers = ServerTimers {
                    handshake: limits.handshake_timeout,
                    intent: limits.intent_timeout,
                    idle: limits.idle_timeout,
                };
                let connection = Connection {
                    wire: Wire::new(transport, limits.write_stall_timeout),
                    session: ServerSession::new(random, timers, accepted_at),
                    handler,
                    remote,
                    tls,
                    publishes: Vec::new(),
                    play: None,
                };
                // Boxed: the state of a TLS connection and its buffers are too much for a caller's future.
                Box::pin(connection.run()).await
            }
        };
        tracing::info!(%remote, tls, %reason, "RTMP connection closed");
        drop(permit);
        reason
    }
}

async fn open(
    tcp: std::net::TcpStream,
    tls_config: Option<Arc<rustls::ServerConfig>>,
    deadline: Instant,
) -> Result<(Transport, [u8; 1528]), CloseReason> {
    let random = random_bytes()?;
    let tcp = CountedTcp::new(tokio::net::TcpStream::from_std(tcp)?);
    let Some(config) = tls_config else { return Ok((Transport::Plain(tcp), random)) };
    match timeout_at(deadline.into(), TlsAcceptor::from(config).accept(tcp)).await {
        Err(_) => Err(CloseReason::HandshakeTimeout),
        Ok(Err(error)) => Err(CloseReason::Tls(error.to_string())),
        Ok(Ok(tls)) => Ok((Transport::Tls(Box::new(TlsStream::Server(tls))), random)),
    }
}

struct Connection<H> {
    wire: Wire,
    session: ServerSession,
    handler: Arc<H>,
    remote: SocketAddr,
    tls: bool,
    publishes: Vec<(u32, Publishing)>,
    /// One per connection; players open a connection for each stream.
    play: Option<(u32, Playing)>,
}

/// What ended a wait.
enum Wake {
    Io(Result<Io, io::Error>),
    PublishEnded(u32, Refusal),
    PlayMedia(Option<Bytes>),
    Timer,
}

impl<H: Handler> Connection<H> {
    async fn run(mut self) -> CloseReason {
        let reason = match self.steps().await {
            Ok(never) => match never {},
            Err(reason) => reason,
        };
        // Dropped before the goodbyes: a publish is over when its media is.
        self.publishes.clear();
        self.play = None;
        if matches!(reason, CloseReason::Refused(_) | CloseReason::PlayEnded) {
            self.wire.send(self.session.take_output());
            self.wire.close_politely().await;
        }
        reason
    }

    async fn steps(&mut self) -> Result<std::convert::Infallible, CloseReason> {
        let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            while let Some(event) = self.session.next_event(now())? {
                self.on_event(event).await?;
            }
            self.wire.send(self.session.take_output());
            match self.wait(timer.as_mut()).await {
                Wake::Io(Ok(Io::Read(count))) => self.session.feed(self.wire.read_bytes(count), now())?,
                Wake::Io(Ok(Io::Sent)) => {}
                Wake::Io(Ok(Io::End)) => return Err(CloseReason::PeerClosed),
                Wake::Io(Err(error)) => return Err(error.into()),
                Wake::PublishEnded(stream_id, refusal) => self.turn_away(stream_id, refusal)?,
                Wake::PlayMedia(Some(bytes)) => self.wire.send(bytes),
                Wake::PlayMedia(None) => {
                    if let Some((stream_id, _)) = self.play.take() {
                        self.session.end_play(stream_id);
                    }
                    return Err(CloseReason::PlayEnded);
                }
                Wake::Timer => {
                    let now = now();
                    self.session.on_timeout(now)?;
                    if self.wire.stalled_at().is_some_and(|deadline| now >= deadline) {
                        return Err(CloseReason::WriteStalled);
                    }
                }
            }
        }
    }

    async fn wait(&mut self, mut timer: Pin<&mut Sleep>) -> Wake {
        let deadline = [self.session.poll_timeout(), self.wire.stalled_at()].into_iter().flatten().min();
        if let Some(deadline) = deadline {
            // Deadlines mostly move away: one that rings early only looks and goes on, and resetting on every read
            // would cost more.
            let rings_at = timer.deadline().into_std();
            if deadline < rings_at || timer.is_elapsed() {
                timer.as_mut().reset(deadline.into());
            }
        }
        let Self { wire, publishes, play, .. } = self;
        let may_play = wire.unsent.is_empty();
        tokio::select! {
            io = std::future::poll_fn(|cx| wire.poll(cx)) => Wake::Io(io),
            (stream_id, refusal) = std::future::poll_fn(|cx| poll_ended(publishes, cx)) => {
                Wake::PublishEnded(stream_id, refusal)
            }
            media = next_media(play.as_mut()), if may_play => Wake::PlayMedia(media),
            () = timer, if deadline.is_some() => Wake::Timer,
        }
    }

    async fn on_event(&mut self, event: ServerEvent) -> Result<(), CloseReason> {
        match event {
            ServerEvent::Media { stream_id, message } => {
                let publish = self.publishes.iter_mut().find(|(id, _)| *id == stream_id);
                match publish.map(|(_, publishing)| publishing.session.media(message)) {
                    Some(Err(refusal)) => self.turn_away(stream_id, refusal),
                    Some(Ok(())) | None => Ok(()),
                }
            }
            ServerEvent::Publish { stream_id, name } => self.on_publish(stream_id, name).await,
            ServerEvent::Play { stream_id, name } => self.on_play(stream_id, name).await,
            ServerEvent::Ended { stream_id } => {
                self.forget(stream_id);
                Ok(())
            }
        }
    }

    async fn on_publish(&mut self, stream_id: u32, name: StreamName) -> Result<(), CloseReason> {
        let request = PublishRequest {
            remote: self.remote,
            tls: self.tls,
            app: name.app,
            stream_key: name.key,
            query: name.query,
            connect: self.session.connect_fields().to_vec(),
        };
        let deadline = self.session.poll_timeout();
        match answer_until(deadline, self.handler.publish(request)).await? {
            Ok(publishing) => {
                self.session.accept_publish(stream_id);
                self.publishes.push((stream_id, publishing));
                Ok(())
            }
            Err(refusal) => self.turn_away(stream_id, refusal),
        }
    }

    async fn on_play(&mut self, stream_id: u32, name: StreamName) -> Result<(), CloseReason> {
        if self.play.is_some() {
            let refusal = Refusal::new(RefusalCode::Unsupported, "one stream per connection can be played");
            self.session.refuse(stream_id, &refusal);
            return Ok(());
        }
        let request = PlayRequest {
            remote: self.remote,
            tls: self.tls,
            app: name.app,
            name: name.key.expose().to_owned(),
            query: name.query,
        };
        let deadline = self.session.poll_timeout();
        match answer_until(deadline, self.handler.play(request)).await? {
            Ok(playing) => {
                self.session.accept_play(stream_id);
                self.play = Some((stream_id, playing));
                Ok(())
            }
            Err(refusal) => self.turn_away(stream_id, refusal),
        }
    }

    /// Says no, and closes unless other streams of this connection go on.
    fn turn_away(&mut self, stream_id: u32, refusal: Refusal) -> Result<(), CloseReason> {
        self.session.refuse(stream_id, &refusal);
        self.forget(stream_id);
        let others_go_on = !self.publishes.is_empty() || self.play.is_some();
        if others_go_on { Ok(()) } else { Err(CloseReason::Refused(refusal)) }
    }

    fn forget(&mut self, stream_id: u32) {
        self.publishes.retain(|(id, _)| *id != stream_id);
        if self.play.as_ref().is_some_and(|(id, _)| *id == stream_id) {
            self.play = None;
        }
    }
}

async fn answer_until<T>(deadline: Option<Instant>, answer: impl Future<Output = T>) -> Result<T, CloseReason> {
    match deadline {
        Some(deadline) => timeout_at(deadline.into(), answer).await.map_err(|_| CloseReason::IntentTimeout),
        None => Ok(answer.await),
    }
}

fn poll_ended(publishes: &mut [(u32, Publishing)], cx: &mut Context<'_>) -> Poll<(u32, Refusal)> {
    for (stream_id, publishing) in publishes {
        if let Poll::Ready(refusal) = publishing.ended.as_mut().poll(cx) {
            return Poll::Ready((*stream_id, refusal));
        }
    }
    Poll::Pending
}

async fn next_media(play: Option<&mut (u32, Playing)>) -> Option<Bytes> {
    match play {
        Some((stream_id, playing)) => playing.session.next(*stream_id).await,
        None => std::future::pending().await,
    }
}

/// The transport with what waits to be sent.
struct Wire {
    transport: Transport,
    read_buffer: Box<[u8]>,
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    /// Since when nothing of `unsent` went.
    waiting_since: Instant,
    stall_timeout: Duration,
}

enum Io {
    Read(usize),
    /// Everything that waited was sent.
    Sent,
    End,
}

impl Wire {
    fn new(transport: Transport, stall_timeout: Duration) -> Self {
        Self {
            transport,
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            unsent: VecDeque::new(),
            unsent_bytes: 0,
            waiting_since: now(),
            stall_timeout,
        }
    }

    fn send(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if self.unsent.is_empty() {
            self.waiting_since = now();
        }
        self.unsent_bytes += bytes.len();
        self.unsent.push_back(bytes);
    }

    fn read_bytes(&self, count: usize) -> &[u8] {
        self.read_buffer.get(..count).unwrap_or_default()
    }

    fn stalled_at(&self) -> Option<Instant> {
        let waits = !self.unsent.is_empty() || self.transport.needs_flush();
        waits.then(|| self.waiting_since + self.stall_timeout)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Io>> {
        if let Poll::Ready(result) = self.poll_send(cx) {
            return Poll::Ready(result.map(|()| Io::Sent));
        }
        if self.unsent_bytes > UNSENT_BYTES_MAX {
            return Poll::Pending;
        }
        match self.transport.poll_read(cx, &mut self.read_buffer) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Io::End)),
            Poll::Ready(Ok(count)) => Poll::Ready(Ok(Io::Read(count))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ready when there was something to send and all of it went.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let had = !self.unsent.is_empty();
        while !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            for (slice, bytes) in slices.iter_mut().zip(&self.unsent) {
                *slice = IoSlice::new(bytes);
            }
            let used = self.unsent.len().min(SLICES_MAX);
            match self.transport.poll_write(cx, slices.get(..used).unwrap_or_default()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.waiting_since = now();
                    self.sent(count);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.transport.needs_flush() {
            if let Poll::Ready(result) = self.transport.poll_flush(cx) {
                return Poll::Ready(result);
            }
            return Poll::Pending;
        }
        if had { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn sent(&mut self, mut count: usize) {
        self.unsent_bytes = self.unsent_bytes.saturating_sub(count);
        while let Some(front) = self.unsent.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.unsent.pop_front();
        }
    }

    /// Sends the rest, closes our direction and lets the peer read it before the socket goes.
    async fn close_politely(&mut self) {
        let goodbye = async {
            while !self.unsent.is_empty() || self.transport.needs_flush() {
                if std::future::poll_fn(|cx| self.poll_send(cx)).await.is_err() {
                    return;
                }
            }
            if self.transport.shutdown().await.is_ok() {
                self.transport.drain(&mut self.read_buffer).await;
            }
        };
        // The peer may be gone, or never stop sending: either way it had its time.
        let _ = timeout(LINGER, goodbye).await;
    }
}

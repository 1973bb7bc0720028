//! Serves one accepted connection from the TLS handshake to its close.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsStream};
use weir_net::{Newcomer, Visit};

use super::close_reason::CloseReason;
use super::duplex::{Duplex, Io};
use super::handler::{Handler, Outgoing, PlayRequest, Playing, PublishRequest, Publishing};
use super::low_water::LowWater;
use super::transport::{CountedTcp, Transport};
use super::{BoxFuture, now, random_bytes};
use crate::protocol::{
    MediaMessage, MessageKind, Refusal, RefusalCode, RequestedStream, ServerEvent, ServerProtocol, ServerTimers,
};

/// One read takes at most this many bytes, so that a connection holds a core no longer than it takes to parse them.
const READ_BYTES: usize = 32 * 1024;

/// How long a peer may take for what it has to do.
#[derive(Debug, Clone, Copy)]
pub struct PeerTimeouts {
    /// The time from accept to the end of the RTMP handshake, the handshake of TLS included.
    pub handshake: Duration,
    /// The time from accept to an accepted publish or play. It starts again when the last of them has ended.
    pub intent: Duration,
    /// The time that a publisher may let pass without sending a byte.
    pub idle: Duration,
    /// The time that a peer may let pass without taking a byte of what waits for it.
    pub write_stall: Duration,
}

impl Default for PeerTimeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            intent: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            write_stall: Duration::from_secs(10),
        }
    }
}

/// Serves the whole connection on the current runtime: RTMP or, with a TLS configuration, RTMPS. When this returns, its place in the caps
/// is free.
pub async fn serve<H: Handler>(
    mut newcomer: Newcomer,
    tls_config: Option<Arc<rustls::ServerConfig>>,
    timeouts: PeerTimeouts,
    handler: Arc<H>,
) -> CloseReason {
    let (tls, accepted_at) = (tls_config.is_some(), newcomer.accepted_at);
    let deadline = accepted_at + timeouts.handshake;
    let opening = open(&mut newcomer, tls_config);
    let opened = timeout_at(deadline.into(), opening).await.unwrap_or(Err(CloseReason::HandshakeTimeout));
    let remote = newcomer.remote;
    let (reason, was_accepted) = match opened {
        Err(reason) => (reason, false),
        Ok((transport, random)) => {
            let timers = ServerTimers { handshake: timeouts.handshake, intent: timeouts.intent, idle: timeouts.idle };
            let connection = Connection {
                duplex: Duplex::new(transport, READ_BYTES),
                write_stall_timeout: timeouts.write_stall,
                protocol: ServerProtocol::new(random, timers, accepted_at),
                handler: Arc::clone(&handler),
                newcomer,
                publishes: Vec::new(),
                play: None,
                was_accepted: false,
                low_water: LowWater::default(),
                visit: None,
            };
            // The future is boxed: the state of a TLS connection and its buffers are too big for a caller's future.
            Box::pin(connection.run()).await
        }
    };
    if was_accepted {
        tracing::info!(%remote, tls, %reason, "RTMP connection closed");
    } else {
        // Strangers come and go as fast as they like, so they get no log line each. The application tells of them as it sees fit.
        tracing::debug!(%remote, tls, %reason, "RTMP connection closed before anything was accepted on it");
        if reason.is_fault() {
            handler.failed(remote, &reason);
        }
    }
    reason
}

async fn open(
    newcomer: &mut Newcomer,
    tls_config: Option<Arc<rustls::ServerConfig>>,
) -> Result<(Transport, [u8; 1528]), CloseReason> {
    let random = random_bytes()?;
    let tcp = CountedTcp::new(newcomer.open().await?);
    let Some(config) = tls_config else { return Ok((Transport::Plain(tcp), random)) };
    match TlsAcceptor::from(config).accept(tcp).await {
        Err(error) => Err(CloseReason::Tls(weir_net::tls_fault(&error))),
        Ok(tls) => Ok((Transport::Tls(Box::new(TlsStream::Server(tls))), random)),
    }
}

struct Connection<H> {
    duplex: Duplex,
    write_stall_timeout: Duration,
    protocol: ServerProtocol,
    handler: Arc<H>,
    newcomer: Newcomer,
    publishes: Vec<(u32, Publishing)>,
    /// A connection plays one stream at most; players open a connection for each stream.
    play: Option<(u32, Playing)>,
    /// Says that a publish or a play was accepted at some time.
    was_accepted: bool,
    low_water: LowWater,
    /// This is held while something is published or played; then this connection is not closed in favour of a newcomer.
    visit: Option<Visit>,
}

/// What ended a wait.
enum Wake {
    Io(Result<Io, io::Error>),
    SentAway(u32, Refusal),
    Timer,
}

impl<H: Handler> Connection<H> {
    /// Runs the connection to its end. Returns why it ended, and whether anything was accepted on it.
    async fn run(mut self) -> (CloseReason, bool) {
        let reason = match self.steps().await {
            Ok(never) => match never {},
            Err(reason) => reason,
        };
        // These are dropped before the goodbyes, because a publish is over when its media is.
        self.publishes.clear();
        self.play = None;
        if matches!(reason, CloseReason::Refused(_) | CloseReason::Unnameable(_) | CloseReason::PlayEnded) {
            self.duplex.send(self.protocol.take_output());
            self.duplex.close_politely().await;
        }
        (reason, self.was_accepted)
    }

    async fn steps(&mut self) -> Result<std::convert::Infallible, CloseReason> {
        let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        let mut emptied = false;
        loop {
            while let Some(event) = self.protocol.next_event(now())? {
                self.on_event(event).await?;
            }
            if std::mem::take(&mut emptied) {
                self.hold_reads(now());
            }
            self.duplex.send(self.protocol.take_output());
            match self.wait(timer.as_mut()).await {
                Wake::Io(Ok(Io::Read(count))) => {
                    self.protocol.feed(self.duplex.read_bytes(count), now())?;
                    emptied = self.duplex.was_emptied_by(count);
                }
                Wake::Io(Ok(Io::Sent | Io::MediaSent | Io::MediaWaits)) => {}
                Wake::Io(Ok(Io::MediaEnded)) => {
                    if let Some((stream_id, _)) = self.play.take() {
                        self.protocol.end_play(stream_id);
                    }
                    return Err(CloseReason::PlayEnded);
                }
                Wake::Io(Ok(Io::End)) => return Err(CloseReason::PeerClosed),
                Wake::Io(Err(error)) => return Err(error.into()),
                Wake::SentAway(stream_id, refusal) => self.turn_away(stream_id, refusal)?,
                Wake::Timer => {
                    let now = now();
                    self.protocol.on_timeout(now)?;
                    if let Some(bytes) = self.low_water.on_ring(now) {
                        self.duplex.set_low_water(bytes);
                    }
                    if self.stalled_at().is_some_and(|deadline| now >= deadline) {
                        return Err(CloseReason::WriteStalled);
                    }
                }
            }
        }
    }

    async fn wait(&mut self, mut timer: Pin<&mut Sleep>) -> Wake {
        let held_until = self.low_water.rings_at();
        let deadline = [self.protocol.poll_timeout(), self.stalled_at(), held_until].into_iter().flatten().min();
        if let Some(deadline) = deadline {
            // Deadlines mostly move away. A timer that rings too early only has us look and go on; to reset it on every read would cost
            // more.
            let rings_at = timer.deadline().into_std();
            if deadline < rings_at || timer.is_elapsed() {
                timer.as_mut().reset(deadline.into());
            }
        }
        let Self { duplex, publishes, play, .. } = self;
        let (mut media, mut play_ended) = match play {
            Some((id, Playing { media, ended })) => (Some(&mut **media as &mut dyn Outgoing), Some((*id, ended))),
            None => (None, None),
        };
        tokio::select! {
            io = std::future::poll_fn(|cx| duplex.poll(cx, media.as_deref_mut())) => Wake::Io(io),
            (stream_id, refusal) = std::future::poll_fn(|cx| poll_ended(publishes, &mut play_ended, cx)) => {
                Wake::SentAway(stream_id, refusal)
            }
            () = timer, if deadline.is_some() => Wake::Timer,
        }
    }

    /// When a peer that takes nothing has had its time. `None` if nothing waits for the peer.
    fn stalled_at(&self) -> Option<Instant> {
        self.duplex.waiting_since().map(|since| since + self.write_stall_timeout)
    }

    /// Has the socket wait until enough bytes are there to be worth a wake.
    fn hold_reads(&mut self, now: Instant) {
        if self.publishes.is_empty() || !self.duplex.has_low_water() {
            return;
        }
        let hurried = self.publishes.iter().any(|(_, publishing)| publishing.session.is_hurried());
        let (missing, limit) = (self.protocol.missing_bytes(), self.protocol.unacknowledged_bytes_max());
        if let Some(bytes) = self.low_water.mark(missing, limit, hurried, now) {
            self.duplex.set_low_water(bytes);
        }
    }

    async fn on_event(&mut self, event: ServerEvent) -> Result<(), CloseReason> {
        match event {
            ServerEvent::Media { stream_id, message } => {
                self.low_water.on_message(is_picture(&message), message.payload.len(), message.timestamp_ms);
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
            ServerEvent::Refused { refusal } => Err(CloseReason::Unnameable(refusal)),
        }
    }

    async fn on_publish(&mut self, stream_id: u32, name: RequestedStream) -> Result<(), CloseReason> {
        let request = PublishRequest {
            remote: self.newcomer.remote,
            app: name.app,
            stream_key: name.key,
            query: name.query,
            connect: self.protocol.connect_fields().to_vec(),
        };
        let deadline = self.protocol.poll_timeout();
        match answer_until(deadline, self.handler.publish(request)).await? {
            Ok(publishing) => {
                self.protocol.accept_publish(stream_id);
                self.publishes.push((stream_id, publishing));
                self.was_accepted = true;
                self.hold_place();
                Ok(())
            }
            Err(refusal) => Err(self.refuse(stream_id, refusal)),
        }
    }

    async fn on_play(&mut self, stream_id: u32, name: RequestedStream) -> Result<(), CloseReason> {
        if self.play.is_some() {
            let refusal = Refusal::new(RefusalCode::Unsupported, "one stream per connection can be played");
            return Err(self.refuse(stream_id, refusal));
        }
        let request = PlayRequest {
            remote: self.newcomer.remote,
            app: name.app,
            name: name.key.expose().to_owned(),
            query: name.query,
            stream_id,
        };
        let deadline = self.protocol.poll_timeout();
        match answer_until(deadline, self.handler.play(request)).await? {
            Ok(playing) => {
                self.protocol.accept_play(stream_id);
                self.play = Some((stream_id, playing));
                self.was_accepted = true;
                self.hold_place();
                Ok(())
            }
            Err(refusal) => Err(self.refuse(stream_id, refusal)),
        }
    }

    /// Says no to a request and ends the connection. A connection that could ask again and again would be a way to wear us out.
    fn refuse(&mut self, stream_id: u32, refusal: Refusal) -> CloseReason {
        self.protocol.refuse(stream_id, &refusal);
        CloseReason::Refused(refusal)
    }

    /// Ends an accepted stream, and the connection too unless other streams of it go on.
    fn turn_away(&mut self, stream_id: u32, refusal: Refusal) -> Result<(), CloseReason> {
        self.protocol.refuse(stream_id, &refusal);
        self.forget(stream_id);
        let others_go_on = !self.publishes.is_empty() || self.play.is_some();
        if others_go_on { Ok(()) } else { Err(CloseReason::Refused(refusal)) }
    }

    fn forget(&mut self, stream_id: u32) {
        self.publishes.retain(|(id, _)| *id != stream_id);
        if self.play.as_ref().is_some_and(|(id, _)| *id == stream_id) {
            self.play = None;
        }
        self.hold_place();
    }

    fn hold_place(&mut self) {
        if self.publishes.is_empty() && self.play.is_none() {
            self.visit = None;
        } else if self.visit.is_none() {
            self.visit = self.newcomer.begin();
        }
    }
}

/// Whether the message has a picture. A decoder configuration, which some encoders repeat before each keyframe, has none.
fn is_picture(message: &MediaMessage) -> bool {
    /// The mark of Enhanced RTMP, and its packet types that hold a frame: with and without a composition time.
    const ENHANCED: u8 = 0x80;
    const CODED_FRAMES: [u8; 2] = [1, 3];
    message.kind == MessageKind::Video
        && match *message.payload {
            [first, ..] if first & ENHANCED != 0 => CODED_FRAMES.contains(&(first & 0x0F)),
            [_, packet_type, ..] => packet_type == 1,
            _ => false,
        }
}

async fn answer_until<T>(deadline: Option<Instant>, answer: impl Future<Output = T>) -> Result<T, CloseReason> {
    match deadline {
        Some(deadline) => timeout_at(deadline.into(), answer).await.map_err(|_| CloseReason::IntentTimeout),
        None => Ok(answer.await),
    }
}

fn poll_ended(
    publishes: &mut [(u32, Publishing)],
    play: &mut Option<(u32, &mut BoxFuture<'static, Refusal>)>,
    cx: &mut Context<'_>,
) -> Poll<(u32, Refusal)> {
    let publishes = publishes.iter_mut().map(|(id, publishing)| (*id, &mut publishing.ended));
    for (stream_id, ended) in publishes.chain(play.as_mut().map(|(id, ended)| (*id, &mut **ended))) {
        if let Poll::Ready(refusal) = ended.as_mut().poll(cx) {
            return Poll::Ready((stream_id, refusal));
        }
    }
    Poll::Pending
}

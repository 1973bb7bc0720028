//! Who comes in by SRT: publishers to their stream's door, players to its feed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use weir_ingest::TsSession;
use weir_media::WireClock;
use weir_model::IngestProtocol;
use weir_observe::{Observe, Refusal, RefusalKind, ViewerKind};
use weir_restream::{Cold, SrtPlay};
use weir_srt::connection::PAYLOAD_BYTES_MAX;
use weir_srt::path::{Direction, PathMeter};
use weir_srt::{Accepted, Admittance, Gate, Received, SrtConnection, StreamId, reject};

use crate::admission::{Admission, AdmissionRefusal, PlayWish, Player, Publisher};

/// Connected, and not a byte of media for so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Packets come due one by one. They are gathered for so long before the next look, which spares most of the wakes; where
/// nobody wants each picture as it comes, longer.
const GATHER: Duration = Duration::from_millis(5);
const GATHER_UNHURRIED: Duration = Duration::from_millis(40);

/// Messages taken in one go before others on this lane get their turn: 130 kB.
const MESSAGES_AT_ONCE: usize = 100;

/// Figures are told this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Answers the SRT listener.
#[derive(Debug)]
pub struct SrtDoor {
    admission: Admission,
    observe: Observe,
}

/// How a connection ended, for the log.
type Ended = String;

impl SrtDoor {
    pub fn new(admission: Admission, observe: Observe) -> Self {
        Self { admission, observe }
    }

    /// Serves a caller that was let in, to its end.
    pub async fn serve(&self, accepted: Accepted) {
        let Accepted { connection, place } = accepted;
        let remote = connection.remote();
        let stream_id = connection.stream_id().to_owned();
        // Asked again: what was true at the handshake may not be any more, and what was said there is not kept.
        let (kind, ended) = match StreamId::parse(&stream_id) {
            Ok(StreamId::Publish { stream_key, program }) => {
                (RefusalKind::Publish, self.publish(connection, &stream_key, program).await)
            }
            Ok(StreamId::Request { name, rendition, token }) => {
                let (rendition, token) = (rendition.as_deref(), token.as_deref());
                let wish = PlayWish { name: &name, rendition, token, ip: remote.ip() };
                (RefusalKind::Play, self.play(connection, &wish).await)
            }
            Err(_) => (RefusalKind::Play, Ok("it does not say what it wants".to_owned())),
        };
        let ended = ended.unwrap_or_else(|refusal| {
            self.refused(kind, remote, in_srt(refusal), &refusal.to_string());
            refusal.to_string()
        });
        tracing::info!(%remote, ended, "SRT connection closed");
        drop(place);
    }

    async fn publish(
        &self,
        connection: SrtConnection,
        stream_key: &str,
        program: Option<u16>,
    ) -> Result<Ended, AdmissionRefusal> {
        let by = (IngestProtocol::Srt, WireClock::MPEG_TS);
        let publisher = self.admission.publish(stream_key, by, connection.remote()).await?;
        let Publisher { stream_id, ticket, leave } = publisher;
        let mut reader = Reader {
            connection,
            session: TsSession::new(ticket, program),
            meter: PathMeter::new(Direction::Receive),
            tell: ticker(),
            heard_at: Instant::now(),
        };
        let sent_away = Cold::new(leave.due());
        Ok(tokio::select! {
            ended = reader.run() => ended.to_owned(),
            why = sent_away => {
                tracing::info!(%stream_id, why, "a publisher is sent away");
                format!("sent away: {why}")
            }
        })
    }

    async fn play(&self, connection: SrtConnection, wish: &PlayWish<'_>) -> Result<Ended, AdmissionRefusal> {
        let Player { stream_id, hub, feeds, rendition, pass } = self.admission.play(wish).await?;
        let feed = feeds.ts_feed(&rendition, &Handle::current());
        let viewer = self.observe.board().viewer(stream_id, ViewerKind::Srt);
        Ok(tokio::select! {
            ended = SrtPlay::new(hub, feed, viewer).run(connection) => ended.to_owned(),
            end = Cold::new(pass.ended()) => {
                tracing::info!(%stream_id, why = %end, "a player is sent away");
                format!("sent away: {end}")
            }
        })
    }

    fn refused(&self, kind: RefusalKind, remote: SocketAddr, code: i32, message: &str) {
        let (network, code) = (weir_net::network(remote.ip()), code.to_string());
        self.observe.refused(&Refusal { kind, protocol: "srt", remote, network, code: &code, message });
    }
}

impl Gate for SrtDoor {
    fn ask(&self, id: &StreamId<'_>, remote: SocketAddr) -> Result<Admittance, i32> {
        let (kind, answer) = match id {
            StreamId::Publish { stream_key, .. } => {
                let grant = self.admission.would_publish(stream_key, remote.ip());
                let passphrase = |secret: weir_model::Secret| secret.expose().to_owned();
                let admit = grant.map(|grant| grant.srt_passphrase.map(passphrase));
                (RefusalKind::Publish, admit.map(|passphrase| Admittance { passphrase, latency: None }))
            }
            StreamId::Request { name, rendition, token } => {
                let (rendition, token) = (rendition.as_deref(), token.as_deref());
                let wish = PlayWish { name, rendition, token, ip: remote.ip() };
                (RefusalKind::Play, self.admission.would_play(&wish).map(|()| Admittance::default()))
            }
        };
        answer.map_err(|refusal| {
            let code = in_srt(refusal);
            self.refused(kind, remote, code, &refusal.to_string());
            code
        })
    }

    fn turned_away(&self, remote: SocketAddr, code: i32) {
        let message = if code == reject::OVERLOAD { "too many connections" } else { "it does not say what it wants" };
        self.refused(RefusalKind::Publish, remote, code, message);
    }
}

/// A refusal as SRT's number for it.
fn in_srt(refusal: AdmissionRefusal) -> i32 {
    match refusal {
        AdmissionRefusal::UnknownKey | AdmissionRefusal::Guessing => reject::FORBIDDEN,
        AdmissionRefusal::Occupied => reject::CONFLICT,
        AdmissionRefusal::Protected => reject::UNAUTHORIZED,
        AdmissionRefusal::Stopped
        | AdmissionRefusal::NotRunning
        | AdmissionRefusal::NoStream
        | AdmissionRefusal::NoRendition
        | AdmissionRefusal::NotLive => reject::NOT_FOUND,
    }
}

/// Reads one publisher.
struct Reader {
    connection: SrtConnection,
    session: TsSession,
    meter: PathMeter,
    tell: Interval,
    heard_at: Instant,
}

impl Reader {
    async fn run(&mut self) -> &'static str {
        let mut buffer = [0; PAYLOAD_BYTES_MAX];
        loop {
            let now = Instant::now();
            let mut messages = 0;
            let nothing_more = loop {
                match self.connection.try_receive(&mut buffer) {
                    Received::Message(bytes) => {
                        messages += 1;
                        self.heard_at = now;
                        let bytes = buffer.get(..bytes).unwrap_or_default();
                        if self.session.bytes(bytes, now).is_err() {
                            return "nothing usable came";
                        }
                    }
                    Received::Nothing => break true,
                    Received::End => {
                        self.session.finish(now);
                        return "the publisher left";
                    }
                }
                if messages == MESSAGES_AT_ONCE {
                    break false;
                }
            };
            if now.saturating_duration_since(self.heard_at) >= IDLE_TIMEOUT {
                return "the publisher sent nothing";
            }
            if !nothing_more {
                tokio::task::yield_now().await;
                continue;
            }
            let gather = if self.session.is_hurried() { GATHER } else { GATHER_UNHURRIED };
            tokio::select! {
                biased;
                _ = self.tell.tick() => {
                    let figures = self.meter.look(&self.connection.stats(), now);
                    self.session.path(figures);
                }
                () = sleep(gather), if messages > 0 => {}
                () = self.connection.readable(), if messages == 0 => {}
            }
        }
    }
}

fn ticker() -> Interval {
    let mut tell = interval(TELL_EVERY);
    tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tell
}

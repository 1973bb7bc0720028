//! Who comes in by SRT: publishers to their stream's door, players to its feed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use weir_hub::SOURCE_RENDITION;
use weir_ingest::{Admission, IngestMeter, Occupied, TsSession};
use weir_media::WireClock;
use weir_model::IngestProtocol;
use weir_observe::{Observe, Refusal, RefusalKind, ViewerKind};
use weir_restream::{Cold, SrtPlay};
use weir_srt::connection::PAYLOAD_BYTES_MAX;
use weir_srt::path::{Direction, PathMeter};
use weir_srt::{Accepted, Admittance, Gate, Received, SrtConnection, StreamId, reject};

use crate::commands::{Commands, PublishRefusal};
use crate::pass::Pass;
use crate::playback::{Playback, PlaybackRefusal};
use crate::renditions;
use crate::runtime::Runtime;

/// A stream that was created a moment ago is waited for this long.
const PATIENCE: Duration = Duration::from_secs(2);

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
    commands: Commands,
    playback: Playback,
    runtime: Runtime,
    observe: Observe,
}

/// How a connection ended, for the log.
type Ended = &'static str;

impl SrtDoor {
    pub fn new(commands: Commands, runtime: Runtime, observe: Observe) -> Self {
        let playback = Playback::new(commands.clone(), runtime.clone());
        Self { commands, playback, runtime, observe }
    }

    /// Serves a caller that was let in, to its end.
    pub async fn serve(&self, accepted: Accepted) {
        let Accepted { connection, place } = accepted;
        let remote = connection.remote();
        let stream_id = connection.stream_id().to_owned();
        // Asked again: what was true at the handshake may not be any more, and what was said there is not kept.
        let ended = match StreamId::parse(&stream_id) {
            Ok(StreamId::Publish { stream_key, program }) => self.publish(connection, &stream_key, program).await,
            Ok(StreamId::Request { name, rendition, token }) => {
                self.play(connection, &name, rendition.as_deref(), token.as_deref()).await
            }
            Err(_) => "it does not say what it wants",
        };
        tracing::info!(%remote, ended, "SRT connection closed");
        drop(place);
    }

    async fn publish(&self, connection: SrtConnection, stream_key: &str, program: Option<u16>) -> Ended {
        let from = connection.remote().ip();
        let Ok(grant) = self.commands.authorise_publish(stream_key, from) else { return "the key was changed" };
        let door = self.runtime.in_stream(grant.stream_id, PATIENCE, |run| run.door.clone()).await;
        let Some(door) = door else { return "the stream is not running" };
        let meter = IngestMeter::new(IngestProtocol::Srt, grant.slot, connection.remote().to_string());
        let Admission { ticket, evicted } = match door.admit(meter, WireClock::MPEG_TS, Instant::now()) {
            Ok(admission) => admission,
            Err(Occupied) => {
                self.refused(RefusalKind::Publish, connection.remote(), reject::CONFLICT, "already publishing");
                return "already publishing";
            }
        };
        tracing::info!(stream_id = %grant.stream_id, remote = %connection.remote(), "a publisher was admitted by SRT");
        let mut reader = Reader {
            connection,
            session: TsSession::new(ticket, program),
            meter: PathMeter::new(Direction::Receive),
            tell: ticker(),
            heard_at: Instant::now(),
        };
        let pass = Pass::publisher(&self.commands, grant.stream_id, stream_key);
        let sent_away = Cold::new(async {
            let why = tokio::select! {
                Ok(eviction) = evicted => eviction.0.to_owned(),
                end = pass.ended() => end.to_string(),
            };
            tracing::info!(stream_id = %grant.stream_id, why, "a publisher is sent away");
        });
        tokio::select! {
            ended = reader.run() => ended,
            () = sent_away => "sent away",
        }
    }

    async fn play(&self, connection: SrtConnection, name: &str, rendition: Option<&str>, token: Option<&str>) -> Ended {
        let ip = connection.remote().ip();
        let Ok(stream_id) = self.playback.admit(name, token, ip) else { return "not admitted" };
        let rendition = rendition.unwrap_or(SOURCE_RENDITION);
        let found = self
            .runtime
            .in_stream(stream_id, PATIENCE, |run| {
                let rendition = renditions::of_name(&run.stream, rendition)?;
                Some((run.hub.clone(), run.feeds.ts_feed(&rendition, &Handle::current())))
            })
            .await;
        let Some(Some((hub, feed))) = found else { return "no such rendition" };
        let viewer = self.observe.board().viewer(stream_id, ViewerKind::Srt);
        let pass = self.playback.pass(stream_id, token, ip);
        tokio::select! {
            ended = SrtPlay::new(hub, feed, viewer).run(connection) => ended,
            end = Cold::new(pass.ended()) => {
                tracing::info!(%stream_id, why = %end, "a player is sent away");
                "sent away"
            }
        }
    }

    fn ask_to_publish(&self, stream_key: &str, remote: SocketAddr) -> Result<Admittance, (i32, String)> {
        let grant = self.commands.authorise_publish(stream_key, remote.ip()).map_err(|refusal| match refusal {
            PublishRefusal::Unknown | PublishRefusal::Guessing => (reject::FORBIDDEN, refusal.to_string()),
            PublishRefusal::Disabled => (reject::NOT_FOUND, refusal.to_string()),
        })?;
        // One that does not run yet is waited for when the caller is in.
        let free = self.runtime.streams().get(&grant.stream_id).is_none_or(|run| run.door.is_free(Instant::now()));
        if !free {
            return Err((reject::CONFLICT, "already publishing".to_owned()));
        }
        Ok(Admittance { passphrase: grant.srt_passphrase.map(|secret| secret.expose().to_owned()), latency: None })
    }

    fn ask_to_play(
        &self,
        name: &str,
        rendition: Option<&str>,
        token: Option<&str>,
        remote: SocketAddr,
    ) -> Result<Admittance, (i32, String)> {
        let stream_id = self.playback.admit(name, token, remote.ip()).map_err(|refusal| match refusal {
            PlaybackRefusal::NotFound => (reject::NOT_FOUND, "no such stream".to_owned()),
            PlaybackRefusal::Protected => (reject::UNAUTHORIZED, "this stream is protected".to_owned()),
        })?;
        let streams = self.runtime.streams();
        let run = streams.get(&stream_id).filter(|run| run.hub.pulse().attached);
        let run = run.ok_or_else(|| (reject::NOT_FOUND, "the stream is not live".to_owned()))?;
        match renditions::of_name(&run.stream, rendition.unwrap_or(SOURCE_RENDITION)) {
            Some(_) => Ok(Admittance::default()),
            None => Err((reject::NOT_FOUND, "no such rendition".to_owned())),
        }
    }

    fn refused(&self, kind: RefusalKind, remote: SocketAddr, code: i32, message: &str) {
        let (network, code) = (weir_net::network(remote.ip()), code.to_string());
        self.observe.refused(&Refusal { kind, protocol: "srt", remote, network, code: &code, message });
    }
}

impl Gate for SrtDoor {
    fn ask(&self, id: &StreamId<'_>, remote: SocketAddr) -> Result<Admittance, i32> {
        let (kind, answer) = match id {
            StreamId::Publish { stream_key, .. } => (RefusalKind::Publish, self.ask_to_publish(stream_key, remote)),
            StreamId::Request { name, rendition, token } => {
                (RefusalKind::Play, self.ask_to_play(name, rendition.as_deref(), token.as_deref(), remote))
            }
        };
        answer.map_err(|(code, message)| {
            self.refused(kind, remote, code, &message);
            code
        })
    }

    fn turned_away(&self, remote: SocketAddr, code: i32) {
        let message = if code == reject::OVERLOAD { "too many connections" } else { "it does not say what it wants" };
        self.refused(RefusalKind::Publish, remote, code, message);
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
    async fn run(&mut self) -> Ended {
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

//! SRT: it answers callers with SRT's numbers on the thread that reads the port, and serves those who are let in.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_control::{Admission, AdmissionRefusal, AdmittedPlayer, AdmittedPublisher, Lanes, PlayWish};
use weir_hub::Cold;
use weir_ingest::SrtPublisher;
use weir_media::WireClock;
use weir_model::ViewerKind;
use weir_net::Caps;
use weir_observe::{Counter, Heartbeat, Observe, RefusalKind, RefusalReport};
use weir_play::SrtPlay;
use weir_srt::{Accepted, Admittance, Gate, ListenLimits, SrtConnection, SrtListener, SrtStreamId, reject};

use crate::base::Base;
use crate::config::{Config, Listen};

/// A listener that is bound and not yet served. It asks before it lets a caller in, so listener and admission are made together.
struct Bound {
    listener: SrtListener,
    admission: Arc<SrtAdmission>,
    lanes: Lanes,
}

/// Binds the listener; None where it is off.
pub(super) fn bind(config: &Config, base: &Base) -> anyhow::Result<Option<Box<dyn super::Listener>>> {
    let Listen { address: Some(address), connections, .. } = *config.listen("srt") else { return Ok(None) };
    let admission = Arc::new(SrtAdmission { admission: base.admission.clone(), observe: base.observe.clone() });
    let limits = ListenLimits {
        connections_max: connections.max,
        connections_per_ip_max: connections.per_ip_max,
        latency: config.srt_latency,
    };
    let listener = SrtListener::bind(address, limits, Arc::clone(&admission) as Arc<dyn Gate>)
        .with_context(|| format!("cannot listen for SRT on {address}"))?;
    Ok(Some(Box::new(Bound { listener, admission, lanes: base.lanes.clone() })))
}

impl super::Listener for Bound {
    fn protocol(&self) -> &'static str {
        "srt"
    }

    fn name(&self) -> &'static str {
        "the SRT listener"
    }

    fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn before_key(&self) -> Option<&'static str> {
        Some("?mode=caller&streamid=publish:")
    }

    fn caps(&self) -> &Arc<Caps> {
        self.listener.caps()
    }

    fn run(self: Box<Self>, stop: CancellationToken, heartbeat: Heartbeat) -> BoxFuture<'static, ()> {
        Box::pin(self.serve(stop, heartbeat))
    }
}

impl Bound {
    async fn serve(self: Box<Self>, stop: CancellationToken, heartbeat: Heartbeat) {
        let Self { listener, admission, lanes } = *self;
        let mut connections: JoinSet<()> = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = heartbeat.idle(listener.accept()) => {
                    admission.observe.counters().add(Counter::SrtConnections, 1);
                    number += 1;
                    let admission = Arc::clone(&admission);
                    connections.spawn_on(async move { admission.serve(accepted).await }, lanes.pick(number));
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

/// Asks whether somebody may publish or play.
#[derive(Debug)]
struct SrtAdmission {
    admission: Admission,
    observe: Observe,
}

/// How a connection ended, for the log.
type Ended = String;

impl SrtAdmission {
    /// Serves a caller that was let in, to its end.
    async fn serve(&self, accepted: Accepted) {
        let Accepted { connection, permit } = accepted;
        let remote = connection.remote();
        let stream_id = connection.stream_id().to_owned();
        // Admission is asked again: what was true at the handshake may not be any more, and its answer was not kept.
        let (kind, ended) = match SrtStreamId::parse(&stream_id) {
            Ok(SrtStreamId::Publish { stream_key, program }) => {
                (RefusalKind::Publish, self.publish(connection, &stream_key, program).await)
            }
            Ok(SrtStreamId::Request { name, rendition, token }) => {
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
        drop(permit);
    }

    async fn publish(
        &self,
        connection: SrtConnection,
        stream_key: &str,
        program: Option<u16>,
    ) -> Result<Ended, AdmissionRefusal> {
        let by = ("srt", WireClock::MPEG_TS);
        let AdmittedPublisher { stream_id, ticket, leave } =
            self.admission.publish(stream_key, by, connection.remote()).await?;
        let publisher = SrtPublisher::new(connection, ticket, program);
        let sent_away = Cold::new(leave.due());
        Ok(tokio::select! {
            ended = publisher.run() => ended.to_owned(),
            why = sent_away => {
                tracing::info!(%stream_id, why, "a publisher is sent away");
                format!("sent away: {why}")
            }
        })
    }

    async fn play(&self, connection: SrtConnection, wish: &PlayWish<'_>) -> Result<Ended, AdmissionRefusal> {
        let AdmittedPlayer { stream_id, hub, feeds, rendition, pass } = self.admission.play(wish).await?;
        let feed = feeds.feed(&rendition, (), &Handle::current());
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
        self.observe.refused(&RefusalReport { kind, protocol: "srt", remote, network, code: &code, message });
    }
}

impl Gate for SrtAdmission {
    fn ask(&self, id: &SrtStreamId<'_>, remote: SocketAddr) -> Result<Admittance, i32> {
        let (kind, answer) = match id {
            SrtStreamId::Publish { stream_key, .. } => {
                let grant = self.admission.would_publish(stream_key, remote.ip());
                let passphrase = |secret: weir_model::Secret| secret.expose().to_owned();
                let admit = grant.map(|grant| grant.srt_passphrase.map(passphrase));
                (RefusalKind::Publish, admit.map(|passphrase| Admittance { passphrase, latency: None }))
            }
            SrtStreamId::Request { name, rendition, token } => {
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

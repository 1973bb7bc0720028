//! SRT: it answers callers with SRT's numbers on the thread that reads the port, and serves those who are let in.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use weir_control::{AdmissionRefusal, PlayWish};
use weir_ingest::SrtPublisher;
use weir_media::WireClock;
use weir_model::ViewerKind;
use weir_net::{CapLimits, Caps};
use weir_observe::{Counter, RefusalKind};
use weir_play::SrtPlay;
use weir_srt::{Accepted, Admittance, Gate, ListenLimits, SrtListener, SrtStreamId, reject};

use super::port::{Arrival, Port};
use super::reception::Reception;
use crate::config::Config;

/// A bound port. It asks before it lets a caller in, so listener and reception are made together.
struct SrtPort {
    listener: SrtListener,
    reception: Arc<SrtReception>,
}

pub(super) fn bind(
    address: SocketAddr,
    limits: CapLimits,
    reception: Arc<Reception>,
    config: &Config,
) -> anyhow::Result<Box<dyn Port>> {
    let reception = Arc::new(SrtReception(reception));
    let limits = ListenLimits {
        connections_max: limits.connections_max,
        connections_per_ip_max: limits.connections_per_ip_max,
        latency: config.srt_latency,
    };
    let listener = SrtListener::bind(address, limits, Arc::clone(&reception) as Arc<dyn Gate>)?;
    Ok(Box::new(SrtPort { listener, reception }))
}

impl Port for SrtPort {
    fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn caps(&self) -> &Arc<Caps> {
        self.listener.caps()
    }

    fn accept(&self) -> BoxFuture<'_, Arrival> {
        Box::pin(async {
            let accepted = self.listener.accept().await;
            self.reception.0.observe.counters().add(Counter::SrtConnections, 1);
            let reception = Arc::clone(&self.reception);
            let serve: BoxFuture<'static, ()> = Box::pin(async move { reception.serve(accepted).await });
            (serve, None)
        })
    }
}

/// The reception of callers by SRT: they are asked about at the handshake, and again when they are in.
#[derive(Debug)]
struct SrtReception(Arc<Reception>);

impl SrtReception {
    /// Serves a caller that was let in, to its end.
    async fn serve(&self, accepted: Accepted) {
        let Accepted { connection, permit } = accepted;
        let remote = connection.remote();
        let stream_id = connection.stream_id().to_owned();
        // Admission is asked again: what was true at the handshake may not be any more, and its answer was not kept.
        let (kind, ended) = match SrtStreamId::parse(&stream_id) {
            Ok(SrtStreamId::Publish { stream_key, program }) => {
                let publisher = async |ticket| SrtPublisher::new(connection, ticket, program).run().await.words();
                let ended = self.0.publish((&stream_key, WireClock::MPEG_TS), remote, publisher).await;
                (RefusalKind::Publish, ended)
            }
            Ok(SrtStreamId::Request { name, rendition, token }) => {
                let (rendition, token) = (rendition.as_deref(), token.as_deref());
                let wish = PlayWish { name: &name, rendition, token, ip: remote.ip() };
                let player = |hub, feed, viewer| SrtPlay::new(hub, feed, viewer).run(connection);
                (RefusalKind::Play, self.0.play((&wish, ()), ViewerKind::Srt, player).await)
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

    fn refused(&self, kind: RefusalKind, remote: SocketAddr, code: i32, message: &str) {
        self.0.refused(kind, remote, &code.to_string(), message);
    }
}

impl Gate for SrtReception {
    fn ask(&self, id: &SrtStreamId<'_>, remote: SocketAddr) -> Result<Admittance, i32> {
        let (kind, answer) = match id {
            SrtStreamId::Publish { stream_key, .. } => {
                let grant = self.0.admission.would_publish(stream_key, remote.ip());
                let passphrase = |secret: weir_model::Secret| secret.expose().to_owned();
                let admit = grant.map(|grant| grant.srt_passphrase.map(passphrase));
                (RefusalKind::Publish, admit.map(|passphrase| Admittance { passphrase, latency: None }))
            }
            SrtStreamId::Request { name, rendition, token } => {
                let (rendition, token) = (rendition.as_deref(), token.as_deref());
                let wish = PlayWish { name, rendition, token, ip: remote.ip() };
                (RefusalKind::Play, self.0.admission.would_play(&wish).map(|()| Admittance::default()))
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

//! RTMP and RTMPS: it answers requests in RTMP's words, and gives those who are let in what takes or gives their media.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_control::{Admission, AdmissionRefusal, AdmittedPlayer, AdmittedPublisher, Lanes, PlayWish};
use weir_hub::Cold;
use weir_ingest::RtmpSession;
use weir_media::WireClock;
use weir_model::ViewerKind;
use weir_net::Caps;
use weir_observe::{Counter, Heartbeat, Observe, RefusalKind};
use weir_play::RtmpPlay;
use weir_rtmp::net::{
    CloseReason, Handler, ListenLimits, Listener, PlayRequest, Playing, PublishRequest, Publishing, Refusal,
    RefusalCode,
};

use crate::base::Base;
use crate::config::{Config, Listen};

/// The application names of the contract: `rtmp://host/live/<key>` and `rtmp://host/play/<name>`.
const PUBLISH_APP: &str = "live";
const PLAY_APP: &str = "play";
const BEFORE_KEY: &str = "/live/";

/// A listener that is bound and not yet served.
struct RtmpListener {
    /// `rtmp` or `rtmps`.
    protocol: &'static str,
    listener: Listener,
    lanes: Lanes,
    observe: Observe,
    admission: Admission,
}

/// Binds the listener; None where it is off.
pub(super) async fn bind(
    protocol: &'static str,
    config: &Config,
    base: &Base,
    tls: Option<Arc<ServerConfig>>,
) -> anyhow::Result<Option<Box<dyn super::Listener>>> {
    let Listen { address: Some(address), connections, .. } = *config.listen(protocol) else { return Ok(None) };
    let limits = ListenLimits {
        connections_max: connections.max,
        connections_per_ip_max: connections.per_ip_max,
        ..ListenLimits::default()
    };
    let listener = Listener::bind(address, tls, limits).await;
    let listener = listener.with_context(|| format!("cannot listen for RTMP on {address}"))?;
    Ok(Some(Box::new(RtmpListener {
        protocol,
        listener: listener.behind(config.trusted_proxies.clone()),
        lanes: base.lanes.clone(),
        observe: base.observe.clone(),
        admission: base.admission.clone(),
    })))
}

impl super::Listener for RtmpListener {
    fn protocol(&self) -> &'static str {
        self.protocol
    }

    fn name(&self) -> &'static str {
        if self.protocol == "rtmps" { "the RTMPS listener" } else { "the RTMP listener" }
    }

    fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn before_key(&self) -> Option<&'static str> {
        Some(BEFORE_KEY)
    }

    fn caps(&self) -> &Arc<Caps> {
        self.listener.caps()
    }

    fn run(self: Box<Self>, stop: CancellationToken, heartbeat: Heartbeat) -> BoxFuture<'static, ()> {
        Box::pin(self.serve(stop, heartbeat))
    }
}

impl RtmpListener {
    async fn serve(self: Box<Self>, stop: CancellationToken, heartbeat: Heartbeat) {
        let Self { listener, lanes, observe, admission, .. } = *self;
        let admission = Arc::new(RtmpAdmission { admission, observe: observe.clone() });
        let mut connections: JoinSet<CloseReason> = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                incoming = heartbeat.idle(listener.accept()) => {
                    observe.counters().add(Counter::RtmpConnections, 1);
                    if incoming.made_room() {
                        observe.counters().add(Counter::PlacesGivenUp, 1);
                    }
                    number += 1;
                    let place = incoming.place();
                    let (admission, observe) = (Arc::clone(&admission), observe.clone());
                    let serve = async move {
                        let reason = incoming.serve(admission).await;
                        if !matches!(reason, CloseReason::PeerClosed | CloseReason::PlayEnded) {
                            observe.counters().add(Counter::RtmpConnectionsFailed, 1);
                        }
                        reason
                    };
                    place.served_by(connections.spawn_on(serve, lanes.pick(number)));
                }
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

/// Asks whether somebody may publish or play.
struct RtmpAdmission {
    admission: Admission,
    observe: Observe,
}

impl RtmpAdmission {
    async fn admit(&self, request: &PublishRequest) -> Result<Publishing, Refusal> {
        if request.app != PUBLISH_APP {
            let text = format!("publish to /{PUBLISH_APP}/<stream key>");
            return Err(Refusal::new(RefusalCode::Denied, text));
        }
        let protocol = if request.tls { "rtmps" } else { "rtmp" };
        let (key, by) = (request.stream_key.expose(), (protocol, WireClock::RTMP));
        let AdmittedPublisher { ticket, leave, .. } =
            self.admission.publish(key, by, request.remote).await.map_err(in_rtmp)?;
        Ok(Publishing {
            session: Box::new(RtmpSession::new(ticket)),
            ended: Box::pin(Cold::new(async move { Refusal::new(RefusalCode::Ended, leave.due().await) })),
        })
    }

    fn refused(&self, kind: RefusalKind, tls: bool, remote: SocketAddr, code: &str, message: &str) {
        let protocol = if tls { "rtmps" } else { "rtmp" };
        let network = weir_net::network(remote.ip());
        self.observe.refused(&weir_observe::RefusalReport { kind, protocol, remote, network, code, message });
    }

    async fn open(&self, request: &PlayRequest) -> Result<Playing, Refusal> {
        if request.app != PLAY_APP {
            return Err(Refusal::new(RefusalCode::NotFound, format!("play /{PLAY_APP}/<stream name>")));
        }
        let wish = PlayWish {
            name: &request.name,
            rendition: parameter(&request.query, "rendition="),
            token: parameter(&request.query, "token="),
            ip: request.remote.ip(),
        };
        let AdmittedPlayer { stream_id, hub, feeds, rendition, pass } =
            self.admission.play(&wish).await.map_err(in_rtmp)?;
        let feed = feeds.feed(&rendition, None, &Handle::current());
        let viewer = self.observe.board().viewer(stream_id, ViewerKind::Rtmp);
        Ok(Playing {
            session: Box::new(RtmpPlay::new(hub, feed, viewer)),
            ended: Box::pin(Cold::new(async move { Refusal::new(RefusalCode::Ended, pass.ended().await.to_string()) })),
        })
    }
}

impl Handler for RtmpAdmission {
    async fn publish(&self, request: PublishRequest) -> Result<Publishing, Refusal> {
        let answer = self.admit(&request).await;
        if let Err(refusal) = &answer {
            let code = refusal.code.publish_code();
            self.refused(RefusalKind::Publish, request.tls, request.remote, code, &refusal.description);
        }
        answer
    }

    async fn play(&self, request: PlayRequest) -> Result<Playing, Refusal> {
        let answer = self.open(&request).await;
        if let Err(refusal) = &answer {
            let code = refusal.code.play_code();
            self.refused(RefusalKind::Play, request.tls, request.remote, code, &refusal.description);
        }
        answer
    }

    fn failed(&self, remote: SocketAddr, tls: bool, reason: &CloseReason) {
        self.refused(RefusalKind::Publish, tls, remote, reason.code(), &reason.to_string());
    }
}

/// The value of the parameter `name`, which ends in "=". The server's own values need no escapes.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name))
}

/// A refusal in RTMP's words.
fn in_rtmp(refusal: AdmissionRefusal) -> Refusal {
    let code = match refusal {
        AdmissionRefusal::Occupied => RefusalCode::BadName,
        AdmissionRefusal::UnknownKey
        | AdmissionRefusal::Guessing
        | AdmissionRefusal::Stopped
        | AdmissionRefusal::NotRunning
        | AdmissionRefusal::Protected => RefusalCode::Denied,
        AdmissionRefusal::NoStream | AdmissionRefusal::NoRendition | AdmissionRefusal::NotLive => RefusalCode::NotFound,
    };
    Refusal::new(code, refusal.to_string())
}

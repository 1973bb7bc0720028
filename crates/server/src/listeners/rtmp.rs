//! RTMP and RTMPS: it answers requests in RTMP's words, and gives those who are let in what takes or gives their media.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use tokio::runtime::Handle;
use weir_control::{AdmissionRefusal, AdmittedPlayer, AdmittedPublisher, PlayWish};
use weir_hub::Cold;
use weir_ingest::RtmpSession;
use weir_media::WireClock;
use weir_model::ViewerKind;
use weir_net::Newcomer;
use weir_observe::{Counter, RefusalKind};
use weir_play::rtmp_play;
use weir_rtmp::net::{
    CloseReason, Handler, PeerTimeouts, PlayRequest, Playing, PublishRequest, Publishing, Refusal, RefusalCode,
};

use super::reception::Reception;

/// The application names of the contract: `rtmp://host/live/<key>` and `rtmp://host/play/<name>`.
const PUBLISH_APP: &str = "live";
const PLAY_APP: &str = "play";

/// Serves one connection to its end.
pub(super) fn serve(
    newcomer: Newcomer,
    tls: Option<Arc<ServerConfig>>,
    reception: Arc<Reception>,
) -> BoxFuture<'static, ()> {
    let observe = reception.observe.clone();
    observe.counters().add(Counter::RtmpConnections, 1);
    Box::pin(async move {
        let handler = Arc::new(RtmpReception(reception));
        let reason = weir_rtmp::net::serve(newcomer, tls, PeerTimeouts::default(), handler).await;
        if !matches!(reason, CloseReason::PeerClosed | CloseReason::PlayEnded) {
            observe.counters().add(Counter::RtmpConnectionsFailed, 1);
        }
    })
}

/// The reception of those who speak RTMP: they ask in the middle of a conversation, and go on with it when they were refused.
struct RtmpReception(Arc<Reception>);

impl RtmpReception {
    async fn admit(&self, request: &PublishRequest) -> Result<Publishing, Refusal> {
        if request.app != PUBLISH_APP {
            let text = format!("publish to /{PUBLISH_APP}/<stream key>");
            return Err(Refusal::new(RefusalCode::Denied, text));
        }
        let (key, by) = (request.stream_key.expose(), (self.0.protocol, WireClock::RTMP));
        let AdmittedPublisher { ticket, leave, .. } =
            self.0.admission.publish(key, by, request.remote).await.map_err(in_rtmp)?;
        Ok(Publishing {
            session: Box::new(RtmpSession::new(ticket)),
            ended: Box::pin(Cold::new(async move { Refusal::new(RefusalCode::Ended, leave.due().await) })),
        })
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
            self.0.admission.play(&wish).await.map_err(in_rtmp)?;
        let feed = feeds.feed(&rendition, None, &Handle::current());
        let viewer = self.0.observe.board().viewer(stream_id, ViewerKind::Rtmp);
        Ok(Playing {
            media: Box::new(rtmp_play(hub, feed, viewer, request.stream_id)),
            ended: Box::pin(Cold::new(async move { Refusal::new(RefusalCode::Ended, pass.ended().await.to_string()) })),
        })
    }
}

impl Handler for RtmpReception {
    async fn publish(&self, request: PublishRequest) -> Result<Publishing, Refusal> {
        let answer = self.admit(&request).await;
        if let Err(refusal) = &answer {
            let code = refusal.code.publish_code();
            self.0.refused(RefusalKind::Publish, request.remote, code, &refusal.description);
        }
        answer
    }

    async fn play(&self, request: PlayRequest) -> Result<Playing, Refusal> {
        let answer = self.open(&request).await;
        if let Err(refusal) = &answer {
            self.0.refused(RefusalKind::Play, request.remote, refusal.code.play_code(), &refusal.description);
        }
        answer
    }

    fn failed(&self, remote: SocketAddr, reason: &CloseReason) {
        self.0.refused(RefusalKind::Publish, remote, reason.code(), &reason.to_string());
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

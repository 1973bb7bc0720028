//! Admission over RTMP: requests are answered in RTMP's words, and whoever is let in gets what takes or gives their media.

use std::net::SocketAddr;

use tokio::runtime::Handle;
use weir_hub::Cold;
use weir_ingest::RtmpSession;
use weir_media::WireClock;
use weir_model::{IngestProtocol, ViewerKind};
use weir_observe::{Observe, RefusalKind};
use weir_play::RtmpPlay;
use weir_rtmp::net::{CloseReason, Handler, PlayRequest, Playing, PublishRequest, Publishing, Refusal, RefusalCode};

use super::{Admission, AdmissionRefusal, PlayWish, Player, Publisher};

/// The application names of the contract: `rtmp://host/live/<key>` and `rtmp://host/play/<name>`.
const PUBLISH_APP: &str = "live";
const PLAY_APP: &str = "play";

/// Answers the RTMP listeners.
#[derive(Clone, Debug)]
pub struct RtmpAdmission {
    admission: Admission,
    observe: Observe,
}

impl RtmpAdmission {
    pub fn new(admission: Admission, observe: Observe) -> Self {
        Self { admission, observe }
    }

    async fn admit(&self, request: &PublishRequest) -> Result<Publishing, Refusal> {
        if request.app != PUBLISH_APP {
            let text = format!("publish to /{PUBLISH_APP}/<stream key>");
            return Err(Refusal::new(RefusalCode::Denied, text));
        }
        let protocol = if request.tls { IngestProtocol::Rtmps } else { IngestProtocol::Rtmp };
        let (key, by) = (request.stream_key.expose(), (protocol, WireClock::RTMP));
        let Publisher { ticket, leave, .. } = self.admission.publish(key, by, request.remote).await.map_err(in_rtmp)?;
        Ok(Publishing {
            session: Box::new(RtmpSession::new(ticket)),
            ended: Box::pin(Cold::new(async move { Refusal::new(RefusalCode::Ended, leave.due().await) })),
        })
    }

    fn refused(&self, kind: RefusalKind, tls: bool, remote: SocketAddr, code: &str, message: &str) {
        let protocol = if tls { "rtmps" } else { "rtmp" };
        let network = weir_net::network(remote.ip());
        self.observe.refused(&weir_observe::Refusal { kind, protocol, remote, network, code, message });
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
        let Player { stream_id, hub, feeds, rendition, pass } = self.admission.play(&wish).await.map_err(in_rtmp)?;
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

/// The value behind `name`, which ends in "=". Ours need no escapes.
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

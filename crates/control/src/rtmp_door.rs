//! Who comes in by RTMP: publishers to their stream's door, players to its feed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use weir_hub::SOURCE_RENDITION;
use weir_ingest::{IngestMeter, Occupied, RtmpSession};
use weir_media::WireClock;
use weir_model::IngestProtocol;
use weir_observe::{Observe, RefusalKind, ViewerKind};
use weir_restream::{Cold, RtmpPlay};
use weir_rtmp::net::{CloseReason, Handler, PlayRequest, Playing, PublishRequest, Publishing, Refusal, RefusalCode};

use crate::commands::Commands;
use crate::pass::Pass;
use crate::playback::{Playback, PlaybackRefusal};
use crate::renditions;
use crate::runtime::Runtime;

/// The application names of the contract: `rtmp://host/live/<key>` and `rtmp://host/play/<name>`.
const PUBLISH_APP: &str = "live";
const PLAY_APP: &str = "play";

/// A stream that was created a moment ago is waited for this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers the RTMP listeners.
#[derive(Clone, Debug)]
pub struct RtmpDoor {
    commands: Commands,
    playback: Playback,
    runtime: Runtime,
    observe: Observe,
}

impl RtmpDoor {
    pub fn new(commands: Commands, runtime: Runtime, observe: Observe) -> Self {
        let playback = Playback::new(commands.clone(), runtime.clone());
        Self { commands, playback, runtime, observe }
    }

    async fn admit(&self, request: &PublishRequest) -> Result<Publishing, Refusal> {
        if request.app != PUBLISH_APP {
            let text = format!("publish to /{PUBLISH_APP}/<stream key>");
            return Err(Refusal::new(RefusalCode::Denied, text));
        }
        let key = request.stream_key.expose();
        let grant = self
            .commands
            .authorise_publish(key, request.remote.ip())
            .map_err(|refusal| Refusal::new(RefusalCode::Denied, refusal.to_string()))?;
        let door = self.runtime.in_stream(grant.stream_id, PATIENCE, |run| run.door.clone()).await;
        let door = door.ok_or_else(|| Refusal::new(RefusalCode::Denied, "the stream is not running"))?;
        let protocol = if request.tls { IngestProtocol::Rtmps } else { IngestProtocol::Rtmp };
        let meter = IngestMeter::new(protocol, grant.slot, request.remote.to_string());
        let admission = door
            .admit(meter, WireClock::RTMP, Instant::now())
            .map_err(|Occupied| Refusal::new(RefusalCode::BadName, "already publishing"))?;
        tracing::info!(stream_id = %grant.stream_id, remote = %request.remote, tls = request.tls, "a publisher was admitted");
        let evicted = admission.evicted;
        let pass = Pass::publisher(&self.commands, grant.stream_id, request.stream_key.expose());
        Ok(Publishing {
            session: Box::new(RtmpSession::new(admission.ticket)),
            ended: Box::pin(Cold::new(async move {
                tokio::select! {
                    Ok(eviction) = evicted => Refusal::new(RefusalCode::Ended, eviction.0),
                    end = pass.ended() => Refusal::new(RefusalCode::Ended, end.to_string()),
                }
            })),
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
        let (token, ip) = (parameter(&request.query, "token="), request.remote.ip());
        let stream_id = self.playback.admit(&request.name, token, ip).map_err(|refusal| match refusal {
            PlaybackRefusal::NotFound => Refusal::new(RefusalCode::NotFound, "no such stream"),
            PlaybackRefusal::Protected => Refusal::new(RefusalCode::Denied, "this stream is protected"),
        })?;
        let rendition = parameter(&request.query, "rendition=").unwrap_or(SOURCE_RENDITION);
        let found = self
            .runtime
            .in_stream(stream_id, PATIENCE, |run| {
                let rendition = renditions::of_name(&run.stream, rendition)?;
                Some((run.hub.clone(), run.feeds.feed(&rendition, &Handle::current())))
            })
            .await;
        let found = found.ok_or_else(|| Refusal::new(RefusalCode::NotFound, "no such stream"))?;
        let (hub, feed) = found.ok_or_else(|| Refusal::new(RefusalCode::NotFound, "no such rendition"))?;
        if !hub.pulse().attached {
            return Err(Refusal::new(RefusalCode::NotFound, "the stream is not live"));
        }
        let viewer = self.observe.board().viewer(stream_id, ViewerKind::Rtmp);
        let pass = self.playback.pass(stream_id, token, ip);
        Ok(Playing {
            session: Box::new(RtmpPlay::new(hub, feed, viewer)),
            ended: Box::pin(Cold::new(async move { Refusal::new(RefusalCode::Ended, pass.ended().await.to_string()) })),
        })
    }
}

impl Handler for RtmpDoor {
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

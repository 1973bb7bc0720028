//! Admission: the one question whether somebody may publish or play, whatever the protocol, and what they get when they may.

mod refusal;
mod rule;

pub use refusal::AdmissionRefusal;
pub(crate) use rule::may_watch;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use time::OffsetDateTime;
use tokio::sync::oneshot;
use weir_hub::{Feeds, SOURCE_RENDITION, StreamHub};
use weir_ingest::{Admitted, Eviction, IngestMeter, Occupied, Ticket};
use weir_media::WireClock;
use weir_model::{Rendition, RenditionState, StreamId};
use weir_net::{GuessLimit, GuessRules};

use crate::catalogue::{PlayGrant, PublishGrant};
use crate::commands::Commands;
use crate::demand::Demand;
use crate::pass::{Pass, PassEnd};
use crate::renditions;
use crate::runtime::Runtime;

type Result<T> = std::result::Result<T, AdmissionRefusal>;

/// All clones share the guard against guessing: who guesses keys by one protocol has to wait at the others, too.
#[derive(Clone, Debug)]
pub struct Admission {
    commands: Commands,
    runtime: Runtime,
    key_guesses: Arc<GuessLimit>,
}

/// What a player asks for.
#[derive(Clone, Copy, Debug)]
pub struct PlayWish<'a> {
    pub name: &'a str,
    /// The rendition that is asked for; None means the source as it is.
    pub rendition: Option<&'a str>,
    pub token: Option<&'a str>,
    pub ip: IpAddr,
}

/// A publisher that was let in.
#[derive(Debug)]
pub struct AdmittedPublisher {
    pub stream_id: StreamId,
    pub ticket: Ticket,
    pub leave: Leave,
}

/// Tells when an admitted publisher has to go though nothing is wrong with the connection.
#[derive(Debug)]
pub struct Leave {
    evicted: oneshot::Receiver<Eviction>,
    pass: Pass,
}

/// A player that was let in, and the place of its frames.
#[derive(Debug)]
pub struct AdmittedPlayer {
    pub stream_id: StreamId,
    pub hub: StreamHub,
    pub feeds: Feeds,
    /// The rendition's name in the hub.
    pub rendition: String,
    pub pass: Pass,
}

/// What a stream has for viewers by connection.
#[derive(Debug)]
pub struct Offered {
    pub webrtc: bool,
    /// The ladder's renditions, or the source.
    pub renditions: Vec<OfferedRendition>,
}

/// One of the renditions that a stream has for viewers.
#[derive(Debug)]
pub struct OfferedRendition {
    /// The hub's name.
    pub in_hub: String,
    pub rendition: Rendition,
    /// This machine does not make it, at least for now.
    pub is_refused: bool,
}

impl Leave {
    /// Waits until the publisher has to go, and gives the reason.
    pub async fn due(self) -> String {
        tokio::select! {
            Ok(eviction) = self.evicted => eviction.0,
            end = self.pass.ended() => end.to_string(),
        }
    }
}

impl Admission {
    pub fn new(commands: Commands, runtime: Runtime) -> Self {
        Self { commands, runtime, key_guesses: Arc::new(GuessLimit::new(GuessRules::KEYS)) }
    }

    /// Whether this key may publish, and into which stream. The answer comes from memory: an encoder is waiting on its connection.
    pub fn may_publish(&self, stream_key: &str, from: IpAddr) -> Result<PublishGrant> {
        let (guesses, who, now) = (&self.key_guesses, weir_net::network(from), Instant::now());
        if guesses.wait(who, stream_key, now).is_some() {
            return Err(AdmissionRefusal::Guessing);
        }
        let answer = self.commands.publish_grant(&self.commands.key_lookup(stream_key));
        match answer {
            Err(AdmissionRefusal::UnknownKey) => guesses.was_wrong(who, stream_key, now),
            _ => guesses.was_right(who, stream_key, now),
        }
        answer
    }

    /// Whether a publisher would be let in now, for protocols that answer a handshake before anything can be waited for. A stream that
    /// does not run yet counts as free; once the publisher is in, its run is waited for.
    pub fn would_publish(&self, stream_key: &str, from: IpAddr) -> Result<PublishGrant> {
        let grant = self.may_publish(stream_key, from)?;
        let is_free =
            self.runtime.stream(grant.stream_id).is_none_or(|run| run.intake.is_free(&grant.slot, Instant::now()));
        if is_free { Ok(grant) } else { Err(AdmissionRefusal::Occupied) }
    }

    /// Whether the stream's ladder encodes pictures. Then its publisher may send pictures that nobody else would take as they are.
    pub fn encodes_pictures(&self, stream: StreamId) -> bool {
        let catalogue = self.commands.catalogue();
        let ladder = catalogue.stream(stream).map(|stream| catalogue.ladder_of(stream)).unwrap_or_default();
        ladder.iter().any(|rendition| rendition.picture().is_some())
    }

    /// Lets a publisher in.
    pub async fn publish(
        &self,
        stream_key: &str,
        (protocol, clock): (&'static str, WireClock),
        remote: SocketAddr,
    ) -> Result<AdmittedPublisher> {
        let PublishGrant { stream_id, slot, .. } = self.may_publish(stream_key, remote.ip())?;
        let run = self.runtime.stream_soon(stream_id).await.ok_or(AdmissionRefusal::NotRunning)?;
        // Media by WebRTC comes from a port that is not known yet.
        let told = if remote.port() == 0 { remote.ip().to_string() } else { remote.to_string() };
        let meter = IngestMeter::new(protocol, slot.clone(), told);
        let Admitted { ticket, evicted } =
            run.intake.admit(&slot, meter, clock, Instant::now()).map_err(|Occupied| AdmissionRefusal::Occupied)?;
        tracing::info!(%stream_id, %slot, %remote, protocol, "a publisher was admitted");
        let pass = Pass::publisher(&self.commands, stream_id, stream_key);
        Ok(AdmittedPublisher { stream_id, ticket, leave: Leave { evicted, pass } })
    }

    /// Whether a viewer may watch.
    pub fn may_play(&self, name: &str, token: Option<&str>, ip: IpAddr) -> Result<PlayGrant> {
        let grant = self.commands.find_stream(name).ok_or(AdmissionRefusal::NoStream)?;
        let sign = |text: &[u8]| self.commands.sign_play_token(text);
        match may_watch(sign, &grant, token, ip, OffsetDateTime::now_utc) {
            Ok(_) => Ok(grant),
            Err(PassEnd::StreamStopped) => Err(AdmissionRefusal::NoStream),
            Err(_) => Err(AdmissionRefusal::Protected),
        }
    }

    /// Whether a player would be let in now, for protocols that answer a handshake before anything can be waited for.
    pub fn would_play(&self, wish: &PlayWish<'_>) -> Result<()> {
        let grant = self.may_play(wish.name, wish.token, wish.ip)?;
        let run = self.runtime.stream(grant.stream_id).filter(|run| run.hub.pulse().attached);
        wish.in_hub(&run.ok_or(AdmissionRefusal::NotLive)?.stream).map(drop)
    }

    /// Lets a player in.
    pub async fn play(&self, wish: &PlayWish<'_>) -> Result<AdmittedPlayer> {
        let stream_id = self.may_play(wish.name, wish.token, wish.ip)?.stream_id;
        let run = self.runtime.stream_soon(stream_id).await.ok_or(AdmissionRefusal::NoStream)?;
        let rendition = wish.in_hub(&run.stream)?;
        if !run.hub.pulse().attached {
            return Err(AdmissionRefusal::NotLive);
        }
        let (hub, feeds) = (run.hub.clone(), run.feeds.clone());
        let pass = self.viewer_pass(stream_id, wish.token, wish.ip);
        Ok(AdmittedPlayer { stream_id, hub, feeds, rendition, pass })
    }

    /// The renditions to choose from where nobody named one. None where the stream does not run.
    pub fn offered(&self, id: StreamId) -> Option<Offered> {
        self.runtime.look_at(id, |run| {
            let statuses = run.renditions.borrow();
            let is_refused = |name: &str| {
                statuses.iter().any(|status| status.name == name && status.state == RenditionState::Failed)
            };
            let offered = |rendition: Rendition| {
                let in_hub = renditions::in_hub(&rendition);
                OfferedRendition { is_refused: is_refused(&in_hub), in_hub, rendition }
            };
            let renditions = renditions::of_viewers(&run.stream).into_iter().map(offered).collect();
            Offered { webrtc: run.stream.webrtc, renditions }
        })
    }

    /// Has a rendition made for somebody who was let in and can't be shown what there is, for as long as the answer is held. None where as
    /// much is made of the stream as may be.
    pub fn demand(&self, id: StreamId, rendition: Rendition, why: &str) -> Option<Demand> {
        self.runtime.demand(id, rendition, why)
    }

    /// The pass of an admitted viewer whose connection lasts.
    pub(crate) fn viewer_pass(&self, stream: StreamId, token: Option<&str>, ip: IpAddr) -> Pass {
        Pass::viewer(&self.commands, stream, token, ip)
    }

    pub(crate) fn commands(&self) -> &Commands {
        &self.commands
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

impl PlayWish<'_> {
    fn in_hub(&self, stream: &weir_model::Stream) -> Result<String> {
        let name = self.rendition.unwrap_or(SOURCE_RENDITION);
        renditions::of_name(stream, name).ok_or(AdmissionRefusal::NoRendition)
    }
}

#[cfg(test)]
mod tests;

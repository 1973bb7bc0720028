//! Receives those who have said what they want: it asks admission, serves whoever is let in until either side ends it, and tells of refusals.

use std::net::SocketAddr;

use tokio::runtime::Handle;
use weir_control::{Admission, AdmissionRefusal, AdmittedPlayer, AdmittedPublisher, PlayWish};
use weir_hub::{Batcher, Cold, FeedHandle, StreamHub};
use weir_ingest::Ticket;
use weir_media::WireClock;
use weir_model::ViewerKind;
use weir_net::network;
use weir_observe::{Observe, RefusalKind, RefusalReport, Viewer};

/// The reception of one protocol's listener.
#[derive(Debug)]
pub(crate) struct Reception {
    pub(crate) protocol: &'static str,
    pub(crate) admission: Admission,
    pub(crate) observe: Observe,
}

/// How a connection ended, for the log.
pub(crate) type Ended = String;

impl Reception {
    /// Lets somebody publish with that key, whose times are on that clock, until `publisher` ends or has to go.
    pub(crate) async fn publish<P: Future<Output = &'static str>>(
        &self,
        (stream_key, clock): (&str, WireClock),
        remote: SocketAddr,
        publisher: impl FnOnce(Ticket) -> P,
    ) -> Result<Ended, AdmissionRefusal> {
        let by = (self.protocol, clock);
        let AdmittedPublisher { stream_id, ticket, leave } = self.admission.publish(stream_key, by, remote).await?;
        let sent_away = Cold::new(leave.due());
        Ok(tokio::select! {
            ended = publisher(ticket) => ended.to_owned(),
            why = sent_away => {
                tracing::info!(%stream_id, why, "a publisher is sent away");
                format!("sent away: {why}")
            }
        })
    }

    /// Lets somebody play what they wish, out of the feed of that choice, until `player` ends or has to go.
    pub(crate) async fn play<B: Batcher, P: Future<Output = &'static str>>(
        &self,
        (wish, choice): (&PlayWish<'_>, B::Choice),
        kind: ViewerKind,
        player: impl FnOnce(StreamHub, FeedHandle<B>, Option<Viewer>) -> P,
    ) -> Result<Ended, AdmissionRefusal> {
        let AdmittedPlayer { stream_id, hub, feeds, rendition, pass } = self.admission.play(wish).await?;
        let feed = feeds.feed(&rendition, choice, &Handle::current());
        let viewer = self.observe.board().viewer(stream_id, kind);
        Ok(tokio::select! {
            ended = player(hub, feed, viewer) => ended.to_owned(),
            end = Cold::new(pass.ended()) => {
                tracing::info!(%stream_id, why = %end, "a player is sent away");
                format!("sent away: {end}")
            }
        })
    }

    /// Tells of somebody who was refused. The code is in the protocol's own words.
    pub(crate) fn refused(&self, kind: RefusalKind, remote: SocketAddr, code: &str, message: &str) {
        let (protocol, network) = (self.protocol, network(remote.ip()));
        self.observe.refused(&RefusalReport { kind, protocol, remote, network, code, message });
    }
}

//! Asks admission for publishers by WHIP: an offer is answered, and the publisher that comes of it is handed to whoever runs publishers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use weir_control::{Admission, AdmissionRefusal, AdmittedPublisher, Lanes, Leave};
use weir_ingest::WhipPublisher;
use weir_media::WireClock;
use weir_model::StreamId;
use weir_observe::{Counter, Observe, RefusalKind, RefusalReport};
use weir_webrtc::engine::{Engine, NoAnswer, NotTaken, TakenIn};
use weir_webrtc::sdp::{Fault, Offer};

use crate::rtc_sessions::{Seat, Sessions};

/// Publishers that were answered and that nobody runs yet. They are taken within a moment.
const ARRIVALS_MAX: usize = 64;

const PROTOCOL: &str = "whip";

/// A session's address says nothing before its name: the stream key stays out of it.
pub(super) const NO_OWNER: &str = "";

/// What a publisher is told whose offer has several layers of one picture, and packets that don't say which one they are of.
const ONE_LAYER: &str =
    "simulcast is not used, because the offer has no extension for the names of layers: send one layer, the best";

/// Why an offer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WhipRefusal {
    #[error(transparent)]
    Admission(#[from] AdmissionRefusal),
    #[error(transparent)]
    Offer(#[from] Fault),
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
}

/// What the publisher is told.
#[derive(Clone, Debug)]
pub(crate) struct WhipAnswer {
    pub(crate) sdp: String,
    pub(crate) session: String,
    /// The tag of the session's ICE, which `If-Match` of a change must name.
    pub(crate) tag: String,
    /// What the publisher should know in words.
    pub(crate) notice: Option<&'static str>,
}

/// A publisher that was answered and is to be run on its stream's lane.
#[derive(Debug)]
pub struct WhipSession {
    lane: Handle,
    publisher: WhipPublisher,
    leave: Leave,
    stream_id: StreamId,
    ip: IpAddr,
    observe: Observe,
    seat: Seat,
}

/// Answers offers. A clone shares the sessions.
#[derive(Clone, Debug)]
pub struct WhipAdmission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    admission: Admission,
    observe: Observe,
    engine: Engine,
    lanes: Lanes,
    arrivals: mpsc::Sender<WhipSession>,
    sessions: Sessions,
}

impl WhipAdmission {
    /// Publishers that are answered come out of what is returned with it.
    pub fn new(
        admission: Admission,
        observe: Observe,
        engine: Engine,
        lanes: Lanes,
    ) -> (Self, mpsc::Receiver<WhipSession>) {
        let (arrivals, arrived) = mpsc::channel(ARRIVALS_MAX);
        let sessions = Sessions::default();
        (Self { shared: Arc::new(Shared { admission, observe, engine, lanes, arrivals, sessions }) }, arrived)
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    /// Answers an offer. The publisher is on its way to be run when this returns.
    pub(crate) async fn offer(&self, key: &str, ip: IpAddr, offer: &str) -> Result<WhipAnswer, WhipRefusal> {
        let answer = self.answer(key, ip, offer).await;
        if let Err(refusal) = &answer {
            tell_refused(&self.shared.observe, ip, refusal.code(), &refusal.to_string());
        }
        answer
    }

    async fn answer(&self, key: &str, ip: IpAddr, offer: &str) -> Result<WhipAnswer, WhipRefusal> {
        let Shared { admission, observe, engine, lanes, arrivals, sessions } = &*self.shared;
        // Whoever has no key is told nothing of what is wrong with the offer, and an offer that can't be answered holds no stream.
        let grant = admission.may_publish(key, ip)?;
        let offer = Offer::parse_publisher(offer)?;
        let encodes_pictures = admission.encodes_pictures(grant.stream_id);
        let TakenIn { sdp, ufrag: tag, incoming, one_layer } = engine.take_in(&offer, encodes_pictures)?;
        let by = (PROTOCOL, WireClock::MPEG_TS);
        let AdmittedPublisher { stream_id, ticket, leave } = admission.publish(key, by, SocketAddr::new(ip, 0)).await?;
        let seat = sessions.seat(NO_OWNER, &tag, &offer.ice.ufrag).ok_or(NotTaken::from(NoAnswer::Internal))?;
        let session = seat.name().to_owned();
        let (publisher, lane) = (WhipPublisher::new(incoming, ticket), lanes.pick(stream_id.0).clone());
        let arrival = WhipSession { lane, publisher, leave, stream_id, ip, observe: observe.clone(), seat };
        arrivals.try_send(arrival).map_err(|_| NotTaken::from(NoAnswer::Full))?;
        observe.counters().add(Counter::WhipConnections, 1);
        Ok(WhipAnswer { sdp, session, tag, notice: one_layer.then_some(ONE_LAYER) })
    }
}

impl WhipSession {
    /// The lane that it is to be run on.
    pub fn lane(&self) -> Handle {
        self.lane.clone()
    }

    /// Runs to the publisher's end.
    pub async fn run(self) {
        let Self { mut publisher, leave, stream_id, ip, observe, seat, .. } = self;
        let ended = tokio::select! {
            ended = publisher.run() => {
                if let Some(fault) = ended.certificate_fault() {
                    tell_refused(&observe, ip, "certificate", fault.words());
                }
                ended.words().to_owned()
            }
            () = seat.ended() => "the publisher said goodbye".to_owned(),
            why = leave.due() => {
                publisher.close();
                tracing::info!(%stream_id, why, "a publisher is sent away");
                format!("sent away: {why}")
            }
        };
        tracing::info!(%stream_id, %ip, ended, "WebRTC publisher's connection closed");
    }
}

fn tell_refused(observe: &Observe, ip: IpAddr, code: &str, message: &str) {
    observe.refused(&RefusalReport {
        kind: RefusalKind::Publish,
        protocol: PROTOCOL,
        remote: SocketAddr::new(ip, 0),
        network: weir_net::network(ip),
        code,
        message,
    });
}

impl WhipRefusal {
    /// The code for events and metrics.
    const fn code(&self) -> &'static str {
        match self {
            Self::Admission(AdmissionRefusal::Occupied) => "occupied",
            Self::Admission(_) => "not_admitted",
            Self::Offer(_) => "malformed",
            Self::NotTaken(NotTaken::NeedsLadder(_) | NotTaken::Codecs | NotTaken::NoAnswer(NoAnswer::NoCodec)) => {
                "no_codec"
            }
            Self::NotTaken(NotTaken::NoAnswer(NoAnswer::Full)) => "full",
            Self::NotTaken(NotTaken::NoAnswer(NoAnswer::Internal)) => "internal",
        }
    }
}

//! Asks admission for viewers by WHEP: it answers a browser's offer, and hands the viewer to whoever runs viewers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_control::{Admission, AdmissionRefusal, AdmittedPlayer, Lanes, Pass, PlayWish};
use weir_hub::SOURCE_RENDITION;
use weir_media::Codec;
use weir_model::{StreamId, ViewerKind};
use weir_observe::{Observe, RefusalKind, RefusalReport};
use weir_play::{NoneFits, WhepPlay, choose};
use weir_webrtc::engine::{Answered, Engine, NoAnswer};
use weir_webrtc::sdp::{Fault, Fragment, FragmentFault, Offer};

/// How many viewers may be answered and not run yet. Whoever runs them takes each within a moment.
const ARRIVALS_MAX: usize = 64;

/// The number of random bytes in a session's name. Whoever knows the name may end the session.
const SESSION_BYTES: usize = 16;

/// Why an offer is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhepRefusal {
    #[error(transparent)]
    Admission(#[from] AdmissionRefusal),
    #[error(transparent)]
    Offer(#[from] Fault),
    #[error("WebRTC is off for this stream")]
    Off,
    #[error("{0}")]
    NoneFits(NoneFits),
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// Why a change of a session is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhepChangeRefusal {
    #[error("there is no such session")]
    NoSession,
    #[error("the session has changed since: its ETag is another")]
    OtherTag,
    #[error(transparent)]
    Fragment(#[from] FragmentFault),
    #[error("the fragment is of another ICE session than the offer's")]
    OtherUfrag,
    #[error("ICE can't begin anew here: post a new offer")]
    Restart,
}

/// What the viewer is told.
#[derive(Clone, Debug)]
pub struct WhepAnswer {
    pub sdp: String,
    pub session: String,
    /// The tag of the session's ICE, which `If-Match` of a change must name.
    pub tag: String,
    /// What the viewer should know in words: that a sound is not sent.
    pub notice: Option<String>,
}

/// A viewer that was answered and is to be run on a lane.
#[derive(Debug)]
pub struct WhepViewer {
    lane: Handle,
    play: WhepPlay,
    pass: Pass,
    stream_id: StreamId,
    ip: IpAddr,
    seat: Seat,
}

/// Answers offers. A clone shares the sessions.
#[derive(Clone, Debug)]
pub struct WhepAdmission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    admission: Admission,
    observe: Observe,
    engine: Engine,
    lanes: Lanes,
    arrivals: mpsc::Sender<WhepViewer>,
    sessions: Sessions,
}

/// The sessions by their names.
#[derive(Clone, Debug, Default)]
struct Sessions {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<String, Session>,
    /// The number of sessions so far. By it, the viewers of one stream go to one lane after the other.
    count: usize,
}

#[derive(Debug)]
struct Session {
    stream: String,
    tag: String,
    /// The far end's ufrag, which a fragment must name.
    ufrag: String,
    over: CancellationToken,
}

/// A session's place in the table, which is given up when this is dropped.
#[derive(Debug)]
struct Seat {
    sessions: Sessions,
    name: String,
    over: CancellationToken,
}

impl Sessions {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sessions.table().sessions.remove(&self.name);
    }
}

impl WhepAdmission {
    /// The viewers that are answered come out of the receiver that is returned with it.
    pub fn new(
        admission: Admission,
        observe: Observe,
        engine: Engine,
        lanes: Lanes,
    ) -> (Self, mpsc::Receiver<WhepViewer>) {
        let (arrivals, arrived) = mpsc::channel(ARRIVALS_MAX);
        let sessions = Sessions::default();
        (Self { shared: Arc::new(Shared { admission, observe, engine, lanes, arrivals, sessions }) }, arrived)
    }

    /// Answers an offer. When this returns, the viewer is on its way to be run. A wish that names no rendition gets the best one that
    /// browsers can be shown.
    pub async fn offer(&self, wish: &PlayWish<'_>, offer: &str) -> Result<WhepAnswer, WhepRefusal> {
        let answer = self.answer(wish, offer).await;
        if let Err(refusal) = &answer {
            let (remote, network) = (SocketAddr::new(wish.ip, 0), weir_net::network(wish.ip));
            let message = refusal.to_string();
            let (kind, code) = (RefusalKind::Play, refusal.code());
            self.shared.observe.refused(&RefusalReport {
                kind,
                protocol: "webrtc",
                remote,
                network,
                code,
                message: &message,
            });
        }
        answer
    }

    async fn answer(&self, wish: &PlayWish<'_>, offer: &str) -> Result<WhepAnswer, WhepRefusal> {
        let Shared { admission, observe, engine, lanes, arrivals, sessions } = &*self.shared;
        let AdmittedPlayer { stream_id, hub, feeds, rendition, pass } = admission.play(wish).await?;
        let offered = admission.offered(stream_id).ok_or(AdmissionRefusal::NoStream)?;
        if !offered.webrtc {
            return Err(WhepRefusal::Off);
        }
        let offer = Offer::parse(offer)?;
        let chosen = match wish.rendition {
            Some(_) => choose(&hub, [rendition.as_str()]),
            None => choose(&hub, [SOURCE_RENDITION].into_iter().chain(offered.renditions.iter().map(String::as_str))),
        };
        let chosen = chosen.map_err(WhepRefusal::NoneFits)?;
        let Answered { sdp, ufrag: tag, connection, .. } = engine.answer(&offer, &chosen.carried)?;
        let (seat, number) = take_seat(sessions, wish.name, &tag, &offer.ice.ufrag)?;
        let lane = lanes.pick_beside(stream_id.0, number);
        let viewer = observe.board().viewer(stream_id, ViewerKind::Webrtc);
        let play = WhepPlay::new(hub, connection, feeds.feed(&chosen.rendition, (), lane), viewer);
        let session = seat.name.clone();
        let left_out = chosen.left_out();
        let (ip, rendition) = (wish.ip, chosen.rendition.as_str());
        tracing::info!(%stream_id, %ip, rendition, left_out = left_out.map(Codec::name), "a WebRTC viewer was answered");
        let viewer = WhepViewer { lane: lane.clone(), play, pass, stream_id, ip, seat };
        arrivals.try_send(viewer).map_err(|_| NoAnswer::Full)?;
        Ok(WhepAnswer { sdp, session, tag, notice: left_out.map(notice) })
    }

    /// Takes candidates for a session that exists. They are not needed: the far end looks for us, and its checks show where it is.
    pub fn trickle(
        &self,
        stream: &str,
        session: &str,
        if_match: Option<&str>,
        fragment: &str,
    ) -> Result<(), WhepChangeRefusal> {
        let table = self.shared.sessions.table();
        let session = table.sessions.get(session).filter(|session| session.stream == stream);
        let session = session.ok_or(WhepChangeRefusal::NoSession)?;
        if if_match.is_some_and(|tag| tag != "*" && tag.trim_matches('"') != session.tag) {
            return Err(WhepChangeRefusal::OtherTag);
        }
        let fragment = Fragment::parse(fragment)?;
        if fragment.restarts {
            return Err(WhepChangeRefusal::Restart);
        }
        if fragment.ufrag != session.ufrag {
            return Err(WhepChangeRefusal::OtherUfrag);
        }
        Ok(())
    }

    /// Ends a session.
    pub fn end(&self, stream: &str, session: &str) -> Result<(), WhepChangeRefusal> {
        let table = self.shared.sessions.table();
        let session = table.sessions.get(session).filter(|session| session.stream == stream);
        session.ok_or(WhepChangeRefusal::NoSession)?.over.cancel();
        Ok(())
    }
}

fn take_seat(sessions: &Sessions, stream: &str, tag: &str, ufrag: &str) -> Result<(Seat, usize), NoAnswer> {
    let mut chance = [0; SESSION_BYTES];
    getrandom::fill(&mut chance).map_err(|_| NoAnswer::Internal)?;
    let name: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    let over = CancellationToken::new();
    let (stream, tag, ufrag) = (stream.to_owned(), tag.to_owned(), ufrag.to_owned());
    let mut table = sessions.table();
    table.sessions.insert(name.clone(), Session { stream, tag, ufrag, over: over.clone() });
    table.count = table.count.wrapping_add(1);
    Ok((Seat { sessions: sessions.clone(), name, over }, table.count))
}

fn notice(codec: Codec) -> String {
    format!(
        "no sound: the stream's is {codec}, and WebRTC carries Opus; a rendition with \"audio_codec\": \"opus\" has it"
    )
}

impl WhepViewer {
    /// The lane that must run the viewer, because its feed is there.
    pub fn lane(&self) -> Handle {
        self.lane.clone()
    }

    /// Serves the viewer to its end.
    pub async fn run(self) {
        let Self { play, pass, stream_id, ip, seat, .. } = self;
        let over = seat.over.clone();
        let leave = async {
            tokio::select! {
                () = over.cancelled() => "the viewer said goodbye".to_owned(),
                end = pass.ended() => format!("sent away: {end}"),
            }
        };
        let (ended, figures) = play.run(leave).await;
        let rtt_ms = figures.rtt.map(|rtt| rtt.as_millis());
        tracing::info!(
            %stream_id,
            %ip,
            ended,
            connected = figures.connected,
            pictures = figures.pictures,
            dropped = figures.dropped,
            keyframes_wanted = figures.keyframes_wanted,
            rtt_ms,
            "a WebRTC viewer is gone"
        );
        drop(seat);
    }
}

impl WhepRefusal {
    /// The refusal's code, for events and metrics.
    const fn code(&self) -> &'static str {
        match self {
            Self::Admission(_) => "not_admitted",
            Self::Offer(_) => "malformed",
            Self::Off => "off",
            Self::NoneFits(_) => "unsupported",
            Self::NoAnswer(NoAnswer::NoCodec) => "no_codec",
            Self::NoAnswer(NoAnswer::Full) => "full",
            Self::NoAnswer(NoAnswer::Internal) => "internal",
        }
    }
}

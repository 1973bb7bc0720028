//! Asks admission for viewers by WHEP: it answers a browser's offer, and hands the viewer to whoever runs viewers.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use weir_control::{Admission, AdmissionRefusal, AdmittedPlayer, Demand, Lanes, Offered, Pass, PlayWish, Playback};
use weir_hub::SOURCE_RENDITION;
use weir_media::{Codec, Language};
use weir_model::{Rendition, StreamId, VideoCodec, ViewerKind};
use weir_net::{Caps, Permit};
use weir_observe::{Observe, RefusalKind, RefusalReport};
use weir_play::{Choice, Chosen, Making, NoneFits, Other, Rung, Shown, WhepPlay, choose};
use weir_webrtc::engine::{Answered, CONNECTIONS_MAX, Engine, NoAnswer};
use weir_webrtc::sdp::{Fault, Offer};

use crate::rtc_sessions::{Seat, Sessions};

/// The profile that everybody takes who takes H.264.
const BASELINE_IDC: u8 = 66;

/// A viewer is answered when what must be made for it is begun, which takes a tenth of a second. Where the encoders are tried for the first
/// time it takes some seconds.
const BEGUN_WITHIN: Duration = Duration::from_secs(5);

/// How many viewers may be answered and not run yet. Whoever runs them takes each within a moment.
const ARRIVALS_MAX: usize = 64;

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
    #[error("{why}, and nothing can be made of it: {cannot}")]
    NothingMade { why: NoneFits, cannot: String },
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("there are as many viewers by WebRTC as this server takes, in all or from this address")]
    Full,
}

/// What a viewer by WHEP may say beside what every viewer says.
#[derive(Clone, Copy, Debug, Default)]
pub struct More<'a> {
    /// The language to be heard, where there are several.
    pub language: Option<Language>,
    /// By this, whoever is logged in looks without being counted as a viewer.
    pub preview: Option<&'a str>,
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
    came: SharedCame,
    /// What is made for it as long as it watches.
    demand: Option<Demand>,
    permit: Permit,
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
    came: SharedCame,
    caps: Arc<Caps>,
}

type SharedCame = Arc<Mutex<Came>>;

/// How many of those that were answered came to the ports, so far. Where nobody does, the ports are not open, or the addresses are wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Came {
    pub connected: u64,
    pub never_connected: u64,
}

impl WhepAdmission {
    /// The viewers that are answered come out of the receiver that is returned with it.
    pub fn new(
        admission: Admission,
        observe: Observe,
        engine: Engine,
        lanes: Lanes,
        caps: Arc<Caps>,
    ) -> (Self, mpsc::Receiver<WhepViewer>) {
        let (arrivals, arrived) = mpsc::channel(ARRIVALS_MAX);
        let (sessions, came) = (Sessions::default(), SharedCame::default());
        let shared = Shared { admission, observe, engine, lanes, arrivals, sessions, came, caps };
        (Self { shared: Arc::new(shared) }, arrived)
    }

    pub(super) fn caps(&self) -> &Arc<Caps> {
        &self.shared.caps
    }

    /// Answers an offer. When this returns, the viewer is on its way to be run. A wish that names no rendition gets the best one that
    /// browsers can be shown.
    pub async fn offer(&self, wish: &PlayWish<'_>, offer: &str, more: &More<'_>) -> Result<WhepAnswer, WhepRefusal> {
        let answer = self.answer(wish, offer, more).await;
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

    async fn answer(&self, wish: &PlayWish<'_>, offer: &str, more: &More<'_>) -> Result<WhepAnswer, WhepRefusal> {
        let Shared { admission, observe, engine, lanes, arrivals, sessions, came, caps } = &*self.shared;
        let AdmittedPlayer { stream_id, hub, feeds, rendition, pass } = admission.play(wish).await?;
        let offered = admission.offered(stream_id).ok_or(AdmissionRefusal::NoStream)?;
        if !offered.webrtc {
            return Err(WhepRefusal::Off);
        }
        let offer = Offer::parse(offer)?;
        // Nothing is begun for who can't be served.
        if engine.connections() >= CONNECTIONS_MAX {
            return Err(NoAnswer::Full.into());
        }
        let permit = caps.admit(wish.ip).ok_or(WhepRefusal::Full)?;
        let hears = offer.opus().is_some();
        if !hears && offer.h264(BASELINE_IDC).is_none() {
            return Err(NoAnswer::NoCodec.into());
        }
        let source = Rendition::passthrough(SOURCE_RENDITION);
        let mut rungs = rungs(&source, &offered);
        if wish.rendition.is_some() {
            rungs.retain(|rung| rung.in_hub == rendition);
        }
        // Who chose one rendition stays with it.
        let others = rungs.iter().filter(|_| wish.rendition.is_none()).filter_map(other).collect();
        let ForViewer { chosen, demand, notice } = match choose(&hub, &rungs, hears).map_err(WhepRefusal::NoneFits)? {
            Choice::There(chosen) => ForViewer { chosen, demand: None, notice: None },
            Choice::Made(making) => make(admission, stream_id, *making).await?,
        };
        let Answered { sdp, ufrag: tag, connection, .. } = engine.answer(&offer, &chosen.carried).await?;
        let seat = sessions.seat(wish.name, &tag, &offer.ice.ufrag).ok_or(NoAnswer::Internal)?;
        let lane = lanes.pick_beside(stream_id.0, seat.number());
        let is_preview = more.preview.is_some_and(|pass| Playback::new(admission.clone()).is_preview(stream_id, pass));
        let viewer = if is_preview { None } else { observe.board().viewer(stream_id, ViewerKind::Webrtc) };
        let shown =
            Shown { hub, feeds, lane: lane.clone(), first: chosen.rendition.clone(), language: more.language, others };
        let play = WhepPlay::new(shown, connection, viewer);
        let session = seat.name().to_owned();
        let left_out = chosen.carried.left_out;
        let (ip, rendition) = (wish.ip, chosen.rendition.as_str());
        tracing::info!(%stream_id, %ip, rendition, left_out = left_out.map(Codec::name), "a WebRTC viewer was answered");
        let viewer =
            WhepViewer { lane: lane.clone(), play, pass, stream_id, ip, seat, came: Arc::clone(came), demand, permit };
        arrivals.try_send(viewer).map_err(|_| NoAnswer::Full)?;
        Ok(WhepAnswer { sdp, session, tag, notice })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub(super) fn came(&self) -> Came {
        *self.shared.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }
}

/// What a viewer gets.
struct ForViewer {
    chosen: Chosen,
    /// Where it is made for it.
    demand: Option<Demand>,
    notice: Option<String>,
}

/// What a stream has for viewers, the best first: the source before the ladder.
fn rungs<'a>(source: &'a Rendition, offered: &'a Offered) -> Vec<Rung<'a>> {
    let source = Rung { in_hub: SOURCE_RENDITION, rendition: source, is_refused: false };
    let others = offered.renditions.iter().filter(|offered| offered.in_hub != SOURCE_RENDITION).map(|offered| Rung {
        in_hub: &offered.in_hub,
        rendition: &offered.rendition,
        is_refused: offered.is_refused,
    });
    std::iter::once(source).chain(others).collect()
}

/// The rung as one that a viewer may move to.
fn other(rung: &Rung<'_>) -> Option<Other> {
    let picture = rung.rendition.picture().filter(|picture| picture.codec == VideoCodec::H264 && !rung.is_refused)?;
    Some(Other { name: rung.in_hub.to_owned(), bps: f64::from(picture.bitrate_kbps) * 1_000.0 })
}

/// Has a rendition made. The answer does not wait for its first picture: what it will carry is known, and the viewer connects meanwhile.
async fn make(admission: &Admission, stream: StreamId, making: Making) -> Result<ForViewer, WhepRefusal> {
    let Making { rendition, carried, why, instead } = making;
    let cannot = match admission.demand(stream, rendition, &why) {
        None => "as much is made for the viewers of this stream as may be".to_owned(),
        Some(mut demand) => match timeout(BEGUN_WITHIN, demand.begun()).await {
            Ok(Ok(())) => {
                let chosen = Chosen { rendition: demand.rendition().to_owned(), carried };
                return Ok(ForViewer { chosen, demand: Some(demand), notice: None });
            }
            Ok(Err(reason)) => reason,
            Err(_) => "it was not begun in time; try again".to_owned(),
        },
    };
    tracing::warn!(%stream, why, cannot, "nothing is made for a WebRTC viewer");
    let chosen = instead.map_err(|why| WhepRefusal::NothingMade { why, cannot: cannot.clone() })?;
    let notice = notice(chosen.carried.left_out, &cannot);
    Ok(ForViewer { chosen, demand: None, notice })
}

fn notice(left_out: Option<Codec>, cannot: &str) -> Option<String> {
    let codec = left_out?;
    let text = format!("no sound: the stream's is {codec}, WebRTC carries Opus, and none is made of it: {cannot}");
    // It goes into a header.
    Some(text.chars().map(|char| if matches!(char, ' '..='~') { char } else { '?' }).collect())
}

impl WhepViewer {
    /// The lane that must run the viewer, because its feed is there.
    pub fn lane(&self) -> Handle {
        self.lane.clone()
    }

    /// Serves the viewer to its end.
    pub async fn run(self) {
        let Self { play, pass, stream_id, ip, seat, came, demand, permit, .. } = self;
        let leave = async {
            tokio::select! {
                () = seat.ended() => "the viewer said goodbye".to_owned(),
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
        note(&came, figures.connected);
        drop((seat, demand, permit));
    }
}

fn note(came: &SharedCame, connected: bool) {
    let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
    *if connected { &mut came.connected } else { &mut came.never_connected } += 1;
}

impl WhepRefusal {
    /// The refusal's code, for events and metrics.
    const fn code(&self) -> &'static str {
        match self {
            Self::Admission(_) => "not_admitted",
            Self::Offer(_) => "malformed",
            Self::Off => "off",
            Self::NoneFits(_) | Self::NothingMade { .. } => "unsupported",
            Self::NoAnswer(NoAnswer::NoCodec) => "no_codec",
            Self::NoAnswer(NoAnswer::Full) | Self::Full => "full",
            Self::NoAnswer(NoAnswer::Internal) => "internal",
        }
    }
}

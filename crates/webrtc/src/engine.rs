//! The engine runs all connections, of viewers and of publishers, on one UDP and one TCP port.

mod publishers;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use str0m::crypto::CryptoProvider;
use tokio::net::TcpListener;
use weir_net::CapLimits;

use crate::addresses::local_addresses;
use crate::carrier::Carrier;
use crate::channel::Ends;
use crate::connection::Connection;
use crate::crypto::{self, Identity};
use crate::from_frames::Carried;
use crate::here::Here;
use crate::outbox::Burst;
use crate::peer::{Peer, Wish};
use crate::routes::{OF_VIEWER, Routes};
use crate::sdp::{Agreed, Answer, Candidate, IceCredentials, Kind, Offer, Payload, Sent, Transport};
use crate::udp::Port;
use crate::webrtcbin::{Remote, Webrtcbin, answer_text, far_of};

pub use publishers::{NotTaken, TakenIn};

/// The most connections at once, including those that are being set up, whatever the engine's user allows. A viewer costs 0.2 MiB, so these
/// cost 2 GiB.
pub const CONNECTIONS_MAX: usize = 10_000;

/// The number of letters in a ufrag and in a password. A letter is 6 bits of chance, so these have 48 and 144 bits.
const UFRAG_CHARS: usize = 8;
const PASSWORD_CHARS: usize = 24;

/// Where the engine listens, and which addresses it tells viewers.
#[derive(Clone, Debug)]
pub struct Listen {
    pub udp: SocketAddr,
    /// The address of the TCP port. Without one, viewers in networks that let no UDP through have no way in.
    pub tcp: Option<SocketAddr>,
    /// How many TCP connections there may be at once.
    pub tcp_limits: CapLimits,
    /// The addresses at which viewers reach these ports. If there are none, viewers are told this machine's own.
    pub public_ips: Vec<IpAddr>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("{transport} {address}: {error}")]
    Port { transport: &'static str, address: SocketAddr, error: io::Error },
    #[error("WebRTC can't be set up: {0}")]
    Crypto(String),
    #[error("no address of this machine can be told to viewers; set webrtc.public_ips")]
    NoAddress,
}

/// Why an offer that can be read has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("the offer takes neither H.264 in packetization mode 1 nor Opus, where the stream has it")]
    NoCodec,
    #[error("there are as many connections by WebRTC as this server takes")]
    Full,
    #[error("the connection can't be set up")]
    Internal,
}

/// What the engine made of an offer: the answer for the viewer, and the connection that waits for it.
#[derive(Debug)]
pub struct Answered {
    pub sdp: String,
    /// Our own ufrag, which the far end's checks will name.
    pub ufrag: String,
    pub connection: Connection,
    /// Says that sound is sent: the rendition has some, and the far end takes it.
    pub sound: bool,
    pub picture: bool,
}

/// A clone shares the ports and the connections.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    /// The process that viewers go to where it serves.
    webrtcbin: Option<Webrtcbin>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    udp: Port,
    tcp: Option<TcpListener>,
    tcp_limits: CapLimits,
    pub(crate) routes: Routes,
    candidates: Vec<Candidate>,
    identity: Identity,
    provider: Arc<CryptoProvider>,
    /// Says that the candidates are this machine's own addresses. Addresses from the configuration may be those of a router in front of it,
    /// and then the socket can't send from them.
    own: bool,
}

impl Engine {
    /// Takes the ports. The caller must be in the runtime that will [`run`](Self::run) the engine.
    pub async fn bind(listen: &Listen) -> Result<Self, ListenError> {
        crypto::check().map_err(|fault| ListenError::Crypto(fault.to_string()))?;
        let identity = Identity::make().map_err(|error| ListenError::Crypto(error.to_string()))?;
        let fault = |transport, address| move |error| ListenError::Port { transport, address, error };
        let udp = Port::bind(listen.udp).map_err(fault("UDP", listen.udp))?;
        let tcp = match listen.tcp {
            Some(address) => Some(TcpListener::bind(address).await.map_err(fault("TCP", address))?),
            None => None,
        };
        let of = |transport, listen_on: SocketAddr| {
            let addresses = local_addresses(listen_on, &listen.public_ips).into_iter();
            addresses.map(move |ip| Candidate { transport, address: SocketAddr::new(ip, listen_on.port()) })
        };
        let mut candidates: Vec<Candidate> = of(Transport::Udp, udp.local_addr()).collect();
        if let Some(address) = tcp.as_ref().and_then(|listener| listener.local_addr().ok()) {
            candidates.extend(of(Transport::Tcp, address));
        }
        if candidates.is_empty() {
            return Err(ListenError::NoAddress);
        }
        let provider = crypto::provider();
        let own = listen.public_ips.is_empty();
        let (routes, tcp_limits) = (Routes::default(), listen.tcp_limits);
        let shared = Shared { udp, tcp, tcp_limits, routes, candidates, identity, provider, own };
        Ok(Self { shared: Arc::new(shared), webrtcbin: None })
    }

    /// Lets viewers go to that process where it serves. Publishers stay here.
    pub fn beside(self, webrtcbin: Webrtcbin) -> Self {
        Self { webrtcbin: Some(webrtcbin), ..self }
    }

    /// The process of `webrtcbin`; none where nobody asked for it.
    pub fn webrtcbin(&self) -> Option<&Webrtcbin> {
        self.webrtcbin.as_ref()
    }

    /// The addresses that viewers are told.
    pub fn candidates(&self) -> &[Candidate] {
        &self.shared.candidates
    }

    pub fn udp_addr(&self) -> SocketAddr {
        self.shared.udp.local_addr()
    }

    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.shared.tcp.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    pub fn connections(&self) -> usize {
        self.shared.routes.count() + self.webrtcbin.as_ref().map_or(0, Webrtcbin::viewers)
    }

    /// Receives from both ports, and never returns.
    pub async fn run(&self) {
        let shared = &self.shared;
        let tcp = async {
            match &shared.tcp {
                Some(listener) => crate::tcp::accept(listener, shared.tcp_limits, &shared.routes).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(shared.udp.receive(&shared.routes), tcp);
    }

    /// Answers an offer with as much of the rendition's picture and sound as the far end takes. The connection exists from now on, and
    /// waits to be served. `webrtcbin` has it where it serves; else it is here.
    pub async fn answer(&self, offer: &Offer, carried: &Carried) -> Result<Answered, NoAnswer> {
        let video = carried.profile_idc.and_then(|profile| offer.h264(profile));
        let audio = offer.opus().filter(|_| carried.sound);
        let picture_is_missed =
            carried.profile_idc.is_some() && offer.section(Kind::Video).is_some() && video.is_none();
        if picture_is_missed || (video.is_none() && audio.is_none()) {
            return Err(NoAnswer::NoCodec);
        }
        if self.connections() >= CONNECTIONS_MAX {
            return Err(NoAnswer::Full);
        }
        if let Some(webrtcbin) = &self.webrtcbin
            && let Some(session) = webrtcbin.session()
        {
            match session.open(far_of(offer, video, audio)).await {
                Ok(opened) => {
                    let (remote, ours) = Remote::new(opened);
                    let sdp = answer_text(offer, &ours, webrtcbin.public_ips(), video, audio);
                    let connection = Connection::new(Carrier::Remote(remote));
                    let (picture, sound) = (video.is_some(), audio.is_some());
                    return Ok(Answered { sdp, ufrag: ours.ufrag, connection, sound, picture });
                }
                Err(why) => tracing::warn!(why, "webrtcbin can't take a viewer, and str0m does"),
            }
        }
        self.answer_here(offer, video, audio)
    }

    fn answer_here(
        &self,
        offer: &Offer,
        video: Option<(&Payload, Option<&Payload>)>,
        audio: Option<&Payload>,
    ) -> Result<Answered, NoAnswer> {
        let shared = &self.shared;
        let ice = IceCredentials { ufrag: letters(UFRAG_CHARS)?, password: letters(PASSWORD_CHARS)? };
        let wish = Wish { ends: Ends { offer, ice: &ice, candidates: &shared.candidates }, video, audio };
        let peer = Peer::new(&wish, &shared.identity, &shared.provider, Instant::now()).map_err(|error| {
            tracing::warn!(%error, "a WebRTC connection can't be set up");
            NoAnswer::Internal
        })?;
        let (video_ssrc, repeats_ssrc, audio_ssrc) = peer.sources();
        let sent = |payload, ssrc, repeats| Agreed::Sent(Sent { payload, ssrc, repeats });
        let sdp = Answer {
            offer,
            is_lite: true,
            ufrag: &ice.ufrag,
            password: &ice.password,
            fingerprint: &shared.identity.fingerprint().to_string(),
            candidates: &shared.candidates,
            video: video.zip(video_ssrc).map(|((payload, rtx), ssrc)| sent(payload, ssrc, rtx.zip(repeats_ssrc))),
            audio: audio.zip(audio_ssrc).map(|(payload, ssrc)| sent(payload, ssrc, None)),
        }
        .write();
        let (picture, sound) = (video.is_some(), audio.is_some());
        let route = shared.routes.open(&ice.ufrag, OF_VIEWER);
        let connection = Connection::new(Carrier::Here(Here::new(Arc::clone(shared), peer, route)));
        Ok(Answered { sdp, ufrag: ice.ufrag, connection, sound, picture })
    }
}

impl Shared {
    /// Sends a burst. Any thread may call this, and it never waits.
    pub(crate) fn send(&self, burst: Burst<'_>) {
        match burst.way.transport {
            Transport::Udp => self.udp.send(&burst, self.own.then_some(burst.way.source.ip())),
            Transport::Tcp => self.routes.send_tcp(burst.way.destination, burst.bytes.to_vec()),
        }
    }

    pub(crate) fn segments_max(&self) -> usize {
        self.udp.segments_max()
    }
}

/// Random letters and digits, with `+` and `/`: the 64 signs that ICE allows.
fn letters(count: usize) -> Result<String, NoAnswer> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).map_err(|_| NoAnswer::Internal)?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect())
}

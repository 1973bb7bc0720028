//! WebRTC: its configuration, its ports, and whoever runs its viewers.

pub(crate) mod process;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context as _, bail};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_control::Lanes;
use weir_net::Caps;
use weir_observe::Heartbeat;
use weir_origin::{IceServer, Whep, WhepAdmission, WhepViewer, Whip, WhipAdmission, WhipSession};
use weir_webrtc::engine::CONNECTIONS_MAX;
use weir_webrtc::sdp::Transport;
use weir_webrtc::webrtcbin::{ProcessStart, Webrtcbin};
use weir_webrtc::{Engine, Listen, ListenError, local_addresses};

use crate::base::Base;
use crate::config::{Config, Values};
use crate::descriptors::Connections;

pub(crate) const DEFAULT_LISTEN: &str = "0.0.0.0:8189";

/// TCP is for the few whose networks let no UDP through.
pub(crate) const TCP_CONNECTIONS: Connections = Connections { max: 1_024, per_ip_max: 64 };

/// What `[webrtc]` says.
#[derive(Clone, Debug)]
pub(crate) struct WebrtcConfig {
    pub(crate) udp: SocketAddr,
    pub(crate) tcp: Option<SocketAddr>,
    public_ips: Vec<IpAddr>,
    ice_servers: Vec<IceServer>,
    /// How many viewers there may be, by UDP and TCP together.
    pub(crate) viewers: Connections,
    /// The ports of `webrtcbin`, where the configuration asks for it.
    webrtcbin: Option<(u16, u16)>,
    /// Ports as they are where nobody chose: then another one will do if they are taken.
    is_default: bool,
}

/// Bound and not yet run.
pub(crate) struct WebrtcSocket {
    pub(crate) engine: Engine,
    pub(crate) viewers: mpsc::Receiver<WhepViewer>,
    pub(crate) publishers: mpsc::Receiver<WhipSession>,
    pub(crate) signalling: Signalling,
}

/// What viewers and publishers agree on over HTTP first.
#[derive(Clone)]
pub(crate) struct Signalling {
    pub(crate) whep: Whep,
    pub(crate) whip: Whip,
}

/// Somebody who was answered over HTTP, and is to be run on a lane.
pub(crate) trait Arrival: Send + 'static {
    fn lane(&self) -> Handle;

    fn run(self) -> impl Future<Output = ()> + Send + 'static;
}

impl Arrival for WhepViewer {
    fn lane(&self) -> Handle {
        self.lane()
    }

    fn run(self) -> impl Future<Output = ()> + Send + 'static {
        self.run()
    }
}

impl Arrival for WhipSession {
    fn lane(&self) -> Handle {
        self.lane()
    }

    fn run(self) -> impl Future<Output = ()> + Send + 'static {
        self.run()
    }
}

/// None: WebRTC is off.
pub(crate) fn config(values: &Values) -> anyhow::Result<Option<WebrtcConfig>> {
    let ports = process::ports(values.text("webrtc.udp_ports"))?;
    let webrtcbin = match values.text("webrtc.engine") {
        "auto" | "str0m" => None,
        "webrtcbin" => Some(ports),
        other => bail!("webrtc.engine = {other:?} is neither \"auto\", \"str0m\" nor \"webrtcbin\""),
    };
    let tcp = values.address("webrtc.tcp_listen")?;
    let public_ips = list(values.text("webrtc.public_ips"))
        .map(|ip| ip.parse().ok().with_context(|| format!("webrtc.public_ips: {ip:?} is not an address")))
        .collect::<anyhow::Result<_>>()?;
    let ice_servers = list(values.text("webrtc.ice_servers")).map(ice_server).collect::<anyhow::Result<_>>()?;
    let Some(udp) = values.address("webrtc.udp_listen")? else {
        if tcp.is_some() && values.text("webrtc.tcp_listen") != DEFAULT_LISTEN {
            bail!("webrtc.tcp_listen needs webrtc.udp_listen: TCP is for viewers whose networks let no UDP through");
        }
        return Ok(None);
    };
    let is_default =
        ["webrtc.udp_listen", "webrtc.tcp_listen"].into_iter().all(|key| values.text(key) == DEFAULT_LISTEN);
    let viewers = values.connections("webrtc")?;
    if viewers.max > CONNECTIONS_MAX {
        bail!("webrtc.connections_max must be {CONNECTIONS_MAX} at most");
    }
    Ok(Some(WebrtcConfig { udp, tcp, public_ips, ice_servers, viewers, webrtcbin, is_default }))
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// `stun:host:port`, or `turn:host:port name password`.
fn ice_server(text: &str) -> anyhow::Result<IceServer> {
    let mut words = text.split_ascii_whitespace();
    let url = words.next().unwrap_or_default();
    let login = words.next().map(str::to_owned).zip(words.next().map(str::to_owned));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\".contains(&byte));
    let is_stun = ["stun:", "stuns:"].iter().any(|scheme| url.starts_with(scheme)) && login.is_none();
    let is_turn = ["turn:", "turns:"].iter().any(|scheme| url.starts_with(scheme)) && login.is_some();
    if !(is_stun || is_turn) || words.next().is_some() || !text.split_ascii_whitespace().all(is_plain) {
        // A password may stand in it: only what comes first is told.
        bail!("webrtc.ice_servers: {url:?} is neither \"stun:HOST:PORT\" nor \"turn:HOST:PORT NAME PASSWORD\"");
    }
    Ok(IceServer { url: url.to_owned(), login })
}

impl WebrtcConfig {
    /// The process of `webrtcbin`, still to be started, where the configuration asks for it. It listens on this machine's own addresses,
    /// whatever viewers are told.
    pub(crate) fn webrtcbin(&self) -> Option<Webrtcbin> {
        let (first_port, last_port) = self.webrtcbin?;
        let start = ProcessStart { first_port, last_port, addresses: local_addresses(self.udp, &[]) };
        Some(Webrtcbin::new(start, self.public_ips.clone()))
    }

    /// For `weir doctor`: what was looked at, and why the server could not run like this.
    pub(crate) fn findings(&self) -> Vec<(String, Option<String>)> {
        let udp = UdpSocket::bind(self.udp).err();
        let tcp = self.tcp.map(|address| (address, TcpListener::bind(address).err()));
        let port = |(transport, address, error): (&str, SocketAddr, Option<io::Error>)| match error {
            Some(_) if self.is_default => {
                (format!("webrtc {transport} port {address} is taken, another one would be used"), None)
            }
            error => (format!("webrtc {transport} port {address}"), error.map(|error| error.to_string())),
        };
        let ports = [Some(("UDP", self.udp, udp)), tcp.map(|(address, error)| ("TCP", address, error))];
        let told = local_addresses(self.udp, &self.public_ips);
        let problem = told.is_empty().then(|| "no address of this machine will do: set webrtc.public_ips".to_owned());
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        let told = (format!("webrtc viewers are told {}", told.join(", ")), problem);
        let Connections { max, per_ip_max } = self.viewers;
        let viewers = (format!("webrtc viewers at most: {max}, {per_ip_max} of them from one address"), None);
        ports.into_iter().flatten().map(port).chain([told, viewers]).collect()
    }
}

/// Takes the ports. They belong to the first lane.
pub(crate) async fn bind(config: &Config, base: &Base) -> anyhow::Result<Option<WebrtcSocket>> {
    let Some(webrtc) = &config.webrtc else { return Ok(None) };
    let listen = Listen {
        udp: webrtc.udp,
        tcp: webrtc.tcp,
        tcp_limits: config.webrtc_connections.caps(usize::MAX),
        public_ips: webrtc.public_ips.clone(),
    };
    let engine = match bind_on_lane(&base.lanes, listen.clone()).await? {
        Err(ListenError::Port { error, address, .. }) if webrtc.is_default => {
            let any = |address: SocketAddr| SocketAddr::new(address.ip(), 0);
            let anywhere = Listen { udp: any(listen.udp), tcp: listen.tcp.map(any), ..listen };
            let engine = bind_on_lane(&base.lanes, anywhere).await?;
            tracing::warn!(%address, %error, "the port of WebRTC is taken: another one is used, which each answer tells");
            engine
        }
        other => other,
    };
    let engine = engine.context("cannot listen for WebRTC")?;
    let engine = match webrtc.webrtcbin() {
        Some(webrtcbin) => engine.beside(webrtcbin),
        None => engine,
    };
    for candidate in engine.candidates() {
        let transport = if candidate.transport == Transport::Udp { "UDP" } else { "TCP" };
        tracing::info!(transport, address = %candidate.address, "viewers by WebRTC are told to come here");
    }
    // The first viewer whose sound must be made is not to wait for the encoders to be tried, which takes seconds.
    let encoding = base.encoding.clone();
    tokio::spawn(async move { encoding.abilities().await });
    let caps = Caps::new(webrtc.viewers.caps(usize::MAX));
    let (admission, viewers) =
        WhepAdmission::new(base.admission.clone(), base.observe.clone(), engine.clone(), base.lanes.clone(), caps);
    let whep = Whep::new(admission, &webrtc.ice_servers);
    let (admission, publishers) =
        WhipAdmission::new(base.admission.clone(), base.observe.clone(), engine.clone(), base.lanes.clone());
    let whip = Whip::new(admission, &webrtc.ice_servers);
    Ok(Some(WebrtcSocket { engine, viewers, publishers, signalling: Signalling { whep, whip } }))
}

async fn bind_on_lane(lanes: &Lanes, listen: Listen) -> anyhow::Result<Result<Engine, ListenError>> {
    let bound = lanes.pick(0).spawn(async move { Engine::bind(&listen).await });
    bound.await.context("a media thread ended")
}

/// Takes in what comes to the ports.
pub(crate) async fn listen(engine: Engine, stop: CancellationToken, heartbeat: Heartbeat) {
    heartbeat.idle(stop.run_until_cancelled(engine.run())).await;
}

/// Runs viewers, each on its lane, until told to stop. Then nobody comes any more, and viewers end as their streams do; dropped, it cuts
/// off the others.
pub(crate) async fn run<A: Arrival>(mut arrivals: mpsc::Receiver<A>, stop: CancellationToken, heartbeat: Heartbeat) {
    let mut running: JoinSet<()> = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = running.join_next() => {}
            arrival = heartbeat.idle(arrivals.recv()) => match arrival {
                Some(arrival) => {
                    let lane = arrival.lane();
                    running.spawn_on(arrival.run(), &lane);
                }
                None => break,
            },
        }
    }
    drop(arrivals);
    while running.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_says_which_ports_and_addresses() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let udp = taken.local_addr().unwrap();
        let found = |is_default| {
            let public_ips = vec!["203.0.113.5".parse().unwrap()];
            let viewers = Connections { max: 9, per_ip_max: 3 };
            let webrtcbin = None;
            WebrtcConfig { udp, tcp: None, public_ips, ice_servers: Vec::new(), viewers, webrtcbin, is_default }
                .findings()
        };
        let [(port, problem), told, viewers] = &found(false)[..] else { panic!("{:?}", found(false)) };
        assert!(*port == format!("webrtc UDP port {udp}") && problem.is_some(), "{port} {problem:?}");
        assert_eq!(*told, ("webrtc viewers are told 203.0.113.5".to_owned(), None));
        assert_eq!(*viewers, ("webrtc viewers at most: 9, 3 of them from one address".to_owned(), None));
        assert!(found(true).iter().all(|(_, problem)| problem.is_none()), "another port would do");
    }

    #[test]
    fn helpers_are_read_and_their_passwords_are_told_to_nobody() {
        let read = |text: &str| ice_server(text).map_err(|error| error.to_string());
        assert_eq!(read("stun:h:1"), Ok(IceServer { url: "stun:h:1".to_owned(), login: None }));
        let turn = read("turn:h:1?transport=udp weir planted").unwrap();
        assert_eq!(turn.login, Some(("weir".to_owned(), "planted".to_owned())));
        for text in
            ["http://h", "turn:h", "turn:h weir", "turn:h a b planted", "stun:h a planted", "turn:h weir pla\"nted", ""]
        {
            let error = read(text).unwrap_err();
            assert!(error.contains("is neither") && !error.contains("planted"), "{error}");
        }
    }
}

//! The protocols, beside HTTP, by which people connect. Each is a row of [`PROTOCOLS`], and nothing else of the server names it.
//!
//! The row says how its connections are served: the protocol reads what somebody wants, [`Reception`] asks admission, and `ingest` or `play`
//! serves those who are let in.

mod port;
mod reception;
mod rtmp;
mod srt;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::ServerConfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_control::Lanes;
use weir_net::Caps;
use weir_observe::Heartbeat;

use crate::base::Base;
use crate::config::{Config, Listen};

use self::port::{Port, TcpPort};
use self::reception::Reception;

/// One of the protocols.
pub(crate) struct Protocol {
    /// The name of its section in the configuration, and the scheme of its addresses.
    pub(crate) name: &'static str,
    /// The name for whoever watches over the listener.
    pub(crate) owner: &'static str,
    /// The section that says how many may connect.
    pub(crate) connections: &'static str,
    /// Whether it has TLS inside; then it is off without a certificate.
    pub(crate) has_tls: bool,
    /// What stands between the listener's address and a stream key in the URL that an encoder publishes to. None: nobody publishes here.
    pub(crate) before_key: Option<&'static str>,
    pub(crate) comes_by: ComesBy,
}

/// What carries a protocol's connections.
pub(crate) enum ComesBy {
    /// Each connection is served by this.
    Tcp(port::ServeTcp),
    /// The protocol binds its port itself.
    Udp(port::BindUdp),
}

pub(crate) static PROTOCOLS: &[Protocol] = &[
    Protocol {
        name: "rtmp",
        owner: "the RTMP listener",
        connections: "rtmp",
        has_tls: false,
        before_key: Some("/live/"),
        comes_by: ComesBy::Tcp(rtmp::serve),
    },
    Protocol {
        name: "rtmps",
        owner: "the RTMPS listener",
        connections: "rtmp",
        has_tls: true,
        before_key: Some("/live/"),
        comes_by: ComesBy::Tcp(rtmp::serve),
    },
    Protocol {
        name: "srt",
        owner: "the SRT listener",
        connections: "srt",
        has_tls: false,
        before_key: Some("?mode=caller&streamid=publish:"),
        comes_by: ComesBy::Udp(srt::bind),
    },
];

/// A listener that is bound and not yet served.
pub(crate) struct Listener {
    pub(crate) protocol: &'static Protocol,
    port: Box<dyn Port>,
    lanes: Lanes,
}

/// Binds everything that is configured, before anything runs, so that a port that is taken ends the start with a clear message. `tls` is
/// the certificate for protocols that have TLS inside; without one they are off.
pub(crate) fn bind(config: &Config, base: &Base, tls: Option<&Arc<ServerConfig>>) -> anyhow::Result<Vec<Listener>> {
    let mut all = Vec::new();
    for Listen { protocol, address, connections } in &config.listeners {
        let Some(address) = *address else { continue };
        let tls = if protocol.has_tls { tls.cloned() } else { None };
        let limits = connections.caps(usize::MAX);
        let (admission, observe) = (base.admission.clone(), base.observe.clone());
        let reception = Arc::new(Reception { protocol: protocol.name, admission, observe });
        let port = match &protocol.comes_by {
            ComesBy::Tcp(serve) => TcpPort::bind(address, limits, config, tls, *serve, reception),
            ComesBy::Udp(bind) => bind(address, limits, reception, config),
        };
        let port = port.with_context(|| format!("cannot listen for {} on {address}", protocol.name.to_uppercase()))?;
        all.push(Listener { protocol, port, lanes: base.lanes.clone() });
    }
    Ok(all)
}

impl Listener {
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.port.local_addr()
    }

    /// How many connections there may be, and are.
    pub(crate) fn caps(&self) -> &Arc<Caps> {
        self.port.caps()
    }

    /// Runs until told to stop. Then it accepts nobody any more, and connections
    /// end as their streams do. When it is dropped, it cuts off the rest.
    pub(crate) async fn run(self, stop: CancellationToken, heartbeat: Heartbeat) {
        let mut connections: JoinSet<()> = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                (serve, place) = heartbeat.idle(self.port.accept()) => {
                    number += 1;
                    let task = connections.spawn_on(serve, self.lanes.pick(number));
                    if let Some(place) = place {
                        place.served_by(task);
                    }
                }
            }
        }
        drop(self.port);
        while connections.join_next().await.is_some() {}
    }
}

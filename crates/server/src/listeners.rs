//! The protocols, beside HTTP, by which people connect. Each is a file: it binds, asks admission and answers in the protocol's words, and
//! lets `ingest` or `play` serve those who are let in. A new protocol is named in [`PROTOCOLS`] and in [`bind`].

mod rtmp;
mod srt;

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use weir_net::Caps;
use weir_observe::Heartbeat;

use crate::base::Base;
use crate::config::Config;

/// Each protocol that has an address of its own, the section that says how many may connect, and whether it has TLS inside.
pub(crate) const PROTOCOLS: [(&str, &str, bool); 3] =
    [("rtmp", "rtmp", false), ("rtmps", "rtmp", true), ("srt", "srt", false)];

/// A listener that is bound and not yet served.
pub(crate) trait Listener: Send {
    /// The protocol's name in the configuration's section and in the scheme of its addresses.
    fn protocol(&self) -> &'static str;

    /// The name for whoever watches over the listener.
    fn name(&self) -> &'static str;

    fn local_addr(&self) -> SocketAddr;

    /// What stands between the listener's address and a stream key in the URL that an encoder publishes to. None: nobody publishes here.
    fn before_key(&self) -> Option<&'static str>;

    /// How many connections there may be, and are.
    fn caps(&self) -> &Arc<Caps>;

    /// Runs until told to stop. Then it accepts nobody any more, and connections
    /// end as their streams do. When it is dropped, it cuts off the rest.
    fn run(self: Box<Self>, stop: CancellationToken, heartbeat: Heartbeat) -> BoxFuture<'static, ()>;
}

/// Binds everything that is configured, before anything runs, so that a port that is taken ends the start with a clear message. `tls` is
/// the certificate for protocols that have TLS inside; without one they are off.
pub(crate) async fn bind(
    config: &Config,
    base: &Base,
    tls: Option<&Arc<ServerConfig>>,
) -> anyhow::Result<Vec<Box<dyn Listener>>> {
    let mut all: Vec<Box<dyn Listener>> = Vec::new();
    all.extend(rtmp::bind("rtmp", config, base, None).await?);
    if let Some(tls) = tls {
        all.extend(rtmp::bind("rtmps", config, base, Some(Arc::clone(tls))).await?);
    }
    all.extend(srt::bind(config, base)?);
    Ok(all)
}

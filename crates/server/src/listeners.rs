//! The protocols that people connect by, beside HTTP. Each is a file: it binds, asks admission in its own words, and has whoever is let in
//! served by `ingest` or `play`. A new one is named in [`bind`].

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

/// Bound and not yet served.
pub(crate) trait Listener: Send {
    /// As the configuration's section, and the scheme of its addresses.
    fn protocol(&self) -> &'static str;

    /// For whoever watches over it.
    fn name(&self) -> &'static str;

    fn local_addr(&self) -> SocketAddr;

    /// How many connections there may be, and are.
    fn caps(&self) -> &Arc<Caps>;

    /// Runs until told to stop. Then nobody is let in any more, and connections end as their streams do; dropped, it cuts off the others.
    fn run(self: Box<Self>, stop: CancellationToken, heartbeat: Heartbeat) -> BoxFuture<'static, ()>;
}

/// Everything that is configured, before anything runs: a port that is taken ends the start with a clear word. `tls` is what is shown by
/// protocols that have it inside; without it they are off.
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

//! A bound port, whatever carries its connections, and the one for everything that comes over TCP.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use weir_net::{CapLimits, CappedListener, Caps, Newcomer, PlaceUse};
use weir_observe::Counter;

use super::reception::Reception;
use crate::config::Config;

/// What serves a connection to its end, and the place that has to know the task which does it, if its protocol gives places away.
pub(crate) type Arrival = (BoxFuture<'static, ()>, Option<Arc<PlaceUse>>);

/// Serves one connection over TCP to its end. The certificate is there if the protocol has TLS inside.
pub(crate) type ServeTcp = fn(Newcomer, Option<Arc<ServerConfig>>, Arc<Reception>) -> BoxFuture<'static, ()>;

/// Binds the port of a protocol that comes over UDP.
pub(crate) type BindUdp = fn(SocketAddr, CapLimits, Arc<Reception>, &Config) -> anyhow::Result<Box<dyn Port>>;

/// A bound port.
pub(crate) trait Port: Send + Sync {
    fn local_addr(&self) -> SocketAddr;

    fn caps(&self) -> &Arc<Caps>;

    /// The next connection. It waits for no peer to send anything, and is cancel-safe.
    fn accept(&self) -> BoxFuture<'_, Arrival>;
}

/// A port that connections come to over TCP.
pub(super) struct TcpPort {
    listener: CappedListener,
    tls: Option<Arc<ServerConfig>>,
    serve: ServeTcp,
    reception: Arc<Reception>,
}

impl TcpPort {
    pub(super) fn bind(
        address: SocketAddr,
        limits: CapLimits,
        config: &Config,
        tls: Option<Arc<ServerConfig>>,
        serve: ServeTcp,
        reception: Arc<Reception>,
    ) -> anyhow::Result<Box<dyn Port>> {
        let listener = CappedListener::bind(address, limits, config.trusted_proxies.clone())?;
        Ok(Box::new(Self { listener, tls, serve, reception }))
    }
}

impl Port for TcpPort {
    fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    fn caps(&self) -> &Arc<Caps> {
        self.listener.caps()
    }

    fn accept(&self) -> BoxFuture<'_, Arrival> {
        Box::pin(async {
            let newcomer = self.listener.accept().await;
            if newcomer.made_room() {
                self.reception.observe.counters().add(Counter::PlacesGivenUp, 1);
            }
            let place = newcomer.place();
            ((self.serve)(newcomer, self.tls.clone(), Arc::clone(&self.reception)), Some(place))
        })
    }
}

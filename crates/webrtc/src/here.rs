//! A viewer's channel that is run in this process: the peer, and the ports by which it hears the viewer and sends to it.

use std::sync::Arc;
use std::time::Instant;

use weir_media::MediaTime;

use crate::channel::Over;
use crate::engine::Shared;
use crate::outbox::Burst;
use crate::peer::{Fact, Peer, Written};
use crate::routes::Route;

#[derive(Debug)]
pub(crate) struct Here {
    shared: Arc<Shared>,
    /// The peer is boxed because it is some kilobytes large, and futures that hold it are moved.
    peer: Box<Peer>,
    route: Route,
}

impl Here {
    pub(crate) fn new(shared: Arc<Shared>, peer: Peer, route: Route) -> Self {
        Self { shared, peer: Box::new(peer), route }
    }

    /// Waits for what the viewer sends, and takes it in. Cancel-safe.
    pub(crate) async fn hear(&mut self) {
        if let Some(datagram) = self.route.inbox.recv().await {
            self.peer.receive(&datagram, Instant::now());
        }
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        self.peer.tick(now);
    }

    pub(crate) fn splice(&mut self, time: MediaTime, now: Instant) {
        self.peer.splice(time, now);
    }

    pub(crate) fn write(&mut self, written: &Written<'_>) {
        let Self { shared, peer, .. } = self;
        peer.write(written, shared.segments_max(), |burst| shared.send(burst));
    }

    /// Says goodbye: some of it now, some with the next [`Here::poll`].
    pub(crate) fn close(&mut self) {
        let Self { shared, peer, .. } = self;
        peer.close(|burst| shared.send(burst));
    }

    /// Sends what there is to send, tells what there is to tell, and returns when to poll again at the latest.
    pub(crate) fn poll(&mut self, now: Instant, tell: impl FnMut(Fact)) -> Result<Instant, Over> {
        let Self { shared, peer, route } = self;
        let send = |burst: Burst<'_>| {
            route.answered(burst.way.transport, burst.way.destination);
            shared.send(burst);
        };
        peer.poll(shared.segments_max(), send, tell, now)
    }
}

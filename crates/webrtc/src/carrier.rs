//! What carries one viewer's media: `str0m` in this process, or `webrtcbin` in one of its own. A connection is served by either in the same way.

use std::time::Instant;

use weir_media::MediaTime;

use crate::channel::Over;
use crate::here::Here;
use crate::peer::{Fact, Written};
use crate::webrtcbin::Remote;

/// Why there is nothing to be carried any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Over(Over),
    /// The process that had our end is gone.
    EngineEnded,
}

#[derive(Debug)]
pub(crate) enum Carrier {
    Here(Here),
    Remote(Remote),
}

impl Carrier {
    /// Waits for what comes of the viewer, and takes it in. Cancel-safe.
    pub(crate) async fn hear(&mut self) {
        match self {
            Self::Here(here) => here.hear().await,
            Self::Remote(remote) => remote.hear().await,
        }
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        match self {
            Self::Here(here) => here.tick(now),
            Self::Remote(_) => {}
        }
    }

    /// Lets the pictures of another rendition follow, beginning with that of this time.
    pub(crate) fn splice(&mut self, time: MediaTime, now: Instant) {
        match self {
            Self::Here(here) => here.splice(time, now),
            Self::Remote(remote) => remote.splice(time),
        }
    }

    pub(crate) fn write(&mut self, written: &Written<'_>) {
        match self {
            Self::Here(here) => here.write(written),
            Self::Remote(remote) => remote.write(written),
        }
    }

    /// Says goodbye to the far end.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Here(here) => here.close(),
            // The process says it when the connection is dropped.
            Self::Remote(_) => {}
        }
    }

    /// Sends what there is to send, tells what there is to tell, and returns when to poll again at the latest.
    pub(crate) fn poll(&mut self, now: Instant, tell: impl FnMut(Fact)) -> Result<Instant, Cut> {
        match self {
            Self::Here(here) => here.poll(now, tell).map_err(Cut::Over),
            Self::Remote(remote) => remote.poll(now, tell),
        }
    }
}

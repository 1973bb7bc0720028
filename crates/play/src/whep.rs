//! WebRTC play: it chooses what of a stream a browser is shown (`choice`), serves one viewer of it, and moves the viewer to what its path
//! carries (`climb`, `standing`).

mod choice;
mod climb;
mod standing;

pub use choice::{Choice, Chosen, Making, NoneFits, Rung, choose};
pub use standing::{Other, Shown};

use std::time::Instant;

use weir_hub::{Cold, Cursor, FeedHandle, StreamHub};
use weir_observe::Viewer;
use weir_webrtc::{Connection, Figures, RtpBatch, RtpBatcher};

use crate::source_gone::source_gone_too_long;
use standing::Standing;

/// One viewer by WebRTC.
#[derive(Debug)]
pub struct WhepPlay {
    hub: StreamHub,
    connection: Connection,
    batches: Cursor<RtpBatch>,
    _feed: FeedHandle<RtpBatcher>,
    standing: Standing,
}

impl WhepPlay {
    pub fn new(shown: Shown, connection: Connection, viewer: Option<Viewer>) -> Self {
        let hub = shown.hub.clone();
        let feed: FeedHandle<RtpBatcher> = shown.feeds.feed(&shown.first, shown.language, &shown.lane);
        let standing = Standing::new(shown, viewer, Instant::now());
        Self { hub, connection, batches: feed.subscribe(), _feed: feed, standing }
    }

    /// Plays until either side ends it, or until `leave` says why it is over. Returns the reason, for the log.
    pub async fn run(mut self, leave: impl Future<Output = String>) -> (String, Figures) {
        let mut pulse = self.hub.watch_pulse();
        let gone = Cold::new(source_gone_too_long(&mut pulse));
        let ended = tokio::select! {
            biased;
            ended = self.connection.serve(&mut self.batches, &mut self.standing) => ended.words().to_owned(),
            () = gone => "the source is gone".to_owned(),
            why = Cold::new(leave) => why,
        };
        self.connection.close();
        (ended, self.connection.figures())
    }
}

#[cfg(test)]
mod moving_tests;

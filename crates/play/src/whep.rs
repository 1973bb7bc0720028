//! WebRTC play: it chooses what of a stream a browser is shown (`choice`), and serves one viewer of it.

mod choice;

pub use choice::{Choice, Chosen, Making, NoneFits, Rung, choose};

use weir_hub::{Cold, Cursor, FeedHandle, RenditionHub, StreamHub};
use weir_observe::Viewer;
use weir_webrtc::{Connection, Figures, RtpBatch, RtpBatcher};

use crate::source_gone::source_gone_too_long;

/// One viewer by WebRTC.
#[derive(Debug)]
pub struct WhepPlay {
    hub: StreamHub,
    /// Who has lost something asks it for a keyframe.
    rendition: RenditionHub,
    connection: Connection,
    batches: Cursor<RtpBatch>,
    _feed: FeedHandle<RtpBatcher>,
    /// The viewer is counted while this lives.
    viewer: Option<Viewer>,
}

impl WhepPlay {
    /// A viewer of this rendition of the hub, and of its feed.
    pub fn new(
        (hub, rendition): (StreamHub, &str),
        connection: Connection,
        feed: FeedHandle<RtpBatcher>,
        viewer: Option<Viewer>,
    ) -> Self {
        let rendition = hub.rendition(rendition);
        Self { hub, rendition, connection, batches: feed.subscribe(), _feed: feed, viewer }
    }

    /// Plays until either side ends it, or until `leave` says why it is over. Returns the reason, for the log.
    pub async fn run(mut self, leave: impl Future<Output = String>) -> (String, Figures) {
        let mut pulse = self.hub.watch_pulse();
        let ask = |count| {
            self.rendition.ask_keyframe();
            if let Some(viewer) = &self.viewer {
                viewer.asked_for_keyframes(count);
            }
        };
        let gone = Cold::new(source_gone_too_long(&mut pulse));
        let ended = tokio::select! {
            biased;
            ended = self.connection.serve(&mut self.batches, ask) => ended.words().to_owned(),
            () = gone => "the source is gone".to_owned(),
            why = Cold::new(leave) => why,
        };
        self.connection.close();
        (ended, self.connection.figures())
    }
}

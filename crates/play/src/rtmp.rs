//! RTMP play: a stream's feed to one player, on a connection that the player opened.

use weir_hub::{Cursor, FeedHandle, Next, StreamHub};
use weir_observe::Viewer;
use weir_rtmp::batch::{Outlet, SharedBatch};
use weir_rtmp::from_frames::RtmpBatcher;
use weir_rtmp::net::{BoxFuture, PlaySession};
use weir_rtmp::parcel::Parcel;

use crate::source_gone::source_gone_too_long;

/// One player.
#[derive(Debug)]
pub struct RtmpPlay {
    hub: StreamHub,
    cursor: Cursor<SharedBatch>,
    outlet: Option<Outlet>,
    _feed: FeedHandle<RtmpBatcher>,
    /// The viewer is counted while this lives.
    _viewer: Option<Viewer>,
}

impl RtmpPlay {
    pub fn new(hub: StreamHub, feed: FeedHandle<RtmpBatcher>, viewer: Option<Viewer>) -> Self {
        Self { hub, cursor: feed.subscribe(), outlet: None, _feed: feed, _viewer: viewer }
    }

    async fn next_parcel(&mut self, stream_id: u32) -> Option<Parcel> {
        let outlet = self.outlet.get_or_insert_with(|| Outlet::new(stream_id));
        let mut pulse = self.hub.watch_pulse();
        loop {
            // The select ends before anything is taken from the cursor, so this is cancel-safe.
            let next = tokio::select! {
                biased;
                next = self.cursor.next() => next,
                () = source_gone_too_long(&mut pulse) => return None,
            };
            match next {
                Next::Item(batch) => {
                    let parcel = outlet.parcel(&batch);
                    if !parcel.is_empty() {
                        return Some(parcel);
                    }
                }
                Next::Skipped { .. } => outlet.skipped(),
                Next::Closed => return None,
            }
        }
    }
}

impl PlaySession for RtmpPlay {
    fn next<'a>(&'a mut self, stream_id: u32) -> BoxFuture<'a, Option<Parcel>> {
        Box::pin(self.next_parcel(stream_id))
    }
}

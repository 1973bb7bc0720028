//! RTMP play: a stream's feed to one player, on a connection that the player opened.

use weir_hub::{FeedHandle, StreamHub};
use weir_observe::Viewer;
use weir_rtmp::from_frames::RtmpBatcher;
use weir_rtmp::outlet::Outlet;

use crate::source_gone::source_gone_too_long;

/// What one player is sent on its message stream of that id. The viewer is counted for as long as this lives.
pub fn rtmp_play(hub: StreamHub, feed: FeedHandle<RtmpBatcher>, viewer: Option<Viewer>, stream_id: u32) -> Outlet {
    Outlet::new(feed, stream_id).until(async move {
        let _viewer = viewer;
        source_gone_too_long(&mut hub.watch_pulse()).await;
    })
}

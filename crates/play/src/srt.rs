//! SRT play: a stream's feed to one player, on a connection that the player opened.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use weir_hub::{FeedHandle, StreamHub};
use weir_observe::Viewer;
use weir_srt::SrtConnection;
use weir_srt::from_frames::TsBatcher;
use weir_srt::outlet::{Outlet, Sent};

use crate::source_gone::source_gone_too_long;

/// A player that has acknowledged nothing of what waits for it for so long is gone, whatever it says.
const STALLED_AFTER: Duration = Duration::from_secs(10);

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One player.
#[derive(Debug)]
pub struct SrtPlay {
    hub: StreamHub,
    outlet: Outlet,
    _feed: FeedHandle<TsBatcher>,
    /// The viewer is counted while this lives.
    _viewer: Option<Viewer>,
}

impl SrtPlay {
    pub fn new(hub: StreamHub, feed: FeedHandle<TsBatcher>, viewer: Option<Viewer>) -> Self {
        Self { hub, outlet: Outlet::new(feed.subscribe(), None), _feed: feed, _viewer: viewer }
    }

    /// Plays until either side ends it, and says which, for the log.
    pub async fn run(mut self, connection: SrtConnection) -> &'static str {
        let mut pulse = self.hub.watch_pulse();
        let ended = tokio::select! {
            biased;
            ended = play(&mut self.outlet, &connection) => ended,
            () = source_gone_too_long(&mut pulse) => "the source is gone",
        };
        connection.close().await;
        ended
    }
}

async fn play(outlet: &mut Outlet, connection: &SrtConnection) -> &'static str {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut buffered, mut moved_at) = (0, Instant::now());
    loop {
        let sent = tokio::select! {
            biased;
            _ = look.tick() => {
                let left = connection.stats().send_buffered_bytes;
                if left == 0 || left < buffered {
                    moved_at = Instant::now();
                } else if moved_at.elapsed() >= STALLED_AFTER {
                    return "the player takes nothing";
                }
                buffered = left;
                continue;
            }
            sent = outlet.send(connection) => sent,
        };
        match sent {
            Ok(Sent::Batch) => {}
            Ok(Sent::FeedEnded) => return "the stream ended",
            Err(_) => return "the player left",
        }
    }
}

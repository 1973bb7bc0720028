//! Accepts SRT connections and serves each on a lane.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_control::{Lanes, SrtDoor};
use weir_observe::{Counter, Observe};
use weir_srt::SrtListener;

/// Runs until told to stop; connections still open then are ended.
pub(crate) async fn run(
    listener: SrtListener,
    door: Arc<SrtDoor>,
    lanes: Lanes,
    observe: Observe,
    stop: CancellationToken,
) {
    let mut connections: JoinSet<()> = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                observe.counters().add(Counter::SrtConnections, 1);
                number += 1;
                let door = Arc::clone(&door);
                connections.spawn_on(async move { door.serve(accepted).await }, lanes.pick(number));
            }
        }
    }
    connections.shutdown().await;
}

//! Accepts SRT connections and serves each on a lane.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_control::{Lanes, SrtAdmission};
use weir_observe::{Counter, Heartbeat, Observe};
use weir_srt::SrtListener;

/// Runs until told to stop. Then the door is shut, and connections end as their streams do; dropped, it cuts off the others.
pub(crate) async fn run(
    listener: SrtListener,
    door: Arc<SrtAdmission>,
    lanes: Lanes,
    observe: Observe,
    stop: CancellationToken,
    heartbeat: Heartbeat,
) {
    let mut connections: JoinSet<()> = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = heartbeat.idle(listener.accept()) => {
                observe.counters().add(Counter::SrtConnections, 1);
                number += 1;
                let door = Arc::clone(&door);
                connections.spawn_on(async move { door.serve(accepted).await }, lanes.pick(number));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

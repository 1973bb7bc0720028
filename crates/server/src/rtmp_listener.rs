//! Accepts RTMP and RTMPS connections and serves each on a lane.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_control::{Lanes, RtmpAdmission};
use weir_observe::{Counter, Heartbeat, Observe};
use weir_rtmp::net::{CloseReason, Listener};

/// Runs until told to stop. Then the door is shut, and connections end as their streams do; dropped, it cuts off the others.
pub(crate) async fn run(
    listener: Listener,
    door: Arc<RtmpAdmission>,
    lanes: Lanes,
    observe: Observe,
    stop: CancellationToken,
    heartbeat: Heartbeat,
) {
    let mut connections: JoinSet<CloseReason> = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            incoming = heartbeat.idle(listener.accept()) => {
                observe.counters().add(Counter::RtmpConnections, 1);
                if incoming.made_room() {
                    observe.counters().add(Counter::PlacesGivenUp, 1);
                }
                number += 1;
                let place = incoming.place();
                let (door, observe) = (Arc::clone(&door), observe.clone());
                let serve = async move {
                    let reason = incoming.serve(door).await;
                    if !matches!(reason, CloseReason::PeerClosed | CloseReason::PlayEnded) {
                        observe.counters().add(Counter::RtmpConnectionsFailed, 1);
                    }
                    reason
                };
                place.served_by(connections.spawn_on(serve, lanes.pick(number)));
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

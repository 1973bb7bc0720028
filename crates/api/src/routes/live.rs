//! `/live`: the state of everything, as it changes.

use crate::context::App;
use crate::dto::live::{LiveDeltaDto, LiveSnapshotDto};
use crate::live::Told;
use crate::problem::Problem;
use axum::extract::State;
use axum::response::sse::{Event as Sent, Sse};
use futures_util::stream::{Stream, unfold};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use utoipa::ToSchema;

/// Whoever was let in is asked again after this: a login that was ended does not watch on for ever. Browsers come back by
/// themselves.
const CONNECTION_LIFE: Duration = Duration::from_secs(15 * 60);

/// Ticks on their way to a slow follower.
const WAITING: usize = 2;

/// Either of the two.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the events")]
pub(crate) enum LiveDto {
    Snapshot(LiveSnapshotDto),
    Delta(LiveDeltaDto),
}

/// The live board (server-sent events): `snapshot` first, then `delta` once a second and at once when a state changes
#[utoipa::path(get, path = "/api/v1/live", tag = "live", responses(
    (status = 200, content_type = "text/event-stream", body = LiveDto), (status = 503, body = Problem)))]
pub(crate) async fn follow(
    State(app): State<App>,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    let slot = Arc::clone(&app.followers).try_acquire_owned().map_err(|_| Problem::busy("too many watch"))?;
    let mut follower = app.live.follow(&app.api).await;
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let forward = async { while sender.send(follower.next().await).await.is_ok() {} };
        tokio::select! {
            () = forward => {}
            () = sender.closed() => {}
            () = tokio::time::sleep(CONNECTION_LIFE) => {}
            () = app.api.readiness.draining() => {}
        }
        drop(slot);
    });
    let events = unfold(receiver, |mut receiver| async move {
        let event = match receiver.recv().await? {
            Told::Snapshot(text) => Sent::default().event("snapshot").data(text),
            Told::Delta(text) => Sent::default().event("delta").data(&*text),
        };
        Some((Ok(event), receiver))
    });
    Ok(Sse::new(events))
}

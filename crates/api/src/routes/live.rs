//! Answers `/live`: the state of everything as it changes, with the events in between if they are asked for.

use crate::auth::Caller;
use crate::context::App;
use crate::dto::event::EventDto;
use crate::dto::live::{LiveDeltaDto, LiveSnapshotDto};
use crate::input::Params;
use crate::live::Told;
use crate::problem::Problem;
use crate::routes::events::last_event_id;
use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sent, Sse};
use futures_util::stream::{Stream, unfold};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use utoipa::{IntoParams, ToSchema};
use weir_observe::Event;

/// A connection ends after this, and browsers come back by themselves. So whoever was let in is checked again, and a login that was ended
/// does not watch on for ever.
const CONNECTION_LIFE: Duration = Duration::from_secs(15 * 60);

/// How many ticks wait for a slow follower.
const WAITING: usize = 2;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveParams {
    /// Tells the events of `/events/stream` as well, each as an event `event`, so that one connection is enough for all that a page shows.
    /// They resume by `Last-Event-ID`.
    #[serde(default)]
    events: bool,
}

/// The data of one event: a snapshot, a delta or an event.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the events")]
pub(crate) enum LiveDto {
    Snapshot(LiveSnapshotDto<'static>),
    Delta(LiveDeltaDto<'static>),
    Event(EventDto),
}

/// What a follower is told next.
enum News {
    Board(Told),
    Event(Event),
}

/// The live board (server-sent events): `snapshot` first, then `delta` once a second and at once when a state changes
#[utoipa::path(get, path = "/api/v1/live", tag = "live", params(LiveParams), responses(
    (status = 200, content_type = "text/event-stream", body = LiveDto), (status = 503, body = Problem)))]
pub(crate) async fn follow(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<LiveParams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    let since = last_event_id(&headers)?;
    let slot = Arc::clone(&app.followers).try_acquire_owned().map_err(|_| Problem::busy("too many watch"))?;
    let mut follower = app.live.follow(&app.api);
    let (sender, receiver) = mpsc::channel(WAITING);
    let (subscribed, from_now_on) = oneshot::channel();
    let pass = caller.pass(&app);
    tokio::spawn(async move {
        let mut events = query.events.then(|| app.api.observe.events().subscribe_to_all(since));
        let _ = subscribed.send(());
        let forward = async {
            loop {
                let event = async {
                    match &mut events {
                        Some(events) => events.next().await,
                        None => std::future::pending().await,
                    }
                };
                let news = tokio::select! {
                    told = follower.next() => News::Board(told),
                    event = event => News::Event(event),
                };
                if sender.send(news).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = forward => {}
            () = sender.closed() => {}
            end = pass.ended() => tracing::info!(caller = caller.actor, why = %end, "a follower is sent away"),
            () = tokio::time::sleep(CONNECTION_LIFE) => {}
            () = app.api.readiness.draining() => {}
        }
        drop(slot);
    });
    // The events are subscribed to before the answer begins, so it has everything that happens from then on.
    let _ = from_now_on.await;
    let sent = unfold(receiver, |mut receiver| async move { Some((Ok(sent(receiver.recv().await?)), receiver)) });
    Ok(Sse::new(sent))
}

fn sent(news: News) -> Sent {
    match news {
        News::Board(Told::Snapshot(text)) => Sent::default().event("snapshot").data(text),
        News::Board(Told::Delta(text)) => Sent::default().event("delta").data(&*text),
        News::Event(event) => {
            let id = event.id.to_string();
            Sent::default()
                .id(id)
                .event("event")
                .data(serde_json::to_string(&EventDto::from(event)).unwrap_or_default())
        }
    }
}

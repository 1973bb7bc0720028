//! Answers `/events`: what happened, as a list and as it happens.

use crate::auth::Caller;
use crate::context::App;
use crate::dto::List;
use crate::dto::event::EventDto;
use crate::input::Params;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::{Extension, Json};
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use utoipa::IntoParams;
use weir_model::EventKind;
use weir_observe::{Event, EventCursor, EventLog};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

/// The time between signs of life. Proxies close a connection that is silent for a minute or less.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How many events wait for a slow follower. Beyond these, the log itself is the buffer.
const WAITING_EVENTS: usize = 64;

/// The largest id. Ids fit into what most programs call a number: 64 bits with a sign.
const EVENT_ID_MAX: u64 = i64::MAX as u64;

fn event_id(field: &'static str, id: Option<u64>) -> Result<Option<u64>, Problem> {
    match id {
        Some(id) if id > EVENT_ID_MAX => Err(Problem::invalid(field, "is larger than any event's id")),
        id => Ok(id),
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Since {
    /// Lists only events after this id.
    #[param(maximum = 9223372036854775807i64)]
    since: Option<u64>,
    /// How many entries the answer may have: 1 to 500; 100 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// Lists the newest event first instead of the oldest. `next_cursor` is then the id to give as `before`.
    #[serde(default)]
    newest_first: bool,
    /// Lists only events before this id, with `newest_first`.
    #[param(maximum = 9223372036854775807i64)]
    before: Option<u64>,
}

/// Events, oldest first; `next_cursor` is the id to give as `since`
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Since), responses(
    (status = 200, body = List<EventDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(query): Params<Since>,
) -> Result<Json<List<EventDto>>, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid("limit", "must be a number from 1 to 500"));
    }
    let (since, before) = (event_id("since", query.since)?, event_id("before", query.before)?);
    let log = app.api.observe.events();
    let mut events = match query.newest_first {
        false => log.since(since, limit + 1),
        true => log.newest(before, limit + 1),
    };
    let more = events.len() > limit;
    events.truncate(limit);
    let next_cursor = events.last().filter(|_| more).map(|event| event.id.to_string());
    Ok(Json(List::with_cursor(events.into_iter().map(Into::into).collect(), next_cursor)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct After {
    /// Begins after this id, like the header Last-Event-ID. When absent, it begins now.
    #[param(maximum = 9223372036854775807i64)]
    since: Option<u64>,
    /// Tells only these types, with commas between them. `*` is all but refusals, which come by their names only; when absent, it is `*`.
    types: Option<String>,
}

/// The types of events that a follower asked for.
enum Types {
    Usual,
    Named { usual_too: bool, kinds: Vec<EventKind> },
}

impl Types {
    fn parse(types: Option<&str>) -> Result<Self, Problem> {
        let Some(types) = types else { return Ok(Self::Usual) };
        let (mut usual_too, mut kinds) = (false, Vec::new());
        for name in types.split(',').map(str::trim) {
            match weir_store::event_kind(name) {
                Some(kind) => kinds.push(kind),
                None if name == "*" => usual_too = true,
                None => return Err(Problem::invalid("types", "must be types of events with commas between them")),
            }
        }
        Ok(Self::Named { usual_too, kinds })
    }

    /// The cursor over the events that have to be looked at.
    fn subscribe<'a>(&self, log: &'a EventLog, since: Option<u64>) -> EventCursor<'a> {
        match self {
            Self::Usual => log.subscribe(since),
            Self::Named { .. } => log.subscribe_to_all(since),
        }
    }

    fn fit(&self, event: &Event) -> bool {
        match self {
            Self::Usual => true,
            Self::Named { usual_too, kinds } => *usual_too && !event.refusal || kinds.contains(&event.kind),
        }
    }
}

/// Events as they happen (server-sent events); resumes by `Last-Event-ID`
#[utoipa::path(get, path = "/api/v1/events/stream", tag = "events", params(After), responses(
    (status = 200, content_type = "text/event-stream", body = String)))]
pub(crate) async fn follow(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<After>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    let slot =
        Arc::clone(&app.followers).try_acquire_owned().map_err(|_| Problem::busy("too many follow the events"))?;
    let since = last_event_id(&headers)?.or(event_id("since", query.since)?);
    let types = Types::parse(query.types.as_deref())?;
    let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
    let (subscribed, from_now_on) = oneshot::channel();
    let pass = caller.pass(&app);
    tokio::spawn(async move {
        let observe = app.api.observe;
        let mut cursor = types.subscribe(observe.events(), since);
        let _ = subscribed.send(());
        let forward = async {
            loop {
                let event = cursor.next().await;
                if types.fit(&event) && sender.send(event).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = forward => {}
            () = sender.closed() => {}
            end = pass.ended() => tracing::info!(caller = caller.actor, why = %end, "a follower is sent away"),
            // Followers come back by themselves, to the next server.
            () = app.api.readiness.draining() => {}
        }
        drop(slot);
    });
    // The events are subscribed to before the answer begins, so it has everything that happens from then on.
    let _ = from_now_on.await;
    let events = unfold(receiver, |mut receiver| async move {
        let event = receiver.recv().await?;
        let (id, kind) = (event.id.to_string(), event.kind.as_str());
        let data = serde_json::to_string(&EventDto::from(event)).unwrap_or_default();
        Some((Ok(Sent::default().id(id).event(kind).data(data)), receiver))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The id of the last event that a returning follower has heard.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let id = id.to_str().ok().and_then(|id| id.trim().parse().ok()).filter(|id| *id <= EVENT_ID_MAX);
    id.map(Some).ok_or_else(|| Problem::malformed("Last-Event-ID must be the id of an event"))
}

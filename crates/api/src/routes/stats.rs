//! Answers `/streams/{id}/stats` and `/restreams/{id}/stats` with figures over time.

use crate::context::App;
use crate::dto::Timestamp;
use crate::dto::past::StatsDto;
use crate::input::{Id, Params};
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use std::time::Instant;
use utoipa::IntoParams;
use weir_model::{Restream, RestreamId, StreamId};
use weir_observe::Subject;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SinceTime {
    /// The time from which figures are wanted, a day ago at most; when absent, 15 minutes ago.
    since: Option<Timestamp>,
}

/// A stream's figures over time: seconds for 15 minutes, steps of ten seconds for a day
#[utoipa::path(get, path = "/api/v1/streams/{id}/stats", tag = "streams", params(("id" = i64, Path), SinceTime), responses(
    (status = 200, body = StatsDto), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn of_stream(
    State(app): State<App>,
    Id(id): Id,
    Params(query): Params<SinceTime>,
) -> Result<Json<StatsDto>, Problem> {
    app.api.store.stream(StreamId(id)).await?;
    Ok(past(&app, Subject::Stream(StreamId(id)), &query))
}

/// A restream's figures over time: seconds for 15 minutes, steps of ten seconds for a day
#[utoipa::path(get, path = "/api/v1/restreams/{id}/stats", tag = "restreams", params(("id" = i64, Path), SinceTime),
    responses(
    (status = 200, body = StatsDto), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn of_restream(
    State(app): State<App>,
    Id(id): Id,
    Params(query): Params<SinceTime>,
) -> Result<Json<StatsDto>, Problem> {
    app.api.store.get::<Restream>(RestreamId(id)).await?;
    Ok(past(&app, Subject::Restream(RestreamId(id)), &query))
}

fn past(app: &App, subject: Subject, query: &SinceTime) -> Json<StatsDto> {
    let since = query.since.as_ref().map(|since| since.0);
    Json(app.api.observe.history().past(subject, since, Instant::now()).into())
}

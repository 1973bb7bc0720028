//! Answers `/restreams`.

use super::{created, one, reveal};
use crate::acting::Acting;
use crate::auth::Caller;
use crate::context::App;
use crate::dto::List;
use crate::dto::restream::{RestreamDto, RestreamStatusDto, RetryAnswer};
use crate::dto::restream_input::{RestreamInput, RestreamPatch};
use crate::input::{Body, Id, IfMatch, PageParams, Params, RevealParams};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::IntoParams;
use weir_model::{Restream, RestreamId, StreamId};

fn dto(app: &App, restream: &Restream, reveal: bool) -> RestreamDto {
    RestreamDto::new(restream, RestreamStatusDto::of(&app.api.observe, restream.id), reveal)
}

fn answer(app: &App, restream: &Restream) -> Response {
    one(StatusCode::OK, restream.version, dto(app, restream, false))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfStream {
    /// Lists only the restreams of this stream.
    stream_id: Option<i64>,
}

/// All restreams, oldest first
#[utoipa::path(get, path = "/api/v1/restreams", tag = "restreams", params(PageParams, OfStream), responses(
    (status = 200, body = List<RestreamDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(page): Params<PageParams>,
    Params(of): Params<OfStream>,
) -> Result<Json<List<RestreamDto>>, Problem> {
    let (after, limit) = page.read()?;
    let page = app.api.store.restreams(of.stream_id.map(StreamId), after, limit).await?;
    Ok(Json(List::new(page, |restream| dto(&app, &restream, false))))
}

/// A new restream
#[utoipa::path(post, path = "/api/v1/restreams", tag = "restreams", request_body = RestreamInput, responses(
    (status = 201, body = RestreamDto), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem)))]
pub(crate) async fn create(
    Acting(app): Acting,
    Extension(caller): Extension<Caller>,
    Body(input): Body<RestreamInput>,
) -> Result<Response, Problem> {
    let restream = input.into_model()?;
    app.api.raw_uris.check(caller.role, None, &restream)?;
    let restream = app.api.commands.create_restream_of(caller.user_id, restream).await?;
    Ok(created("restreams", restream.id.0, restream.version, dto(&app, &restream, false)))
}

/// One restream
#[utoipa::path(get, path = "/api/v1/restreams/{id}", tag = "restreams", params(("id" = i64, Path), RevealParams),
    responses((status = 200, body = RestreamDto), (status = 404, body = Problem)))]
pub(crate) async fn read(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(params): Params<RevealParams>,
) -> Result<Response, Problem> {
    let restream = app.api.store.get::<Restream>(RestreamId(id)).await?;
    if params.reveal {
        reveal(&app, &caller, format!("restreams/{id}")).await?;
    }
    Ok(one(StatusCode::OK, restream.version, dto(&app, &restream, params.reveal)))
}

/// Changes the fields of a restream that are named; only this restream notices
#[utoipa::path(patch, path = "/api/v1/restreams/{id}", tag = "restreams", params(("id" = i64, Path)),
    request_body = RestreamPatch, responses(
    (status = 200, body = RestreamDto), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    Acting(app): Acting,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    IfMatch(version): IfMatch,
    Body(patch): Body<RestreamPatch>,
) -> Result<Response, Problem> {
    let (change, rule) = (patch.into_change()?, app.api.raw_uris);
    let changed = move |restream: &mut Restream| {
        let before = restream.clone();
        change.apply(restream)?;
        rule.check(caller.role, Some(&before), restream)
    };
    let restream = app.api.commands.update_restream(RestreamId(id), version, changed).await?;
    Ok(answer(&app, &restream))
}

/// Stops and deletes a restream
#[utoipa::path(delete, path = "/api/v1/restreams/{id}", tag = "restreams", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub(crate) async fn remove(Acting(app): Acting, Id(id): Id, IfMatch(version): IfMatch) -> Result<StatusCode, Problem> {
    app.api.commands.delete::<Restream>(RestreamId(id), version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Starts a restream, now or when its source comes
#[utoipa::path(post, path = "/api/v1/restreams/{id}/start", tag = "restreams", params(("id" = i64, Path)), responses(
    (status = 200, body = RestreamDto), (status = 404, body = Problem)))]
pub(crate) async fn start(Acting(app): Acting, Id(id): Id) -> Result<Response, Problem> {
    let restream = app.api.commands.start_restream(RestreamId(id)).await?;
    Ok(answer(&app, &restream))
}

/// Stops a restream
#[utoipa::path(post, path = "/api/v1/restreams/{id}/stop", tag = "restreams", params(("id" = i64, Path)), responses(
    (status = 200, body = RestreamDto), (status = 404, body = Problem)))]
pub(crate) async fn stop(Acting(app): Acting, Id(id): Id) -> Result<Response, Problem> {
    let restream = app.api.commands.stop_restream(RestreamId(id)).await?;
    Ok(answer(&app, &restream))
}

/// Has a restream try at once instead of waiting for its next attempt
#[utoipa::path(post, path = "/api/v1/restreams/{id}/retry", tag = "restreams", params(("id" = i64, Path)), responses(
    (status = 200, body = RetryAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn retry(Acting(app): Acting, Id(id): Id) -> Result<Json<RetryAnswer>, Problem> {
    if !app.api.commands.retry_restream(RestreamId(id)).await? {
        let detail = "it is not running; start it instead";
        return Err(Problem::new(StatusCode::CONFLICT, "not_running", detail));
    }
    Ok(Json(RetryAnswer { retrying: true }))
}

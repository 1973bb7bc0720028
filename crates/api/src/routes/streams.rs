//! Answers `/streams`.

use super::{created, one, reveal};
use crate::acting::Acting;
use crate::auth::Caller;
use crate::context::App;
use crate::dto::List;
use crate::dto::source::{RotateInput, SwitchInput};
use crate::dto::stream::{StreamDto, StreamInput, StreamPatch};
use crate::input::{Body, Id, IfMatch, PageParams, Params, RevealParams};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use weir_model::{Stream, StreamId};

fn dto(app: &App, stream: &Stream, reveal: bool) -> StreamDto {
    StreamDto::new(stream, &app.api.observe.stream_status(stream.id), &app.api.urls, reveal)
}

/// The answer with the stream as it is now.
pub(super) fn answer(app: &App, stream: &Stream) -> Response {
    one(StatusCode::OK, stream.version, dto(app, stream, false))
}

/// All streams, oldest first
#[utoipa::path(get, path = "/api/v1/streams", tag = "streams", params(PageParams), responses(
    (status = 200, body = List<StreamDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(page): Params<PageParams>,
) -> Result<Json<List<StreamDto>>, Problem> {
    let (after, limit) = page.read()?;
    let page = app.api.store.streams(after, limit).await?;
    Ok(Json(List::new(page, |stream| dto(&app, &stream, false))))
}

/// A new stream; this answer shows its keys
#[utoipa::path(post, path = "/api/v1/streams", tag = "streams", request_body = StreamInput, responses(
    (status = 201, body = StreamDto), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(Acting(app): Acting, Body(input): Body<StreamInput>) -> Result<Response, Problem> {
    let stream = app.api.commands.create_stream(input.into_model()?).await?;
    Ok(created("streams", stream.id.0, stream.version, dto(&app, &stream, true)))
}

/// One stream
#[utoipa::path(get, path = "/api/v1/streams/{id}", tag = "streams", params(("id" = i64, Path), RevealParams), responses(
    (status = 200, body = StreamDto), (status = 404, body = Problem)))]
pub(crate) async fn read(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(params): Params<RevealParams>,
) -> Result<Response, Problem> {
    let stream = app.api.store.stream(StreamId(id)).await?;
    if params.reveal {
        reveal(&app, &caller, format!("streams/{id}")).await?;
    }
    Ok(one(StatusCode::OK, stream.version, dto(&app, &stream, params.reveal)))
}

/// Changes the fields of a stream that are named
#[utoipa::path(patch, path = "/api/v1/streams/{id}", tag = "streams", params(("id" = i64, Path)),
    request_body = StreamPatch, responses(
    (status = 200, body = StreamDto), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    Acting(app): Acting,
    Id(id): Id,
    IfMatch(version): IfMatch,
    Body(patch): Body<StreamPatch>,
) -> Result<Response, Problem> {
    let change = patch.into_change()?;
    let stream = app
        .api
        .commands
        .update_stream(StreamId(id), version, move |stream| {
            change.apply(stream);
            Ok(())
        })
        .await?;
    Ok(answer(&app, &stream))
}

/// Deletes a stream with its restreams
#[utoipa::path(delete, path = "/api/v1/streams/{id}", tag = "streams", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub(crate) async fn remove(Acting(app): Acting, Id(id): Id, IfMatch(version): IfMatch) -> Result<StatusCode, Problem> {
    app.api.commands.delete_stream(StreamId(id), version).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Starts a stream, so that it can be published to
#[utoipa::path(post, path = "/api/v1/streams/{id}/start", tag = "streams", params(("id" = i64, Path)), responses(
    (status = 200, body = StreamDto), (status = 404, body = Problem)))]
pub(crate) async fn start(Acting(app): Acting, Id(id): Id) -> Result<Response, Problem> {
    let stream = app.api.commands.start_stream(StreamId(id)).await?;
    Ok(answer(&app, &stream))
}

/// Stops a stream, and refuses its publishers
#[utoipa::path(post, path = "/api/v1/streams/{id}/stop", tag = "streams", params(("id" = i64, Path)), responses(
    (status = 200, body = StreamDto), (status = 404, body = Problem)))]
pub(crate) async fn stop(Acting(app): Acting, Id(id): Id) -> Result<Response, Problem> {
    let stream = app.api.commands.stop_stream(StreamId(id)).await?;
    Ok(answer(&app, &stream))
}

/// New push keys; this answer shows them, and the old ones stop working
#[utoipa::path(post, path = "/api/v1/streams/{id}/rotate-key", tag = "streams", params(("id" = i64, Path)),
    request_body(content = Option<RotateInput>), responses(
    (status = 200, body = StreamDto), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn rotate_key(
    Acting(app): Acting,
    Id(id): Id,
    Body(input): Body<RotateInput>,
) -> Result<Response, Problem> {
    let stream = app.api.commands.rotate_stream_key(StreamId(id), input.slot()?).await?;
    Ok(one(StatusCode::OK, stream.version, dto(&app, &stream, true)))
}

/// Puts a source on air by hand, with its next keyframe; null goes back to the stream's order
#[utoipa::path(post, path = "/api/v1/streams/{id}/switch", tag = "streams", params(("id" = i64, Path)),
    request_body = SwitchInput, responses(
    (status = 200, body = StreamDto), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem)))]
pub(crate) async fn switch(
    Acting(app): Acting,
    Id(id): Id,
    Body(input): Body<SwitchInput>,
) -> Result<Response, Problem> {
    let stream = app.api.commands.switch_source(StreamId(id), input.slot()?).await?;
    Ok(answer(&app, &stream))
}

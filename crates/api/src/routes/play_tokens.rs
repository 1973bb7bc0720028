//! Answers `/streams/{id}/tokens`, which are handed out one by one and revoked all together, and `/streams/{id}/preview-pass`.

use crate::acting::Acting;
use crate::context::App;
use crate::dto::play_token::{PlayTokenDto, PlayTokenInput, PreviewPassDto};
use crate::input::{Body, Id};
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use weir_model::StreamId;

/// A token with which viewers watch a protected stream
#[utoipa::path(post, path = "/api/v1/streams/{id}/tokens", tag = "streams", params(("id" = i64, Path)),
    request_body(content = Option<PlayTokenInput>), responses(
    (status = 201, body = PlayTokenDto), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(
    Acting(app): Acting,
    Id(id): Id,
    Body(input): Body<PlayTokenInput>,
) -> Result<(StatusCode, Json<PlayTokenDto>), Problem> {
    let (life, ip) = input.read()?;
    let token = app.api.commands.issue_play_token(StreamId(id), ip, life).await?;
    Ok((StatusCode::CREATED, Json(token.into())))
}

/// Ends every token that was handed out for the stream until now; whoever watches by one is cut off within 5 seconds
#[utoipa::path(post, path = "/api/v1/streams/{id}/tokens/revoke", tag = "streams", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem)))]
pub(crate) async fn revoke(Acting(app): Acting, Id(id): Id) -> Result<StatusCode, Problem> {
    app.api.commands.revoke_play_tokens(StreamId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A pass with which a look at a stream is not counted as a viewer
#[utoipa::path(get, path = "/api/v1/streams/{id}/preview-pass", tag = "streams", params(("id" = i64, Path)), responses(
    (status = 200, body = PreviewPassDto), (status = 404, body = Problem)))]
pub(crate) async fn preview_pass(State(app): State<App>, Id(id): Id) -> Result<Json<PreviewPassDto>, Problem> {
    let stream = app.api.store.stream(StreamId(id)).await?;
    Ok(Json(app.api.playback.issue_preview_pass(stream.id).into()))
}

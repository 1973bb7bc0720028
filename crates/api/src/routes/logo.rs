//! Answers `/streams/{id}/logo`.

use super::streams::answer;
use crate::acting::Acting;
use crate::context::App;
use crate::dto::stream::StreamDto;
use crate::input::{Id, IfMatch, MAX_BODY_BYTES};
use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use weir_model::{LOGO_BYTES_MAX, StreamId};

// The limit of bodies must leave room for the largest logo.
const _: () = assert!(LOGO_BYTES_MAX <= MAX_BODY_BYTES);

/// The stream's logo as it was put
#[utoipa::path(get, path = "/api/v1/streams/{id}/logo", tag = "streams", params(("id" = i64, Path)), responses(
    (status = 200, content_type = "image/png"), (status = 304), (status = 404, body = Problem)))]
pub(crate) async fn read(State(app): State<App>, Id(id): Id, asked: HeaderMap) -> Result<Response, Problem> {
    let stream = app.api.store.stream(StreamId(id)).await?;
    let image = stream.logo_image.ok_or_else(Problem::not_found)?;
    let tag = format!("\"{}\"", image.digest);
    let headers = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    if asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let png = app.api.store.logo(StreamId(id)).await?.ok_or_else(Problem::not_found)?;
    Ok((headers, [(header::CONTENT_TYPE, "image/png")], png).into_response())
}

/// Lays a PNG of at most 1 MiB and 2000x2000 pixels over every encoded rendition
#[utoipa::path(put, path = "/api/v1/streams/{id}/logo", tag = "streams", params(("id" = i64, Path)),
    request_body(content = Vec<u8>, content_type = "image/png"), responses(
    (status = 200, body = StreamDto), (status = 404, body = Problem), (status = 412, body = Problem),
    (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn put(
    Acting(app): Acting,
    Id(id): Id,
    IfMatch(version): IfMatch,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "image/png") {
        return Err(Problem::unsupported_media_type("a logo is a PNG: send it with Content-Type: image/png"));
    }
    let png = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(),
        _ => Problem::malformed("the body could not be read"),
    })?;
    let stream = app.api.commands.set_logo(StreamId(id), version, png.into()).await?;
    Ok(answer(&app, &stream))
}

/// Takes the logo off
#[utoipa::path(delete, path = "/api/v1/streams/{id}/logo", tag = "streams", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub(crate) async fn remove(Acting(app): Acting, Id(id): Id, IfMatch(version): IfMatch) -> Result<StatusCode, Problem> {
    app.api.commands.remove_logo(StreamId(id), version).await?;
    Ok(StatusCode::NO_CONTENT)
}

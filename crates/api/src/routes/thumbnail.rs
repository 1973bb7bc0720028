//! `/streams/{id}/thumbnail.jpg`: what the stream shows now.

use crate::context::App;
use crate::input::Id;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use weir_model::StreamId;

/// A small JPEG of the newest keyframe, up to some seconds old; 404 while nothing has been shown
#[utoipa::path(get, path = "/api/v1/streams/{id}/thumbnail.jpg", tag = "streams", params(("id" = i64, Path)), responses(
    (status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 404, body = Problem)))]
pub(crate) async fn read(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let picture = app.api.thumbnails.newest(StreamId(id)).await.ok_or_else(Problem::not_found)?;
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, max-age=2")];
    Ok((headers, picture.jpeg).into_response())
}

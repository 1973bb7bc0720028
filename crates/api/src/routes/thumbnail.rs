//! Answers `/streams/{id}/thumbnail.jpg` with what the stream shows now.

use crate::context::App;
use crate::input::Id;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use weir_model::StreamId;

/// How long a request waits for a picture. A browser has six connections to us for all its pages, so a picture that takes longer is shown
/// when it is asked for again.
const PATIENCE: Duration = Duration::from_millis(700);

/// A small JPEG of the newest keyframe, with `Age` and `Last-Modified`; 404 where nothing was shown in the last 30 s
#[utoipa::path(get, path = "/api/v1/streams/{id}/thumbnail.jpg", tag = "streams", params(("id" = i64, Path)), responses(
    (status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 404, body = Problem)))]
pub(crate) async fn read(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let picture = app.api.thumbnails.newest(StreamId(id), PATIENCE).await.ok_or_else(Problem::not_found)?;
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg".to_owned()),
        (header::CACHE_CONTROL, "private, max-age=2".to_owned()),
        (header::AGE, picture.age_seconds().to_string()),
        (header::LAST_MODIFIED, httpdate::fmt_http_date(picture.shown_at())),
    ];
    Ok((headers, picture.jpeg).into_response())
}

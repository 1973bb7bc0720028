//! Answers `/recordings`, and the recordings of one stream.

use std::io::SeekFrom;

use crate::context::App;
use crate::dto::List;
use crate::dto::recording::RecordingDto;
use crate::input::{Id, PageParams, Params};
use crate::problem::Problem;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use weir_model::StreamId;
use weir_origin::range::{Wanted, parse_range};
use weir_packager::{Recording, Recordings, RemoveFault};

/// How much of a file is read at once. A download holds as much in memory, beside the socket's buffer.
const CHUNK_BYTES: usize = 128 * 1024;

fn page(app: &App, stream: Option<StreamId>, page: &PageParams) -> Result<Json<List<RecordingDto>>, Problem> {
    let (after, limit) = page.read()?;
    let limit = limit as usize;
    let list = |library: &Recordings| library.list(stream, after, limit + 1);
    let mut items = app.api.recordings.as_ref().map_or(Vec::new(), list);
    let more = items.len() > limit;
    items.truncate(limit);
    let next_after = items.last().map(|last| last.id).filter(|_| more);
    Ok(Json(List::new(weir_store::Page { items, next_after }, RecordingDto::from)))
}

fn find(app: &App, id: i64) -> Result<(&Recordings, Recording), Problem> {
    let library = app.api.recordings.as_ref().ok_or_else(Problem::not_found)?;
    Ok((library, library.get(id).ok_or_else(Problem::not_found)?))
}

/// All recordings, oldest first; those of deleted streams too
#[utoipa::path(get, path = "/api/v1/recordings", tag = "recordings", params(PageParams), responses(
    (status = 200, body = List<RecordingDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(params): Params<PageParams>,
) -> Result<Json<List<RecordingDto>>, Problem> {
    page(&app, None, &params)
}

/// A stream's recordings, oldest first
#[utoipa::path(get, path = "/api/v1/streams/{id}/recordings", tag = "recordings",
    params(("id" = i64, Path), PageParams), responses(
    (status = 200, body = List<RecordingDto>), (status = 404, body = Problem)))]
pub(crate) async fn of_stream(
    State(app): State<App>,
    Id(id): Id,
    Params(params): Params<PageParams>,
) -> Result<Json<List<RecordingDto>>, Problem> {
    app.api.store.stream(StreamId(id)).await?;
    page(&app, Some(StreamId(id)), &params)
}

/// One recording
#[utoipa::path(get, path = "/api/v1/recordings/{id}", tag = "recordings", params(("id" = i64, Path)), responses(
    (status = 200, body = RecordingDto), (status = 404, body = Problem)))]
pub(crate) async fn read(State(app): State<App>, Id(id): Id) -> Result<Json<RecordingDto>, Problem> {
    Ok(Json(find(&app, id)?.1.into()))
}

/// The recording's file in fragmented MP4, whole or a range. While the recording goes on, this is what there is by now
#[utoipa::path(get, path = "/api/v1/recordings/{id}/file", tag = "recordings", params(("id" = i64, Path)), responses(
    (status = 200, content_type = "video/mp4"), (status = 206, content_type = "video/mp4"),
    (status = 404, body = Problem), (status = 416)))]
pub(crate) async fn file(
    State(app): State<App>,
    Id(id): Id,
    method: Method,
    asked: HeaderMap,
) -> Result<Response, Problem> {
    let (library, recording) = find(&app, id)?;
    let library = library.clone();
    let opened = tokio::task::spawn_blocking(move || library.open_file(id)).await;
    let opened = opened.ok().and_then(Result::ok).ok_or_else(Problem::not_found)?;
    let total = recording.bytes;
    let tag = format!("\"{id}-{total}\"");
    let text = |name: header::HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    // With If-Range, a range of a file that has grown since is of no use to the client.
    let same = text(header::IF_RANGE).is_none_or(|known| known == tag);
    let range = text(header::RANGE).filter(|_| same);
    let wanted = range.map_or(Wanted::Whole, |range| parse_range(range, usize::try_from(total).unwrap_or(usize::MAX)));
    let (status, first, length) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, total),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first as u64, (last - first) as u64 + 1),
        Wanted::Nothing => {
            let headers = [(header::CONTENT_RANGE, format!("bytes */{total}"))];
            let problem =
                Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "no_such_range", "the file is shorter than that");
            return Ok((headers, problem).into_response());
        }
    };
    let body = if method == Method::HEAD { Body::empty() } else { stream_file(opened.into(), first, length).await? };
    let mut response = (status, [(header::CONTENT_LENGTH, length)], body).into_response();
    let name = format!("attachment; filename=\"{}\"", recording.file_name);
    let content_range = format!("bytes {first}-{}/{total}", (first + length).saturating_sub(1));
    for (header, value) in [
        (header::CONTENT_TYPE, "video/mp4".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, tag),
        (header::CONTENT_DISPOSITION, name),
        (header::CONTENT_RANGE, content_range),
    ] {
        if header != header::CONTENT_RANGE || status == StatusCode::PARTIAL_CONTENT {
            response.headers_mut().insert(header, HeaderValue::from_str(&value).map_err(|_| Problem::internal())?);
        }
    }
    Ok(response)
}

async fn stream_file(mut file: File, first: u64, length: u64) -> Result<Body, Problem> {
    file.seek(SeekFrom::Start(first)).await.map_err(|_| Problem::internal())?;
    Ok(Body::from_stream(stream::try_unfold((file, length), |(mut file, left)| async move {
        let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES))];
        if chunk.is_empty() {
            return Ok(None);
        }
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            // The file is shorter than it was, so the answer must not look complete.
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        chunk.truncate(read);
        Ok(Some((Bytes::from(chunk), (file, left - read as u64))))
    })))
}

/// Deletes a recording with its file; one that is still being recorded is a conflict
#[utoipa::path(delete, path = "/api/v1/recordings/{id}", tag = "recordings", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn remove(State(app): State<App>, Id(id): Id) -> Result<StatusCode, Problem> {
    let library = find(&app, id)?.0.clone();
    match tokio::task::spawn_blocking(move || library.remove(id)).await {
        Ok(Ok(())) => Ok(StatusCode::NO_CONTENT),
        Ok(Err(RemoveFault::NotFound)) => Err(Problem::not_found()),
        Ok(Err(fault @ RemoveFault::InProgress)) => {
            Err(Problem::new(StatusCode::CONFLICT, "in_progress", fault.to_string()))
        }
        Ok(Err(RemoveFault::Io(error))) => {
            tracing::error!(recording_id = id, %error, "a recording could not be deleted");
            Err(Problem::internal())
        }
        Err(_) => Err(Problem::internal()),
    }
}

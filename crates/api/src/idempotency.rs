//! Handles `Idempotency-Key`: a repeated request gets the first answer again instead of being done again.

use crate::auth::Caller;
use crate::context::App;
use crate::input::MAX_BODY_BYTES;
use crate::problem::Problem;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use weir_store::{Answer, Reservation};

pub(crate) const HEADER: &str = "Idempotency-Key";
const MAX_KEY_BYTES: usize = 255;
const KEPT_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];

/// An answer as it is kept. Our bodies are JSON text.
#[derive(Serialize, Deserialize)]
struct Kept {
    headers: Vec<(String, String)>,
    body: String,
}

/// This layer comes after authentication, because keys belong to their caller.
pub(crate) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let key = request.headers().get(HEADER).cloned();
    let caller = request.extensions().get::<Caller>().map(|caller| caller.actor.clone());
    match (key, caller) {
        (Some(key), Some(caller)) if *request.method() == Method::POST => {
            run(&app, &key, &caller, request, next).await.unwrap_or_else(IntoResponse::into_response)
        }
        _ => next.run(request).await,
    }
}

async fn run(app: &App, key: &HeaderValue, caller: &str, request: Request, next: Next) -> Result<Response, Problem> {
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()))
        .ok_or_else(|| Problem::malformed("Idempotency-Key must be 1 to 255 plain characters"))?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| Problem::too_large())?;
    let mut same = format!("{} {}\n", parts.method, parts.uri).into_bytes();
    same.extend_from_slice(&body);
    let store = &app.api.store;
    match store.reserve_idempotency(caller, key, &same).await? {
        Reservation::Mine => {}
        Reservation::Answered(answer) => return again(&answer),
        Reservation::Pending => {
            let detail = "the first request with this Idempotency-Key has not finished";
            return Err(Problem::new(StatusCode::CONFLICT, "in_progress", detail));
        }
        Reservation::Mismatch => {
            return Err(Problem::invalid("Idempotency-Key", "was used for another request"));
        }
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if response.status().is_server_error() {
        store.release_idempotency(caller, key).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Problem::internal())?;
    let headers = KEPT_HEADERS
        .iter()
        .filter_map(|name| Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned())))
        .collect();
    let kept = Kept { headers, body: String::from_utf8_lossy(&body).into_owned() };
    let kept = serde_json::to_vec(&kept).map_err(|_| Problem::internal())?;
    store.finish_idempotency(caller, key, &Answer { status: parts.status.as_u16(), body: kept }).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn again(answer: &Answer) -> Result<Response, Problem> {
    let kept: Kept = serde_json::from_slice(&answer.body).map_err(|_| Problem::internal())?;
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(|_| Problem::internal())?;
    for (name, value) in &kept.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

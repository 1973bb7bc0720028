//! `/system`, and the description of this API.

use crate::context::App;
use crate::dto::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SystemDto {
    version: &'static str,
    started_at: Timestamp,
    uptime_seconds: f64,
}

/// What this server is
#[utoipa::path(get, path = "/api/v1/system", tag = "system", responses((status = 200, body = SystemDto)))]
pub(crate) async fn system(State(app): State<App>) -> Json<SystemDto> {
    let started_at = app.api.observe.started_at();
    Json(SystemDto {
        version: env!("CARGO_PKG_VERSION"),
        started_at: started_at.into(),
        uptime_seconds: (OffsetDateTime::now_utc() - started_at).as_seconds_f64(),
    })
}

/// This description
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "system", security(()), responses(
    (status = 200, content_type = "application/json", body = Object)))]
pub(crate) async fn openapi(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi.to_string())
}

//! What supervisors and Prometheus ask; without a key.

use crate::context::App;
use crate::gpu_metrics;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    ok: bool,
}

/// The process answers
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { ok: true })
}

/// It wants traffic; not while starting or draining
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses(
    (status = 200, body = Health), (status = 503, body = Health)))]
pub(crate) async fn readyz(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let ok = app.api.readiness.is_ready();
    (if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(Health { ok }))
}

/// Figures for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "health", security(()), responses(
    (status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let devices = app.api.workshop.devices().await;
    let text = app.api.observe.render_prometheus() + &gpu_metrics::render(&devices);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

//! Answers what supervisors and Prometheus ask, without a key.

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

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    ready: bool,
    /// Why not, with a sentence for the operator for each reason.
    reasons: Vec<String>,
}

/// Whether the server wants traffic. It wants none while it starts or stops, or while something keeps it from its work
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses(
    (status = 200, body = Ready), (status = 503, body = Ready)))]
pub(crate) async fn readyz(State(app): State<App>) -> (StatusCode, Json<Ready>) {
    let reasons = app.api.readiness.reasons();
    let ready = reasons.is_empty();
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(Ready { ready, reasons }))
}

/// Figures for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "health", security((), ("authorization" = [])), responses(
    (status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let devices = app.api.encoding.devices().await;
    let text = app.api.observe.render_prometheus() + &gpu_metrics::render(&devices);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

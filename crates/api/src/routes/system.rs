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
use weir_transcode::EncoderReport;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SystemDto {
    version: &'static str,
    started_at: Timestamp,
    uptime_seconds: f64,
    /// Each encoder that this GStreamer may have, and whether it works here.
    encoders: Vec<EncoderDto>,
}

#[derive(Debug, Serialize, ToSchema)]
struct EncoderDto {
    /// What works or fails together: `nvenc`, `qsv`, `va`, `x264`, ...
    family: String,
    codec: &'static str,
    /// GStreamer's name for it.
    element: String,
    proof: ProofDto,
    /// Why it does not work.
    reason: Option<String>,
}

/// It was really tried on some pictures, in a process of its own.
#[derive(Debug, Serialize, ToSchema)]
struct ProofDto {
    ok: bool,
    /// How long the try took.
    ms: Option<f64>,
}

impl From<EncoderReport> for EncoderDto {
    fn from(report: EncoderReport) -> Self {
        Self {
            family: report.family,
            codec: report.codec.as_str(),
            element: report.element,
            proof: ProofDto { ok: report.proof.ok, ms: report.proof.ms },
            reason: report.proof.reason,
        }
    }
}

/// What this server is, and what its machine can do. The first call tries the encoders, which takes some seconds.
#[utoipa::path(get, path = "/api/v1/system", tag = "system", responses((status = 200, body = SystemDto)))]
pub(crate) async fn system(State(app): State<App>) -> Json<SystemDto> {
    let started_at = app.api.observe.started_at();
    Json(SystemDto {
        version: env!("CARGO_PKG_VERSION"),
        started_at: started_at.into(),
        uptime_seconds: (OffsetDateTime::now_utc() - started_at).as_seconds_f64(),
        encoders: app.api.workshop.encoder_reports().await.into_iter().map(Into::into).collect(),
    })
}

/// This description
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "system", security(()), responses(
    (status = 200, content_type = "application/json", body = Object)))]
pub(crate) async fn openapi(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi.to_string())
}

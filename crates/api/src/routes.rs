//! The handlers, one file per resource: input to command, row and status to answer.

#![allow(unused_qualifications, reason = "utoipa's macro writes them")]

pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod dashboard;
pub(crate) mod destinations;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod ladders;
pub(crate) mod live;
pub(crate) mod logo;
pub(crate) mod platforms;
pub(crate) mod play_tokens;
pub(crate) mod recordings;
pub(crate) mod restream_check;
pub(crate) mod restreams;
pub(crate) mod session;
pub(crate) mod stats;
pub(crate) mod streams;
pub(crate) mod system;
pub(crate) mod thumbnail;
pub(crate) mod users;
pub(crate) mod webhooks;

use crate::audit_trail::record_reveal;
use crate::auth::Caller;
use crate::context::App;
use crate::problem::Problem;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use weir_model::Role;

/// One thing, with its version as its ETag.
fn one(status: StatusCode, version: i64, dto: impl Serialize) -> Response {
    (status, [(header::ETAG, format!("\"{version}\""))], Json(dto)).into_response()
}

/// One new thing, with its address.
fn created(path: &str, id: i64, version: i64, dto: impl Serialize) -> Response {
    let headers = [(header::ETAG, format!("\"{version}\"")), (header::LOCATION, format!("/api/v1/{path}/{id}"))];
    (StatusCode::CREATED, headers, Json(dto)).into_response()
}

/// One new thing that is never changed, so that it has no version.
fn made(path: &str, id: i64, dto: impl Serialize) -> Response {
    (StatusCode::CREATED, [(header::LOCATION, format!("/api/v1/{path}/{id}"))], Json(dto)).into_response()
}

/// Secrets are about to be shown: to operators only, and never unrecorded.
async fn reveal(app: &App, caller: &Caller, subject: String) -> Result<(), Problem> {
    caller.require(Role::Operator)?;
    Ok(record_reveal(app, caller, subject).await?)
}

//! Writes every error as problem JSON (RFC 9457). Details never repeat what was sent, because that may be a secret.

use crate::openapi::PROBLEM_JSON;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use weir_control::CommandError;
use weir_store::StoreError;

/// What a caller gets if the request is refused or fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    pub status: u16,
    pub detail: String,
    /// The problem's name, for programs.
    pub code: &'static str,
    /// The field of the request that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The header Retry-After.
    #[serde(skip)]
    retry_after_seconds: Option<u16>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:weir:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            field: None,
            retry_after_seconds: None,
        }
    }

    pub(crate) fn invalid(field: impl Into<String>, message: impl std::fmt::Display) -> Self {
        let field = field.into();
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", format!("{field} {message}"));
        problem.field = Some(field);
        problem
    }

    /// Nothing is wrong with the field, but nothing in this version acts on it.
    pub(crate) fn not_available(field: impl Into<String>) -> Self {
        let field = field.into();
        let detail = format!("{field} is not available in this version");
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_available", detail);
        problem.field = Some(field);
        problem
    }

    /// The address exists in the contract, but this version does not serve it.
    pub(crate) fn address_not_available() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_available", "this address is not available in this version")
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not take that method")
    }

    pub(crate) fn unauthorised() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send a valid key as \"Authorization: apikey <key>\" or \"Bearer <key>\", or log in",
        )
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than 1 MiB")
    }

    pub(crate) fn unsupported_media_type(detail: &'static str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
    }

    pub(crate) fn too_many_tries(of: &str, wait: Duration) -> Self {
        let detail = format!("too many wrong {of} came from here; wait before trying again");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", detail);
        let seconds = u16::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u16::MAX);
        Self { retry_after_seconds: Some(seconds), ..problem }
    }

    pub(crate) fn too_many_requests() -> Self {
        let detail = "too many requests of this address are under way; come again when some have ended";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
    }

    /// The answer with a problem for code that knows only its status.
    pub(crate) fn of_status(status: StatusCode) -> Response {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Self::too_many_requests(),
            _ => Self::internal(),
        }
        .into_response()
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong here; the log says what")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("apikey, Bearer"));
        }
        response
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Invalid { field, message } => Self::invalid(field, message),
            CommandError::NotAllowed { field, message } => {
                let mut problem = Self::forbidden(format!("{field} {message}"));
                problem.field = Some(field.to_owned());
                problem
            }
            CommandError::NotAvailable { field } => Self::not_available(field),
            CommandError::NotNow(why) => Self::new(StatusCode::CONFLICT, "not_now", why),
            CommandError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Duplicate { field } => {
                let mut problem =
                    Self::new(StatusCode::CONFLICT, "duplicate", format!("another one has this {field} already"));
                problem.field = Some(field.to_owned());
                problem
            }
            StoreError::Dangling { field } => Self::invalid(field, "names nothing that exists"),
            StoreError::Limit { field, problem } => Self::invalid(field, problem),
            StoreError::Stale => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "stale",
                "it was changed since it was read; read it again and repeat the change",
            ),
            StoreError::InUse { used_by } => {
                Self::new(StatusCode::CONFLICT, "in_use", format!("it is still used by {used_by}"))
            }
            StoreError::LastAdmin => {
                Self::new(StatusCode::CONFLICT, "last_admin", "it is the last admin: nobody could make another")
            }
            StoreError::Quota { made, quota } => Self::new(
                StatusCode::FORBIDDEN,
                "quota",
                format!("{made} restreams are made and the quota is {quota}; an admin can raise it"),
            ),
            StoreError::Unusable { words, .. } => {
                tracing::error!(%error, "the store failed");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "storage",
                    format!("the server's database cannot be used ({words}); nothing was changed"),
                )
            }
            StoreError::WrongSealingKey
            | StoreError::Corrupt(_)
            | StoreError::Disk(_)
            | StoreError::Io(_)
            | StoreError::Migration(_)
            | StoreError::NewerSchema { .. }
            | StoreError::OlderSchema { .. }
            | StoreError::Backup { .. }
            | StoreError::Random
            | StoreError::PasswordHash(_) => {
                tracing::error!(%error, "the store failed");
                Self::internal()
            }
        }
    }
}

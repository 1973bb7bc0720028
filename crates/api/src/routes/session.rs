//! `/session`: the dashboard's login.

use crate::auth::{COOKIE, Caller, csrf_token, session_cookie};
use crate::context::App;
use crate::dto::api_key::RoleDto;
use crate::input::Body;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use weir_model::Secret;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginInput {
    name: String,
    password: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserDto {
    name: String,
    role: RoleDto,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionDto {
    /// Send it as X-CSRF-Token with every change; null for API keys, which need none.
    csrf_token: Option<String>,
    user: UserDto,
}

/// Logs in; sets the cookie
#[utoipa::path(post, path = "/api/v1/session", tag = "session", security(()), request_body = LoginInput, responses(
    (status = 200, body = SessionDto), (status = 401, body = Problem)))]
pub(crate) async fn log_in(State(app): State<App>, Body(input): Body<LoginInput>) -> Result<Response, Problem> {
    let checking = app.password_checks.acquire().await.map_err(|_| Problem::internal())?;
    let account = app.api.store.check_password(&input.name, &Secret::new(input.password)).await?;
    drop(checking);
    let Some(account) = account else {
        tracing::warn!("a login was refused");
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "bad_credentials", "name or password is wrong"));
    };
    let login = app.api.store.create_login(&account).await?;
    let life = (login.expires_at - OffsetDateTime::now_utc()).whole_seconds().max(0);
    let cookie = cookie(&app, login.cookie.expose(), life);
    let session = SessionDto {
        csrf_token: Some(csrf_token(&login.cookie)),
        user: UserDto { name: account.name, role: account.role.into() },
    };
    Ok(([(header::SET_COOKIE, cookie)], Json(session)).into_response())
}

/// Who is logged in
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses(
    (status = 200, body = SessionDto), (status = 401, body = Problem)))]
pub(crate) async fn read(Extension(caller): Extension<Caller>) -> Json<SessionDto> {
    Json(SessionDto {
        csrf_token: caller.cookie.as_ref().map(csrf_token),
        user: UserDto { name: caller.name, role: caller.role.into() },
    })
}

/// Logs out
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204)))]
pub(crate) async fn log_out(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(cookie) = session_cookie(&headers) {
        app.api.store.delete_login(&cookie).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(&app, "", 0))]).into_response())
}

fn cookie(app: &App, value: &str, life_seconds: i64) -> String {
    let secure = if app.api.urls.secure_cookies { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; Max-Age={life_seconds}; HttpOnly; SameSite=Strict{secure}")
}

//! Answers `/session`, the dashboard's login.

use crate::acting::Acting;
use crate::audit_trail::Deed;
use crate::auth::{COOKIE, Caller, csrf_token, session_cookie};
use crate::context::App;
use crate::dto::api_key::RoleDto;
use crate::dto::user::new_password;
use crate::input::Body;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use utoipa::ToSchema;
use weir_model::{Role, Secret, UserId};
use weir_origin::Peer;
use weir_store::{Account, AccountChange};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginInput {
    name: String,
    password: String,
}

/// The password that is in use, and the new one.
// This type has no `Debug`, because it holds passwords.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordInput {
    password: String,
    /// A password of 8 characters or more.
    new_password: String,
}

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionUserDto {
    /// The id of the user; null for API keys.
    id: Option<i64>,
    name: String,
    role: RoleDto,
    /// Whether the caller's restreams may name addresses (the configuration's `restreams.raw_uri`); if not, they take a destination.
    may_use_raw_uris: bool,
}

impl SessionUserDto {
    fn new(app: &App, id: Option<UserId>, name: String, role: Role) -> Self {
        let may_use_raw_uris = app.api.raw_uris.lets(role);
        Self { id: id.map(|id| id.0), name, role: role.into(), may_use_raw_uris }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionDto {
    /// The token to send as X-CSRF-Token with every change; null for API keys, which need none.
    csrf_token: Option<String>,
    user: SessionUserDto,
}

/// Logs in; sets the cookie
#[utoipa::path(post, path = "/api/v1/session", tag = "session", security(()), request_body = LoginInput, responses(
    (status = 200, body = SessionDto), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn log_in(
    State(app): State<App>,
    peer: Option<Extension<Peer>>,
    Body(input): Body<LoginInput>,
) -> Result<Response, Problem> {
    let ip = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(Peer(ip))| ip);
    let mut response = match check(&app, &input.name, input.password, ip).await? {
        Checked::Right(account) => welcome(&app, account).await?,
        Checked::Wrong => {
            Problem::new(StatusCode::UNAUTHORIZED, "bad_credentials", "name or password is wrong").into_response()
        }
        Checked::Wait(wait) => Problem::too_many_tries("passwords", wait).into_response(),
    };
    // Only the names of real accounts are written down, because people type passwords into the field of the name.
    let actor = app.api.store.account_named(&input.name).await?.map(|account| format!("user:{}", account.name));
    response.extensions_mut().insert(Deed { actor, action: Some("log_in") });
    Ok(response)
}

async fn welcome(app: &App, account: Account) -> Result<Response, Problem> {
    let login = app.api.store.create_login(&account).await?;
    let life = (login.expires_at - OffsetDateTime::now_utc()).whole_seconds().max(0);
    let cookie = cookie(app, login.cookie.expose(), life);
    let session = SessionDto {
        csrf_token: Some(csrf_token(&login.cookie)),
        user: SessionUserDto::new(app, Some(account.id), account.name, account.role),
    };
    Ok(([(header::SET_COOKIE, cookie)], Json(session)).into_response())
}

/// Who is logged in
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses(
    (status = 200, body = SessionDto), (status = 401, body = Problem)))]
pub(crate) async fn read(State(app): State<App>, Extension(caller): Extension<Caller>) -> Json<SessionDto> {
    Json(SessionDto {
        csrf_token: caller.cookie().map(csrf_token),
        user: SessionUserDto::new(&app, caller.user_id, caller.name, caller.role),
    })
}

/// Changes one's own password; ends one's logins elsewhere
#[utoipa::path(patch, path = "/api/v1/session", tag = "session", request_body = PasswordInput, responses(
    (status = 204), (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub(crate) async fn change(
    Acting(app): Acting,
    Extension(caller): Extension<Caller>,
    peer: Option<Extension<Peer>>,
    Body(input): Body<PasswordInput>,
) -> Result<Response, Problem> {
    let Some(id) = caller.user_id else {
        return Err(Problem::new(StatusCode::CONFLICT, "no_password", "an API key has no password"));
    };
    let new_password = new_password(input.new_password, "new_password")?;
    let ip = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(Peer(ip))| ip);
    match check(&app, &caller.name, input.password, ip).await? {
        Checked::Right(_) => {}
        Checked::Wrong => return Err(Problem::invalid("password", "is not the one that is in use")),
        Checked::Wait(wait) => return Err(Problem::too_many_tries("passwords", wait)),
    }
    let change =
        AccountChange { password: Some(new_password), keep: caller.cookie().cloned(), ..AccountChange::default() };
    let hashing = app.password_checks.acquire().await.map_err(|_| Problem::internal())?;
    app.api.commands.update_account(id, None, change).await?;
    drop(hashing);
    Ok(StatusCode::NO_CONTENT.into_response())
}

enum Checked {
    Right(Account),
    Wrong,
    /// Too many passwords were wrong, so this one was not even looked at.
    Wait(Duration),
}

async fn check(app: &App, name: &str, password: String, ip: IpAddr) -> Result<Checked, Problem> {
    let password = Secret::new(password);
    // A check waits for its turn before it asks the limit, so that many at once can't all be let through before the first is found wrong.
    let checking = app.password_checks.acquire().await.map_err(|_| Problem::internal())?;
    if let Some(wait) = app.login_limit.wait(name, ip, Instant::now()) {
        return Ok(Checked::Wait(wait));
    }
    let account = app.api.store.check_password(name, &password).await?;
    drop(checking);
    Ok(match account {
        Some(account) => {
            app.login_limit.was_right(name, ip);
            Checked::Right(account)
        }
        None => {
            // The name is not logged, because people type passwords there.
            tracing::warn!(remote = %ip, "a wrong password was refused");
            app.login_limit.was_wrong(name, ip, Instant::now());
            Checked::Wrong
        }
    })
}

/// Logs out
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204)))]
pub(crate) async fn log_out(Acting(app): Acting, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(cookie) = session_cookie(&headers) {
        app.api.commands.end_login(&cookie).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(&app, "", 0))]).into_response())
}

fn cookie(app: &App, value: &str, life_seconds: i64) -> String {
    let secure = if app.api.urls.secure_cookies { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; Max-Age={life_seconds}; HttpOnly; SameSite=Strict{secure}")
}

//! Answers `/users`, for admins only.

use super::{created, one};
use crate::acting::Acting;
use crate::auth::Caller;
use crate::context::App;
use crate::dto::List;
use crate::dto::user::{UserDto, UserInput, UserPatch};
use crate::input::{Body, Id, IfMatch, PageParams, Params};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use weir_model::UserId;

/// Everyone who may log in, oldest first
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(PageParams), responses(
    (status = 200, body = List<UserDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(page): Params<PageParams>,
) -> Result<Json<List<UserDto>>, Problem> {
    let (after, limit) = page.read()?;
    let page = app.api.store.accounts(after, limit).await?;
    Ok(Json(List::new(page, |account| UserDto::from(&account))))
}

/// A new person
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = UserInput, responses(
    (status = 201, body = UserDto), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(Acting(app): Acting, Body(input): Body<UserInput>) -> Result<Response, Problem> {
    let user = input.read()?;
    let hashing = app.password_checks.acquire().await.map_err(|_| Problem::internal())?;
    let account = app.api.commands.create_account(&user.name, user.role, &user.password, user.restream_quota).await?;
    drop(hashing);
    Ok(created("users", account.id.0, account.version, UserDto::from(&account)))
}

/// One person
#[utoipa::path(get, path = "/api/v1/users/{id}", tag = "users", params(("id" = i64, Path)), responses(
    (status = 200, body = UserDto), (status = 404, body = Problem)))]
pub(crate) async fn read(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    let account = app.api.store.account(UserId(id)).await?;
    Ok(one(StatusCode::OK, account.version, UserDto::from(&account)))
}

/// Changes the fields of a person that are named; a new password ends the person's logins elsewhere
#[utoipa::path(patch, path = "/api/v1/users/{id}", tag = "users", params(("id" = i64, Path)),
    request_body = UserPatch, responses(
    (status = 200, body = UserDto), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    Acting(app): Acting,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    IfMatch(version): IfMatch,
    Body(patch): Body<UserPatch>,
) -> Result<Response, Problem> {
    let mut change = patch.read()?;
    change.keep = caller.cookie().cloned();
    let hashing = app.password_checks.acquire().await.map_err(|_| Problem::internal())?;
    let account = app.api.commands.update_account(UserId(id), version, change).await?;
    drop(hashing);
    Ok(one(StatusCode::OK, account.version, UserDto::from(&account)))
}

/// Ends a person's logins and account; what they made stays
#[utoipa::path(delete, path = "/api/v1/users/{id}", tag = "users", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
pub(crate) async fn remove(Acting(app): Acting, Id(id): Id, IfMatch(version): IfMatch) -> Result<StatusCode, Problem> {
    app.api.commands.delete_account(UserId(id), version).await?;
    Ok(StatusCode::NO_CONTENT)
}

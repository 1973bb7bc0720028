//! Answers `/apikeys`, for admins only.

use super::made;
use crate::acting::Acting;
use crate::context::App;
use crate::dto::List;
use crate::dto::api_key::{ApiKeyDto, ApiKeyInput, ApiKeyPatch, name_of};
use crate::input::{Body, Id, PageParams, Params};
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use weir_model::ApiKeyId;

/// All API keys, without the keys themselves
#[utoipa::path(get, path = "/api/v1/apikeys", tag = "apikeys", params(PageParams), responses(
    (status = 200, body = List<ApiKeyDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(page): Params<PageParams>,
) -> Result<Json<List<ApiKeyDto>>, Problem> {
    let (after, limit) = page.read()?;
    let page = app.api.store.api_keys(after, limit).await?;
    Ok(Json(List::new(page, |key| ApiKeyDto::new(&key, None))))
}

/// A new API key; this answer is the only one that shows it
#[utoipa::path(post, path = "/api/v1/apikeys", tag = "apikeys", request_body = ApiKeyInput, responses(
    (status = 201, body = ApiKeyDto), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(Acting(app): Acting, Body(input): Body<ApiKeyInput>) -> Result<Response, Problem> {
    let (key, secret) = app.api.commands.create_api_key(&name_of(&input.name)?, input.role.into()).await?;
    Ok(made("apikeys", key.id.0, ApiKeyDto::new(&key, Some(secret.expose().to_owned()))))
}

/// Another name or role for a key; the key itself stays
#[utoipa::path(patch, path = "/api/v1/apikeys/{id}", tag = "apikeys", params(("id" = i64, Path)),
    request_body = ApiKeyPatch, responses(
    (status = 200, body = ApiKeyDto), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem)))]
pub(crate) async fn change(
    Acting(app): Acting,
    Id(id): Id,
    Body(patch): Body<ApiKeyPatch>,
) -> Result<Json<ApiKeyDto>, Problem> {
    let key = app.api.commands.update_api_key(ApiKeyId(id), patch.read()?).await?;
    Ok(Json(ApiKeyDto::new(&key, None)))
}

/// Ends a key at once, and the connections that came by it within 5 seconds
#[utoipa::path(delete, path = "/api/v1/apikeys/{id}", tag = "apikeys", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove(Acting(app): Acting, Id(id): Id) -> Result<StatusCode, Problem> {
    app.api.commands.delete_api_key(ApiKeyId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

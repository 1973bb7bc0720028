//! `/apikeys`: admins only.

use crate::context::App;
use crate::dto::List;
use crate::dto::api_key::{ApiKeyDto, ApiKeyInput};
use crate::input::{Body, Id, PageParams, Params};
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use weir_model::{ApiKeyId, checked_label};

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
pub(crate) async fn create(
    State(app): State<App>,
    Body(input): Body<ApiKeyInput>,
) -> Result<(StatusCode, Json<ApiKeyDto>), Problem> {
    let name = checked_label(&input.name).map_err(|fault| Problem::invalid("name", fault))?;
    let (key, secret) = app.api.store.create_api_key(&name, input.role.into()).await?;
    Ok((StatusCode::CREATED, Json(ApiKeyDto::new(&key, Some(secret.expose().to_owned())))))
}

/// Ends a key at once
#[utoipa::path(delete, path = "/api/v1/apikeys/{id}", tag = "apikeys", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove(State(app): State<App>, Id(id): Id) -> Result<StatusCode, Problem> {
    app.api.store.delete_api_key(ApiKeyId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Answers `/webhooks`, for admins only, because events leave the house.

use super::made;
use crate::acting::Acting;
use crate::context::App;
use crate::dto::List;
use crate::dto::webhook::{WebhookDto, WebhookInput};
use crate::input::{Body, Id, PageParams, Params};
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use weir_model::{Webhook, WebhookId};

fn dto(app: &App, webhook: &Webhook) -> WebhookDto {
    WebhookDto::new(webhook, &app.api.webhooks.delivery(webhook.id))
}

/// All webhooks, and how telling them goes
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks", params(PageParams), responses(
    (status = 200, body = List<WebhookDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(page): Params<PageParams>,
) -> Result<Json<List<WebhookDto>>, Problem> {
    let (after, limit) = page.read()?;
    let page = app.api.store.webhooks(after, limit).await?;
    Ok(Json(List::new(page, |webhook| dto(&app, &webhook))))
}

/// A new webhook; it is told of events from now on, one after another, each until it is taken
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = WebhookInput, responses(
    (status = 201, body = WebhookDto), (status = 422, body = Problem)))]
pub(crate) async fn create(Acting(app): Acting, Body(input): Body<WebhookInput>) -> Result<Response, Problem> {
    let webhook = app.api.commands.create_webhook(Webhook::from(input)).await?;
    app.api.webhooks.note_change();
    Ok(made("webhooks", webhook.id.0, dto(&app, &webhook)))
}

/// Deletes a webhook, which is told no more
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "webhooks", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem)))]
pub(crate) async fn remove(Acting(app): Acting, Id(id): Id) -> Result<StatusCode, Problem> {
    app.api.commands.delete_webhook(WebhookId(id)).await?;
    app.api.webhooks.note_change();
    Ok(StatusCode::NO_CONTENT)
}

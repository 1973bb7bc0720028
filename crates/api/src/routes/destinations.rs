//! Answers `/destinations`: everyone reads, admins change.

use super::{created, one, reveal};
use crate::acting::Acting;
use crate::auth::Caller;
use crate::context::App;
use crate::dto::List;
use crate::dto::destination::{DestinationDto, DestinationInput, DestinationPatch};
use crate::input::{Body, Id, IfMatch, PageParams, Params, RevealParams};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use weir_model::{Destination, DestinationId};

/// All destinations, oldest first
#[utoipa::path(get, path = "/api/v1/destinations", tag = "destinations", params(PageParams), responses(
    (status = 200, body = List<DestinationDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(page): Params<PageParams>,
) -> Result<Json<List<DestinationDto>>, Problem> {
    let (after, limit) = page.read()?;
    let page = app.api.store.page::<Destination>(after, limit).await?;
    Ok(Json(List::new(page, |destination| DestinationDto::new(&destination, false))))
}

/// A new destination
#[utoipa::path(post, path = "/api/v1/destinations", tag = "destinations", request_body = DestinationInput, responses(
    (status = 201, body = DestinationDto), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(Acting(app): Acting, Body(input): Body<DestinationInput>) -> Result<Response, Problem> {
    let draft = input.into_model(app.api.commands.platforms());
    let destination = app.api.commands.create_destination(draft).await?;
    let dto = DestinationDto::new(&destination, false);
    Ok(created("destinations", destination.id.0, destination.version, dto))
}

/// One destination
#[utoipa::path(get, path = "/api/v1/destinations/{id}", tag = "destinations",
    params(("id" = i64, Path), RevealParams), responses(
    (status = 200, body = DestinationDto), (status = 404, body = Problem)))]
pub(crate) async fn read(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(params): Params<RevealParams>,
) -> Result<Response, Problem> {
    let destination = app.api.store.get::<Destination>(DestinationId(id)).await?;
    if params.reveal {
        reveal(&app, &caller, format!("destinations/{id}")).await?;
    }
    Ok(one(StatusCode::OK, destination.version, DestinationDto::new(&destination, params.reveal)))
}

/// Changes the fields of a destination that are named; restreams that use it follow
#[utoipa::path(patch, path = "/api/v1/destinations/{id}", tag = "destinations", params(("id" = i64, Path)),
    request_body = DestinationPatch, responses(
    (status = 200, body = DestinationDto), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    Acting(app): Acting,
    Id(id): Id,
    IfMatch(version): IfMatch,
    Body(patch): Body<DestinationPatch>,
) -> Result<Response, Problem> {
    let destination = app
        .api
        .commands
        .update_destination(DestinationId(id), version, move |destination| {
            patch.apply(destination);
            Ok(())
        })
        .await?;
    Ok(one(StatusCode::OK, destination.version, DestinationDto::new(&destination, false)))
}

/// Deletes a destination, unless a restream uses it
#[utoipa::path(delete, path = "/api/v1/destinations/{id}", tag = "destinations", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
pub(crate) async fn remove(Acting(app): Acting, Id(id): Id, IfMatch(version): IfMatch) -> Result<StatusCode, Problem> {
    app.api.commands.delete::<Destination>(DestinationId(id), version).await?;
    Ok(StatusCode::NO_CONTENT)
}

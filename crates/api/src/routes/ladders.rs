//! Answers `/ladders`: those that come with the server, which nobody changes, and one's own, which admins change.

use super::{created, one};
use crate::acting::Acting;
use crate::context::App;
use crate::dto::List;
use crate::dto::saved_ladder::{LadderInput, LadderPatch, SavedLadderDto};
use crate::input::{Body, Id, IfMatch, PageParams, Params};
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use weir_model::{BUILTIN_LADDER_ID_MAX, BuiltinLadder, LadderId, SavedLadder};

/// All ladders: those that come with the server, then one's own, oldest first
#[utoipa::path(get, path = "/api/v1/ladders", tag = "ladders", params(PageParams), responses(
    (status = 200, body = List<SavedLadderDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(page): Params<PageParams>,
) -> Result<Json<List<SavedLadderDto>>, Problem> {
    let (after, limit) = page.read()?;
    let builtin = BuiltinLadder::numbered().filter(|(id, _)| id.0 > after);
    let mut items: Vec<SavedLadderDto> = builtin.map(Into::into).collect();
    let stored = app.api.store.page::<SavedLadder>(after, limit).await?;
    items.extend(stored.items.iter().map(Into::into));
    let more = stored.next_after.is_some() || items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(List::with_cursor(items, next_cursor)))
}

/// A new ladder; streams use it by its name
#[utoipa::path(post, path = "/api/v1/ladders", tag = "ladders", request_body = LadderInput, responses(
    (status = 201, body = SavedLadderDto), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(Acting(app): Acting, Body(input): Body<LadderInput>) -> Result<Response, Problem> {
    let ladder = app.api.commands.create(input.into_model()?).await?;
    Ok(created("ladders", ladder.id.0, ladder.version, SavedLadderDto::from(&ladder)))
}

/// One ladder
#[utoipa::path(get, path = "/api/v1/ladders/{id}", tag = "ladders", params(("id" = i64, Path)), responses(
    (status = 200, body = SavedLadderDto), (status = 404, body = Problem)))]
pub(crate) async fn read(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    if let Some(builtin) = BuiltinLadder::numbered().find(|(builtin, _)| builtin.0 == id) {
        return Ok(one(StatusCode::OK, 1, SavedLadderDto::from(builtin)));
    }
    let ladder = app.api.store.get::<SavedLadder>(LadderId(id)).await?;
    Ok(one(StatusCode::OK, ladder.version, SavedLadderDto::from(&ladder)))
}

/// Changes the fields of a ladder that are named; streams that use it follow at once
#[utoipa::path(patch, path = "/api/v1/ladders/{id}", tag = "ladders", params(("id" = i64, Path)),
    request_body = LadderPatch, responses(
    (status = 200, body = SavedLadderDto), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn change(
    Acting(app): Acting,
    Id(id): Id,
    IfMatch(version): IfMatch,
    Body(patch): Body<LadderPatch>,
) -> Result<Response, Problem> {
    refuse_builtin(id)?;
    let change = patch.into_change()?;
    let change = move |ladder: &mut SavedLadder| {
        change.apply(ladder);
        Ok(())
    };
    let ladder = app.api.commands.update(LadderId(id), version, change).await?;
    Ok(one(StatusCode::OK, ladder.version, SavedLadderDto::from(&ladder)))
}

/// Deletes a ladder, unless a stream uses it
#[utoipa::path(delete, path = "/api/v1/ladders/{id}", tag = "ladders", params(("id" = i64, Path)), responses(
    (status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
pub(crate) async fn remove(Acting(app): Acting, Id(id): Id, IfMatch(version): IfMatch) -> Result<StatusCode, Problem> {
    refuse_builtin(id)?;
    app.api.commands.delete::<SavedLadder>(LadderId(id), version).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn refuse_builtin(id: i64) -> Result<(), Problem> {
    if id < BUILTIN_LADDER_ID_MAX && BuiltinLadder::numbered().any(|(builtin, _)| builtin.0 == id) {
        let detail = "it comes with the server and can't be changed; make one of your own from it";
        return Err(Problem::new(StatusCode::CONFLICT, "read_only", detail));
    }
    Ok(())
}

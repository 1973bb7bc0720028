//! Answers `/platforms`.

use crate::context::App;
use crate::dto::List;
use crate::dto::platform::PlatformDto;
use axum::Json;
use axum::extract::State;

/// The platforms that are known, with their rules
#[utoipa::path(get, path = "/api/v1/platforms", tag = "platforms", responses((status = 200, body = List<PlatformDto>)))]
pub(crate) async fn list(State(app): State<App>) -> Json<List<PlatformDto>> {
    Json(List::whole(app.api.commands.platforms().all().iter().map(Into::into).collect()))
}

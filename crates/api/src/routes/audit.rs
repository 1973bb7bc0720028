//! `/audit`: admins only.

use crate::context::App;
use crate::dto::List;
use crate::dto::audit::AuditDto;
use crate::input::{PageParams, Params};
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Order {
    /// The newest entry first instead of the oldest.
    #[serde(default)]
    newest_first: bool,
}

/// Changes and reveals; the newest 100,000 are kept
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(PageParams, Order), responses(
    (status = 200, body = List<AuditDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(page): Params<PageParams>,
    Params(order): Params<Order>,
) -> Result<Json<List<AuditDto>>, Problem> {
    let (from, limit) = page.read()?;
    let page = app.api.store.audit(from, limit, order.newest_first).await?;
    Ok(Json(List::new(page, AuditDto::from)))
}

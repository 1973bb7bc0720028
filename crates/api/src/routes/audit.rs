//! Answers `/audit`, for admins only.

use crate::context::App;
use crate::dto::List;
use crate::dto::audit::{AuditDto, OutcomeDto};
use crate::input::{PageParams, Params};
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use weir_store::AuditFilter;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Lists the newest entry first instead of the oldest.
    #[serde(default)]
    newest_first: bool,
    /// Lists only what this one did or tried, as `actor` has it.
    actor: Option<String>,
    /// Lists only entries with this outcome: `ok`, `denied` or `failed`.
    outcome: Option<OutcomeDto>,
}

/// Changes, reveals, refusals and what was done at the terminal; the newest 100,000 are kept, and of refusals the newest 10,000
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(PageParams, Wanted), responses(
    (status = 200, body = List<AuditDto>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Params(page): Params<PageParams>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<List<AuditDto>>, Problem> {
    let (from, limit) = page.read()?;
    app.api.audit.flush().await?;
    let filter = AuditFilter { actor: wanted.actor, outcome: wanted.outcome.map(Into::into) };
    let page = app.api.store.audit(from, limit, wanted.newest_first, &filter).await?;
    Ok(Json(List::new(page, AuditDto::from)))
}

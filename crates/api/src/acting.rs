//! The context for one request: what its handler changes is changed in the caller's name.

use crate::auth::Caller;
use crate::context::App;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;

/// Handlers that change something take this instead of the plain `State`.
pub(crate) struct Acting(pub(crate) App);

impl FromRequestParts<App> for Acting {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let mut app = app.clone();
        if let Some(caller) = parts.extensions.get::<Caller>() {
            app.api.commands = app.api.commands.by(&caller.actor);
        }
        Ok(Self(app))
    }
}

//! The handlers, one file per resource: they turn input into a command, and a row and its status into an answer. Here stands in one place
//! what can be called, and who may call it.

#![allow(unused_qualifications, reason = "utoipa's macro writes them")]

pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod dashboard;
pub(crate) mod destinations;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod ladders;
pub(crate) mod live;
pub(crate) mod logo;
pub(crate) mod platforms;
pub(crate) mod play_tokens;
pub(crate) mod recordings;
pub(crate) mod restream_check;
pub(crate) mod restreams;
pub(crate) mod session;
pub(crate) mod stats;
pub(crate) mod streams;
pub(crate) mod system;
pub(crate) mod thumbnail;
pub(crate) mod users;
pub(crate) mod webhooks;

use crate::audit_trail::record_reveal;
use crate::auth::Caller;
use crate::context::App;
use crate::openapi::Description;
use crate::problem::Problem;
use crate::rules::{ADMIN, Access, OPERATE, READ};
use axum::Json;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weir_model::Role;

/// Who may call what. An operation that is not in this table can't be called.
pub(crate) const RULES: &[(Method, &str, Access)] = &[
    (Method::GET, "/healthz", Access::Open),
    (Method::GET, "/readyz", Access::Open),
    (Method::GET, "/metrics", Access::Metrics),
    (Method::GET, "/api/v1/openapi.json", Access::Open),
    (Method::POST, "/api/v1/session", Access::Open),
    (Method::GET, "/api/v1/session", READ),
    (Method::PATCH, "/api/v1/session", READ),
    (Method::DELETE, "/api/v1/session", READ),
    (Method::GET, "/api/v1/users", ADMIN),
    (Method::POST, "/api/v1/users", ADMIN),
    (Method::GET, "/api/v1/users/{id}", ADMIN),
    (Method::PATCH, "/api/v1/users/{id}", ADMIN),
    (Method::DELETE, "/api/v1/users/{id}", ADMIN),
    (Method::GET, "/api/v1/audit", ADMIN),
    (Method::GET, "/api/v1/webhooks", ADMIN),
    (Method::POST, "/api/v1/webhooks", ADMIN),
    (Method::DELETE, "/api/v1/webhooks/{id}", ADMIN),
    (Method::GET, "/api/v1/system", READ),
    (Method::POST, "/api/v1/system/prove", ADMIN),
    (Method::GET, "/api/v1/platforms", READ),
    (Method::GET, "/api/v1/events", READ),
    (Method::GET, "/api/v1/events/stream", READ),
    (Method::GET, "/api/v1/live", READ),
    (Method::GET, "/api/v1/streams", READ),
    (Method::POST, "/api/v1/streams", OPERATE),
    (Method::GET, "/api/v1/streams/{id}", READ),
    (Method::PATCH, "/api/v1/streams/{id}", OPERATE),
    (Method::DELETE, "/api/v1/streams/{id}", OPERATE),
    (Method::POST, "/api/v1/streams/{id}/start", OPERATE),
    (Method::POST, "/api/v1/streams/{id}/stop", OPERATE),
    (Method::POST, "/api/v1/streams/{id}/rotate-key", OPERATE),
    (Method::POST, "/api/v1/streams/{id}/switch", OPERATE),
    (Method::GET, "/api/v1/streams/{id}/stats", READ),
    (Method::GET, "/api/v1/streams/{id}/thumbnail.jpg", READ),
    (Method::GET, "/api/v1/streams/{id}/preview-pass", READ),
    (Method::GET, "/api/v1/streams/{id}/logo", READ),
    (Method::PUT, "/api/v1/streams/{id}/logo", OPERATE),
    (Method::DELETE, "/api/v1/streams/{id}/logo", OPERATE),
    (Method::GET, "/api/v1/streams/{id}/recordings", READ),
    (Method::GET, "/api/v1/recordings", READ),
    (Method::GET, "/api/v1/recordings/{id}", READ),
    (Method::DELETE, "/api/v1/recordings/{id}", OPERATE),
    (Method::GET, "/api/v1/recordings/{id}/file", READ),
    (Method::POST, "/api/v1/streams/{id}/tokens", OPERATE),
    (Method::POST, "/api/v1/streams/{id}/tokens/revoke", OPERATE),
    (Method::GET, "/api/v1/destinations", READ),
    (Method::POST, "/api/v1/destinations", ADMIN),
    (Method::GET, "/api/v1/destinations/{id}", READ),
    (Method::PATCH, "/api/v1/destinations/{id}", ADMIN),
    (Method::DELETE, "/api/v1/destinations/{id}", ADMIN),
    (Method::GET, "/api/v1/ladders", READ),
    (Method::POST, "/api/v1/ladders", ADMIN),
    (Method::GET, "/api/v1/ladders/{id}", READ),
    (Method::PATCH, "/api/v1/ladders/{id}", ADMIN),
    (Method::DELETE, "/api/v1/ladders/{id}", ADMIN),
    (Method::GET, "/api/v1/restreams", READ),
    (Method::POST, "/api/v1/restreams", OPERATE),
    (Method::POST, "/api/v1/restreams/check", OPERATE),
    (Method::GET, "/api/v1/restreams/{id}", READ),
    (Method::PATCH, "/api/v1/restreams/{id}", OPERATE),
    (Method::DELETE, "/api/v1/restreams/{id}", OPERATE),
    (Method::GET, "/api/v1/restreams/{id}/stats", READ),
    (Method::POST, "/api/v1/restreams/{id}/start", OPERATE),
    (Method::POST, "/api/v1/restreams/{id}/stop", OPERATE),
    (Method::POST, "/api/v1/restreams/{id}/retry", OPERATE),
    (Method::GET, "/api/v1/apikeys", ADMIN),
    (Method::POST, "/api/v1/apikeys", ADMIN),
    (Method::PATCH, "/api/v1/apikeys/{id}", ADMIN),
    (Method::DELETE, "/api/v1/apikeys/{id}", ADMIN),
];

/// What there is to call.
pub(crate) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(system::openapi))
        .routes(routes!(system::system))
        .routes(routes!(system::prove))
        .routes(routes!(session::log_in, session::read, session::change, session::log_out))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::read, users::change, users::remove))
        .routes(routes!(audit::list))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::remove))
        .routes(routes!(platforms::list))
        .routes(routes!(events::list))
        .routes(routes!(events::follow))
        .routes(routes!(live::follow))
        .routes(routes!(streams::list, streams::create))
        .routes(routes!(streams::read, streams::change, streams::remove))
        .routes(routes!(streams::start))
        .routes(routes!(streams::stop))
        .routes(routes!(streams::rotate_key))
        .routes(routes!(streams::switch))
        .routes(routes!(stats::of_stream))
        .routes(routes!(thumbnail::read))
        .routes(routes!(play_tokens::preview_pass))
        .routes(routes!(logo::read, logo::put, logo::remove))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::of_stream))
        .routes(routes!(recordings::read, recordings::remove))
        .routes(routes!(recordings::file))
        .routes(routes!(play_tokens::create))
        .routes(routes!(play_tokens::revoke))
        .routes(routes!(destinations::list, destinations::create))
        .routes(routes!(destinations::read, destinations::change, destinations::remove))
        .routes(routes!(ladders::list, ladders::create))
        .routes(routes!(ladders::read, ladders::change, ladders::remove))
        .routes(routes!(restreams::list, restreams::create))
        .routes(routes!(restream_check::check))
        .routes(routes!(restreams::read, restreams::change, restreams::remove))
        .routes(routes!(stats::of_restream))
        .routes(routes!(restreams::start))
        .routes(routes!(restreams::stop))
        .routes(routes!(restreams::retry))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::change, api_keys::remove))
}

/// The answer with one thing, whose ETag is its version.
fn one(status: StatusCode, version: i64, dto: impl Serialize) -> Response {
    (status, [(header::ETAG, format!("\"{version}\""))], Json(dto)).into_response()
}

/// The answer with one new thing and its address.
fn created(path: &str, id: i64, version: i64, dto: impl Serialize) -> Response {
    let headers = [(header::ETAG, format!("\"{version}\"")), (header::LOCATION, format!("/api/v1/{path}/{id}"))];
    (StatusCode::CREATED, headers, Json(dto)).into_response()
}

/// The answer with one new thing that is never changed, so it has no version.
fn made(path: &str, id: i64, dto: impl Serialize) -> Response {
    (StatusCode::CREATED, [(header::LOCATION, format!("/api/v1/{path}/{id}"))], Json(dto)).into_response()
}

/// Records that secrets are about to be shown. Only operators may see them, and never unrecorded.
async fn reveal(app: &App, caller: &Caller, subject: String) -> Result<(), Problem> {
    caller.require(Role::Operator)?;
    Ok(record_reveal(app, caller, subject).await?)
}

#[cfg(test)]
mod tests {
    use super::RULES;
    use crate::openapi::openapi_json;
    use std::collections::BTreeSet;

    /// A route without a rule could not be called, and a rule without a route would be a lie.
    #[test]
    fn rules_and_routes_are_the_same() {
        let described: serde_json::Value = serde_json::from_str(&openapi_json()).unwrap();
        let mut routes = BTreeSet::new();
        for (path, methods) in described["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                routes.insert(format!("{} {path}", method.to_ascii_uppercase()));
            }
        }
        let rules: BTreeSet<String> = RULES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        assert_eq!(routes, rules);
        assert_eq!(rules.len(), RULES.len(), "a rule is written twice");
    }
}

//! All routes in one place, with what every request goes through.

use crate::context::{ApiContext, App};
use crate::input::MAX_BODY_BYTES;
use crate::later::PATHS;
use crate::openapi::Description;
use crate::problem::Problem;
use crate::routes::{
    api_keys, audit, destinations, events, health, ladders, live, logo, platforms, play_tokens, recordings,
    restream_check, restreams, session, stats, streams, system, thumbnail, users, webhooks,
};
use crate::{audit_trail, auth, idempotency, middleware};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::any;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weir_control::Lanes;
use weir_net::TrustedProxies;
use weir_origin::{HttpLimits, HttpRules, HttpServer, Origin, Rest};

/// Viewers and all others over the same connections. To be called in the control plane's runtime; `lanes` carry the connections.
pub fn http_server(context: ApiContext, limits: HttpLimits, proxies: TrustedProxies, lanes: Lanes) -> HttpServer {
    let origin = Origin::new(context.playback.clone(), context.observe.clone(), context.thumbnails.clone());
    let rules = HttpRules { limits, proxies, https: context.urls.https.clone() };
    HttpServer::new(origin, Rest { router: router(context), refusal: Problem::of_status }, rules, lanes)
}

/// Everything but what viewers ask for under `/play`.
pub fn router(context: ApiContext) -> Router {
    let (routes, _) = routes().split_for_parts();
    let app = App::new(context);
    routes
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .fallback(crate::routes::dashboard::page)
        .route_layer(from_fn_with_state(app.clone(), idempotency::once))
        .route_layer(from_fn_with_state(app.clone(), auth::authenticate))
        .route_layer(from_fn_with_state(app.clone(), audit_trail::audited))
        .route_layer(from_fn(middleware::to_the_end))
        // After the layers above: viewers have no key, and are counted in no audit.
        .merge(later())
        .merge(weir_origin::watch_routes(app.api.playback.clone()))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(middleware::in_time))
        .layer(from_fn_with_state(app.clone(), middleware::secure_headers))
        .with_state(app)
}

/// Addresses of later versions say so, to whoever asks.
fn later() -> Router<App> {
    let not_available = async || Problem::address_not_available();
    PATHS.iter().fold(Router::new(), |router, path| router.route(path, any(not_available)))
}

pub(crate) fn routes() -> OpenApiRouter<App> {
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

#[cfg(test)]
mod tests {
    use crate::openapi::openapi_json;
    use crate::rules::RULES;
    use std::collections::BTreeSet;

    /// A route without a rule could not be called; a rule without a route would be a lie.
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

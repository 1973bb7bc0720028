//! Joins all routes with the layers that every request goes through.

use crate::context::{ApiContext, App};
use crate::input::MAX_BODY_BYTES;
use crate::later::PATHS;
use crate::problem::Problem;
use crate::{audit_trail, auth, idempotency, middleware};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::any;
use weir_control::Lanes;
use weir_net::TrustedProxies;
use weir_origin::{HttpLimits, HttpRules, HttpServer, Origin, Rest};

/// Makes the server that answers viewers and all others over the same connections. It must be called in the control plane's runtime;
/// `lanes` carry the connections.
pub fn http_server(context: ApiContext, limits: HttpLimits, proxies: TrustedProxies, lanes: Lanes) -> HttpServer {
    let origin = Origin::new(context.playback.clone(), context.observe.clone(), context.thumbnails.clone());
    let rules = HttpRules { limits, proxies, https: context.urls.https.clone() };
    HttpServer::new(origin, Rest { router: router(context), refusal: Problem::of_status }, rules, lanes)
}

/// The routes of everything except what viewers ask for under `/play`.
pub fn router(context: ApiContext) -> Router {
    let (routes, _) = crate::routes::all().split_for_parts();
    let app = App::new(context);
    routes
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .fallback(crate::routes::dashboard::page)
        .route_layer(from_fn_with_state(app.clone(), idempotency::once))
        .route_layer(from_fn_with_state(app.clone(), auth::authenticate))
        .route_layer(from_fn_with_state(app.clone(), audit_trail::audited))
        .route_layer(from_fn(middleware::to_the_end))
        // These are added after the layers above, because viewers have no key and do not belong in the audit.
        .merge(later())
        .merge(weir_origin::watch_routes(app.api.playback.clone()))
        .merge(weir_origin::whep_routes(app.api.whep.clone()))
        .merge(weir_origin::whip_routes(app.api.whip.clone()))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(middleware::in_time))
        .layer(from_fn_with_state(app.clone(), middleware::secure_headers))
        .with_state(app)
}

/// The addresses of later versions, which say so to whoever asks.
fn later() -> Router<App> {
    let not_available = async || Problem::address_not_available();
    PATHS.iter().fold(Router::new(), |router, path| router.route(path, any(not_available)))
}

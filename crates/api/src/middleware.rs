//! The layers that every request goes through.

use crate::context::App;
use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use weir_origin::OverTls;

/// The time until the answer begins. A body that drips in, or a store that hangs, must not hold a connection for ever.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Tells browsers to come by HTTPS only for a year.
const HTTPS_FOR_A_YEAR: &str = "max-age=31536000";

/// Ends a request that takes too long.
pub(crate) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::busy("this took too long").into_response(),
    }
}

/// Runs a change in a task of its own, so that a caller who hangs up does not stop it half-way, or before it is audited.
pub(crate) async fn to_the_end(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let running = tokio::spawn(next.run(request));
    running.await.unwrap_or_else(|_| Problem::internal().into_response())
}

/// Adds the headers that say what browsers must not do with our answers. The dashboard's pages have a policy of their own.
pub(crate) async fn secure_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let over_tls = request.extensions().get::<OverTls>().is_some_and(|OverTls(over_tls)| *over_tls);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // In the clear the header means nothing. If not everybody is to come by HTTPS, it would shut people out.
    if over_tls && app.api.urls.https.is_some() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HTTPS_FOR_A_YEAR));
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

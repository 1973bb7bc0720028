//! What every request goes through.

use crate::auth::Caller;
use crate::context::{App, OverTls};
use crate::problem::Problem;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// Until the answer begins: a body that drips in, or a store that hangs, must not hold a connection for ever.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What browsers are told to remember.
const HTTPS_FOR_A_YEAR: &str = "max-age=31536000";

/// Ends what takes too long.
pub(crate) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::busy("this took too long").into_response(),
    }
}

/// Runs a change in a task of its own, so that a caller who hangs up does not stop it half-way, and audits it.
pub(crate) async fn to_the_end(State(app): State<App>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let running = tokio::spawn(async move {
        let audited = request.extensions().get::<Caller>().map(|caller| {
            let path = request.uri().path();
            let subject = path.strip_prefix("/api/v1/").unwrap_or(path).to_owned();
            (caller.actor.clone(), request.method().as_str().to_ascii_lowercase(), subject)
        });
        let response = next.run(request).await;
        if let Some((actor, action, subject)) = audited
            && response.status().is_success()
            && let Err(error) = app.api.store.record_audit(&actor, &action, &subject).await
        {
            // The change is made and acknowledged; an audit that can't be written must at least be seen.
            tracing::error!(%error, actor, action, subject, "could not record the audit");
        }
        response
    });
    running.await.unwrap_or_else(|_| Problem::internal().into_response())
}

/// What browsers must not do with our answers. Pages of the dashboard say their own policy.
pub(crate) async fn secure_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let over_tls = request.extensions().get::<OverTls>().is_some_and(|OverTls(over_tls)| *over_tls);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // In the clear it means nothing, and where https is not how everybody is to come it would shut people out.
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

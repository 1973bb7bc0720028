//! Serves the dashboard: one page for every address that belongs to nothing else, because the page itself reads its address.

use crate::problem::Problem;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use weir_origin::page_of;

const PAGE: &str = "dashboard/index.html";

/// The page may use the dashboard's own files and this server's answers, and nothing else. Previews are blobs, and so is the player's
/// worker.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: blob:; \
                      media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'none'";

/// Answers addresses that nothing serves. Programs are told so; a browser is given the dashboard, which says the same in its own way.
pub(crate) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if !is_page(&method, uri.path(), &headers) {
        return Problem::not_found().into_response();
    }
    page_of(PAGE, StatusCode::OK, POLICY)
}

fn is_page(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // The front page has no other meaning, so it is also for clients that do not say what they want.
    reads && !path.starts_with("/api/") && (path == "/" || accept.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn browsers_get_the_page_and_programs_a_problem() {
        for (method, path, accept, wanted) in [
            (Method::GET, "/", "*/*", true),
            (Method::GET, "/streams/7", "text/html,application/xhtml+xml", true),
            (Method::HEAD, "/streams/7", "text/html", true),
            (Method::GET, "/streams/7", "*/*", false),
            (Method::GET, "/api/v1/nothing", "text/html", false),
            (Method::POST, "/", "text/html", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(is_page(&method, path, &headers), wanted, "{method} {path} {accept}");
        }
    }
}

//! Serves the public page `/watch/<name>` with its player and the files that pages load, and makes the answer of any page.

use std::borrow::Cow;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use weir_control::Playback;

use crate::respond::accepts_gzip;
use crate::web_assets::{content_type, file};

const PAGE: &str = "watch/index.html";

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Weir</title><p>The web assets were not built into this \
                         server. Build it with <code>make build</code>, which needs npm.";

/// The page may load the player's own files and nothing else. The player gives media to the browser as blobs, and its worker is one, too.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'none'";

/// The routes of `/watch/<name>` and of the files of all pages. The page is the same for every stream: it reads the stream's name and the
/// token from its address.
pub fn watch_routes<S: Clone + Send + Sync + 'static>(playback: Playback) -> Router<S> {
    let page = async move |Path(name): Path<String>| {
        let status = if playback.exists(&name) { StatusCode::OK } else { StatusCode::NOT_FOUND };
        page_of(PAGE, status, POLICY)
    };
    Router::new().route("/watch/{name}", get(page)).route("/assets/{*path}", get(asset))
}

/// A page below `web/dist`. Browsers must ask for it anew each time, because the files that it loads change their names with each build.
pub fn page_of(path: &str, status: StatusCode, policy: &'static str) -> Response {
    let body = file(path);
    let status = if body.is_some() { status } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = [
        (header::CONTENT_TYPE, content_type(path)),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (status, headers, body_of(body.unwrap_or(Cow::Borrowed(NOT_BUILT.as_bytes())))).into_response()
}

/// A file that pages load. Its name has a hash of its content, so browsers may keep it. Beside each file lies the same file compressed.
async fn asset(Path(path): Path<String>, asked: HeaderMap) -> Response {
    let path = format!("assets/{path}");
    let Some(plain) = file(&path) else { return StatusCode::NOT_FOUND.into_response() };
    let packed = Some(format!("{path}.gz")).filter(|_| accepts_gzip(&asked)).and_then(|path| file(&path));
    let headers = [
        (header::CONTENT_TYPE, content_type(&path)),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        // What a worker may do follows from the policy of its own file, not from that of the page that starts it. The dashboard's worker
        // must be allowed to ask for the live board.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; connect-src 'self'; frame-ancestors 'none'"),
        (header::VARY, "Accept-Encoding"),
    ];
    match packed {
        Some(packed) => (headers, [(header::CONTENT_ENCODING, "gzip")], body_of(packed)).into_response(),
        None => (headers, body_of(plain)).into_response(),
    }
}

fn body_of(bytes: Cow<'static, [u8]>) -> Body {
    Body::from(match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    })
}

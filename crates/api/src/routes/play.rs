//! The playback origin: `/play/<name>/...` for players, without a key.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use weir_control::PlaybackRefusal;
use weir_packager::{Answer, Cache};

use crate::context::App;

/// Longer ones are no player's.
const QUERY_BYTES_MAX: usize = 1_024;

/// A playlist, a manifest or a segment of a stream
pub(crate) async fn get(
    State(app): State<App>,
    method: Method,
    Path((name, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut response = if query.as_ref().is_some_and(|query| query.len() > QUERY_BYTES_MAX) {
        StatusCode::URI_TOO_LONG.into_response()
    } else {
        match app.api.playback.packager(&name).await {
            Err(PlaybackRefusal::NotFound) => StatusCode::NOT_FOUND.into_response(),
            Err(PlaybackRefusal::Protected) => StatusCode::FORBIDDEN.into_response(),
            Ok(packager) => respond(packager.answer(&path, query.as_deref()).await, &method, &headers),
        }
    };
    let headers = response.headers_mut();
    // Players live on other sites; nothing here depends on who asks.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Content-Length, Content-Range, ETag, Date"),
    );
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// What a browser asks before a range request of another site.
pub(crate) async fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Range, If-None-Match"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn respond(answer: Answer, method: &Method, asked: &HeaderMap) -> Response {
    let (content_type, body, cache) = match answer {
        Answer::Found { content_type, body, cache } => (content_type, body, cache),
        Answer::NotFound => return StatusCode::NOT_FOUND.into_response(),
        Answer::BadRequest(why) => return (StatusCode::BAD_REQUEST, why).into_response(),
        Answer::NotReady => {
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response();
        }
    };
    let cache_control = match cache {
        // A segment's name is never used for other bytes.
        Cache::Immutable => "public, max-age=3600, immutable",
        Cache::Short => "public, max-age=1",
        Cache::Playlist => "no-cache",
    };
    let mut response = match cache {
        Cache::Immutable => ranged(&body, asked),
        Cache::Short | Cache::Playlist => whole(body),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if *method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

fn whole(body: Bytes) -> Response {
    let length = body.len();
    // The same `Bytes` for every viewer: a count, no copy.
    ([(header::CONTENT_LENGTH, length)], Body::from(body)).into_response()
}

/// One range of a segment, as RFC 9110 has it; several or nonsense get the whole.
fn ranged(body: &Bytes, asked: &HeaderMap) -> Response {
    let total = body.len();
    let wanted =
        asked.get(header::RANGE).and_then(|range| range.to_str().ok()).and_then(|range| parse_range(range, total));
    let mut response = match wanted {
        None => whole(body.clone()),
        Some(None) => {
            let range = format!("bytes */{total}");
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, range)]).into_response()
        }
        Some(Some((first, last))) => {
            let mut response = whole(body.slice(first..=last));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            if let Ok(range) = HeaderValue::from_str(&format!("bytes {first}-{last}/{total}")) {
                response.headers_mut().insert(header::CONTENT_RANGE, range);
            }
            response
        }
    };
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// None: not a range that we read. `Some(None)`: a range with nothing in it.
pub(super) fn parse_range(text: &str, total: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = text.strip_prefix("bytes=").filter(|ranges| !ranges.contains(','))?.split_once('-')?;
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => (total.saturating_sub(suffix.parse().ok()?), total.checked_sub(1)),
        (first, "") => (first.parse().ok()?, total.checked_sub(1)),
        (first, last) => {
            let last: usize = last.parse().ok()?;
            (first.parse().ok()?, total.checked_sub(1).map(|end| end.min(last)))
        }
    };
    Some(match range {
        (first, Some(last)) if first <= last => Some((first, last)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-9", Some(Some((0, 9)))),
            ("bytes=90-", Some(Some((90, 99)))),
            ("bytes=-10", Some(Some((90, 99)))),
            ("bytes=0-1000", Some(Some((0, 99)))),
            ("bytes=100-", Some(None)),
            ("bytes=5-4", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=a-b", None),
            ("items=0-1", None),
            ("bytes=0-1,3-4", None),
        ] {
            assert_eq!(parse_range(text, 100), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Some(None));
    }
}

//! The packager's answers as HTTP: cache rules, tags, ranges, compression, and leave for players on other sites.

use std::fmt::Write as _;
use std::io::Write as _;

use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use weir_packager::{Answer, Cache};

use super::body::OriginBody;
use super::range::{Wanted, parse_range};

/// Level 4: a playlist of 8 kB in 60 us to 15 % of its size; level 9 takes three times as long for another 1 %.
const GZIP_LEVEL: u32 = 4;

/// Below this the header of the compression and one packet less are all that is won.
const GZIP_BYTES_MIN: usize = 256;

pub(super) fn respond(answer: Answer, method: &Method, asked: &HeaderMap) -> Response<OriginBody> {
    let (content_type, body, cache, tag, compressed) = match answer {
        Answer::Found { content_type, body, cache, tag, compressed } => (content_type, body, cache, tag, compressed),
        Answer::NotFound => return refusal(StatusCode::NOT_FOUND),
        Answer::BadRequest(why) => {
            let mut response = refusal(StatusCode::BAD_REQUEST);
            *response.body_mut() = Bytes::from(why).into();
            return response;
        }
        Answer::NotReady => return busy_with(StatusCode::SERVICE_UNAVAILABLE),
    };
    let is_file = cache == Cache::Immutable;
    let gzip = compressed.filter(|_| body.len() >= GZIP_BYTES_MIN && accepts_gzip(asked));
    let tag = etag(tag, gzip.is_some());
    let is_known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| matches_tag(known, &tag));
    let total = body.len();
    let (status, body, content_range) = match asked.get(header::RANGE).filter(|_| is_file && !is_known) {
        None if is_known => (StatusCode::NOT_MODIFIED, Bytes::new(), None),
        None => (StatusCode::OK, body, None),
        Some(range) => match parse_range(range.to_str().unwrap_or_default(), total) {
            Wanted::Whole => (StatusCode::OK, body, None),
            Wanted::Part(first, last) => {
                let range = format!("bytes {first}-{last}/{total}");
                (StatusCode::PARTIAL_CONTENT, body.slice(first..=last), Some(range))
            }
            Wanted::Nothing => (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new(), Some(format!("bytes */{total}"))),
        },
    };
    let body = match &gzip {
        Some(kept) if status == StatusCode::OK => kept.get_or_init(|| compress(&body)).clone(),
        _ => body,
    };

    let mut response = bare(status);
    let headers = response.headers_mut();
    put(headers, header::CONTENT_TYPE, content_type);
    put(
        headers,
        header::CACHE_CONTROL,
        match cache {
            // A segment's name is never used for other bytes.
            Cache::Immutable => "public, max-age=3600, immutable",
            Cache::Short => "public, max-age=1",
            Cache::Playlist => "no-cache",
        },
    );
    headers.insert(header::ETAG, tag);
    if is_file {
        put(headers, header::ACCEPT_RANGES, "bytes");
    } else {
        put(headers, header::VARY, "Accept-Encoding");
    }
    if gzip.is_some() {
        put(headers, header::CONTENT_ENCODING, "gzip");
    }
    if let Some(range) = content_range.and_then(|range| HeaderValue::from_str(&range).ok()) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    if *method != Method::HEAD {
        // The same `Bytes` for every viewer: a count, no copy.
        *response.body_mut() = body.into();
    }
    response
}

/// An answer without a body.
pub(super) fn refusal(status: StatusCode) -> Response<OriginBody> {
    let mut response = bare(status);
    put(response.headers_mut(), header::CACHE_CONTROL, "no-cache");
    put(response.headers_mut(), header::CONTENT_LENGTH, "0");
    if status == StatusCode::BAD_REQUEST {
        response.headers_mut().remove(header::CONTENT_LENGTH);
        put(response.headers_mut(), header::CONTENT_TYPE, "text/plain");
    }
    response
}

/// Too many at once from there.
pub(super) fn busy() -> Response<OriginBody> {
    busy_with(StatusCode::TOO_MANY_REQUESTS)
}

fn busy_with(status: StatusCode) -> Response<OriginBody> {
    let mut response = refusal(status);
    put(response.headers_mut(), header::RETRY_AFTER, "1");
    response
}

pub(super) fn method_not_allowed() -> Response<OriginBody> {
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED);
    put(response.headers_mut(), header::ALLOW, "GET, HEAD, OPTIONS");
    response
}

/// What a browser asks before a range request of another site.
pub(super) fn preflight() -> Response<OriginBody> {
    let mut response = bare(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    put(headers, header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS");
    put(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, "Range, If-None-Match, Content-Type");
    put(headers, header::ACCESS_CONTROL_MAX_AGE, "86400");
    response
}

/// What every answer has: players live on other sites, and nothing here depends on who asks.
fn bare(status: StatusCode) -> Response<OriginBody> {
    let mut response = Response::new(OriginBody::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(12);
    put(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    put(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, "Content-Length, Content-Range, ETag, Date");
    put(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

fn etag(tag: u64, compressed: bool) -> HeaderValue {
    let mut text = String::with_capacity(24);
    // Writing to a String can't fail, and hexadecimal digits are always a header.
    let _ = write!(text, "\"{tag:016x}{}\"", if compressed { "-gz" } else { "" });
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Weak comparison, as `If-None-Match` asks for.
fn matches_tag(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    known.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

pub(crate) fn accepts_gzip(asked: &HeaderMap) -> bool {
    let Some(accepted) = asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()) else { return false };
    accepted.split(',').any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        matches!(coding.trim(), "gzip" | "x-gzip" | "*") && weight > 0.0
    })
}

fn compress(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::new(GZIP_LEVEL));
    // Writing to a Vec can't fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::{Arc, OnceLock};

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn text(body: &str) -> Answer {
        Answer::Found {
            content_type: "application/vnd.apple.mpegurl",
            body: body.to_owned().into(),
            cache: Cache::Playlist,
            tag: 7,
            compressed: Some(Arc::new(OnceLock::new())),
        }
    }

    fn file() -> Answer {
        let body = Bytes::from((0..100).collect::<Vec<u8>>());
        Answer::Found { content_type: "video/mp4", body, cache: Cache::Immutable, tag: 9, compressed: None }
    }

    fn bytes(response: Response<OriginBody>) -> Bytes {
        match response.into_body() {
            OriginBody::Shared(bytes) => bytes.unwrap_or_default(),
            OriginBody::Routed(_) => panic!("not ours"),
        }
    }

    #[test]
    fn files_have_tags_ranges_and_no_copies() {
        let get = |pairs: &[(HeaderName, &str)]| respond(file(), &Method::GET, &headers(pairs));
        let whole = get(&[]);
        assert_eq!(whole.status(), 200);
        assert_eq!(whole.headers()[header::CONTENT_LENGTH], "100");
        assert_eq!(whole.headers()[header::CACHE_CONTROL], "public, max-age=3600, immutable");
        assert_eq!(whole.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let tag = whole.headers()[header::ETAG].clone();
        assert_eq!(bytes(whole).len(), 100);

        let part = get(&[(header::RANGE, "bytes=10-19")]);
        assert_eq!(part.status(), 206);
        assert_eq!(part.headers()[header::CONTENT_RANGE], "bytes 10-19/100");
        assert_eq!(part.headers()[header::CONTENT_LENGTH], "10");
        assert_eq!(bytes(part)[0], 10);
        let beyond = get(&[(header::RANGE, "bytes=100-")]);
        assert_eq!(beyond.status(), 416);
        assert_eq!(beyond.headers()[header::CONTENT_RANGE], "bytes */100");

        for (known, status) in
            [(tag.to_str().unwrap(), 304), ("W/\"0000000000000009\", \"x\"", 304), ("*", 304), ("\"x\"", 200)]
        {
            let response = get(&[(header::IF_NONE_MATCH, known), (header::RANGE, "bytes=0-")]);
            assert_eq!(response.status() == 304, status == 304, "{known}");
        }
        let known = get(&[(header::IF_NONE_MATCH, "*")]);
        assert!(!known.headers().contains_key(header::CONTENT_LENGTH) && bytes(known).is_empty());

        let head = respond(file(), &Method::HEAD, &HeaderMap::new());
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "100");
        assert!(bytes(head).is_empty());
    }

    #[test]
    fn texts_are_compressed_once() {
        let playlist = "#EXTM3U\n".repeat(200);
        let answer = text(&playlist);
        let get = |pairs: &[(HeaderName, &str)]| respond(answer.clone(), &Method::GET, &headers(pairs));
        let plain = get(&[]);
        assert_eq!(plain.headers()[header::VARY], "Accept-Encoding");
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        let first = get(&[(header::ACCEPT_ENCODING, "br, gzip")]);
        let second = get(&[(header::ACCEPT_ENCODING, "gzip;q=0.5")]);
        assert_ne!(plain.headers()[header::ETAG], first.headers()[header::ETAG]);
        assert_eq!(first.headers()[header::CONTENT_ENCODING], "gzip");
        let (first, second) = (bytes(first), bytes(second));
        assert_eq!(first.as_ptr(), second.as_ptr(), "the same bytes");
        let mut back = String::new();
        flate2::read::GzDecoder::new(&*first).read_to_string(&mut back).unwrap();
        assert_eq!(back, playlist);
        for refused in ["", "br", "gzip;q=0", "identity"] {
            let response = get(&[(header::ACCEPT_ENCODING, refused)]);
            assert!(!response.headers().contains_key(header::CONTENT_ENCODING), "{refused}");
        }
        let short = respond(text("#EXTM3U"), &Method::GET, &headers(&[(header::ACCEPT_ENCODING, "gzip")]));
        assert!(!short.headers().contains_key(header::CONTENT_ENCODING));
        let range = get(&[(header::RANGE, "bytes=0-9")]);
        assert_eq!(range.status(), 200, "a playlist is taken whole");
    }

    #[test]
    fn refusals_can_be_read_by_players() {
        for (answer, status) in [
            (Answer::NotFound, 404),
            (Answer::NotReady, 503),
            (Answer::BadRequest("_HLS_msn is not a number".to_owned()), 400),
        ] {
            let response = respond(answer, &Method::GET, &HeaderMap::new());
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), status == 503);
        }
        assert_eq!(busy().status(), 429);
        assert_eq!(preflight().headers()[header::ACCESS_CONTROL_ALLOW_METHODS], "GET, HEAD, OPTIONS");
    }
}

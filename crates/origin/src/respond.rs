//! Makes HTTP of the packager's answers: cache rules, tags, ranges, compression, and permission for players on other sites.

use std::io::Write as _;

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use weir_control::Pass;
use weir_packager::{Answer, Cache};

use crate::asked::{Asked, Verb};
use crate::range::{Wanted, parse_range};
use crate::reply::{About, ContentRange, Reply, ReplyBody, Tag};
use crate::watched::Watched;

/// Level 4 compresses a playlist of 8 kB in 60 us to 15 % of its size. Level 9 takes three times as long for another 1 %.
const GZIP_LEVEL: u32 = 4;

/// A shorter text is not compressed: it fits into one packet in any case, and the compression adds a header of its own.
const GZIP_BYTES_MIN: usize = 256;

/// Makes the reply. `private` says that caches between here and the viewer may not give the answer to another viewer. `pass` is the
/// viewer's right to go on watching while a segment is being made.
pub(crate) fn respond(answer: Answer, asked: &Asked<'_>, private: bool, pass: impl FnOnce() -> Pass) -> Reply {
    let (content_type, body, cache, tag, compressed) = match answer {
        Answer::Found { content_type, body, cache, tag, compressed } => (content_type, body, cache, tag, compressed),
        Answer::Growing { content_type, segment, tag } => {
            return growing((content_type, tag), asked, private, || Watched::new(*segment, pass()));
        }
        Answer::NotFound => return Reply::refusal(StatusCode::NOT_FOUND),
        Answer::BadRequest(why) => return Reply::bad_request(why),
        Answer::NotReady => return Reply::come_again(StatusCode::SERVICE_UNAVAILABLE),
    };
    let is_file = cache == Cache::Immutable;
    let gzip = compressed.filter(|_| body.len() >= GZIP_BYTES_MIN && asked.accept_encoding.is_some_and(takes_gzip));
    let tag = Tag { number: tag, compressed: gzip.is_some() };
    let is_known = asked.if_none_match.is_some_and(|known| matches_tag(known, tag));
    let total = body.len();
    let (status, body, range) = match asked.range.filter(|_| is_file && !is_known) {
        None if is_known => (StatusCode::NOT_MODIFIED, Bytes::new(), None),
        None => (StatusCode::OK, body, None),
        Some(range) => match parse_range(range, total) {
            Wanted::Whole => (StatusCode::OK, body, None),
            Wanted::Part(first, last) => {
                let range = ContentRange::Part { first, last, total };
                (StatusCode::PARTIAL_CONTENT, body.slice(first..=last), Some(range))
            }
            Wanted::Nothing => {
                (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new(), Some(ContentRange::Unsatisfied { total }))
            }
        },
    };
    let body = match &gzip {
        Some(kept) if status == StatusCode::OK => kept.get_or_init(|| compress(&body)).clone(),
        _ => body,
    };
    Reply {
        status,
        about: About::Media { content_type, cache, private, tag, range, dated: None },
        length: (status != StatusCode::NOT_MODIFIED).then_some(body.len()),
        body: if asked.verb == Verb::Head { ReplyBody::EMPTY } else { ReplyBody::Whole(body) },
    }
}

/// The reply with a segment that is not whole yet, which has neither a length nor ranges. A viewer who has the whole segment already hears
/// so.
fn growing(
    (content_type, tag): (&'static str, u64),
    asked: &Asked<'_>,
    private: bool,
    segment: impl FnOnce() -> Watched,
) -> Reply {
    let tag = Tag { number: tag, compressed: false };
    let is_known = asked.if_none_match.is_some_and(|known| matches_tag(known, tag));
    Reply {
        status: if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK },
        about: About::Media { content_type, cache: Cache::Immutable, private, tag, range: None, dated: None },
        length: None,
        body: match is_known || asked.verb == Verb::Head {
            true => ReplyBody::EMPTY,
            false => ReplyBody::Growing(Box::new(segment())),
        },
    }
}

/// Compares tags weakly, as `If-None-Match` asks for.
fn matches_tag(known: &str, tag: Tag) -> bool {
    let mut text = Vec::with_capacity(24);
    tag.write(&mut text);
    let is_it = |one: &str| one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == text;
    known.split(',').map(str::trim).any(is_it)
}

pub(crate) fn accepts_gzip(asked: &HeaderMap) -> bool {
    asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(takes_gzip)
}

fn takes_gzip(accepted: &str) -> bool {
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

    use axum::http::header::HeaderName;
    use axum::http::{HeaderValue, Method, Request, Response};

    use super::*;
    use crate::body::OriginBody;

    fn respond(answer: Answer, method: &Method, headers: &HeaderMap) -> Response<OriginBody> {
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.method, parts.headers) = (method.clone(), headers.clone());
        super::respond(answer, &Asked::from(&parts), false, || unreachable!("nothing grows here")).into_response()
    }

    #[test]
    fn what_is_protected_is_private() {
        let playlist = text("#EXTM3U");
        let picture = Answer::Found {
            content_type: "image/jpeg",
            body: Bytes::from_static(b"jpeg"),
            cache: Cache::Short,
            tag: 1,
            compressed: None,
        };
        for (answer, open, protected) in [
            (file(), "public, max-age=3600, immutable", "private, max-age=3600, immutable"),
            (picture, "public, max-age=1", "private, max-age=1"),
            (playlist, "no-cache", "private, no-cache"),
        ] {
            for (private, expected) in [(false, open), (true, protected)] {
                let asked = Asked::new(Verb::Get, "/play/cam1/x", None);
                let nothing_grows = || unreachable!("nothing grows here");
                let response = super::respond(answer.clone(), &asked, private, nothing_grows).into_response();
                assert_eq!(response.headers()[header::CACHE_CONTROL], expected);
            }
        }
    }

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
        assert_eq!(Reply::busy().into_response().status(), 429);
        assert_eq!(
            Reply::preflight().into_response().headers()[header::ACCESS_CONTROL_ALLOW_METHODS],
            "GET, HEAD, OPTIONS"
        );
    }
}

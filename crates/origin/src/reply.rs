//! A reply is an answer before it is HTTP. What its headers say stands here once, for both ways of sending it: the short way and the HTTP
//! library.

use std::io::Write as _;
use std::time::SystemTime;

use axum::body::Body;
use axum::http::header::HeaderName;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use weir_packager::Cache;

use crate::body::OriginBody;
use crate::watched::Watched;

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) about: About,
    /// The value of `Content-Length`. There is none where it may not be said, or is not known yet.
    pub(crate) length: Option<usize>,
    pub(crate) body: ReplyBody,
}

#[derive(Debug)]
pub(crate) enum ReplyBody {
    Whole(Bytes),
    /// The body is a segment that is sent part by part, as each is made.
    Growing(Box<Watched>),
}

impl ReplyBody {
    pub(crate) const EMPTY: Self = Self::Whole(Bytes::new());
}

/// What an answer is about. Its headers follow from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Media {
        content_type: &'static str,
        cache: Cache,
        /// Says that the answer is for the viewer who asked, and for nobody else.
        private: bool,
        tag: Tag,
        range: Option<ContentRange>,
        /// When the answer's content was made, for a thumbnail, which says how old it is.
        dated: Option<Dated>,
    },
    Refusal {
        retry: bool,
    },
    /// The answer to the question that browsers ask before they send a range request to another site.
    Preflight,
}

/// The tag of one version of a body. The same body compressed is another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) number: u64,
    pub(crate) compressed: bool,
}

/// When a picture was taken, and how long ago that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dated {
    pub(crate) age_seconds: u64,
    pub(crate) modified: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentRange {
    Part { first: usize, last: usize, total: usize },
    Unsatisfied { total: usize },
}

/// A header's value. It is written only when the answer is sent, so no answer takes memory for its headers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Text(&'static str),
    Number(usize),
    Tag(Tag),
    Range(ContentRange),
    Seconds(u64),
    Date(SystemTime),
}

impl Reply {
    /// An answer without a body.
    pub(crate) fn refusal(status: StatusCode) -> Self {
        Self { status, about: About::Refusal { retry: false }, length: Some(0), body: ReplyBody::EMPTY }
    }

    pub(crate) fn bad_request(why: String) -> Self {
        let body = Bytes::from(why);
        Self { length: Some(body.len()), body: ReplyBody::Whole(body), ..Self::refusal(StatusCode::BAD_REQUEST) }
    }

    /// The reply to a client from whose address too many requests are under way.
    pub(crate) fn busy() -> Self {
        Self::come_again(StatusCode::TOO_MANY_REQUESTS)
    }

    pub(crate) fn come_again(status: StatusCode) -> Self {
        Self { about: About::Refusal { retry: true }, ..Self::refusal(status) }
    }

    /// Adds to a reply how old its content is.
    pub(crate) fn dated(mut self, at: Dated) -> Self {
        if let About::Media { dated, .. } = &mut self.about {
            *dated = Some(at);
        }
        self
    }

    pub(crate) fn preflight() -> Self {
        Self { about: About::Preflight, length: None, ..Self::refusal(StatusCode::NO_CONTENT) }
    }

    /// Gives all headers except the date and those that belong to the connection.
    pub(crate) fn each_header(&self, put: &mut impl FnMut(&'static str, Value)) {
        use Value::Text;
        // Pages of every site may read the answer, because players live on other sites and nothing here depends on who asks.
        put("access-control-allow-origin", Text("*"));
        put("access-control-expose-headers", Text("Age, Content-Length, Content-Range, ETag, Date, Last-Modified"));
        put("x-content-type-options", Text("nosniff"));
        match self.about {
            About::Media { content_type, cache, private, tag, range, dated } => {
                put("content-type", Text(content_type));
                let (rule, is_file) = match (cache, private) {
                    // A segment's name is never used for other bytes.
                    (Cache::Immutable, false) => ("public, max-age=3600, immutable", true),
                    (Cache::Immutable, true) => ("private, max-age=3600, immutable", true),
                    (Cache::Short, false) => ("public, max-age=1", false),
                    (Cache::Short, true) => ("private, max-age=1", false),
                    (Cache::Playlist, false) => ("no-cache", false),
                    (Cache::Playlist, true) => ("private, no-cache", false),
                };
                put("cache-control", Text(rule));
                put("etag", Value::Tag(tag));
                match is_file {
                    true => put("accept-ranges", Text("bytes")),
                    false => put("vary", Text("Accept-Encoding")),
                }
                if tag.compressed {
                    put("content-encoding", Text("gzip"));
                }
                if let Some(range) = range {
                    put("content-range", Value::Range(range));
                }
                if let Some(Dated { age_seconds, modified }) = dated {
                    put("age", Value::Seconds(age_seconds));
                    put("last-modified", Value::Date(modified));
                }
            }
            About::Refusal { retry } => {
                put("cache-control", Text("no-cache"));
                if retry {
                    put("retry-after", Text("1"));
                }
                if self.status == StatusCode::METHOD_NOT_ALLOWED {
                    put("allow", Text("GET, HEAD, OPTIONS"));
                }
                if self.length.is_some_and(|length| length > 0) {
                    put("content-type", Text("text/plain"));
                }
            }
            About::Preflight => {
                put("access-control-allow-methods", Text("GET, HEAD, OPTIONS"));
                put("access-control-allow-headers", Text("Range, If-None-Match, Content-Type"));
                put("access-control-max-age", Text("86400"));
            }
        }
        if let Some(length) = self.length {
            put("content-length", Value::Number(length));
        }
    }

    /// Makes the response that the HTTP library sends.
    pub(crate) fn into_response(self) -> Response<OriginBody> {
        let mut response = Response::new(OriginBody::empty());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.reserve(12);
        self.each_header(&mut |name, value| {
            let value = match value {
                Value::Text(text) => Some(HeaderValue::from_static(text)),
                value => {
                    let mut text = Vec::with_capacity(32);
                    value.write(&mut text);
                    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
                }
            };
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), value);
            }
        });
        *response.body_mut() = match self.body {
            // All viewers share the same `Bytes`, which counts one more reference and copies nothing.
            ReplyBody::Whole(body) => body.into(),
            ReplyBody::Growing(segment) => {
                let parts =
                    futures_util::stream::unfold(segment, async |mut segment| Some((segment.next().await?, segment)));
                OriginBody::Routed(Body::from_stream(parts))
            }
        };
        response
    }

    /// Writes the head of the answer as HTTP/1.1.
    pub(crate) fn write_head(&self, date: &[u8], out: &mut Vec<u8>) {
        let status = self.status;
        match status {
            StatusCode::OK => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
            _ => {
                let reason = status.canonical_reason().unwrap_or_default();
                // Writing to a Vec can't fail.
                let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_str());
            }
        }
        self.each_header(&mut |name, value| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            value.write(out);
            out.extend_from_slice(b"\r\n");
        });
        if matches!(self.body, ReplyBody::Growing(_)) {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n\r\n");
    }
}

impl Tag {
    /// Writes the tag with its quotes, which takes 21 letters at most.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.push(b'"');
        for shift in (0..16).rev() {
            out.push(b"0123456789abcdef"[(self.number >> (shift * 4)) as usize & 15]);
        }
        out.extend_from_slice(if self.compressed { b"-gz\"" } else { b"\"" });
    }
}

impl Value {
    fn write(self, out: &mut Vec<u8>) {
        // Writing to a Vec can't fail.
        let _ = match self {
            Self::Text(text) => out.write_all(text.as_bytes()),
            Self::Number(number) => write!(out, "{number}"),
            Self::Seconds(seconds) => write!(out, "{seconds}"),
            Self::Date(at) => write!(out, "{}", httpdate::HttpDate::from(at)),
            Self::Tag(tag) => {
                tag.write(out);
                Ok(())
            }
            Self::Range(ContentRange::Part { first, last, total }) => write!(out, "bytes {first}-{last}/{total}"),
            Self::Range(ContentRange::Unsatisfied { total }) => write!(out, "bytes */{total}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two ways can't say different things, because `each_header` makes both. This test reads what they made.
    #[test]
    fn both_ways_say_the_same() {
        let media = |range| About::Media {
            content_type: "video/mp4",
            cache: if range { Cache::Immutable } else { Cache::Playlist },
            private: !range,
            tag: Tag { number: 0x1234_5678_9ABC_DEF0, compressed: !range },
            range: range.then_some(ContentRange::Part { first: 1, last: 3, total: 9 }),
            dated: (!range).then_some(Dated { age_seconds: 7, modified: SystemTime::UNIX_EPOCH }),
        };
        let body = Bytes::from_static(b"abc");
        for reply in [
            Reply {
                status: StatusCode::OK,
                about: media(false),
                length: Some(3),
                body: ReplyBody::Whole(body.clone()),
            },
            Reply {
                status: StatusCode::PARTIAL_CONTENT,
                about: media(true),
                length: Some(3),
                body: ReplyBody::Whole(body),
            },
            Reply { status: StatusCode::NOT_MODIFIED, about: media(false), length: None, body: ReplyBody::EMPTY },
            Reply::refusal(StatusCode::NOT_FOUND),
            Reply::refusal(StatusCode::METHOD_NOT_ALLOWED),
            Reply::bad_request("_HLS_msn is not a number".to_owned()),
            Reply::busy(),
            Reply::preflight(),
        ] {
            let mut head = Vec::new();
            reply.write_head(b"Sun, 06 Nov 1994 08:49:37 GMT", &mut head);
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut read = httparse::Response::new(&mut headers);
            assert!(read.parse(&head).unwrap().is_complete());
            let mut said: Vec<_> = read
                .headers
                .iter()
                .map(|it| (it.name.to_owned(), String::from_utf8(it.value.to_vec()).unwrap()))
                .collect();
            assert_eq!(said.pop().unwrap(), ("date".to_owned(), "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()));
            let code = read.code.unwrap();
            let response = reply.into_response();
            assert_eq!(code, response.status().as_u16());
            assert_eq!(read.reason.unwrap(), response.status().canonical_reason().unwrap());
            let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
            let expected: Vec<_> =
                response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            said.sort();
            let mut expected = expected;
            expected.sort();
            assert_eq!(said, expected);
        }
    }
}

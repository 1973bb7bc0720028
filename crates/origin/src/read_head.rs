//! Reads the head of an HTTP/1.1 request if it is one of those that players send all day. All others are left to the HTTP library.

use std::mem::MaybeUninit;

use weir_net::Said;

use crate::asked::{Asked, PREVIEW, Verb};
use crate::origin::{PATH_BYTES_MAX, QUERY_BYTES_MAX};

/// The most bytes of a head that is read here. They hold a path, a token of 1 kB and a browser's headers; longer heads are left to the
/// library.
pub(crate) const SHORT_HEAD_BYTES_MAX: usize = 4 * 1024;

const HTTP2_BEGIN: &[u8] = b"PRI * HTTP/2.0";

/// The most headers of a request that is read here. A browser sends 15.
const HEADERS_MAX: usize = 32;

/// What stands at the beginning of the bytes that have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head<'a> {
    /// The bytes may still become a plain request.
    Partial,
    /// The first `length` bytes are this request, and `said` is what proxies have written on it.
    Plain { asked: Asked<'a>, said: Said<'a>, length: usize },
    /// A client begins HTTP/2 without having asked whether it is spoken here.
    Http2,
    /// The bytes are something else, or can't be read. The library knows what to answer.
    Foreign,
}

/// Reads the head. This is strict on purpose: a request that is not understood to the last byte is not answered here.
pub(crate) fn read_head(bytes: &[u8]) -> Head<'_> {
    let (bytes, length_max) = (&bytes[..bytes.len().min(SHORT_HEAD_BYTES_MAX)], SHORT_HEAD_BYTES_MAX);
    if begins(bytes, HTTP2_BEGIN) {
        return if bytes.len() < HTTP2_BEGIN.len() { Head::Partial } else { Head::Http2 };
    }
    if !["GET /play/", "HEAD /play/"].iter().any(|begin| begins(bytes, begin.as_bytes())) {
        return Head::Foreign;
    }
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) => {
            plain(&request).map_or(Head::Foreign, |(asked, said)| Head::Plain { asked, said, length })
        }
        Ok(httparse::Status::Partial) if bytes.len() < length_max => Head::Partial,
        Ok(httparse::Status::Partial) | Err(_) => Head::Foreign,
    }
}

/// Whether the bytes are a beginning of `expected`, or begin with it.
fn begins(bytes: &[u8], expected: &[u8]) -> bool {
    let length = bytes.len().min(expected.len());
    bytes[..length] == expected[..length]
}

fn plain<'a>(request: &httparse::Request<'_, 'a>) -> Option<(Asked<'a>, Said<'a>)> {
    let verb = match request.method? {
        "GET" => Verb::Get,
        "HEAD" => Verb::Head,
        _ => return None,
    };
    let (path, query) = match request.path?.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path?, None),
    };
    let is_short = path.len() <= PATH_BYTES_MAX && query.is_none_or(|query| query.len() <= QUERY_BYTES_MAX);
    let is_plain = path.bytes().all(is_path_byte) && query.is_none_or(|query| query.bytes().all(is_query_byte));
    if request.version != Some(1) || !is_short || !is_plain {
        return None;
    }
    let (mut asked, mut said) = (Asked::new(verb, path, query), Said::default());
    for header in &*request.headers {
        let name = header.name;
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            5 if is("range") => first(&mut asked.range, text(header.value)?),
            9 if is("forwarded") => only(&mut said.forwarded, header.value)?,
            // "keep-alive" is how HTTP/1.0 asks for what HTTP/1.1 does in any case. Other values, such as "close", are left to the library.
            10 if is("connection") && !header.value.eq_ignore_ascii_case(b"keep-alive") => return None,
            10 if is("user-agent") => first(&mut asked.user_agent, header.value),
            12 if is(PREVIEW) => first(&mut asked.preview, text(header.value)?),
            13 if is("if-none-match") => first(&mut asked.if_none_match, text(header.value)?),
            15 if is("accept-encoding") => first(&mut asked.accept_encoding, text(header.value)?),
            15 if is("x-forwarded-for") => only(&mut said.x_forwarded_for, header.value)?,
            17 if is("x-forwarded-proto") => only(&mut said.x_forwarded_proto, header.value)?,
            // These headers announce a body, or a wish to speak another protocol.
            6 if is("expect") => return None,
            7 if is("upgrade") || is("trailer") => return None,
            14 if is("content-length") => return None,
            17 if is("transfer-encoding") => return None,
            _ => {}
        }
    }
    Some((asked, said))
}

/// Keeps the first of several headers of one name.
fn first<T>(place: &mut Option<T>, value: T) {
    place.get_or_insert(value);
}

/// Takes a header that may stand here only once. Several lines of one name are one value, and the library puts them together.
fn only<'a>(place: &mut Option<&'a str>, value: &'a [u8]) -> Option<()> {
    place.replace(text(value)?).is_none().then_some(())
}

/// The value as text, or none if the library would not call it text.
fn text(value: &[u8]) -> Option<&str> {
    let fits = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    value.iter().all(fits).then(|| std::str::from_utf8(value).ok())?
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_')
}

fn is_query_byte(byte: u8) -> bool {
    is_path_byte(byte) || matches!(byte, b'=' | b'&' | b'%' | b'~' | b'+' | b',' | b':' | b';' | b'*' | b'!' | b'$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Head<'_> {
        read_head(text.as_bytes())
    }

    #[test]
    fn plain_requests_are_read() {
        let text = "GET /play/cam1/source/video.m3u8?_HLS_msn=7&token=a.b HTTP/1.1\r\nHost: a\r\nuser-AGENT: x y\r\n\
            Accept-Encoding: br, gzip\r\nIf-None-Match: \"a\"\r\nRANGE: bytes=0-\r\nWeir-Preview: 1.a\r\nConnection: Keep-Alive\r\n\r\n";
        let expected = Asked {
            verb: Verb::Get,
            path: "/play/cam1/source/video.m3u8",
            query: Some("_HLS_msn=7&token=a.b"),
            user_agent: Some(b"x y"),
            accept_encoding: Some("br, gzip"),
            if_none_match: Some("\"a\""),
            range: Some("bytes=0-"),
            preview: Some("1.a"),
        };
        let two = format!("{text}{text}");
        for text in [text, &two] {
            assert_eq!(read(text), Head::Plain { asked: expected, said: Said::default(), length: two.len() / 2 });
        }
        for length in 0..text.len() {
            assert_eq!(read(&text[..length]), Head::Partial, "{length}");
        }
        let head = read("HEAD /play/a/1 HTTP/1.1\r\n\r\n");
        assert!(
            matches!(head, Head::Plain { asked: Asked { verb: Verb::Head, query: None, .. }, length: 27, .. }),
            "{head:?}"
        );
        let twice = read("GET /play/a/1 HTTP/1.1\r\nRange: 1\r\nRange: 2\r\n\r\n");
        assert!(matches!(twice, Head::Plain { asked: Asked { range: Some("1"), .. }, .. }));
    }

    #[test]
    fn what_proxies_write_is_read() {
        let text = "GET /play/a/1 HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\r\nforwarded: for=a\r\n\
            X-Forwarded-Proto: https\r\n\r\n";
        let Head::Plain { said, .. } = read(text) else { panic!("not plain") };
        let expected = Said {
            x_forwarded_for: Some("192.0.2.1, 10.0.0.1"),
            x_forwarded_proto: Some("https"),
            forwarded: Some("for=a"),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn http2_is_seen_when_all_of_its_beginning_is_there() {
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for length in 0..preface.len() {
            let expected = if length < HTTP2_BEGIN.len() { Head::Partial } else { Head::Http2 };
            assert_eq!(read(&preface[..length]), expected, "{length}");
        }
    }

    #[test]
    fn all_else_is_left_to_the_library() {
        let get = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
        for text in [
            "PO".to_owned(),
            "PRI * HTTP/1.1\r\n".to_owned(),
            get("/play/a/1", "X-Forwarded-For: a\r\nX-Forwarded-For: b\r\n"),
            "\r\n".to_owned(),
            "\u{16}\u{3}\u{1}".to_owned(),
            "POST /play/a/1 HTTP/1.1\r\n\r\n".to_owned(),
            "OPTIONS /play/a/1 HTTP/1.1\r\n\r\n".to_owned(),
            "GET /play/a/1 HTTP/1.0\r\n\r\n".to_owned(),
            "GET http://a/play/a/1 HTTP/1.1\r\n\r\n".to_owned(),
            get("/api/v1/streams", ""),
            get("/play/a/%2e%2e/1", ""),
            get("/play/a/1#x", ""),
            get("/play/a/1?x=\"", ""),
            get("/play/a/1?x=\u{e9}", ""),
            get(&format!("/play/{}", "a".repeat(PATH_BYTES_MAX)), ""),
            get(&format!("/play/a/1?{}", "a".repeat(QUERY_BYTES_MAX + 1)), ""),
            get("/play/a/1", "Content-Length: 0\r\n"),
            get("/play/a/1", "transfer-encoding: chunked\r\n"),
            get("/play/a/1", "Upgrade: h2c\r\n"),
            get("/play/a/1", "Expect: 100-continue\r\n"),
            get("/play/a/1", "Connection: close\r\n"),
            get("/play/a/1", "Connection: Upgrade, HTTP2-Settings\r\n"),
            get("/play/a/1", "Range: bytes=\u{e9}\r\n"),
            get("/play/a/1", "Host: a\r\n folded\r\n"),
            get("/play/a/1", "No colon\r\n"),
            get("/play/a/1", &"A: b\r\n".repeat(HEADERS_MAX + 1)),
            format!("GET /play/a/1 HTTP/1.1\r\nA: {}", "a".repeat(SHORT_HEAD_BYTES_MAX)),
        ] {
            assert_eq!(read(&text), Head::Foreign, "{text}");
        }
    }
}

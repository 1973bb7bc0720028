//! The heads of requests that are answered without the HTTP library: bytes that are taken for a head are one, to the last byte.

use weir_origin::{PATH_BYTES_MAX, QUERY_BYTES_MAX, read_plain_request};

use crate::random::Random;

pub fn fuzz_play_head(data: &[u8]) {
    let Some((length, path, query)) = read_plain_request(data) else { return };
    let head = &data[..length];
    assert!(head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n"), "a head that does not end");
    assert!(head.starts_with(b"GET /play/") || head.starts_with(b"HEAD /play/"));
    assert!(path.starts_with("/play/") && path.len() <= PATH_BYTES_MAX);
    assert!(query.is_none_or(|query| query.len() <= QUERY_BYTES_MAX));
    let is_visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'#' | b'\\');
    assert!(path.bytes().chain(query.unwrap_or_default().bytes()).all(is_visible));
    // Bodies and upgrades would make the bytes behind the head mean something else.
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    for name in ["\ncontent-length:", "\ntransfer-encoding:", "\nupgrade:", "\nexpect:"] {
        assert!(!text.contains(name), "{name} was passed over");
    }
    // The bytes behind the head do not change what is read, and a head is not read before it is whole.
    assert_eq!(read_plain_request(head), Some((length, path, query)));
    assert_eq!(read_plain_request(&head[..length - 1]), None);
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const PIECES: [&str; 28] = [
        "\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\n\n",
        " HTTP/1.1",
        " HTTP/1.1\r\n",
        " HTTP/1.0",
        "Host: a",
        "Range: bytes=0-9",
        "Connection: keep-alive",
        "Connection: close",
        "connection: Upgrade",
        "Upgrade: h2c",
        "Content-Length: 5",
        "content-length : 5",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "If-None-Match: \"a\"",
        "Accept-Encoding: gzip",
        "User-Agent: x",
        ": ",
        " folded",
        "?token=a.b",
        "a/../b",
        "%2e",
        "\u{e9}",
        "GET /play/a/1",
    ];
    let begin = random.pick(&["GET /play/a/master.m3u8 HTTP/1.1\r\n", "HEAD /play/a/1 HTTP/1.1\r\n", "GET /play/", ""]);
    let mut text = begin.to_owned();
    for _ in 0..random.length(10) {
        text.push_str(random.pick(&PIECES));
    }
    text.push_str(random.pick(&["\r\n\r\n", "\n\n", ""]));
    text.into_bytes()
}

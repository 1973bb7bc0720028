//! RTMP addresses: an address that was read can be written and read again, and shows no secret.

use weir_rtmp::url::RtmpUrl;

use crate::random::Random;

pub fn fuzz_rtmp_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = RtmpUrl::parse(&text) {
        assert!(!url.host.is_empty() && url.port != 0 && !url.app.is_empty(), "an address without its parts");
        let again = RtmpUrl::parse(&url.tc_url()).map(|again| (again.tls, again.host, again.port, again.app));
        assert!(again == Ok((url.tls, url.host.clone(), url.port, url.app.clone())), "tcUrl is another address");
        assert!(url.to_string().split_once('?').is_none_or(|(_, query)| query == "***"), "shows a query");
    }
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const PIECES: [&str; 24] = [
        "rtmp://", "rtmps://", "RTMP://", "http://", "://", "u:p@", "@", ":", "host", "a.b-c", "[::1]", "[", "]",
        ":1935", ":0", ":65536", "/", "/live", "/key", "?", "?a=b", "%2F", " ", "é",
    ];
    let mut text = random.pick(&["rtmp://", "rtmps://", ""]).to_owned();
    for _ in 0..random.length(12) {
        text.push_str(random.pick(&PIECES));
    }
    text.into_bytes()
}

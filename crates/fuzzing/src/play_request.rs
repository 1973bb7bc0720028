//! Requests of players: any path and query is answered or refused, and an answer never leads out of its folder.

use weir_packager::{is_token, is_well_formed};

use crate::random::Random;

/// The path, and the query behind the first `?`.
pub fn fuzz_play_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (path, query) = text.split_once('?').map_or((&*text, None), |(path, query)| (path, Some(query)));
    if !is_well_formed(path, query) {
        return;
    }
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
    assert!(path.bytes().all(harmless), "a path with what needs an escape");
    assert!(!path.starts_with('/') && path.split('/').all(|piece| !piece.is_empty() && !piece.starts_with('.')));
    // A token stands in playlists and manifests as it is.
    let token = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("token="));
    let breaks_out = |token: &str| token.contains(['"', '<', '>', '&', '$', '\'', ' ', '\n', '\r']);
    assert!(!token.is_some_and(|token| is_token(token) && breaks_out(token)), "a token that breaks out");
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const PIECES: [&str; 30] = [
        "source",
        "/",
        "video",
        "audio",
        ".m3u8",
        "master.m3u8",
        "manifest.mpd",
        "ts/",
        "init-",
        "1",
        "120",
        ".",
        "..",
        ".m4s",
        ".mp4",
        "?",
        "&",
        "=",
        "_HLS_msn=",
        "_HLS_part=",
        "_HLS_skip=YES",
        "token=",
        "abc",
        "%2e",
        "\"",
        "<",
        "$Number$",
        "18446744073709551616",
        "-1",
        "\u{e9}",
    ];
    let mut text = random.pick(&["source/video", "source/video/", "", "720p/audio"]).to_owned();
    for _ in 0..random.length(12) {
        text.push_str(random.pick(&PIECES));
    }
    text.into_bytes()
}

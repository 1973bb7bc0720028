//! SRT stream ids: any id of a caller is read or refused, and no secret is shown.

use weir_srt::SrtStreamId;
use weir_srt::stream_id::STREAM_ID_BYTES_MAX;

use crate::random::Random;

pub fn fuzz_srt_stream_id(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(id) = SrtStreamId::parse(&text) else { return };
    assert!(text.len() <= STREAM_ID_BYTES_MAX, "longer than libsrt carries");
    let shown = format!("{id:?}");
    match &id {
        SrtStreamId::Publish { stream_key, .. } => {
            assert!(!stream_key.is_empty(), "a key of nothing");
            assert!(shown == "Publish { .. }", "more is shown than that somebody publishes");
            let again = format!("publish:{stream_key}");
            // Characters in the key may mean something in another place, so only a plain key must come back.
            if stream_key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let again = SrtStreamId::parse(&again).map(|again| match again {
                    SrtStreamId::Publish { stream_key, .. } => stream_key.into_owned(),
                    SrtStreamId::Request { .. } => String::new(),
                });
                assert!(again.as_deref() == Ok(stream_key), "another key than was said");
            }
        }
        SrtStreamId::Request { name, rendition, token } => {
            assert!(!name.is_empty() && !name.contains('/'), "a name of nothing, or more than a name");
            assert!(rendition.as_deref() != Some("") && token.as_deref() != Some(""), "something that is nothing");
            let without = SrtStreamId::Request { name: name.clone(), rendition: rendition.clone(), token: None };
            assert!(shown == format!("{without:?}"), "a token is shown");
        }
    }
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const PIECES: [&str; 26] = [
        "#!::",
        "%23!::",
        "publish:",
        "request:",
        "live/",
        "m=publish",
        "m=request",
        "m=",
        "r=",
        "u=me",
        "token=t",
        "program=2",
        "program=x",
        ",",
        "=",
        "/",
        "?",
        "&",
        "%2C",
        "%3A",
        "%",
        "%zz",
        "key",
        "cam1",
        " ",
        "é",
    ];
    let mut text = String::new();
    for _ in 0..random.length(12) {
        text.push_str(random.pick(&PIECES));
    }
    text.into_bytes()
}

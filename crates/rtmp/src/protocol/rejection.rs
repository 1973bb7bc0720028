//! A server's rejection: its words, and whether they mean that the key or the password is wrong.

use crate::stream_key::StreamKey;

/// The text of a peer is cut at this length, because it goes into states, events and logs.
const TEXT_BYTES_MAX: usize = 1024;
/// A key shorter than this is no secret, and masking it would only garble the text.
const MASKED_KEY_BYTES_MIN: usize = 4;

/// Why the server did not let us publish, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub code: String,
    pub description: String,
    /// The URL to which the server sends us instead (`ex.redirect`, or the `tcUrl` of a reconnect request).
    pub redirect: Option<String>,
}

/// Whether a rejection says that the credentials are wrong, so that trying again with the same ones is pointless.
///
/// | code | auth |
/// |---|---|
/// | `NetStream.Publish.Denied`, `NetStream.Publish.Unauthorized`, `NetStream.Authenticate.*` | yes |
/// | `NetStream.Publish.BadName`, `NetStream.Publish.Rejected` | unless the text says that it is in use |
/// | `NetConnection.Connect.Rejected` and anything else | only when the text says so (authfail, unauthorized, ...) |
pub fn is_auth_rejection(code: &str, description: &str) -> bool {
    const IN_USE: [&str; 7] = ["already", "in use", "busy", "duplicate", "occupied", "taken", "exists"];
    const AUTH: [&str; 11] = [
        "authfail",
        "authmod=",
        "nosuchuser",
        "unauthori",
        "not authori",
        "authentication",
        "access denied",
        "permission denied",
        "forbidden",
        "invalid key",
        "invalid stream key",
    ];
    let description = description.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| description.contains(word));
    match code {
        "NetStream.Publish.Denied" | "NetStream.Publish.Unauthorized" => true,
        "NetStream.Publish.BadName" | "NetStream.Publish.Rejected" => !says(&IN_USE),
        _ => code.starts_with("NetStream.Authenticate.") || says(&AUTH),
    }
}

/// The peer's text as we may show it: shortened, on one line, and with our key masked if the peer repeats it.
pub(super) fn shown(text: &str, key: &StreamKey) -> String {
    let mut text = text.to_owned();
    let whole = key.expose();
    let (path, query) = crate::url::cut_query(whole);
    for secret in [whole, path, query.unwrap_or_default()] {
        if secret.len() >= MASKED_KEY_BYTES_MIN {
            text = text.replace(secret, "***");
        }
    }
    // The text is cut after masking; before it, half a key could stay at the end.
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classification() {
        #[rustfmt::skip]
        let table = [
            ("NetStream.Publish.Denied",          "",                                       true),
            ("NetStream.Publish.Unauthorized",    "",                                       true),
            ("NetStream.Authenticate.UsherToken", "",                                       true),
            ("NetStream.Publish.BadName",         "",                                       true),
            ("NetStream.Publish.BadName",         "Already publishing",                     false),
            ("NetStream.Publish.BadName",         "Stream is in use",                       false),
            ("NetStream.Publish.Rejected",        "Invalid stream key",                     true),
            ("NetStream.Publish.Rejected",        "stream busy",                            false),
            ("NetConnection.Connect.Rejected",    "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed", true),
            ("NetConnection.Connect.Rejected",    "[ Server.Reject ] : (_defaultRoot_, _defaultVHost_) : Application (x) is not defined.", false),
            ("NetConnection.Connect.Rejected",    "Unauthorized",                           true),
            ("NetConnection.Connect.InvalidApp",  "",                                       false),
            ("NetStream.Failed",                  "",                                       false),
            ("",                                  "",                                       false),
        ];
        for (code, description, auth) in table {
            assert_eq!(is_auth_rejection(code, description), auth, "{code} {description}");
        }
    }

    #[test]
    fn the_key_is_masked_when_the_peer_repeats_it() {
        let key = StreamKey::from("ab12-cd34?token=hush");
        let text = shown("Stream ab12-cd34?token=hush: ab12-cd34 is\r\nbusy (token=hush)", &key);
        assert_eq!(text, "Stream ***: *** is  busy (***)");
        assert_eq!(shown("a cat", &StreamKey::from("a")), "a cat");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let text = shown(&"é".repeat(TEXT_BYTES_MAX), &StreamKey::from("x"));
        assert_eq!(text.len(), TEXT_BYTES_MAX);
        let text = shown(&format!("a{}", "é".repeat(TEXT_BYTES_MAX)), &StreamKey::from("x"));
        assert_eq!(text.len(), TEXT_BYTES_MAX - 1);
        // The cut falls into a key, whose first half must not stay.
        let text = shown(&format!("{}secretkey", "x".repeat(TEXT_BYTES_MAX - 3)), &StreamKey::from("secretkey"));
        assert!(!text.contains("sec"));
    }
}

//! The asking side of Adobe's publisher authentication, as Wowza and Adobe's own server do it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

/// The name and password that the destination lets in.
#[derive(Clone, Debug)]
pub struct AdobeAuth {
    pub user: String,
    pub password: String,
}

/// The salt is fixed, so that a test can be repeated; a real server makes a new one for each client.
const SALT: &str = "saLt";
const CHALLENGE: &str = "cHaLlEnGe";
const OPAQUE: &str = "oPaQuE";

impl AdobeAuth {
    /// The description of the rejection that this `app` (with its query) gets; `None` when its answer is right.
    pub fn rejection(&self, app: &str) -> Option<String> {
        let query = app.split_once('?').map_or("", |(_, query)| query);
        let field = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
                .map(|(_, value)| value)
        };
        let reject = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
        let Some(user) = field("user") else { return Some(reject.trim_end_matches(" : ").to_owned()) };
        if user != self.user {
            return Some(format!("[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=nosuchuser&user={user}"));
        }
        let Some(response) = field("response") else {
            return Some(format!(
                "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user={user}&salt={SALT}&challenge={CHALLENGE}&opaque={OPAQUE}"
            ));
        };
        let salted = hash(&format!("{}{SALT}{}", self.user, self.password));
        let expected = hash(&format!("{salted}{OPAQUE}{}", field("challenge").unwrap_or_default()));
        (response != expected)
            .then(|| format!("[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&user={user}"))
    }
}

fn hash(text: &str) -> String {
    BASE64.encode(Md5::digest(text.as_bytes()))
}

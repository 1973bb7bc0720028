//! Adobe and Limelight (`llnw`) authentication of publishers: a server's reject goes in, parameters for the next connect come out.
//!
//! It takes three connections, as in ffmpeg and librtmp. The first is rejected with `authmod=...` in its description. The second carries
//! the user, and is rejected with salt, challenge and opaque (or a nonce). The third carries the answer.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use thiserror::Error;

use crate::url::{Credentials, cut_query};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMod {
    Adobe,
    Limelight,
}

impl AuthMod {
    /// The method for which the description of a rejection asks, if it does.
    pub fn asked_in(description: &str) -> Option<Self> {
        if description.contains("authmod=adobe") {
            Some(Self::Adobe)
        } else if description.contains("authmod=llnw") {
            Some(Self::Limelight)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Adobe => "adobe",
            Self::Limelight => "llnw",
        }
    }
}

/// Why no further round makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthError {
    #[error("the server asks for no authentication that we know")]
    NotAsked,
    #[error("the server asks for user and password, and the URL has none")]
    NoCredentials,
    #[error("the server does not accept user and password")]
    Failed,
    #[error("the server's authentication challenge is incomplete")]
    Incomplete,
}

/// How far the rounds are. The user is named once and an answer is given once, so a reject after the answer is final.
#[derive(Default)]
pub struct AuthRounds {
    named: bool,
    answered: bool,
}

impl AuthRounds {
    /// The query (`?authmod=...`) to append to app and tcUrl of the next connection.
    ///
    /// `app` is the application without such a query; `nonce` is our random number.
    pub fn next_query(
        &mut self,
        description: &str,
        credentials: Option<&Credentials>,
        app: &str,
        nonce: u32,
    ) -> Result<String, AuthError> {
        let authmod = AuthMod::asked_in(description).ok_or(AuthError::NotAsked)?;
        let credentials = credentials.ok_or(AuthError::NoCredentials)?;
        let refused = ["?reason=authfailed", "?reason=nosuchuser"].iter().any(|reason| description.contains(reason));
        if refused || self.answered {
            return Err(AuthError::Failed);
        }
        let user = &credentials.user;
        if description.contains("code=403 need auth") {
            if std::mem::replace(&mut self.named, true) {
                return Err(AuthError::Failed);
            }
            return Ok(format!("?authmod={}&user={user}", authmod.name()));
        }
        let (_, fields) = description.split_once("?reason=needauth").ok_or(AuthError::Incomplete)?;
        let field = |wanted: &str| {
            fields.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == wanted)).map(|(_, v)| v)
        };
        let nonce = format!("{nonce:08x}");
        let query = match authmod {
            AuthMod::Adobe => {
                let salt = field("salt").ok_or(AuthError::Incomplete)?;
                let opaque = field("opaque");
                let response = adobe_response(credentials, salt, opaque, field("challenge"), &nonce);
                let opaque = opaque.map(|opaque| format!("&opaque={opaque}")).unwrap_or_default();
                format!("?authmod=adobe&user={user}&challenge={nonce}&response={response}{opaque}")
            }
            AuthMod::Limelight => {
                let peer_nonce = field("nonce").ok_or(AuthError::Incomplete)?;
                let response = limelight_response(credentials, app, peer_nonce, &nonce);
                format!(
                    "?authmod=llnw&user={user}&nonce={peer_nonce}&cnonce={nonce}&nc={LIMELIGHT_NC}&response={response}"
                )
            }
        };
        self.answered = true;
        Ok(query)
    }
}

impl fmt::Debug for AuthRounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRounds").field("named", &self.named).field("answered", &self.answered).finish()
    }
}

/// The count of a digest is always the first, because we ask once per nonce of the server.
const LIMELIGHT_NC: &str = "00000001";

/// The answer for Adobe's method: base64(md5(base64(md5(user salt password)) + (opaque, or else challenge) + our nonce)).
fn adobe_response(
    credentials: &Credentials,
    salt: &str,
    opaque: Option<&str>,
    challenge: Option<&str>,
    nonce: &str,
) -> String {
    let inner = BASE64.encode(md5(&[&credentials.user, salt, &credentials.password]));
    BASE64.encode(md5(&[&inner, opaque.or(challenge).unwrap_or_default(), nonce]))
}

/// The answer for Limelight's method: HTTP digest (RFC 2617, qop auth) over the method "publish" and the realm "live".
fn limelight_response(credentials: &Credentials, app: &str, peer_nonce: &str, nonce: &str) -> String {
    let (path, _) = cut_query(app);
    // The default instance has a name in this digest, though nowhere else.
    let instance = if path.contains('/') { "" } else { "/_definst_" };
    let who = hex(md5(&[&credentials.user, ":live:", &credentials.password]));
    let what = hex(md5(&["publish:/", path, instance]));
    hex(md5(&[&who, ":", peer_nonce, ":", LIMELIGHT_NC, ":", nonce, ":auth:", &what]))
}

fn md5(parts: &[&str]) -> [u8; 16] {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

fn hex(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: u32 = 0x0bad_f00d;
    const NEED_AUTH: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";

    fn alice() -> Credentials {
        Credentials { user: "alice".into(), password: "s3cret".into() }
    }

    fn next(description: &str) -> Result<String, AuthError> {
        AuthRounds::default().next_query(description, Some(&alice()), "live", NONCE)
    }

    // These answers were computed with another md5 implementation (Python's hashlib) from ffmpeg's recipe.
    #[test]
    fn answers() {
        let adobe = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=alice&salt=NaCl==";
        let llnw = "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=needauth&user=alice&nonce=NONCE1";
        #[rustfmt::skip]
        let table = [
            (format!("{adobe}&challenge=c0ffee&opaque=opq+/="), "live",
             "?authmod=adobe&user=alice&challenge=0badf00d&response=sdB8+z3mW376V95ezAi/5g==&opaque=opq+/="),
            (format!("{adobe}&challenge=c0ffee"), "live",
             "?authmod=adobe&user=alice&challenge=0badf00d&response=T6fJsc0/hJjvEITwJU9HOw=="),
            (adobe.to_owned(), "live",
             "?authmod=adobe&user=alice&challenge=0badf00d&response=IRErqm+7rwuw93lzWs5IgQ=="),
            (llnw.to_owned(), "live",
             "?authmod=llnw&user=alice&nonce=NONCE1&cnonce=0badf00d&nc=00000001&response=c9450fba8f95adcd8e9bca94c6bccb9a"),
            (llnw.to_owned(), "live?x=1",
             "?authmod=llnw&user=alice&nonce=NONCE1&cnonce=0badf00d&nc=00000001&response=c9450fba8f95adcd8e9bca94c6bccb9a"),
            (llnw.to_owned(), "live/inst",
             "?authmod=llnw&user=alice&nonce=NONCE1&cnonce=0badf00d&nc=00000001&response=8165388c9e452cbd099146d2ef39f80d"),
        ];
        for (description, app, query) in table {
            let answer = AuthRounds::default().next_query(&description, Some(&alice()), app, NONCE);
            assert_eq!(answer.as_deref(), Ok(query), "{description}");
        }
    }

    #[test]
    fn rounds() {
        let mut rounds = AuthRounds::default();
        let mut next = |description: &str| rounds.next_query(description, Some(&alice()), "live", NONCE);
        assert_eq!(next(NEED_AUTH).as_deref(), Ok("?authmod=adobe&user=alice"));
        assert_eq!(next(NEED_AUTH), Err(AuthError::Failed), "the user is named once");
        let challenge = "[ authmod=adobe ] : ?reason=needauth&user=alice&salt=s&challenge=c";
        assert!(next(challenge).unwrap().contains("&response="));
        assert_eq!(next(challenge), Err(AuthError::Failed), "an answer is given once");
    }

    #[test]
    fn dead_ends() {
        #[rustfmt::skip]
        let table = [
            ("Application is not defined",                          AuthError::NotAsked),
            ("authmod=kerberos",                                    AuthError::NotAsked),
            ("authmod=adobe : ?reason=authfailed&opaque=x",         AuthError::Failed),
            ("authmod=adobe : ?reason=nosuchuser",                  AuthError::Failed),
            ("authmod=adobe",                                       AuthError::Incomplete),
            ("authmod=adobe : ?reason=needauth&user=a",             AuthError::Incomplete),
            ("authmod=llnw : ?reason=needauth&user=a",              AuthError::Incomplete),
        ];
        for (description, error) in table {
            assert_eq!(next(description), Err(error), "{description}");
        }
        let without = AuthRounds::default().next_query(NEED_AUTH, None, "live", NONCE);
        assert_eq!(without, Err(AuthError::NoCredentials));
    }
}

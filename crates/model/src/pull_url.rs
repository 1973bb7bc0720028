//! Where a source is fetched from, as users write it.

use crate::push_url::{UrlFault, checked_text, has_scheme};
use crate::{MAX_URL_BYTES, PushUrl, Secret, UrlLogin, masked_uri};

/// Schemes by which a later version will fetch sources.
const LATER_SCHEMES: [&str; 8] =
    ["srt://", "rtsp://", "rtsps://", "http://", "https://", "udp://", "rtp://", "file://"];

const SCHEMES: [&str; 2] = ["rtmp://", "rtmps://"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullUrl {
    Rtmp {
        /// `rtmp://host:port/app` as it was written, but without user, stream name and trailing slash.
        server: String,
        login: Option<UrlLogin>,
        /// The stream's name with its query, which may hold a token.
        name: Secret,
    },
}

impl PullUrl {
    pub fn parse(uri: &str) -> Result<Self, UrlFault> {
        let uri = uri.trim();
        if uri.len() > MAX_URL_BYTES {
            return Err(UrlFault::new(format!("must be at most {MAX_URL_BYTES} bytes long")));
        }
        let known = SCHEMES.join(" or ");
        if LATER_SCHEMES.iter().any(|scheme| has_scheme(uri, scheme)) {
            let message = format!("must begin with {known} in this version");
            return Err(UrlFault { is_later: true, ..UrlFault::new(message) });
        }
        if !SCHEMES.iter().any(|scheme| has_scheme(uri, scheme)) {
            return Err(UrlFault::new(format!("must begin with {known}")));
        }
        checked_text(uri)?;
        match PushUrl::parse(uri)? {
            PushUrl::Rtmp { server, login, stream_key, .. } => Ok(Self::Rtmp { server, login, name: stream_key }),
            PushUrl::Srt { .. } => Err(UrlFault::new(format!("must begin with {known}"))),
        }
    }

    /// The URL for people and logs, without login and query.
    pub fn masked(&self) -> String {
        match self {
            Self::Rtmp { server, name, .. } => masked_uri(&format!("{}/{}", masked_uri(server), name.expose())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused_in_words() {
        let rtmp =
            |server: &str, name: &str| Ok(PullUrl::Rtmp { server: server.into(), login: None, name: name.into() });
        for (uri, expected) in [
            ("rtmp://h/live/cam1", rtmp("rtmp://h/live", "cam1")),
            (" RTMPS://h:444/a/b/cam?token=x ", rtmp("rtmps://h:444/a/b", "cam?token=x")),
            ("rtmp://h/live", Err(("must name an application after the host: rtmp://host/app", false))),
            ("rtmp://h/li ve/x", Err(("must not contain blanks or control characters", false))),
            ("ftp://h/x", Err(("must begin with rtmp:// or rtmps://", false))),
            ("", Err(("must begin with rtmp:// or rtmps://", false))),
            ("rtsp://u:p@h/1", Err(("must begin with rtmp:// or rtmps:// in this version", true))),
        ] {
            let read = PullUrl::parse(uri).map_err(|fault| (fault.message, fault.is_later));
            assert_eq!(read, expected.map_err(|(message, later)| (message.to_owned(), later)), "{uri}");
        }
    }

    #[test]
    fn masked_addresses_hold_no_secret() {
        for (uri, masked) in [
            ("rtmp://u:p@h:1936/live/cam1?token=x", "rtmp://h:1936/live/cam1?…"),
            ("rtmps://h/live/cam1", "rtmps://h/live/cam1"),
        ] {
            let url = PullUrl::parse(uri).unwrap();
            assert_eq!(url.masked(), masked, "{uri}");
            assert!(!format!("{url:?}").contains("token"), "{url:?}");
        }
    }
}

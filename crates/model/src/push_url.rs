//! Where a restream goes, from what users paste: one line with the key in it, or a server URL and a key.
//!
//! Server and key are kept apart because peers split a one-line URL differently once a key has a query or a slash in it.

use crate::{Secret, SrtUrl, percent_decoded};
use std::net::Ipv6Addr;

/// The most bytes of a URL, which is longer than any real one. Everything below works in time linear to this.
pub const MAX_URL_BYTES: usize = 2_048;

/// An SRT latency below this is nearly always a unit mistake: `latency=2500` says 2.5 ms.
const SUSPICIOUS_LATENCY_US: u64 = 20_000;

/// What a URL goes by where it leads to no platform that is known: a file of rules for each protocol.
pub(crate) const GENERIC_PLATFORMS: [(&str, &str); 2] = [
    (GENERIC_RTMP, include_str!("../../../pipelines/platforms/generic-rtmp.toml")),
    (GENERIC_SRT, include_str!("../../../pipelines/platforms/generic-srt.toml")),
];
pub(crate) const GENERIC_RTMP: &str = "generic-rtmp";
const GENERIC_SRT: &str = "generic-srt";

/// How the URLs of restreams begin. Messages name them from here.
const SCHEMES: [&str; 3] = ["rtmp://", "rtmps://", "srt://"];

/// Schemes by which a later version will send restreams.
const LATER_SCHEMES: [&str; 2] = ["udp://", "rtp://"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushUrl {
    Rtmp {
        tls: bool,
        /// `rtmp://host:port/app` as it was written, but without user, key and trailing slash. `tcUrl` says this.
        server: String,
        /// User and password of the URL, for Adobe and Limelight authentication.
        login: Option<UrlLogin>,
        /// The key with its query, if it has one.
        stream_key: Secret,
    },
    Srt {
        url: SrtUrl,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlLogin {
    pub user: String,
    pub password: Secret,
}

/// Why a URL can't be used. It names the parameter at fault and never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UrlFault {
    pub parameter: Option<String>,
    pub message: String,
    /// Nothing is wrong with the URL, but it asks for what this version does not do.
    pub is_later: bool,
}

impl UrlFault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { parameter: None, message: message.into(), is_later: false }
    }

    pub(crate) fn parameter(name: &str, problem: &str) -> Self {
        // The name of a parameter is outside text too, so only enough of it is shown to find it.
        let name: String = name.chars().take(40).collect();
        Self { message: format!("{name:?} {problem}"), parameter: Some(name), is_later: false }
    }
}

/// Something that will work, but that the operator should think about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    pub code: &'static str,
    pub message: &'static str,
}

impl PushUrl {
    /// Reads one line: the key is what follows the last "/" before the first "?", and the query stays with it.
    pub fn parse(uri: &str) -> Result<Self, UrlFault> {
        let uri = checked_url(uri)?;
        if has_scheme(uri, "srt://") {
            return Ok(Self::Srt { url: SrtUrl::parse(uri)? });
        }
        let (path, query) = split_query(uri);
        let path = path.trim_end_matches('/');
        let (server, key) = path.rsplit_once('/').unwrap_or((path, ""));
        if rtmp_rest(server)?.1.is_empty() {
            return Err(UrlFault::new("must name a server, an application and a key: rtmp://host/app/key"));
        }
        match query {
            Some(query) => Self::rtmp(server, &format!("{key}?{query}")),
            None => Self::rtmp(server, key),
        }
    }

    /// Reads a saved server and a key. The key may itself be a whole `srt://` URL. For an SRT server a plain key becomes the stream id.
    pub fn from_server_and_key(server: &str, key: &str) -> Result<Self, UrlFault> {
        let key = key.trim();
        if Self::is_whole_url(key) {
            return Self::parse(key);
        }
        let server = checked_url(server)?;
        if !has_scheme(server, "srt://") {
            return Self::rtmp(server, key);
        }
        let mut url = SrtUrl::parse(server)?;
        if !key.is_empty() {
            checked_text(key)?;
            if url.streamid.is_some() {
                return Err(UrlFault::parameter("streamid", "is in the destination already, so the key must be empty"));
            }
            if key.len() > 512 {
                return Err(UrlFault::parameter("streamid", "must be at most 512 bytes long"));
            }
            url.streamid = Some(key.into());
        }
        Ok(Self::Srt { url })
    }

    /// Whether a key is an address of its own.
    pub fn is_whole_url(key: &str) -> bool {
        has_scheme(key.trim(), "srt://")
    }

    /// Checks the server of a destination: some key must make a push URL of it.
    pub fn check_server(server: &str) -> Result<(), UrlFault> {
        let server = checked_url(server)?;
        if has_scheme(server, "srt://") {
            return SrtUrl::parse(server).map(drop);
        }
        Self::rtmp(server, "key").map(drop)
    }

    fn rtmp(server: &str, key: &str) -> Result<Self, UrlFault> {
        let (tls, rest) = rtmp_rest(server)?;
        let (path, query) = split_query(rest);
        let (address, app) = path.split_once('/').unwrap_or((path, ""));
        let address = authority(address)?;
        let app = app.trim_matches('/');
        if app.is_empty() {
            return Err(UrlFault::new("must name an application after the host: rtmp://host/app"));
        }
        let key = checked_text(key.trim().trim_start_matches('/'))?;
        if key.is_empty() || key.starts_with('?') {
            return Err(UrlFault::parameter("stream_key", "must not be empty"));
        }
        if key.len() > MAX_URL_BYTES {
            return Err(UrlFault::parameter("stream_key", "is too long"));
        }
        let scheme = if tls { "rtmps" } else { "rtmp" };
        let mut server = format!("{scheme}://{}/{app}", address.text);
        if let Some(query) = query {
            server.push('?');
            server.push_str(query);
        }
        Ok(Self::Rtmp { tls, server, login: address.login, stream_key: key.into() })
    }

    /// The URL for people and logs, without key, passphrase or login.
    pub fn masked(&self) -> String {
        match self {
            // The query of the server may hold a token.
            Self::Rtmp { server, .. } => split_query(server).0.to_owned(),
            Self::Srt { url } => url.masked(),
        }
    }

    /// The part that tells one restream from another at the same server.
    pub fn stream_key(&self) -> Option<&Secret> {
        match self {
            Self::Rtmp { stream_key, .. } => Some(stream_key),
            Self::Srt { url } => url.streamid.as_ref(),
        }
    }

    /// The host name or address of the server, without a port.
    pub fn host(&self) -> &str {
        match self {
            Self::Rtmp { server, .. } => {
                let address = server.split("://").nth(1).unwrap_or_default();
                let address = address.split('/').next().unwrap_or_default();
                match address.strip_prefix('[') {
                    Some(v6) => v6.split(']').next().unwrap_or_default(),
                    None => address.split(':').next().unwrap_or_default(),
                }
            }
            Self::Srt { url } => &url.host,
        }
    }

    /// The name of the platform that it goes by where it leads to none that is known.
    pub(crate) fn generic_platform(&self) -> &'static str {
        match self {
            Self::Rtmp { .. } => GENERIC_RTMP,
            Self::Srt { .. } => GENERIC_SRT,
        }
    }

    /// Whether every sound of a stream goes there. RTMP carries one, and a language chooses it.
    pub fn carries_all_sounds(&self) -> bool {
        !matches!(self, Self::Rtmp { .. })
    }

    /// What is allowed, but still likely to hurt.
    pub fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Rtmp { .. } => Vec::new(),
            Self::Srt { url } => match url.latency_us {
                None => vec![Advice {
                    code: "srt_latency_missing",
                    message: "say latency in the SRT URL: 1-2 s between regions, 2-5 s over the public internet",
                }],
                Some(us) if us < SUSPICIOUS_LATENCY_US => vec![Advice {
                    code: "srt_latency_low",
                    message: "the SRT latency is below 20 ms; a plain number is microseconds, so write 2500ms or 2.5s",
                }],
                Some(_) => Vec::new(),
            },
        }
    }
}

/// Any URI that may carry credentials (pull sources too), without the parts that may be secret.
pub fn masked_uri(uri: &str) -> String {
    if let Some((scheme, rest)) = uri.split_once("://") {
        let (rest, query) = split_query(rest);
        let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address = address.rsplit_once('@').map_or(address, |(_, address)| address);
        let query = if query.is_some() { "?…" } else { "" };
        return format!("{scheme}://{address}{path}{query}");
    }
    uri.to_owned()
}

/// A URL's host, port and user.
pub(crate) struct Authority {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) login: Option<UrlLogin>,
    /// Host and port as they were written.
    text: String,
}

pub(crate) fn authority(text: &str) -> Result<Authority, UrlFault> {
    let (login, text) = match text.rsplit_once('@') {
        None => (None, text),
        Some((login, text)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            let (user, password) = (percent_decoded(user).into_owned(), percent_decoded(password).into_owned().into());
            (Some(UrlLogin { user, password }), text)
        }
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => {
            let (host, tail) = v6.split_once(']').ok_or_else(|| UrlFault::new("has no ']' after its IPv6 address"))?;
            let host: Ipv6Addr = host.parse().map_err(|_| UrlFault::new("has a broken IPv6 address"))?;
            (host.to_string(), tail.strip_prefix(':').or_else(|| (!tail.is_empty()).then_some("bad")))
        }
        None => match text.split_once(':') {
            None => (text.to_owned(), None),
            Some((host, port)) => (host.to_owned(), Some(port)),
        },
    };
    if host.is_empty() {
        return Err(UrlFault::new("has no host"));
    }
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    // The longest name that DNS can hold has 253 bytes.
    if host.len() > 253 || !(host.contains(':') || host.chars().all(named)) {
        return Err(UrlFault::new("has a host that is neither a name nor an address"));
    }
    let port = match port {
        None => None,
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(UrlFault::new("has a port that is not a number from 1 to 65535")),
        },
    };
    Ok(Authority { host, port, login, text: text.to_owned() })
}

/// The part before the first "?", and the part after it.
pub(crate) fn split_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        None => (text, None),
        Some((path, query)) => (path, Some(query)),
    }
}

/// Checks that there are no blanks and control characters, which can't be in a URL and would break the protocols' own lines.
pub(crate) fn checked_text(text: &str) -> Result<&str, UrlFault> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(UrlFault::new("must not contain blanks or control characters"));
    }
    Ok(text)
}

fn checked_url(url: &str) -> Result<&str, UrlFault> {
    let url = url.trim();
    if url.len() > MAX_URL_BYTES {
        return Err(UrlFault::new(format!("must be at most {MAX_URL_BYTES} bytes long")));
    }
    if LATER_SCHEMES.iter().any(|scheme| has_scheme(url, scheme)) {
        let UrlFault { message, .. } = unknown_scheme();
        return Err(UrlFault { is_later: true, ..UrlFault::new(message + " in this version") });
    }
    checked_text(url)
}

pub(crate) fn has_scheme(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Whether the URL asks for TLS, and the text behind the scheme.
fn rtmp_rest(url: &str) -> Result<(bool, &str), UrlFault> {
    for (scheme, tls) in [("rtmp://", false), ("rtmps://", true)] {
        if has_scheme(url, scheme) {
            return Ok((tls, url.get(scheme.len()..).unwrap_or_default()));
        }
    }
    Err(unknown_scheme())
}

fn unknown_scheme() -> UrlFault {
    let [others @ .., last] = SCHEMES;
    UrlFault::new(format!("must begin with {} or {last}", others.join(", ")))
}

#[cfg(test)]
#[path = "push_url_tests.rs"]
mod tests;

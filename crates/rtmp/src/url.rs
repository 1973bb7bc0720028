//! RTMP server addresses: where to push, or where a peer sends us.
//!
//! The server URL and the key are two fields everywhere, because publishers do not agree on how a one-line URL divides (`a/b/c/key` is app
//! `a/b` for ffmpeg and `a/b/c` for librtmp, and all of them split inside the query). One-line URLs that people paste are read by
//! `weir_model::PushUrl` alone.

use std::fmt;

use thiserror::Error;
use weir_model::percent_decoded;

/// Longer addresses are refused. No platform comes near this length, and signed queries stay under 2 KiB.
pub const URL_BYTES_MAX: usize = 4096;
/// The port of `rtmp://` when the URL names none.
pub const RTMP_PORT: u16 = 1935;
/// The port of `rtmps://` when the URL names none: platforms (and ffmpeg) use the HTTPS port.
pub const RTMPS_PORT: u16 = 443;

/// A server URL without its stream key: `rtmp[s]://[user:password@]host[:port]/app[?query]`.
#[derive(Clone, PartialEq, Eq)]
pub struct RtmpUrl {
    pub tls: bool,
    /// The host without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// The application with its query, without slashes around it.
    pub app: String,
    /// User and password for Adobe and Limelight authentication.
    pub credentials: Option<Credentials>,
}

/// User and password of a publishing point. `Debug` shows both as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

/// Why a text is no RTMP address. It holds no part of the text, which may carry a key or a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UrlError {
    #[error("the address does not begin with rtmp:// or rtmps://")]
    Scheme,
    #[error("the address is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error("the address contains a space or a control character")]
    ControlCharacter,
    #[error("the address has no host name")]
    NoHost,
    #[error("the address has a malformed host name")]
    BadHost,
    #[error("the address has a port that is not a number from 1 to 65535")]
    BadPort,
    #[error("the address has no application after the host name")]
    NoApp,
}

impl RtmpUrl {
    /// Reads a server URL. Everything after the host is the application.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (mut url, path) = parse_authority(text)?;
        let (path, query) = cut_query(path);
        let path = path.trim_matches('/');
        if path.is_empty() {
            return Err(UrlError::NoApp);
        }
        url.app = join_query(path, query);
        Ok(url)
    }

    /// The URL `rtmp://host:port/app` as ffmpeg sends it in `connect`: always with the port, never with the userinfo.
    pub fn tc_url(&self) -> String {
        format!("{}://{}:{}/{}", self.scheme(), self.bracketed_host(), self.port, self.app)
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "rtmps" } else { "rtmp" }
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

/// Shows scheme, host, port and application path. Userinfo and query are masked, because secrets live there.
impl fmt::Display for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) = cut_query(&self.app);
        write!(
            f,
            "{}://{}{}:{}/{path}{}",
            self.scheme(),
            if self.credentials.is_some() { "***@" } else { "" },
            self.bracketed_host(),
            self.port,
            if query.is_some() { "?***" } else { "" },
        )
    }
}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RtmpUrl({self})")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// Cuts at the first `?`.
pub(crate) fn cut_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

fn join_query(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// Splits a URL into everything before the path, and the path with its query.
fn parse_authority(text: &str) -> Result<(RtmpUrl, &str), UrlError> {
    if text.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong);
    }
    // Line breaks and other control characters would travel into our logs and into those of the peer.
    if text.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return Err(UrlError::ControlCharacter);
    }
    let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
    let tls = if scheme.eq_ignore_ascii_case("rtmp") {
        false
    } else if scheme.eq_ignore_ascii_case("rtmps") {
        true
    } else {
        return Err(UrlError::Scheme);
    };
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    // The last `@` counts, because passwords contain it unescaped.
    let (userinfo, address) = match authority.rsplit_once('@') {
        Some((userinfo, address)) => (Some(userinfo), address),
        None => (None, authority),
    };
    let (host, port) = parse_host_port(address)?;
    let port = port.unwrap_or(if tls { RTMPS_PORT } else { RTMP_PORT });
    let credentials = userinfo.map(|userinfo| {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        Credentials { user: percent_decoded(user).into_owned(), password: percent_decoded(password).into_owned() }
    });
    Ok((RtmpUrl { tls, host, port, app: String::new(), credentials }, path))
}

fn parse_host_port(address: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(UrlError::BadHost)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::BadHost)?;
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or(UrlError::BadHost)?),
        };
        (host, port)
    } else {
        let (host, port) = match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        };
        if !host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')) {
            return Err(UrlError::BadHost);
        }
        (host, port)
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let port = match port {
        None | Some("") => None,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => match port.parse::<u16>() {
            Ok(0) | Err(_) => return Err(UrlError::BadPort),
            Ok(port) => Some(port),
        },
        Some(_) => return Err(UrlError::BadPort),
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_urls() {
        #[rustfmt::skip]
        let table = [
            ("rtmp://a.rtmp.youtube.com/live2",       false, "a.rtmp.youtube.com", 1935, "live2"),
            ("rtmp://a.rtmp.youtube.com/live2/",      false, "a.rtmp.youtube.com", 1935, "live2"),
            ("rtmps://live-api-s.facebook.com:443/rtmp/", true, "live-api-s.facebook.com", 443, "rtmp"),
            ("rtmps://h/app",                         true,  "h",                  443,  "app"),
            ("RTMP://h:1936/a/b/c",                   false, "h",                  1936, "a/b/c"),
            ("rtmp://[2001:db8::1]:1940/live",        false, "2001:db8::1",        1940, "live"),
            ("rtmp://[::1]/live",                     false, "::1",                1935, "live"),
            ("rtmp://h:/live",                        false, "h",                  1935, "live"),
            ("rtmp://h/live?tok=1/2",                 false, "h",                  1935, "live?tok=1/2"),
            ("rtmp://u:p@h/live",                     false, "h",                  1935, "live"),
        ];
        for (text, tls, host, port, app) in table {
            let url = RtmpUrl::parse(text).unwrap();
            assert_eq!((url.tls, &*url.host, url.port, &*url.app), (tls, host, port, app), "{text}");
        }
    }

    #[test]
    fn refused_urls() {
        let long = format!("rtmp://h/{}", "a".repeat(URL_BYTES_MAX));
        #[rustfmt::skip]
        let table = [
            ("http://h/app",            UrlError::Scheme),
            ("rtmpt://h/app",           UrlError::Scheme),
            ("h/app",                   UrlError::Scheme),
            ("",                        UrlError::Scheme),
            ("rtmp:///app",             UrlError::NoHost),
            ("rtmp://:1935/app",        UrlError::NoHost),
            ("rtmp://u:p@/app",         UrlError::NoHost),
            ("rtmp://[::1/app",         UrlError::BadHost),
            ("rtmp://[zz]/app",         UrlError::BadHost),
            ("rtmp://[::1]x/app",       UrlError::BadHost),
            ("rtmp://a,b/app",          UrlError::BadHost),
            ("rtmp://h:0/app",          UrlError::BadPort),
            ("rtmp://h:65536/app",      UrlError::BadPort),
            ("rtmp://h:+1/app",         UrlError::BadPort),
            ("rtmp://a:b:c/app",        UrlError::BadPort),
            ("rtmp://h",                UrlError::NoApp),
            ("rtmp://h/",               UrlError::NoApp),
            ("rtmp://h?x=/y",           UrlError::NoApp),
            ("rtmp://h/a b",            UrlError::ControlCharacter),
            ("rtmp://h/a\r\nb",         UrlError::ControlCharacter),
            (&*long,                    UrlError::TooLong),
        ];
        for (text, error) in table {
            assert_eq!(RtmpUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn userinfo_is_decoded_and_masked() {
        let url = RtmpUrl::parse("rtmp://me%40corp:p%3aw@x@h:1/app?tok=hush").unwrap();
        let credentials = url.credentials.clone().unwrap();
        assert_eq!((&*credentials.user, &*credentials.password), ("me@corp", "p:w@x"));
        assert_eq!(url.to_string(), "rtmp://***@h:1/app?***");
        assert_eq!(format!("{url:?} {credentials:?}"), "RtmpUrl(rtmp://***@h:1/app?***) Credentials(***)");
        assert_eq!(url.tc_url(), "rtmp://h:1/app?tok=hush");
        assert_eq!(RtmpUrl::parse("rtmp://h/a%").unwrap().app, "a%");
    }

    #[test]
    fn tc_url_brackets_ipv6() {
        assert_eq!(RtmpUrl::parse("rtmps://[::1]/live").unwrap().tc_url(), "rtmps://[::1]:443/live");
    }
}

//! `public_url`: the one address under which browsers and players reach this server, whatever stands in between.

use std::str::FromStr;

/// `https://weir.example` or `http://weir.example:8080`: a scheme, a host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicUrl {
    /// The URL without a slash at its end.
    text: String,
    host: String,
}

impl PublicUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The host without a port; an IPv6 address is in brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Whether everybody is to come over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.text.starts_with("https://")
    }
}

impl FromStr for PublicUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(())?;
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or(())?;
                address.parse::<std::net::Ipv6Addr>().map_err(|_| ())?;
                (&authority[..address.len() + 2], port)
            }
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_host = host.starts_with('[') || !host.is_empty() && host.bytes().all(is_name);
        if is_host && is_port { Ok(Self { text: text.to_owned(), host: host.to_owned() }) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_nothing_more() {
        for (text, expected) in [
            ("https://weir.example", Some(("https://weir.example", "weir.example", true))),
            ("https://weir.example/", Some(("https://weir.example", "weir.example", true))),
            ("http://10.0.0.1:8080", Some(("http://10.0.0.1:8080", "10.0.0.1", false))),
            ("https://[2001:db8::1]:8443", Some(("https://[2001:db8::1]:8443", "[2001:db8::1]", true))),
            ("weir.example", None),
            ("ftp://weir.example", None),
            ("https://", None),
            ("https://weir.example/path", None),
            ("https://user@weir.example", None),
            ("https://weir.example:x", None),
            ("https://[nonsense]", None),
            ("https://a b", None),
        ] {
            let read = text.parse::<PublicUrl>().ok();
            assert_eq!(read.as_ref().map(|url| (url.as_str(), url.host(), url.is_https())), expected, "{text}");
        }
    }
}

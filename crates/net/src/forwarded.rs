//! `X-Forwarded-For` and `Forwarded`: finds the client of a request by what the proxies on its way have written down. It is pure.

use std::net::{IpAddr, SocketAddr};

use crate::trusted_proxies::Client;

/// At most this many proxies in a row are followed back; nobody has more.
const HOPS_MAX: usize = 16;

/// The headers of a request; several lines of one name are one, joined by commas.
///
/// Where both headers are there, `X-Forwarded-For` counts: nearly every proxy
/// writes it, and one that does passes on whatever its client wrote in the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said<'a> {
    pub x_forwarded_for: Option<&'a str>,
    pub x_forwarded_proto: Option<&'a str>,
    pub forwarded: Option<&'a str>,
}

/// The last hop that is no trusted proxy. A hop that can't be read ends the way back: the proxy that wrote it is the last one known.
pub(crate) fn client(proxy: Client, said: &Said<'_>, trusts: impl Fn(IpAddr) -> bool) -> Client {
    if let Some(hops) = said.x_forwarded_for {
        let ip = last_untrusted(proxy.ip, hops.rsplit(',').map(node), trusts);
        return Client { ip, secure: secure_by_proto(said.x_forwarded_proto).unwrap_or(proxy.secure) };
    }
    let Some(hops) = said.forwarded else {
        return Client { secure: secure_by_proto(said.x_forwarded_proto).unwrap_or(proxy.secure), ..proxy };
    };
    let mut secure = proxy.secure;
    let hops = elements(hops).into_iter().rev().map(|element| {
        if let Some(is_tls) = element.proto.map(|proto| proto.eq_ignore_ascii_case("https")) {
            secure = is_tls;
        }
        element.node.as_deref().and_then(node)
    });
    let ip = last_untrusted(proxy.ip, hops, trusts);
    Client { ip, secure }
}

fn last_untrusted(
    proxy: IpAddr,
    hops: impl Iterator<Item = Option<IpAddr>>,
    trusts: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut last = proxy;
    for hop in hops.take(HOPS_MAX) {
        let Some(hop) = hop else { break };
        last = hop.to_canonical();
        if !trusts(last) {
            break;
        }
    }
    last
}

/// The word of the nearest proxy is at the end.
fn secure_by_proto(proto: Option<&str>) -> Option<bool> {
    let last = proto?.rsplit(',').next()?;
    Some(last.trim().eq_ignore_ascii_case("https"))
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`; None for names and `unknown`.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[derive(Default)]
struct Element<'a> {
    node: Option<std::borrow::Cow<'a, str>>,
    proto: Option<&'a str>,
}

/// Splits `for=192.0.2.1;proto=https, for="[2001:db8::1]:80"` into its
/// elements, as many as a header has room for; the last ones are looked at.
fn elements(text: &str) -> Vec<Element<'_>> {
    pieces(text, ',')
        .map(|element| {
            let mut found = Element::default();
            for (name, value) in pieces(element, ';').filter_map(|pair| pair.split_once('=')) {
                let (name, value) = (name.trim(), value.trim());
                let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
                if name.eq_ignore_ascii_case("for") {
                    found.node =
                        Some(if unquoted.contains('\\') { unquoted.replace('\\', "").into() } else { unquoted.into() });
                } else if name.eq_ignore_ascii_case("proto") {
                    found.proto = Some(unquoted);
                }
            }
            found
        })
        .collect()
}

/// Splits a text at its separators, but not at those in quotes.
fn pieces(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |letter: char| {
        let is_end = letter == separator && !quoted;
        if !escaped && letter == '"' {
            quoted = !quoted;
        }
        escaped = quoted && !escaped && letter == '\\';
        is_end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In these tests 10.0.0.0/8 is trusted, and the request comes from there.
    fn found(said: Said<'_>) -> (String, bool) {
        let proxy = Client { ip: "10.0.0.1".parse().unwrap(), secure: false };
        let client = client(proxy, &said, |ip| matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 10));
        (client.ip.to_string(), client.secure)
    }

    #[test]
    fn the_last_hop_that_is_not_trusted() {
        let many = "10.0.0.9,".repeat(100) + "10.0.0.2";
        for (hops, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1, 10.0.0.3 ,10.0.0.2", "192.0.2.1"),
            ("192.0.2.1:5000", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("10.0.0.7", "10.0.0.7"),
            ("6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
            ("6.6.6.6, unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
            (",", "10.0.0.1"),
            (&many, "10.0.0.9"),
        ] {
            assert_eq!(found(Said { x_forwarded_for: Some(hops), ..Said::default() }).0, expected, "{hops}");
        }
    }

    #[test]
    fn the_standard_says_more() {
        for (header, ip, secure) in [
            ("for=192.0.2.1", "192.0.2.1", false),
            ("For=192.0.2.1;Proto=HTTPS;by=10.0.0.1", "192.0.2.1", true),
            ("for=6.6.6.6;proto=https, for=192.0.2.1;proto=http", "192.0.2.1", false),
            ("for=192.0.2.1;proto=https, for=10.0.0.2;proto=http", "192.0.2.1", true),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1", false),
            ("for=\"a,b;for=6.6.6.6\", for=192.0.2.1", "192.0.2.1", false),
            ("for=\"a\\\",\", for=_hidden", "10.0.0.1", false),
            ("for=\"192.0.2\\.1\"", "192.0.2.1", false),
            ("nonsense", "10.0.0.1", false),
        ] {
            let said = Said { forwarded: Some(header), ..Said::default() };
            assert_eq!(found(said), (ip.to_owned(), secure), "{header}");
        }
        let both = Said { x_forwarded_for: Some("192.0.2.1"), forwarded: Some("for=6.6.6.6"), ..Said::default() };
        assert_eq!(found(both).0, "192.0.2.1");
    }

    #[test]
    fn the_nearest_proxy_says_whether_it_was_tls() {
        for (proto, secure) in [("https", true), ("HTTPS", true), ("http", false), ("https, http", false), ("", false)]
        {
            for x_forwarded_for in [Some("192.0.2.1"), None] {
                let said = Said { x_forwarded_for, x_forwarded_proto: Some(proto), ..Said::default() };
                assert_eq!(found(said).1, secure, "{proto}");
            }
        }
    }
}

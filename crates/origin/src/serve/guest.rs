//! Who is at the other end of a connection and of each request on it, and what one address may have at once.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderMap;
use weir_net::{Client, Permit, Said, TrustedProxies, Visit};

/// An office, a school or a mobile network comes from one address: the defaults stop one address from taking all there is, not
/// from being many viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Viewers and all others; each idle connection costs about 20 kB.
    pub connections_max: usize,
    pub connections_per_ip_max: usize,
    /// One that waits, for a part or for its client to read on, counts all the time.
    pub requests_per_ip_max: usize,
    /// To send the head of a request, the first and each later one on the connection (so an idle one ends, too).
    pub head_timeout: Duration,
    /// Without the client taking anything of an answer.
    pub stall_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_ip_max: 4_096,
            requests_per_ip_max: 4_096,
            head_timeout: Duration::from_secs(60),
            // As long as others give (nginx's `send_timeout`). The kernel asks for more once a third of its buffer, 1.3 MB of 4 MB
            // at most, has been read: 60 s are enough for whoever reads 180 kbps, and no live stream is less.
            stall_timeout: Duration::from_secs(60),
        }
    }
}

/// One connection, in its place among those that may be there.
#[derive(Debug)]
pub(crate) struct Guest {
    permit: Permit,
    client: Client,
    /// Set where a trusted proxy is at the other end: it says with each request whom that is for.
    proxies: Option<TrustedProxies>,
    /// Whoever comes in the clear is sent to HTTPS.
    tls_is_wanted: bool,
}

impl Guest {
    pub(crate) fn new(permit: Permit, client: Client, proxies: Option<TrustedProxies>, tls_is_wanted: bool) -> Self {
        Self { permit, client, proxies, tls_is_wanted }
    }

    /// Of the connection.
    pub(crate) fn ip(&self) -> IpAddr {
        self.client.ip
    }

    /// Whom a request is for that says this of itself.
    pub(crate) fn client(&self, said: &Said<'_>) -> Client {
        self.proxies.as_ref().map_or(self.client, |proxies| proxies.client(self.client, said))
    }

    /// The same for a request that the HTTP library has read: several lines of one name are one.
    pub(crate) fn client_of(&self, headers: &HeaderMap) -> Client {
        if self.proxies.is_none() {
            return self.client;
        }
        let [x_forwarded_for, x_forwarded_proto, forwarded] = ["x-forwarded-for", "x-forwarded-proto", "forwarded"]
            .map(|name| {
                let lines: Vec<_> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
                (!lines.is_empty()).then(|| lines.join(","))
            });
        self.client(&Said {
            x_forwarded_for: x_forwarded_for.as_deref(),
            x_forwarded_proto: x_forwarded_proto.as_deref(),
            forwarded: forwarded.as_deref(),
        })
    }

    /// Whether this client has to come again over TLS.
    pub(crate) fn is_sent_to_https(&self, client: Client) -> bool {
        self.tls_is_wanted && !client.secure
    }

    /// None: too much from this address is under way.
    pub(crate) fn begin(&self, client: Client) -> Option<Visit> {
        self.permit.begin(client.ip)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use weir_net::{CapLimits, Caps};

    use super::*;

    #[test]
    fn only_a_trusted_proxy_says_whom_it_comes_for() {
        let caps = Caps::new(CapLimits { connections_max: 9, connections_per_ip_max: 9, requests_per_ip_max: 9 });
        let proxy = Client { ip: "10.0.0.1".parse().unwrap(), secure: false };
        let guest = |proxies| Guest::new(caps.admit_proxy().unwrap(), proxy, proxies, true);
        let mut headers = HeaderMap::new();
        for hop in ["192.0.2.1", "10.0.0.2, 10.0.0.3"] {
            headers.append("x-forwarded-for", HeaderValue::from_static(hop));
        }
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let (stranger, trusted) = (guest(None), guest(Some(TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]))));
        assert_eq!(stranger.client_of(&headers), proxy);
        assert!(stranger.is_sent_to_https(proxy));
        let client = trusted.client_of(&headers);
        assert_eq!((client.ip.to_string(), client.secure), ("192.0.2.1".to_owned(), true));
        assert!(!trusted.is_sent_to_https(client));
    }
}

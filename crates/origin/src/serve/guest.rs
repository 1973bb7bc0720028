//! A guest is a client's connection: who is at its other end, whom each request on it is for, and how much one address may have at once.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderMap;
use weir_net::{Client, Permit, Said, TrustedProxies, Visit};

/// The limits of HTTP. An office, a school or a mobile network comes from one address, so the defaults stop an address from taking
/// everything that there is, not from being many viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// The connections of viewers and all others. Each idle connection costs about 20 kB.
    pub connections_max: usize,
    pub connections_per_ip_max: usize,
    /// A request counts for all of its time, while it waits for a part, or for its client to read on.
    pub requests_per_ip_max: usize,
    /// The time to send the head of a request. It counts for the first request and for each later one on the connection, so an idle
    /// connection ends by it, too.
    pub head_timeout: Duration,
    /// The time in which the client has to take some of an answer.
    pub stall_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_ip_max: 4_096,
            requests_per_ip_max: 4_096,
            head_timeout: Duration::from_secs(60),
            // Other servers give as long (nginx's `send_timeout`). The kernel asks for more bytes once a third of its buffer has been read,
            // which is 1.3 MB of 4 MB at most. Within 60 s, a client that reads 180 kbps has read that, and no live stream is less.
            stall_timeout: Duration::from_secs(60),
        }
    }
}

/// One connection, which holds one of the places that there are.
#[derive(Debug)]
pub(crate) struct Guest {
    permit: Permit,
    client: Client,
    /// Set if a trusted proxy is at the other end, which says with each request whom that is for.
    proxies: Option<TrustedProxies>,
    /// Says that a client who comes in the clear is sent to HTTPS.
    tls_is_wanted: bool,
}

impl Guest {
    pub(crate) fn new(permit: Permit, client: Client, proxies: Option<TrustedProxies>, tls_is_wanted: bool) -> Self {
        Self { permit, client, proxies, tls_is_wanted }
    }

    /// The address that the connection comes from.
    pub(crate) fn ip(&self) -> IpAddr {
        self.client.ip
    }

    /// The client whom a request is for, by what proxies have written on it.
    pub(crate) fn client(&self, said: &Said<'_>) -> Client {
        self.proxies.as_ref().map_or(self.client, |proxies| proxies.client(self.client, said))
    }

    /// The client whom a request that the HTTP library has read is for. Several lines of one header are one value.
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

    /// Lets a request begin. Returns none if too much is under way for this client's address.
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

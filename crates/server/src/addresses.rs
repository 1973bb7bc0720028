//! The addresses that the server tells others, in the ready line and in the URLs of the API.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The address `scheme://host:port` under which `bound` is reached, with `public_host` where that is configured.
pub(crate) fn url(scheme: &str, bound: SocketAddr, public_host: Option<&str>) -> String {
    let host = match (public_host, bound.ip()) {
        (Some(host), _) => host.to_owned(),
        // Listening everywhere names no address; on this machine the loopback address surely works.
        (None, address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST).to_string(),
        (None, IpAddr::V6(address)) => format!("[{address}]"),
        (None, address) => address.to_string(),
    };
    format!("{scheme}://{host}:{}", bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_an_address_that_works() {
        for (bound, host, expected) in [
            ("0.0.0.0:1935", None, "rtmp://127.0.0.1:1935"),
            ("[::]:1935", None, "rtmp://127.0.0.1:1935"),
            ("192.0.2.7:5", None, "rtmp://192.0.2.7:5"),
            ("[::1]:5", None, "rtmp://[::1]:5"),
            ("0.0.0.0:1935", Some("weir.example"), "rtmp://weir.example:1935"),
        ] {
            assert_eq!(url("rtmp", bound.parse().unwrap(), host), expected);
        }
    }
}

//! `X-Forwarded-For` and `Forwarded`: the client that is found is the proxy itself, or stands in the headers.

use std::net::IpAddr;

use weir_net::{Client, Said, TrustedProxies};

use crate::random::Random;

pub fn fuzz_forwarded(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let proxy = Client { ip: IpAddr::from([10, 0, 0, 1]), secure: false };
    let Ok(network) = "10.0.0.0/8".parse() else { return };
    let proxies = TrustedProxies::new(vec![network]);
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    for said in [
        Said { x_forwarded_for: Some(first), ..Said::default() },
        Said { forwarded: Some(first), ..Said::default() },
        Said { x_forwarded_for: Some(first), x_forwarded_proto: Some(second), forwarded: Some(second) },
    ] {
        let client = proxies.client(proxy, &said);
        if client.ip != proxy.ip {
            // The address is canonical, so no address hides behind another spelling.
            assert_eq!(client.ip, client.ip.to_canonical());
            assert!(
                text.contains(|letter: char| letter.is_ascii_hexdigit() || letter == ':'),
                "{client:?} of {text:?}"
            );
        }
    }
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const PIECES: [&str; 20] = [
        "192.0.2.1",
        "10.0.0.2",
        "2001:db8::1",
        "[2001:db8::1]:80",
        "::ffff:10.0.0.3",
        "unknown",
        "_hidden",
        ", ",
        ",",
        ";",
        "for=",
        "For=\"",
        "\"",
        "\\",
        "proto=https",
        "proto=http",
        "by=10.0.0.9",
        "=",
        ":80",
        "\n",
    ];
    let mut text = String::new();
    for _ in 0..random.length(14) {
        text.push_str(random.pick(&PIECES));
    }
    text.into_bytes()
}

//! Reads from `webrtcbin`'s own answer what the server has to tell the viewer: who we are to ICE, where we wait, and the source of repetitions.

use std::net::{IpAddr, SocketAddr};

/// What an answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) ufrag: String,
    pub(crate) password: String,
    pub(crate) addresses: Vec<SocketAddr>,
    /// The source that repeats another one.
    pub(crate) repeats: Option<u32>,
}

pub(crate) fn read(text: &str) -> Result<Said, String> {
    let mut said = Said::default();
    for line in text.lines() {
        let Some((name, value)) = line.trim_end().strip_prefix("a=").and_then(|line| line.split_once(':')) else {
            continue;
        };
        match name {
            "ice-ufrag" if said.ufrag.is_empty() => value.clone_into(&mut said.ufrag),
            "ice-pwd" if said.password.is_empty() => value.clone_into(&mut said.password),
            "candidate" => {
                let new = candidate(value).filter(|address| !said.addresses.contains(address));
                said.addresses.extend(new);
            }
            "ssrc-group" => {
                let mut words = value.split_ascii_whitespace();
                let is_pair = words.next() == Some("FID") && words.next().is_some();
                said.repeats = words.next().and_then(|word| word.parse().ok()).filter(|_| is_pair).or(said.repeats);
            }
            _ => {}
        }
    }
    if said.addresses.is_empty() {
        return Err("no port of webrtc.udp_ports is free, or none of this machine's addresses will do".to_owned());
    }
    if said.ufrag.is_empty() || said.password.is_empty() {
        return Err("webrtcbin's answer has no credentials of ICE".to_owned());
    }
    Ok(said)
}

/// The address of a candidate by UDP that is this machine's own.
fn candidate(value: &str) -> Option<SocketAddr> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let [_, "1", protocol, _, ip, port, "typ", "host", ..] = *words else { return None };
    let (ip, port): (IpAddr, u16) = (ip.parse().ok()?, port.parse().ok()?);
    protocol.eq_ignore_ascii_case("udp").then(|| SocketAddr::new(ip, port)).filter(|_| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_read() {
        let text = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\na=ssrc-group:FID 1 2\r\na=ssrc:1 cname:x\r\n\
                    a=candidate:1 1 UDP 2015363327 10.0.0.5 10007 typ host\r\n\
                    a=candidate:1 1 UDP 2015363327 10.0.0.5 10007 typ host\r\n\
                    a=candidate:2 1 TCP 1015021823 10.0.0.5 9 typ host tcptype active\r\n\
                    a=candidate:3 1 UDP 1 203.0.113.1 1 typ srflx raddr 10.0.0.5 rport 1\r\na=ice-ufrag:other\r\n";
        let said = read(text).unwrap();
        assert_eq!((said.ufrag.as_str(), said.password.as_str(), said.repeats), ("abcd", "efgh", Some(2)));
        assert_eq!(said.addresses, ["10.0.0.5:10007".parse().unwrap()]);
        assert!(read("a=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\n").unwrap_err().contains("webrtc.udp_ports"));
        assert!(read(&text.replace("ice-pwd", "x")).is_err());
    }
}

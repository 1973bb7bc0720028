//! Where a source is fetched from, as users write it.

use std::net::{IpAddr, Ipv4Addr};

use crate::percent::percent_decoded;
use crate::push_url::{UrlFault, authority, checked_text, has_scheme, split_query};
use crate::{MAX_URL_BYTES, PushUrl, Secret, SrtUrl, UrlLogin, masked_uri};

/// Schemes by which a later version will fetch sources.
const LATER_SCHEMES: [&str; 2] = ["rtsp://", "rtsps://"];

const SCHEMES: [&str; 8] = ["rtmp://", "rtmps://", "srt://", "http://", "https://", "udp://", "rtp://", "file://"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullUrl {
    Rtmp {
        /// `rtmp://host:port/app` as it was written, but without user, stream name and trailing slash.
        server: String,
        login: Option<UrlLogin>,
        /// The stream's name with its query, which may hold a token.
        name: Secret,
    },
    /// An SRT listener that we call.
    Srt(SrtUrl),
    /// HLS, or MPEG-TS that never ends. What it is shows when it is fetched.
    Http(Secret),
    Udp(UdpSource),
    /// The path of a file in one of the media folders.
    File(String),
}

/// MPEG-TS in datagrams, as they are or in RTP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UdpPort {
    pub rtp: bool,
    /// The group, or the address of ours that somebody sends to.
    pub address: IpAddr,
    pub port: u16,
    /// The name or the address of the interface on which the group is joined.
    pub interface: Option<String>,
    /// The only sender that is listened to.
    pub source: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpSource {
    /// Where the datagrams come in. Sources that differ in nothing else share it.
    pub at: UdpPort,
    /// The number of the programme that is read; None means the first one.
    pub program: Option<u16>,
}

impl PullUrl {
    pub fn parse(uri: &str) -> Result<Self, UrlFault> {
        let uri = uri.trim();
        if uri.len() > MAX_URL_BYTES {
            return Err(UrlFault::new(format!("must be at most {MAX_URL_BYTES} bytes long")));
        }
        if LATER_SCHEMES.iter().any(|scheme| has_scheme(uri, scheme)) {
            let UrlFault { message, .. } = unknown_scheme();
            return Err(UrlFault { is_later: true, ..UrlFault::new(message + " in this version") });
        }
        let Some(scheme) = SCHEMES.into_iter().find(|scheme| has_scheme(uri, scheme)) else {
            return Err(unknown_scheme());
        };
        checked_text(uri)?;
        match scheme {
            "file://" => match percent_decoded(uri.get(scheme.len()..).unwrap_or_default()) {
                path if path.is_empty() || path.contains('\0') => Err(UrlFault::new("must name a file")),
                path => Ok(Self::File(path.into_owned())),
            },
            "udp://" | "rtp://" => UdpSource::parse(uri, scheme == "rtp://").map(Self::Udp),
            "http://" | "https://" => {
                let (address, _) = split_query(uri.get(scheme.len()..).unwrap_or_default());
                authority(address.split(['/', '#']).next().unwrap_or_default())?;
                Ok(Self::Http(uri.into()))
            }
            "srt://" if asks_to_listen(uri) => {
                let problem = "listener is not available in this version: a source is called";
                Err(UrlFault { is_later: true, ..UrlFault::parameter("mode", problem) })
            }
            "srt://" => checked_srt(SrtUrl::parse(uri)?).map(Self::Srt),
            _ => {
                let PushUrl::Rtmp { server, login, stream_key, .. } = PushUrl::parse(uri)? else {
                    return Err(unknown_scheme());
                };
                Ok(Self::Rtmp { server, login, name: stream_key })
            }
        }
    }

    /// The URL for people and logs, without login and query.
    pub fn masked(&self) -> String {
        match self {
            Self::Rtmp { server, name, .. } => masked_uri(&format!("{}/{}", masked_uri(server), name.expose())),
            Self::Srt(url) => url.masked(),
            Self::File(path) => format!("file://{path}"),
            Self::Http(url) => masked_uri(url.expose()),
            Self::Udp(UdpSource { at, program }) => {
                let scheme = if at.rtp { "rtp" } else { "udp" };
                let address = std::net::SocketAddr::new(at.address, at.port);
                let program = program.map_or_else(String::new, |program| format!("?program={program}"));
                format!("{scheme}://{address}{program}")
            }
        }
    }
}

fn unknown_scheme() -> UrlFault {
    let [others @ .., last] = SCHEMES;
    UrlFault::new(format!("must begin with {} or {last}", others.join(", ")))
}

fn asks_to_listen(uri: &str) -> bool {
    split_query(uri).1.unwrap_or_default().split('&').any(|pair| pair == "mode=listener")
}

/// What only a sender decides is refused, because nothing would act on it.
fn checked_srt(url: SrtUrl) -> Result<SrtUrl, UrlFault> {
    let problem = "is for pushes: what we call sends as it likes";
    if url.pkt_size.is_some() {
        return Err(UrlFault::parameter("pkt_size", problem));
    }
    if url.send_buffer_size.is_some() {
        return Err(UrlFault::parameter("send_buffer_size", problem));
    }
    Ok(url)
}

impl UdpSource {
    fn parse(uri: &str, rtp: bool) -> Result<Self, UrlFault> {
        let (address, query) = split_query(uri.get("udp://".len()..).unwrap_or_default());
        let address = address.trim_end_matches('/');
        // FFmpeg and VLC write udp://@239.1.1.1:5000 for what is listened to.
        let address = address.strip_prefix('@').unwrap_or(address);
        let (host, port) =
            address.rsplit_once(':').ok_or_else(|| UrlFault::new("needs a port, as in udp://239.1.1.1:5000"))?;
        let host = match host.trim_matches(['[', ']']) {
            "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            host => {
                host.parse().map_err(|_| UrlFault::new("must name a group or an address of this machine, by number"))?
            }
        };
        let port = port.parse().ok().filter(|port| *port > 0);
        let port = port.ok_or_else(|| UrlFault::new("has a port that is not a number from 1 to 65535"))?;
        let at = UdpPort { rtp, address: host, port, interface: None, source: None };
        let mut udp = Self { at, program: None };
        let mut seen: Vec<&str> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&name) {
                return Err(UrlFault::parameter(name, "is given twice"));
            }
            seen.push(name);
            udp.set(name, value)?;
        }
        if !host.is_multicast() && (udp.at.interface.is_some() || udp.at.source.is_some()) {
            let name = if udp.at.interface.is_some() { "interface" } else { "source" };
            return Err(UrlFault::parameter(name, "is for groups (multicast)"));
        }
        Ok(udp)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), UrlFault> {
        match name {
            "interface" => {
                let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
                // The kernel's names have 15 characters, an IPv4 address has as many.
                if value.is_empty() || value.len() > 15 || !value.chars().all(named) {
                    return Err(UrlFault::parameter(name, "must be the name or the IPv4 address of an interface"));
                }
                self.at.interface = Some(value.to_owned());
            }
            "source" => match value.parse::<IpAddr>() {
                Ok(source) if source.is_ipv4() && self.at.address.is_ipv4() => self.at.source = Some(source),
                _ => return Err(UrlFault::parameter(name, "must be an IPv4 address, with a group of IPv4")),
            },
            "program" => match value.parse::<u16>() {
                Ok(program) if program > 0 => self.program = Some(program),
                _ => return Err(UrlFault::parameter(name, "must be a number from 1 to 65535")),
            },
            _ => return Err(UrlFault::parameter(name, "is not known: interface, source and program are")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let rtmp = |server: &str, name: &str| PullUrl::Rtmp { server: server.into(), login: None, name: name.into() };
        let udp = |rtp, address: &str, port, interface: Option<&str>, source: Option<&str>, program| {
            let (address, interface) = (address.parse().unwrap(), interface.map(str::to_owned));
            let source = source.map(|source| source.parse().unwrap());
            PullUrl::Udp(UdpSource { at: UdpPort { rtp, address, port, interface, source }, program })
        };
        for (uri, expected) in [
            ("rtmp://h/live/cam1", rtmp("rtmp://h/live", "cam1")),
            (" RTMPS://h:444/a/b/cam?token=x ", rtmp("rtmps://h:444/a/b", "cam?token=x")),
            ("http://u:p@h:81/a.m3u8?x=y", PullUrl::Http("http://u:p@h:81/a.m3u8?x=y".into())),
            ("udp://239.1.1.1:5000", udp(false, "239.1.1.1", 5000, None, None, None)),
            ("file:///media/a%20b.ts", PullUrl::File("/media/a b.ts".into())),
            ("udp://@:5000", udp(false, "0.0.0.0", 5000, None, None, None)),
            ("rtp://[ff15::1]:5004?program=7", udp(true, "ff15::1", 5004, None, None, Some(7))),
            (
                "udp://239.1.1.1:5000?interface=eth0&source=10.0.0.5&program=3",
                udp(false, "239.1.1.1", 5000, Some("eth0"), Some("10.0.0.5"), Some(3)),
            ),
        ] {
            assert_eq!(PullUrl::parse(uri).unwrap(), expected, "{uri}");
        }
        assert!(matches!(PullUrl::parse("srt://h:9000?streamid=x&latency=2s"), Ok(PullUrl::Srt(_))));
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        for (uri, words, later) in [
            ("rtmp://h/live", "must name an application", false),
            ("rtmp://h/li ve/x", "must not contain blanks", false),
            ("ftp://h/x", "must begin with rtmp://, rtmps://, srt://", false),
            ("", "must begin with", false),
            ("rtsp://u:p@h/1", "in this version", true),
            ("file://", "must name a file", false),
            ("srt://h:9000?mode=listener", "listener", true),
            ("srt://h:9000?pkt_size=1316", "is for pushes", false),
            ("http:///x", "has no host", false),
            ("udp://239.1.1.1", "needs a port", false),
            ("udp://host:5000", "by number", false),
            ("udp://239.1.1.1:0", "from 1 to 65535", false),
            ("udp://10.0.0.1:5000?interface=eth0", "for groups", false),
            ("udp://239.1.1.1:5000?interface=a/b", "must be the name", false),
            ("udp://239.1.1.1:5000?program=0", "from 1 to 65535", false),
            ("udp://239.1.1.1:5000?program=1&program=2", "twice", false),
            ("udp://239.1.1.1:5000?ttl=1", "is not known", false),
            ("rtp://[ff15::1]:5004?source=10.0.0.5", "IPv4", false),
        ] {
            let fault = PullUrl::parse(uri).unwrap_err();
            assert!(fault.message.contains(words) && fault.is_later == later, "{uri}: {fault:?}");
        }
    }

    #[test]
    fn masked_addresses_hold_no_secret() {
        for (uri, masked) in [
            ("rtmp://u:secret@h:1936/live/cam1?token=secret", "rtmp://h:1936/live/cam1?…"),
            ("rtmps://h/live/cam1", "rtmps://h/live/cam1"),
            ("https://u:secret@h/a.m3u8?token=secret", "https://h/a.m3u8?…"),
            ("srt://h:9000?streamid=secret&passphrase=secret1234", "srt://h:9000?mode=caller"),
            ("udp://239.1.1.1:5000?program=3", "udp://239.1.1.1:5000?program=3"),
        ] {
            let url = PullUrl::parse(uri).unwrap();
            assert_eq!(url.masked(), masked, "{uri}");
            assert!(!format!("{url:?}").contains("secret"), "{url:?}");
        }
    }
}

//! Viewers by WHEP who come, watch and go, some without a word, and strangers who post and patch what no browser would. What is said over
//! HTTP to players is in `whep`.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::json;
use weir_testkit::publisher::Feed;
use weir_testkit::{Api, ProcessStats, Weir, wait_until};
use weir_webrtc::viewer::{Packet, VIDEO, Viewer};

use crate::common::{SOON, clip, weir};

pub(crate) const OFFER: &str = include_str!("../../../webrtc/tests/offers/chromium.sdp");
pub(crate) const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// 15 s without a report, and what a busy machine takes for the rest.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(20);

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// Asks on a connection of its own.
pub(crate) fn ask(weir: &Weir, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
    let address = weir.http().replace("http://", "");
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    connection.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A viewer who watches.
pub(crate) struct Watcher {
    pub(crate) viewer: Viewer,
    socket: UdpSocket,
    /// Where its session is.
    pub(crate) path: String,
    pub(crate) answer: String,
}

impl Watcher {
    /// Connects and sees some pictures.
    pub(crate) fn start(weir: &Weir) -> Self {
        let mut watcher = Self::answered(weir, false, str::to_owned);
        watcher.watch(10);
        watcher
    }

    /// Posts its offer, with that change to it, and takes the answer.
    pub(crate) fn answered(weir: &Weir, hears: bool, change: impl Fn(&str) -> String) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let offered = Viewer::offer(socket.local_addr().unwrap(), hears, Instant::now()).unwrap();
        let answer = ask(weir, "POST", "/whep/cam1", SDP, change(&offered.text).as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.body);
        let (viewer, path) = (offered.accept(&answer.body).unwrap(), answer.header("location").to_owned());
        Self { viewer, socket, path, answer: answer.body }
    }

    /// Watches until so many pictures have come.
    pub(crate) fn watch(&mut self, pictures: usize) {
        let mut seen = 0;
        let came = self.watch_until(SOON, |packet| {
            seen += usize::from(packet.marker && packet.payload_type == VIDEO);
            seen >= pictures
        });
        assert!(came, "{seen} of {pictures} pictures came");
    }

    /// Watches until that is enough, or for so long. Returns whether it was enough.
    pub(crate) fn watch_until(&mut self, limit: Duration, mut enough: impl FnMut(&Packet) -> bool) -> bool {
        let (end, mut is_enough, mut buffer) = (Instant::now() + limit, false, [0; 2_000]);
        while !is_enough && Instant::now() < end {
            let Self { viewer, socket, .. } = self;
            let send = |to, bytes: &[u8]| {
                socket.send_to(bytes, to).unwrap();
            };
            let Some(wake) = viewer.poll(send, |packet| is_enough |= enough(&packet)) else { return is_enough };
            let wait = wake.min(end).saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            socket.set_read_timeout(Some(wait)).unwrap();
            match socket.recv_from(&mut buffer) {
                Ok((length, source)) => viewer.receive(source, &buffer[..length], Instant::now()),
                Err(_) => viewer.tick(Instant::now()),
            }
        }
        is_enough
    }
}

pub(crate) fn live(api: &Api, weir: &Weir) -> (String, Feed) {
    let stream = api.create_stream_with("cam1", &json!({ "hls": false, "dash": false }));
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    api.wait_stream(&stream, "live", SOON);
    (stream.id.to_string(), feed)
}

fn started() -> Weir {
    weir().set("webrtc.udp_listen", "127.0.0.1:0").set("webrtc.tcp_listen", "127.0.0.1:0").start()
}

#[test]
fn viewers_come_and_go_without_a_trace() {
    come_and_go(10, 20);
}

#[test]
#[ignore = "long: make test-long"]
fn two_hundred_viewers_come_and_go_without_a_trace() {
    come_and_go(100, 200);
}

/// Every second viewer goes without a word.
fn come_and_go(warm_up: usize, cycles: usize) {
    let weir = started();
    let api = weir.api();
    let (id, _feed) = live(&api, &weir);
    let viewers = || api.get(&format!("/streams/{id}")).expect(200)["status"]["viewers"]["webrtc"].clone();
    let cycle = |count: usize| -> ProcessStats {
        for number in 0..count {
            let watcher = Watcher::start(&weir);
            if number % 2 == 0 {
                assert_eq!(ask(&weir, "DELETE", &watcher.path, SDP, b"").status, 200);
            }
        }
        wait_until("those who vanished are gone", GONE_WITHIN, || viewers() == json!(0));
        weir.stats()
    };
    let before = cycle(warm_up);
    let after = cycle(cycles);
    println!("{cycles} viewers came and went: {before:?} {after:?}");
    assert!(after.fds <= before.fds + 3, "{before:?} {after:?}");
    assert!(after.threads <= before.threads, "{before:?} {after:?}");
    // A viewer holds 0.7 MiB. The half of them, if they stayed, would be far above what the allocator varies by.
    let grown_max_bytes = 4_000_000 + cycles as u64 * 20_000;
    assert!(after.rss_bytes < before.rss_bytes + grown_max_bytes, "{before:?} {after:?}");
}

#[test]
fn there_are_no_more_viewers_than_the_configuration_allows() {
    let weir = weir()
        .set("webrtc.udp_listen", "127.0.0.1:0")
        .set("webrtc.tcp_listen", "")
        .set("webrtc.connections_max", "9")
        .set("webrtc.connections_per_ip_max", "2")
        .start();
    let api = weir.api();
    let (_, _feed) = live(&api, &weir);
    let offer = || ask(&weir, "POST", "/whep/cam1", SDP, OFFER.as_bytes());
    let first = offer();
    assert_eq!((first.status, offer().status), (201, 201));
    let third = offer();
    assert_eq!((third.status, third.header("retry-after")), (503, "5"), "{}", third.body);
    assert!(third.body.contains("as many viewers"), "{}", third.body);
    assert_eq!(ask(&weir, "DELETE", first.header("location"), SDP, b"").status, 200);
    wait_until("a place is free again", SOON, || offer().status == 201);
}

/// xorshift64: the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    /// The text with some damage: a byte is another one, a line is missing, doubled or in another place, or the end is cut off.
    fn damaged(&mut self, text: &str) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        for _ in 0..=self.below(4) {
            let (at, other) = (self.below(lines.len()), self.below(lines.len()));
            match self.below(5) {
                0 if lines.len() > 1 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[other].clone()),
                2 => lines.swap(at, other),
                3 => lines.truncate(at.max(1)),
                _ => {
                    let byte = u8::try_from(self.below(256)).unwrap();
                    let place = self.below(lines[at].len().max(1));
                    if let Some(there) = lines[at].get_mut(place) {
                        *there = byte;
                    }
                }
            }
        }
        lines.join(&b"\r\n"[..])
    }
}

#[test]
fn a_thousand_malformed_offers_and_patches_are_refused_and_nothing_dies() {
    let weir = started();
    let api = weir.api();
    let (_, _feed) = live(&api, &weir);
    let answer = ask(&weir, "POST", "/whep/cam1", SDP, OFFER.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.body);
    let (session, mut chance) = (answer.header("location").to_owned(), Chance(0x9E37_79B9_7F4A_7C15));
    let fragment = "a=ice-ufrag:NmEc\r\na=ice-options:trickle\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n\
                    a=mid:0\r\na=candidate:1 1 udp 2130706431 10.0.0.1 5000 typ host\r\na=end-of-candidates\r\n";
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..1_000 {
        let offer = ask(&weir, "POST", "/whep/cam1", SDP, &chance.damaged(OFFER));
        let patch = ask(&weir, "PATCH", &session, FRAGMENT, &chance.damaged(fragment));
        for (answer, good) in [(offer, 201), (patch, 204)] {
            match answer.status {
                400..500 => refused += 1,
                // Not every damage matters: a browser's offer has a hundred lines that nobody reads here.
                status if status == good => taken += 1,
                status => panic!("{status}: {}", answer.body),
            }
        }
    }
    println!("{refused} refused, {taken} taken");
    assert!(refused > 500, "{refused} refused, {taken} taken");
    // Who comes then is served.
    Watcher::start(&weir);
}

//! A viewer on a path that gets narrow and wide again: it moves to the rung that the path carries, and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::time::{interval, timeout};
use weir_hub::{Feeds, Publisher, WindowLimits};
use weir_model::{StreamId, StreamStatus, ViewerKind};
use weir_net::CapLimits;
use weir_observe::Board;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};
use weir_testkit::udp_relay::{Path, UdpRelay};
use weir_webrtc::from_frames::carried;
use weir_webrtc::sdp::Offer;
use weir_webrtc::viewer::{Packet, VIDEO, Viewer as FarEnd};
use weir_webrtc::{Engine, Listen};

use super::*;

/// 1.9 Mbit/s and 0.5 Mbit/s at 30 pictures a second.
const LARGE_BYTES: usize = 8_000;
const SMALL_BYTES: usize = 2_000;
const BETWEEN_BPS: u64 = 1_000_000;

/// A rendition whose pictures have that many bytes.
struct Made {
    publisher: Publisher,
    frames: SyntheticSource,
    bytes: usize,
}

impl Made {
    fn new(mut publisher: Publisher, width: u32, bytes: usize) -> Self {
        let config = SyntheticConfig { audio: None, width, height: width * 9 / 16, ..SyntheticConfig::default() };
        let frames = SyntheticSource::new(config);
        publisher.set_tracks(frames.tracks().into_iter().map(Arc::new).collect());
        Self { publisher, frames, bytes }
    }

    fn publish(&mut self) {
        let mut frame = self.frames.next().expect("it is endless");
        // Fillers are not sent to viewers; information for the decoder, which no decoder reads, is.
        let more = self.bytes.saturating_sub(frame.payload.len());
        let unit = [&u32::try_from(more).unwrap().to_be_bytes()[..], &[6], &vec![0xFF; more - 1]].concat();
        frame.payload = [&frame.payload[..], &unit].concat().into();
        self.publisher.write(frame, Instant::now());
    }
}

/// What came of one picture.
#[derive(Clone, Debug)]
struct Picture {
    at: Instant,
    timestamp: u32,
    bytes: usize,
    /// It begins with parameter sets, as every keyframe does here.
    is_start: bool,
}

struct Watcher {
    viewer: FarEnd,
    socket: UdpSocket,
    packets: Vec<(Instant, Packet)>,
}

impl Watcher {
    async fn watch(&mut self, for_at_most: Duration, enough: impl Fn(&[Picture]) -> bool) -> bool {
        let end = Instant::now() + for_at_most;
        let mut buffer = vec![0; 2_000];
        let mut looked = Instant::now();
        loop {
            let Self { viewer, socket, packets } = self;
            let send = |to, bytes: &[u8]| {
                let _ = socket.try_send_to(bytes, to);
            };
            let wake = viewer.poll(send, |packet| packets.push((Instant::now(), packet))).expect("it is connected");
            let wait = wake.min(end).saturating_duration_since(Instant::now());
            match timeout(wait, socket.recv_from(&mut buffer)).await {
                Ok(Ok((length, source))) => viewer.receive(source, &buffer[..length], Instant::now()),
                _ => viewer.tick(Instant::now()),
            }
            if looked.elapsed() > Duration::from_millis(50) {
                looked = Instant::now();
                if enough(&self.pictures()) {
                    return true;
                }
            }
            if Instant::now() >= end {
                return false;
            }
        }
    }

    /// The pictures in their order, as far as they have come.
    fn pictures(&self) -> Vec<Picture> {
        let mut packets: Vec<_> = self.packets.iter().filter(|(_, packet)| packet.payload_type == VIDEO).collect();
        packets.sort_by_key(|(_, packet)| packet.number);
        let mut pictures: Vec<Picture> = Vec::new();
        for (at, packet) in packets {
            let (timestamp, bytes) = (packet.timestamp, packet.payload.len());
            match pictures.last_mut().filter(|picture| picture.timestamp == timestamp) {
                Some(picture) => picture.bytes += bytes,
                None => pictures.push(Picture {
                    at: *at,
                    timestamp,
                    bytes,
                    is_start: packet.payload.first().is_some_and(|first| first & 0x1F == 24),
                }),
            }
        }
        pictures
    }
}

fn is_small(picture: &Picture) -> bool {
    picture.bytes < (LARGE_BYTES + SMALL_BYTES) / 2
}

/// The newest ones are of that size. Of a large picture, half may be lost.
fn newest_are(pictures: &[Picture], small: bool) -> bool {
    pictures.len() > 20
        && pictures[pictures.len() - 20..].iter().filter(|picture| is_small(picture) == small).count() > 17
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_moves_to_what_its_path_carries_and_back() {
    let limits = WindowLimits { duration: Duration::from_secs(4), items_max: 10_000, bytes_max: 32 << 20 };
    let hub = StreamHub::new(limits);
    let mut large = Made::new(hub.publish_source(Instant::now()), 640, LARGE_BYTES);
    let mut small = Made::new(hub.publish_rendition("360p"), 320, SMALL_BYTES);
    // The rung is behind its source, as what is encoded always is, and its keyframes come at other times.
    (0..95).for_each(|_| large.publish());
    (0..70).for_each(|_| small.publish());
    let publishing = tokio::spawn(async move {
        let mut tick = interval(Duration::from_nanos(33_333_333));
        loop {
            tick.tick().await;
            large.publish();
            small.publish();
        }
    });

    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let tcp_limits = CapLimits { connections_max: 0, connections_per_ip_max: 0, requests_per_ip_max: 0 };
    let engine = Engine::bind(&Listen { udp: loopback, tcp: None, tcp_limits, public_ips: Vec::new() }).await.unwrap();
    let running = engine.clone();
    tokio::spawn(async move { running.run().await });
    let relay = UdpRelay::start(engine.udp_addr(), Path { loss_percent: 0.0, delay: Duration::from_millis(10) });
    let socket = UdpSocket::bind(loopback).await.unwrap();
    let offered = FarEnd::offer(socket.local_addr().unwrap(), false, Instant::now()).unwrap();
    let what = carried(&hub.source().tracks()).unwrap();
    let answered = engine.answer(&Offer::parse(&offered.text).unwrap(), &what).await.unwrap();
    let to_relay = format!(" 127.0.0.1 {} typ host", relay.address().port());
    let sdp = answered.sdp.replace(&format!(" 127.0.0.1 {} typ host", engine.udp_addr().port()), &to_relay);
    let mut watcher = Watcher { viewer: offered.accept(&sdp).unwrap(), socket, packets: Vec::new() };

    let (board, id) = (Board::default(), StreamId(1));
    board.set_stream(id, "cam1", StreamStatus::offline(time::OffsetDateTime::UNIX_EPOCH));
    let seen = || board.stream(id).unwrap().webrtc;
    let feeds = Feeds::new(hub.clone(), Handle::current());
    let (first, others) = ("source".to_owned(), vec![Other { name: "360p".to_owned(), bps: 480_000.0 }]);
    let shown = Shown { hub: hub.clone(), feeds, lane: Handle::current(), first, language: None, others };
    let play = WhepPlay::new(shown, answered.connection, board.viewer(id, ViewerKind::Webrtc));
    let served = tokio::spawn(play.run(std::future::pending()));

    assert!(
        watcher.watch(Duration::from_secs(10), |pictures| newest_are(pictures, false)).await,
        "it begins at the top"
    );
    watcher.watch(Duration::from_secs(3), |_| false).await;
    assert_eq!((seen().seen[0].rendition.as_str(), seen().moves), ("source", 0));
    relay.narrow(Some(BETWEEN_BPS));
    let narrow = Instant::now();
    // Half of a large picture is lost, and what comes of it is small, too.
    let is_down = |pictures: &[Picture]| seen().moves == 1 && newest_are(pictures, true);
    assert!(watcher.watch(Duration::from_secs(10), is_down).await, "it goes down");
    let down = narrow.elapsed();
    assert_eq!((seen().seen[0].rendition.as_str(), seen().moves), ("360p", 1));
    relay.narrow(None);
    let wide = Instant::now();
    assert!(watcher.watch(Duration::from_secs(25), |pictures| newest_are(pictures, false)).await, "it comes back");
    let up = wide.elapsed();
    assert_eq!((seen().seen[0].rendition.as_str(), seen().moves), ("source", 2));
    // Two seconds to see it, the next keyframe after two more, and twenty pictures.
    assert!(down < Duration::from_secs(6) && up > Duration::from_secs(8), "down after {down:?}, up after {up:?}");

    // The clock of RTP goes on as the real one does, whichever rendition it is, and another one begins with a keyframe.
    let pictures = watcher.pictures();
    let after = pictures.iter().position(|picture| picture.at > wide + Duration::from_secs(2)).unwrap();
    let mut changes = 0;
    for pair in pictures[after..].windows(2) {
        let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!((90..15_000).contains(&ticks), "{ticks} ticks between {pair:?}");
        if is_small(&pair[0]) != is_small(&pair[1]) {
            changes += 1;
            assert!(pair[1].is_start, "{pair:?}");
        }
    }
    assert_eq!(changes, 1);
    publishing.abort();
    served.abort();
    let _ = served.await;
    assert_eq!(seen().seen, []);
}

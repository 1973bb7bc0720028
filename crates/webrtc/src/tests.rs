//! Runs whole connections over loopback, with `str0m` as the viewer: it takes our answer and gets media, and whoever is not who they say
//! gets nothing.

mod path;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};
use weir_hub::{Feed, Publisher, RenditionHub, Tracks, WindowLimits};
use weir_media::codec::h264::AvcConfig;
use weir_media::codec::opus::{opus_head, track_info};
use weir_media::{Codec, Frame, FrameFlags, TrackId, codec};
use weir_net::CapLimits;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

use crate::engine::{Answered, NoAnswer};
use crate::from_frames::{Carried, Unsupported, carried, reorders};
use crate::sdp::Offer;
use crate::viewer::{self, AUDIO, Packet, VIDEO, Viewer};
use crate::{Ended, Engine, Heard, Listen, Move, RtpBatcher, Steer};

/// A viewer and its socket.
struct Watcher {
    viewer: Viewer,
    socket: UdpSocket,
    /// What has come, and when.
    packets: Vec<(Instant, Packet)>,
}

/// A viewer that waits for the answer to its offer.
struct Offered {
    offered: viewer::Offered,
    socket: UdpSocket,
    text: String,
}

impl Watcher {
    async fn offer() -> Offered {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let offered = Viewer::offer(socket.local_addr().unwrap(), true, Instant::now()).unwrap();
        let text = offered.text.clone();
        Offered { offered, socket, text }
    }

    /// Runs the viewer for so long at most, or until `enough` says that it has seen what it wants.
    async fn watch(&mut self, for_at_most: Duration, enough: impl Fn(&Self) -> bool) {
        let end = Instant::now() + for_at_most;
        let mut buffer = vec![0; 2_000];
        while Instant::now() < end && !enough(self) {
            let Self { viewer, socket, packets } = self;
            let send = |to, bytes: &[u8]| {
                let _ = socket.try_send_to(bytes, to);
            };
            let Some(wake) = viewer.poll(send, |packet| packets.push((Instant::now(), packet))) else { return };
            let wait = wake.min(end).saturating_duration_since(Instant::now());
            match timeout(wait, socket.recv_from(&mut buffer)).await {
                Ok(Ok((length, source))) => viewer.receive(source, &buffer[..length], Instant::now()),
                _ => viewer.tick(Instant::now()),
            }
        }
    }

    fn payloads(&self, number: u8) -> usize {
        self.packets.iter().filter(|(_, packet)| packet.payload_type == number).count()
    }

    /// The pictures that came to their end: when, and their times by RTP's clock.
    fn pictures(&self) -> Vec<(Instant, u32)> {
        let ends = self.packets.iter().filter(|(_, packet)| packet.marker);
        ends.map(|(at, packet)| (*at, packet.timestamp)).collect()
    }
}

impl Offered {
    fn accept(self, answer: &str) -> Watcher {
        let Self { offered, socket, .. } = self;
        Watcher { viewer: offered.accept(answer).unwrap(), socket, packets: Vec::new() }
    }
}

async fn engine(tcp: bool) -> Engine {
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let tcp_limits = CapLimits { connections_max: 10, connections_per_ip_max: 10, requests_per_ip_max: usize::MAX };
    let listen = Listen { udp: loopback, tcp: tcp.then_some(loopback), tcp_limits, public_ips: Vec::new() };
    let engine = Engine::bind(&listen).await.unwrap();
    let running = engine.clone();
    tokio::spawn(async move { running.run().await });
    engine
}

/// A rendition with a picture and Opus.
struct Source {
    rendition: RenditionHub,
    publisher: Publisher,
    frames: SyntheticSource,
}

const OPUS: TrackId = TrackId(1);

impl Source {
    fn new() -> Self {
        let limits = WindowLimits { duration: Duration::from_secs(10), items_max: 10_000, bytes_max: 32 << 20 };
        let hub = weir_hub::StreamHub::new(limits);
        let config = SyntheticConfig { audio: None, video_bitrate_bps: Some(1_000_000), ..SyntheticConfig::default() };
        let frames = SyntheticSource::new(config);
        let mut publisher = hub.publish_source(Instant::now());
        let opus = track_info(OPUS, opus_head(2, 312).unwrap()).unwrap();
        publisher.set_tracks([Arc::new(frames.tracks().swap_remove(0)), Arc::new(opus)].into_iter().collect());
        Self { rendition: hub.source(), publisher, frames }
    }

    fn tracks(&self) -> Arc<Tracks> {
        self.rendition.tracks()
    }

    /// Publishes so many pictures, each with a packet of sound before it.
    fn publish(&mut self, pictures: usize) {
        for frame in self.frames.by_ref().take(pictures) {
            let flags = FrameFlags { keyframe: true, discontinuity: false };
            let payload = vec![0xFC, 1, 2, 3].into();
            let sound = Frame { track: OPUS, dts: frame.dts, pts: frame.dts, flags, payload };
            self.publisher.write(sound, Instant::now());
            self.publisher.write(frame, Instant::now());
        }
    }
}

async fn answered(engine: &Engine, offer: &str, carried: &Carried) -> Answered {
    engine.answer(&Offer::parse(offer).unwrap(), carried).await.unwrap()
}

#[tokio::test]
async fn a_viewer_gets_the_cached_gop_and_what_follows() {
    let engine = engine(false).await;
    let mut source = Source::new();
    source.publish(30);
    let what = carried(&source.tracks()).unwrap();
    assert_eq!(what, Carried { profile_idc: Some(what.profile_idc.unwrap()), sound: true, left_out: None });
    let offered = Watcher::offer().await;
    let Answered { sdp, mut connection, picture, sound, .. } = answered(&engine, &offered.text, &what).await;
    assert!(picture && sound && engine.connections() == 1);
    let feed = Feed::<RtpBatcher>::new();
    let mut batches = feed.subscribe();
    tokio::spawn(feed.run(source.rendition.clone(), RtpBatcher::default()));
    let served = tokio::spawn(async move {
        let ended = connection.serve(&mut batches, &mut ()).await;
        (ended, connection.figures())
    });
    let mut viewer = offered.accept(&sdp);
    let markers = |viewer: &Watcher| viewer.pictures().len();
    viewer.watch(Duration::from_secs(10), |viewer| markers(viewer) >= 30).await;
    assert!(viewer.viewer.is_connected());
    let cached = viewer.payloads(AUDIO);
    assert_eq!((markers(&viewer), cached < 6), (30, true), "pictures, and sound from the live edge on: {cached}");
    source.publish(30);
    viewer.watch(Duration::from_secs(10), |viewer| markers(viewer) >= 60).await;
    assert_eq!((markers(&viewer), viewer.payloads(AUDIO) >= cached + 29), (60, true), "pictures, and sound with them");
    let times: Vec<u32> = viewer.pictures().iter().map(|(_, time)| *time).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 3_000), "a thirtieth of a second of 90 kHz: {times:?}");
    // The viewer says goodbye by DTLS.
    viewer.viewer.close();
    viewer.watch(Duration::from_secs(2), |_| false).await;
    let (ended, figures) = timeout(Duration::from_secs(5), served).await.unwrap().unwrap();
    assert_eq!((ended, figures.connected, figures.pictures, figures.dropped), (Ended::Left, true, 60, 0));
    assert_eq!(engine.connections(), 0);
}

/// Counts the wishes for keyframes.
struct Counting(Arc<AtomicU64>);

impl Steer for Counting {
    fn keyframes_wanted(&mut self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn heard(&mut self, _: &Heard, _: Instant) -> Option<Move> {
        None
    }

    fn arrived(&mut self, _: bool) {}
}

#[tokio::test]
async fn who_has_lost_a_picture_is_heard() {
    let engine = engine(false).await;
    let mut source = Source::new();
    source.publish(10);
    let offered = Watcher::offer().await;
    let what = carried(&source.tracks()).unwrap();
    let Answered { sdp, mut connection, .. } = answered(&engine, &offered.text, &what).await;
    let feed = Feed::<RtpBatcher>::new();
    let mut batches = feed.subscribe();
    tokio::spawn(feed.run(source.rendition.clone(), RtpBatcher::default()));
    let heard = Arc::new(AtomicU64::new(0));
    let (asked, count) = (Arc::clone(&heard), || heard.load(Ordering::Relaxed));
    tokio::spawn(async move { connection.serve(&mut batches, &mut Counting(asked)).await });
    let mut viewer = offered.accept(&sdp);
    viewer.watch(Duration::from_secs(10), |viewer| viewer.payloads(VIDEO) > 0).await;
    assert_eq!(count(), 0);
    for (by_fir, expected) in [(false, 1), (true, 2)] {
        viewer.viewer.ask_for_keyframe(by_fir, Instant::now());
        viewer.watch(Duration::from_secs(10), |_| count() >= expected).await;
        assert_eq!(count(), expected, "by FIR: {by_fir}");
    }
}

#[tokio::test]
async fn who_shows_another_certificate_never_connects() {
    let engine = engine(false).await;
    let mut source = Source::new();
    source.publish(10);
    let offered = Watcher::offer().await;
    let (head, tail) = offered.text.split_once("a=fingerprint:sha-256 ").unwrap();
    let (first, rest) = tail.split_at(2);
    let other = if first == "00" { "01" } else { "00" };
    let forged = format!("{head}a=fingerprint:sha-256 {other}{rest}");
    let what = carried(&source.tracks()).unwrap();
    let Answered { sdp, mut connection, .. } = answered(&engine, &forged, &what).await;
    let feed = Feed::<RtpBatcher>::new();
    let mut batches = feed.subscribe();
    tokio::spawn(feed.run(source.rendition.clone(), RtpBatcher::default()));
    let served = tokio::spawn(async move { (connection.serve(&mut batches, &mut ()).await, connection.figures()) });
    let mut viewer = offered.accept(&sdp);
    viewer.watch(Duration::from_secs(2), |_| false).await;
    let (ended, figures) = timeout(Duration::from_secs(5), served).await.unwrap().unwrap();
    assert_eq!((ended, figures.connected, figures.pictures), (Ended::Fault, false, 0));
    assert!(viewer.packets.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_never_comes_is_given_up() {
    let engine = engine(false).await;
    let source = Source::new();
    let offered = Watcher::offer().await;
    let what = Carried { profile_idc: Some(66), sound: false, left_out: Some(Codec::Aac) };
    let Answered { mut connection, sound, .. } = answered(&engine, &offered.text, &what).await;
    assert!(!sound && engine.connections() == 1);
    let feed = Feed::<RtpBatcher>::new();
    let mut batches = feed.subscribe();
    drop(source);
    // A connection's patience goes by the machine's clock, which tokio's paused one does not move.
    connection.came_earlier(Duration::from_secs(15));
    assert_eq!(connection.serve(&mut batches, &mut ()).await, Ended::NeverConnected);
    drop(connection);
    assert_eq!(engine.connections(), 0);
}

#[tokio::test]
async fn what_the_viewer_can_not_take_is_no_answer() {
    let engine = engine(true).await;
    assert_eq!(engine.candidates().len(), 2, "UDP and TCP");
    let offered = Watcher::offer().await;
    let without_h264 = Offer::parse(&offered.text.replace("H264/90000", "VP8/90000")).unwrap();
    for (what, expected) in [
        (Carried { profile_idc: Some(66), sound: true, left_out: None }, Some(NoAnswer::NoCodec)),
        (Carried { profile_idc: None, sound: true, left_out: None }, None),
    ] {
        assert_eq!(engine.answer(&without_h264, &what).await.err(), expected);
    }
    assert_eq!(engine.connections(), 0, "the answer's connection was dropped");
}

#[tokio::test]
async fn b_frames_are_seen_before_they_are_sent() {
    let mut source = Source::new();
    source.publish(3);
    assert!(!reorders(&source.rendition));
    let mut frame = source.frames.next().unwrap();
    frame.pts = frame.dts + weir_media::MediaTime::from_millis(66);
    source.publisher.write(frame, Instant::now());
    assert!(reorders(&source.rendition));
    let empty = Tracks::default();
    assert_eq!(carried(&empty), Err(Unsupported::Nothing));
}

#[test]
fn what_browsers_do_not_show_is_told_by_its_configuration() {
    let bytes = |hex: &str| -> bytes::Bytes {
        let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    };
    // Made by x264: plain, of fields, of ten bits, and of 4:2:2.
    for (sps, pps, expected) in [
        ("6742c00cda05066c0440000003004000000c83c50aa8", "68ce0fc8", Ok(Some(66))),
        ("674d4015f40a19b011000003000100000300321f142aa0", "68de0fc8", Err(Unsupported::Interlaced)),
        (
            "676e000ca6cb40a0cd80880000030008000003019078a155",
            "68ce0fc8",
            Err(Unsupported::Profile("High 10".to_owned())),
        ),
        (
            "677a000cbcb40a0cd808800000030080000019078a1550",
            "68ce0fc8",
            Err(Unsupported::Profile("High 4:2:2".to_owned())),
        ),
    ] {
        let config = AvcConfig::build(&[bytes(sps)], &[bytes(pps)]).unwrap();
        let track = codec::parse(Codec::H264, TrackId(0), config).unwrap();
        let tracks: Tracks = [Arc::new(track)].into_iter().collect();
        assert_eq!(carried(&tracks).map(|carried| carried.profile_idc), expected);
    }
}

#[tokio::test]
async fn strangers_get_no_answer_and_do_no_harm() {
    let engine = engine(false).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for bytes in [&b""[..], &[0; 19], &[0; 1_500], &[0x80; 40], &[22; 200], &[0xFF; 9]] {
        socket.send_to(bytes, engine.udp_addr()).await.unwrap();
    }
    sleep(Duration::from_millis(50)).await;
    assert!(socket.try_recv(&mut [0; 2_000]).is_err());
    let offered = Watcher::offer().await;
    let Answered { .. } =
        answered(&engine, &offered.text, &Carried { profile_idc: Some(66), sound: true, left_out: None }).await;
}

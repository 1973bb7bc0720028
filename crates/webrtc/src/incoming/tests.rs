//! Runs whole connections over loopback, with `str0m` as the publisher: its media becomes frames, what is lost is repaired or asked for
//! anew, and whoever is not who they say gets nowhere.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};
use weir_media::codec::h264::AvcConfig;
use weir_media::{Frame, TrackId};
use weir_net::CapLimits;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

use super::*;
use crate::engine::NotTaken;
use crate::sdp::Offer;
use crate::{Engine, Listen, crypto, h264};

const PATIENCE: Duration = Duration::from_secs(10);

/// The first byte of RTP; that of RTCP is told from it by the second one.
fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram, [0x80..=0xBF, kind, ..] if !(192..=223).contains(kind))
}

/// Says of each packet of media, by its number, whether the network loses it.
type Loses = fn(usize) -> bool;

struct Publisher {
    rtc: Box<Rtc>,
    socket: UdpSocket,
    source: SyntheticSource,
    sets: AvcConfig,
    mids: [Mid; 2],
    numbers: [u64; 2],
    packets: usize,
    loses: Loses,
    connected: bool,
    /// When packets were lost, and when keyframes were asked for.
    lost_at: Vec<Instant>,
    asked_at: Vec<Instant>,
}

struct Offered {
    publisher: Publisher,
    pending: SdpPendingOffer,
    text: String,
}

async fn offer(repeats: bool) -> Offered {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut config = Rtc::builder().set_crypto_provider(crypto::provider()).set_rtp_mode(true).clear_codecs();
    config.codec_config().add_h264(100.into(), repeats.then(|| 101.into()), true, 0x42_00_1F);
    let mut rtc = config.enable_opus(true, false).build(Instant::now());
    rtc.add_local_candidate(Candidate::host(socket.local_addr().unwrap(), "udp").unwrap());
    let mut api = rtc.sdp_api();
    let mids =
        [MediaKind::Video, MediaKind::Audio].map(|kind| api.add_media(kind, Direction::SendOnly, None, None, None));
    let (offer, pending) = api.apply().unwrap();
    let config = SyntheticConfig {
        audio: None,
        video_bitrate_bps: Some(2_000_000),
        gop_frames: 30,
        ..SyntheticConfig::default()
    };
    let source = SyntheticSource::new(config);
    let sets = AvcConfig::parse(&source.tracks()[0].config).unwrap();
    let publisher = Publisher {
        rtc: Box::new(rtc),
        socket,
        source,
        sets,
        mids,
        numbers: [1; 2],
        packets: 0,
        loses: |_| false,
        connected: false,
        lost_at: Vec::new(),
        asked_at: Vec::new(),
    };
    Offered { publisher, pending, text: offer.to_sdp_string() }
}

impl Offered {
    fn accept(self, answer: &str) -> Publisher {
        let Self { mut publisher, pending, .. } = self;
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        publisher.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        publisher
    }
}

impl Publisher {
    /// Sends so many pictures, each with a packet of sound, in their own time.
    async fn publish(&mut self, pictures: usize) {
        self.until(PATIENCE, |publisher| publisher.connected).await;
        let began = Instant::now();
        for at in 0..pictures {
            let frame = self.source.next().unwrap();
            self.picture(&frame);
            let due = began + Duration::from_micros(33_333) * u32::try_from(at + 1).unwrap();
            self.until(due.saturating_duration_since(Instant::now()), |_| false).await;
        }
    }

    fn picture(&mut self, frame: &Frame) {
        // Four packets more: filler, of which the synthetic pictures are made, does not go out by RTP.
        let mut padded = [&4_000_u32.to_be_bytes()[..], &[6; 4_000]].concat();
        padded.extend_from_slice(&frame.payload);
        let payloads = h264::payloads(&padded, frame.is_keyframe().then_some(&self.sets));
        let last = payloads.len() - 1;
        for (at, payload) in payloads.into_iter().enumerate() {
            self.write(0, 100, frame.pts.as_ticks(90_000), at == last, payload);
        }
        self.write(1, 111, frame.pts.as_ticks(48_000), false, [0xFC, 1, 2, 3].as_slice().into());
        let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
    }

    fn write(&mut self, kind: usize, number: u8, ticks: i64, marker: bool, payload: Arc<[u8]>) {
        let now = Instant::now();
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(self.mids[kind], None).unwrap();
        let write = RtpWrite::new(number.into(), self.numbers[kind].into(), ticks as u32, now, payload);
        stream.write_rtp(write.marker(marker).nackable(kind == 0));
        self.numbers[kind] += 1;
    }

    /// Does what the network asks for, for so long or until it is enough.
    async fn until(&mut self, for_at_most: Duration, enough: impl Fn(&Self) -> bool) {
        let end = Instant::now() + for_at_most;
        let mut buffer = vec![0; 2_000];
        loop {
            let wake = loop {
                match self.rtc.poll_output() {
                    Ok(Output::Timeout(at)) => break at,
                    Ok(Output::Transmit(transmit)) => {
                        self.packets += usize::from(is_media(&transmit.contents));
                        if is_media(&transmit.contents) && (self.loses)(self.packets) {
                            self.lost_at.push(Instant::now());
                        } else {
                            let _ = self.socket.send_to(&transmit.contents, transmit.destination).await;
                        }
                    }
                    Ok(Output::Event(Event::Connected)) => self.connected = true,
                    Ok(Output::Event(Event::KeyframeRequest(_))) => self.asked_at.push(Instant::now()),
                    Ok(Output::Event(_)) => {}
                    Err(_) => return,
                }
            };
            if Instant::now() >= end || enough(self) {
                return;
            }
            match timeout_at(wake.min(end).into(), self.socket.recv_from(&mut buffer)).await {
                Ok(Ok((length, source))) => {
                    let destination = self.socket.local_addr().unwrap();
                    if let Ok(receive) = Receive::new(Protocol::Udp, source, destination, &buffer[..length]) {
                        let _ = self.rtc.handle_input(Input::Receive(Instant::now(), receive));
                    }
                }
                _ => {
                    let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
                }
            }
        }
    }
}

async fn engine() -> Engine {
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let tcp_limits = CapLimits { connections_max: 1, connections_per_ip_max: 1, requests_per_ip_max: usize::MAX };
    let engine = Engine::bind(&Listen { udp: loopback, tcp: None, tcp_limits, public_ips: Vec::new() }).await.unwrap();
    let running = engine.clone();
    tokio::spawn(async move { running.run().await });
    engine
}

/// What came of a connection, to its end.
struct Came {
    frames: Vec<crate::RtpFrame>,
    tracks: Vec<TrackId>,
    figures: IncomingFigures,
    end: IncomingEnd,
}

impl Came {
    fn pictures(&self) -> Vec<i64> {
        self.of(TrackId::SOURCE_VIDEO)
    }

    fn of(&self, track: TrackId) -> Vec<i64> {
        self.frames.iter().filter(|frame| frame.track == track).map(|frame| frame.ticks).collect()
    }
}

/// Reads a connection to its end; tells each figure on the way.
fn read(mut incoming: Incoming) -> (tokio::task::JoinHandle<Came>, mpsc::UnboundedReceiver<IncomingFigures>) {
    let (told, figures) = mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        let (mut frames, mut tracks) = (Vec::new(), Vec::new());
        loop {
            match incoming.next().await {
                IncomingEvent::Media(RtpUnpacked::Frame(frame)) => frames.push(frame),
                IncomingEvent::Media(RtpUnpacked::Track(info)) => tracks.push(info.id),
                IncomingEvent::Figures(figures) => drop(told.send(figures)),
                IncomingEvent::Ended(end) => return Came { frames, tracks, figures: incoming.look(), end },
            }
        }
    });
    (reading, figures)
}

/// Publishes so many pictures over a network that loses those packets, says goodbye, and gives both ends.
async fn published(repeats: bool, loses: Loses, pictures: usize) -> (Publisher, Came) {
    let engine = engine().await;
    let offered = offer(repeats).await;
    let taken = engine.take_in(&Offer::parse_publisher(&offered.text).unwrap(), false).unwrap();
    let (reading, _) = read(taken.incoming);
    let mut publisher = offered.accept(&taken.sdp);
    publisher.loses = loses;
    publisher.publish(pictures).await;
    publisher.rtc.close().unwrap();
    publisher.until(Duration::from_millis(300), |_| false).await;
    let came = timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert_eq!(engine.connections(), 0);
    (publisher, came)
}

#[tokio::test]
async fn pictures_and_sound_come_out_as_they_went_in() {
    let (publisher, came) = published(true, |_| false, 60).await;
    assert!(publisher.connected && came.figures.connected);
    assert_eq!((came.end, came.tracks.len()), (IncomingEnd::Left, 2));
    let (pictures, sounds) = (came.of(TrackId::SOURCE_VIDEO), came.of(TrackId::SOURCE_AUDIO));
    assert_eq!((pictures.len(), sounds.len()), (60, 60));
    assert!(pictures.windows(2).all(|pair| (pair[1] - pair[0] - 3_000).abs() <= 300), "{pictures:?}");
    assert!(pictures.iter().zip(&sounds).all(|(picture, sound)| (picture - sound).abs() <= 40 * 90), "within 40 ms");
    assert_eq!((came.figures.missed_packets, came.figures.left_out, publisher.asked_at.len()), (0, 0, 0));
    let keyframes = came.frames.iter().filter(|frame| frame.keyframe && frame.track == TrackId::SOURCE_VIDEO).count();
    assert_eq!(keyframes, 2);
}

#[tokio::test]
async fn one_packet_in_twenty_is_lost_and_repeated() {
    let (publisher, came) = published(true, |number| number.is_multiple_of(20), 90).await;
    assert!(publisher.lost_at.len() > 20, "{}", publisher.lost_at.len());
    assert!(came.pictures().len() >= 85, "{} of 90: {:?}", came.pictures().len(), came.figures);
    assert!(came.figures.missed_packets > 20 && came.figures.nacks > 5, "{:?}", came.figures);
    assert!((1.0..15.0).contains(&came.figures.loss_percent), "{:?}", came.figures);
}

#[tokio::test]
async fn what_can_not_be_repeated_is_answered_by_a_request_for_a_keyframe() {
    // Without repetitions, two packets of a picture in the middle of its GOP.
    let (publisher, came) = published(false, |number| (200..202).contains(&number), 90).await;
    assert!(publisher.asked_at[0] >= publisher.lost_at[1], "how soon, the table of to_frames says");
    assert!((1..90).contains(&came.figures.left_out), "{:?}", came.figures);
    assert_eq!((came.figures.lost_packets, came.figures.missed_packets), (2, 2));
    assert!(came.figures.keyframes_asked >= 1, "{:?}", came.figures);
    let pictures = came.pictures();
    assert_eq!(pictures.len() as u64 + came.figures.left_out, 90);
}

#[tokio::test]
async fn who_shows_another_certificate_never_connects() {
    let engine = engine().await;
    let offered = offer(true).await;
    let (head, tail) = offered.text.split_once("a=fingerprint:sha-256 ").unwrap();
    let (first, rest) = tail.split_at(2);
    let other = if first == "00" { "01" } else { "00" };
    let forged = format!("{head}a=fingerprint:sha-256 {other}{rest}");
    let taken = engine.take_in(&Offer::parse_publisher(&forged).unwrap(), false).unwrap();
    let (reading, _) = read(taken.incoming);
    let mut publisher = offered.accept(&taken.sdp);
    publisher.until(Duration::from_secs(2), |_| false).await;
    let came = timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert_eq!((came.end, came.figures.connected, came.frames.len()), (IncomingEnd::Fault, false, 0));
}

#[tokio::test(start_paused = true)]
async fn who_never_comes_is_given_up() {
    let engine = engine().await;
    let mut taken = engine.take_in(&Offer::parse_publisher(&offer(true).await.text).unwrap(), false).unwrap();
    // The patience of a connection goes by the machine's clock.
    taken.incoming.came_earlier(Duration::from_secs(15));
    let came = read(taken.incoming).0.await.unwrap();
    assert_eq!((came.end, engine.connections()), (IncomingEnd::NeverConnected, 0));
}

#[tokio::test]
async fn a_publisher_of_other_codecs_is_refused_whole() {
    let engine = engine().await;
    let text = offer(true).await.text;
    for (from, to, expected) in [
        ("H264/90000", "VP8/90000", Some(NotTaken::NeedsLadder(Codec::Vp8))),
        ("H264/90000", "H266/90000", Some(NotTaken::Codecs)),
        ("opus/48000/2", "PCMU/8000", Some(NotTaken::Codecs)),
        ("x", "x", None),
    ] {
        let offer = Offer::parse_publisher(&text.replace(from, to)).unwrap();
        assert_eq!(engine.take_in(&offer, false).err(), expected, "{to}");
    }
    let other = Offer::parse_publisher(&text.replace("H264/90000", "VP8/90000")).unwrap();
    assert!(engine.take_in(&other, true).is_ok(), "a ladder encodes it");
    let sound = text.replacen("a=sendonly", "a=inactive", 1);
    assert!(engine.take_in(&Offer::parse_publisher(&sound).unwrap(), false).is_ok(), "sound alone");
}

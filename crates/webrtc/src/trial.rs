//! For fuzzing: each part that reads bytes from outside can be called here on its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use weir_media::Codec;

use crate::channel::Ends;
use crate::crypto::{self, Identity};
use crate::peer::{Peer, Wish};
use crate::publishing::{Packet, PacketKind, Report, RtpFrame, RtpUnpacked, ToFrames};
use crate::receiver::{Receiver, Reception};
use crate::routes::Datagram;
use crate::sdp::{Agreed, Answer, Candidate, IceCredentials, Kind, Offer, Received, Sent, Transport};

/// The answer to a viewer's offer that takes H.264 or Opus.
pub fn answer(offer: &Offer) -> Option<String> {
    let (video, audio) = (offer.h264(66), offer.opus());
    let sent = |payload, ssrc, repeats| Agreed::Sent(Sent { payload, ssrc, repeats });
    let video = video.map(|(payload, rtx)| sent(payload, 1, rtx.map(|rtx| (rtx, 2))));
    written(offer, video, audio.map(|payload| sent(payload, 3, None)))
}

/// The answer to a publisher's offer that sends H.264 or Opus.
pub fn answer_to_publisher(offer: &Offer) -> Option<String> {
    let received = |payload, repeats, layers| Agreed::Received(Received { payload, repeats, layers });
    let video = offer.sent_picture(true).map(|sent| received(sent.payload, sent.repeats, sent.section.layers()));
    written(offer, video, offer.opus().map(|payload| received(payload, None, &[])))
}

fn written(offer: &Offer, video: Option<Agreed<'_>>, audio: Option<Agreed<'_>>) -> Option<String> {
    if video.is_none() && audio.is_none() {
        return None;
    }
    let candidates = &[Candidate { transport: Transport::Udp, address: SocketAddr::from(([127, 0, 0, 1], 9)) }];
    let answer = Answer {
        offer,
        is_lite: true,
        ufrag: "ufra",
        password: "password",
        fingerprint: "sha-256 00",
        candidates,
        video,
        audio,
    };
    Some(answer.write())
}

/// One packet of a publisher, as it comes out of the channel.
#[derive(Clone, Copy, Debug)]
pub struct TrialPacket<'a> {
    pub is_video: bool,
    pub source: u32,
    pub number: u64,
    pub stamp: u32,
    pub marker: bool,
    /// How long after the packet before it came.
    pub after: Duration,
    /// The sender's clock as its report says it, in milliseconds.
    pub reported_ms: Option<u64>,
    pub bytes: &'a [u8],
}

/// Gives packets to what makes frames of them, the pictures being of that codec and in so many
/// layers. Returns the frames, and how often a keyframe was asked for.
pub fn frames<'a>(
    (pictures, layers): (Codec, usize),
    packets: impl IntoIterator<Item = TrialPacket<'a>>,
) -> (Vec<RtpFrame>, usize) {
    let mut now = Instant::now();
    let mut unpacker = ToFrames::new(now, pictures, layers);
    let (mut frames, mut asked) = (Vec::new(), 0);
    for packet in packets {
        now += packet.after;
        let wall = |ms| Report { stamp: packet.stamp, wall: SystemTime::UNIX_EPOCH + Duration::from_millis(ms) };
        let kind = if packet.is_video { PacketKind::Video } else { PacketKind::Audio };
        unpacker.due(now);
        unpacker.packet(
            kind,
            Packet {
                source: packet.source,
                number: packet.number,
                stamp: packet.stamp,
                marker: packet.marker,
                came_at: now,
                report: packet.reported_ms.map(wall),
                bytes: packet.bytes.into(),
            },
        );
        asked += usize::from(unpacker.keyframe_wanted(now).is_some());
        frames.extend(std::iter::from_fn(|| unpacker.next()).filter_map(|unpacked| match unpacked {
            RtpUnpacked::Frame(frame) => Some(frame),
            RtpUnpacked::Track(_) => None,
        }));
    }
    (frames, asked)
}

/// Gives datagrams to a connection that waits for its viewer, and returns how many bytes it sends in reply. Returns none if no connection
/// can be made of this offer.
pub fn datagrams<'a>(offer: &Offer, datagrams: impl IntoIterator<Item = &'a [u8]>) -> Option<usize> {
    let (ice, candidates) = ours();
    let ends = Ends { offer, ice: &ice, candidates: &candidates };
    let wish = Wish { ends, video: offer.h264(66), audio: offer.opus() };
    let mut peer = Peer::new(&wish, &Identity::make().ok()?, &crypto::provider(), Instant::now()).ok()?;
    let mut sent = 0;
    for (datagram, now) in as_received(datagrams) {
        peer.receive(&datagram, now);
        if peer.poll(1, |burst| sent += burst.bytes.len(), |_| {}, now).is_err() {
            break;
        }
    }
    Some(sent)
}

/// Gives datagrams to a connection that waits for its publisher, and returns how many bytes it sends in reply. Returns none if no connection
/// can be made of this offer.
pub fn datagrams_to_receiver<'a>(offer: &Offer, datagrams: impl IntoIterator<Item = &'a [u8]>) -> Option<usize> {
    let (ice, candidates) = ours();
    let ends = Ends { offer, ice: &ice, candidates: &candidates };
    let reception =
        Reception { ends, video: offer.sent_picture(true), audio: offer.section(Kind::Audio).zip(offer.opus()) };
    let identity = Identity::make().ok()?;
    let mut receiver = Receiver::new(&reception, &identity, &crypto::provider(), Instant::now()).ok()?;
    let mut sent = 0;
    for (datagram, now) in as_received(datagrams) {
        receiver.receive(&datagram, now);
        if receiver.poll(1, |burst| sent += burst.bytes.len(), |_| {}).is_err() {
            break;
        }
    }
    Some(sent)
}

fn ours() -> (IceCredentials, [Candidate; 1]) {
    let ice = IceCredentials { ufrag: "ufra".to_owned(), password: "a-password-of-twenty-four".to_owned() };
    (ice, [Candidate { transport: Transport::Udp, address: SocketAddr::from(([127, 0, 0, 1], 9)) }])
}

/// Datagrams that come from one address, one every 10 ms.
fn as_received<'a>(datagrams: impl IntoIterator<Item = &'a [u8]>) -> impl Iterator<Item = (Datagram, Instant)> {
    let mut now = Instant::now();
    datagrams.into_iter().map(move |bytes| {
        now += Duration::from_millis(10);
        let source = SocketAddr::from(([127, 0, 0, 1], 7));
        let destination = Some([127, 0, 0, 1].into());
        (Datagram { transport: Transport::Udp, source, destination, bytes: bytes.to_vec() }, now)
    })
}

/// Reads the bytes as a datagram of a handshake, and says whether it tells of a certificate that we don't take.
pub fn certificate_fault(bytes: &[u8]) -> bool {
    crypto::certificate_fault(bytes).is_some()
}

/// Reads the bytes as a certificate, and says whether it holds a key.
pub fn certificate(bytes: &[u8]) -> bool {
    crypto::has_key(bytes)
}

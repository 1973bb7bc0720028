//! A receiver is our end of one publisher's channel: what comes in on it, and what the publisher is told of it. It has no sockets and no clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::crypto::CryptoProvider;
use str0m::format::{Codec as RtcCodec, FormatParams};
use str0m::media::{Frequency, KeyframeRequestKind, MediaKind, Mid, Rid};
use str0m::rtp::{Extension, RtpPacket, Ssrc};
use str0m::stats::MediaIngressStats;
use str0m::{Event, IceConnectionState, RtcConfig, RtcError};
use weir_media::Codec;

use crate::channel::{Channel, Ends, Over};
use crate::crypto::Identity;
use crate::outbox::Burst;
use crate::publishing::{Packet, PacketKind, Report};
use crate::routes::Datagram;
use crate::sdp::{Extensions, Payload, Section, SentPicture};

/// The most letters of a mid that `str0m` finds in packets. A publisher with a longer one is known by the sources that its offer names.
const MID_CHARS_MAX: usize = 16;

/// What a receiver is made of: the two ends, and what of the offer is received.
pub(crate) struct Reception<'a> {
    pub(crate) ends: Ends<'a>,
    pub(crate) video: Option<SentPicture<'a>>,
    pub(crate) audio: Option<(&'a Section, &'a Payload)>,
}

/// What arrived on the channel.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// The far end is connected, and is who its offer says.
    Connected,
    Packet(PacketKind, Packet),
    Feedback(PacketKind, Feedback),
}

/// What `str0m` counts and measures of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Feedback {
    /// How often missing packets were asked for.
    pub(crate) nacks: u64,
    pub(crate) jitter: Duration,
    pub(crate) rtt: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    channel: Channel,
    kinds: [Option<Kind>; 2],
    /// What was counted last of each layer of the picture. There is one entry where there are no layers.
    layers: Vec<LayerStats>,
}

/// What was counted of one layer.
#[derive(Clone, Copy, Debug)]
struct LayerStats {
    rid: Option<Rid>,
    bytes: u64,
    /// How many bytes came since it was counted before.
    grown: u64,
    nacks: u64,
    jitter: u32,
}

/// How packets and figures of one kind are known.
#[derive(Clone, Copy, Debug)]
struct Kind {
    kind: PacketKind,
    mid: Mid,
    payload: u8,
    clock_hz: u32,
}

impl Receiver {
    pub(crate) fn new(
        reception: &Reception<'_>,
        identity: &Identity,
        provider: &Arc<CryptoProvider>,
        now: Instant,
    ) -> Result<Self, RtcError> {
        let Reception { ends, video, audio } = reception;
        let mut config = ends.config(identity, provider);
        let mut sections = Vec::new();
        if let Some(SentPicture { section, codec, payload, repeats }) = video {
            let level = payload.profile_level_id.unwrap_or([66, 0, 31]);
            let level = u32::from_be_bytes([0, level[0], level[1], level[2]]);
            let (number, repeats) = (payload.number.into(), repeats.map(|payload| payload.number.into()));
            let (clock, plain) = (Frequency::NINETY_KHZ, FormatParams::default());
            let codecs = config.codec_config();
            // Packets are taken as they come, so the name of the codec is all that matters.
            match codec {
                Codec::Vp8 => codecs.add_config(number, repeats, RtcCodec::Vp8, clock, None, plain),
                Codec::Vp9 => codecs.add_config(number, repeats, RtcCodec::Vp9, clock, None, plain),
                Codec::Av1 => codecs.add_config(number, repeats, RtcCodec::Av1, clock, None, plain),
                Codec::H265 => codecs.add_config(number, repeats, RtcCodec::H265, clock, None, plain),
                _ => codecs.add_h264(number, repeats, true, level),
            }
            sections.push((PacketKind::Video, *section, *payload));
        }
        if let Some((section, payload)) = audio {
            let (number, clock) = (payload.number.into(), Frequency::FORTY_EIGHT_KHZ);
            config.codec_config().add_config(number, None, RtcCodec::Opus, clock, Some(2), FormatParams::default());
            sections.push((PacketKind::Audio, *section, *payload));
        }
        let extensions = sections.iter().map(|(_, section, _)| section.extensions);
        let config = extensions.clone().fold(config, with_extensions);
        let is_told_of_each = extensions.clone().any(|extensions| extensions.transport_cc.is_some());
        let mut channel = Channel::open(config, ends, now)?;
        let mut api = channel.api();
        if is_told_of_each {
            api.enable_twcc_feedback();
        }
        let mut kinds = [None; 2];
        for (place, (kind, section, payload)) in kinds.iter_mut().zip(&sections) {
            let mid = mid_of(section);
            let media = if *kind == PacketKind::Video { MediaKind::Video } else { MediaKind::Audio };
            let layers = if *kind == PacketKind::Video { section.layers() } else { &[] };
            let declared = api.declare_media(mid, media);
            layers.iter().for_each(|layer| declared.expect_rid_rx(layer.as_str().into()));
            *place = Some(Kind { kind: *kind, mid, payload: payload.number, clock_hz: payload.clock_hz });
            // The sources of layers show in their packets.
            let Some((source, repeats)) = section.source().filter(|_| layers.is_empty()) else { continue };
            let stream = api.expect_stream_rx(source.into(), repeats.map(Ssrc::from), mid, None);
            stream.suppress_nack(*kind == PacketKind::Audio || !payload.nack);
        }
        Ok(Self { channel, kinds, layers: Vec::new() })
    }

    /// Takes a datagram that came from the far end.
    pub(crate) fn receive(&mut self, datagram: &Datagram, now: Instant) {
        self.channel.receive(datagram, now);
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        self.channel.tick(now);
    }

    /// Asks for a keyframe (PLI), with the next [`Receiver::poll`].
    pub(crate) fn ask_for_keyframe(&mut self, source: u32, now: Instant) {
        if let Some(stream) = self.channel.api().stream_rx(&source.into()) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        self.tick(now);
    }

    /// Says goodbye; [`Receiver::poll`] gives it.
    pub(crate) fn close(&mut self) {
        self.channel.close();
    }

    /// Everything that there is to send and to tell, and when to come again at the latest.
    pub(crate) fn poll(
        &mut self,
        segments_max: usize,
        send: impl FnMut(Burst<'_>),
        mut tell: impl FnMut(Arrival),
    ) -> Result<Instant, Over> {
        let Self { channel, kinds, layers } = self;
        channel.poll(segments_max, send, |event| {
            arrival(kinds, layers, event)?.into_iter().for_each(&mut tell);
            Ok(())
        })
    }
}

fn arrival(kinds: &[Option<Kind>; 2], layers: &mut Vec<LayerStats>, event: Event) -> Result<Option<Arrival>, Over> {
    let known = |fits: &dyn Fn(&Kind) -> bool| kinds.iter().flatten().find(|kind| fits(kind)).copied();
    match event {
        Event::Connected => Ok(Some(Arrival::Connected)),
        Event::RtpPacket(packet) => {
            let kind = known(&|kind| kind.payload == *packet.header.payload_type);
            Ok(kind.map(|kind| Arrival::Packet(kind.kind, as_packet(packet))))
        }
        Event::MediaIngressStats(stats) => {
            let Some(kind) = known(&|kind| kind.mid == stats.mid) else { return Ok(None) };
            let (nacks, jitter) = match kind.kind {
                PacketKind::Video => of_all(layers, &stats),
                PacketKind::Audio => (stats.nacks, stats.jitter),
            };
            let jitter = Duration::from_secs(jitter.into()) / kind.clock_hz.max(1);
            let feedback = Feedback { nacks, jitter, rtt: stats.rtt };
            Ok(Some(Arrival::Feedback(kind.kind, feedback)))
        }
        Event::IceConnectionStateChange(IceConnectionState::Disconnected) | Event::Closed => Err(Over::Left),
        _ => Ok(None),
    }
}

/// The requests for packets of all layers together, and the jitter of the one that brings most: one that stops has a large one.
fn of_all(layers: &mut Vec<LayerStats>, stats: &MediaIngressStats) -> (u64, u32) {
    let MediaIngressStats { rid, bytes, nacks, jitter, .. } = *stats;
    let before = layers.iter().position(|layer| layer.rid == rid).map(|at| layers.swap_remove(at));
    let grown = bytes.saturating_sub(before.map_or(0, |layer| layer.bytes));
    // Only layers that were agreed on are counted.
    layers.push(LayerStats { rid, bytes, grown, nacks, jitter });
    let most = layers.iter().max_by_key(|layer| layer.grown);
    (layers.iter().map(|layer| layer.nacks).sum(), most.map_or(jitter, |layer| layer.jitter))
}

fn as_packet(packet: RtpPacket) -> Packet {
    #[expect(clippy::cast_possible_truncation, reason = "a stamp is what is left of its time modulo 2^32")]
    let stamp = |ticks: u64| ticks as u32;
    let report = packet.last_sender_info;
    Packet {
        source: *packet.header.ssrc,
        number: *packet.seq_no,
        stamp: packet.header.timestamp,
        marker: packet.header.marker,
        came_at: packet.timestamp,
        report: report.map(|report| Report { stamp: stamp(report.rtp_time.numer()), wall: report.ntp_time }),
        bytes: packet.payload,
    }
}

/// The mid as packets say it. A longer one is cut, and then no packet fits it.
fn mid_of(section: &Section) -> Mid {
    let mut mid = [b' '; MID_CHARS_MAX];
    mid.iter_mut().zip(section.mid.bytes()).for_each(|(place, byte)| *place = byte);
    Mid::from_array(mid)
}

fn with_extensions(config: RtcConfig, extensions: Extensions) -> RtcConfig {
    let known = [
        (extensions.mid, Extension::RtpMid),
        (extensions.rid, Extension::RtpStreamId),
        (extensions.repaired_rid, Extension::RepairedRtpStreamId),
        (extensions.transport_cc, Extension::TransportSequenceNumber),
    ];
    known.into_iter().fold(config, |config, (number, extension)| match number {
        Some(number) => config.set_extension(number, extension),
        None => config,
    })
}

//! A peer is our end of one viewer's channel: what goes out on it, and what the viewer says of it. It has no sockets and no clock: datagrams,
//! batches and times go in, datagrams and facts come out.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::crypto::CryptoProvider;
use str0m::rtp::RawPacket;
use str0m::rtp::rtcp::{NackEntry, ReceptionReport, Rtcp};
use str0m::{Event, IceConnectionState, RtcError};
use weir_media::MediaTime;

use crate::channel::{Channel, Ends, Over};
use crate::crypto::{Identity, Sealer};
use crate::from_frames::{RtpBatch, RtpKind};
use crate::outbox::{Burst, Outbox};
use crate::reports::{Losses, SenderReport, WallClock, goodbye, of_sender};
use crate::routes::Datagram;
use crate::sdp::Payload;
use crate::sending::{Sending, Wire};

/// The first sequence number is below this. It is far from 65,535, so the number doesn't go round soon after the start, when a receiver
/// might take the numbers of the second round for older ones.
const FIRST_NUMBER_BELOW: u64 = 1 << 14;

/// How often the viewer is told which times of picture and sound belong together.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How many packets one poll may be asked to repeat: what a viewer misses when a tenth of a second is lost at 40 Mbit/s. What is asked for beyond
/// that is asked for again.
const ASKED_MAX: usize = 400;

/// What a peer is made of: the viewer's offer, our addresses and credentials, and the payloads that are sent.
pub(crate) struct Wish<'a> {
    pub(crate) ends: Ends<'a>,
    pub(crate) video: Option<(&'a Payload, Option<&'a Payload>)>,
    pub(crate) audio: Option<&'a Payload>,
}

/// What is sent of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Pictures,
    Sound,
}

impl Part {
    pub(crate) fn has(self, kind: RtpKind) -> bool {
        match self {
            Self::Whole => true,
            Self::Pictures => kind == RtpKind::Video,
            Self::Sound => kind == RtpKind::Audio,
        }
    }
}

/// What is to be sent: some payloads of a batch, or those of them that are pictures or sound.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    pub(crate) batch: &'a RtpBatch,
    pub(crate) payloads: Range<usize>,
    pub(crate) part: Part,
    pub(crate) newest: MediaTime,
    pub(crate) now: Instant,
}

/// What a peer tells of its far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// The far end has shown the certificate that its offer names, so media may go out.
    Connected,
    /// The far end lost a part of the picture that it can't do without.
    WantsKeyframe,
    /// The far end has reported how media arrives, the picture or the sound. `bytes` is what was sent of it so far, repetitions included.
    Report { picture: bool, loss_permille: Option<u16>, rtt: Option<Duration>, bytes: u64 },
    /// The far end tells how much it believes that the way to it carries (REMB).
    Estimate { bits_per_second: u64 },
}

#[derive(Debug)]
pub(crate) struct Peer {
    channel: Channel,
    /// Seals what is sent, from when the far end has shown who it is.
    sealer: Option<Sealer>,
    video: Option<Sending>,
    audio: Option<Sending>,
    losses: Losses,
    clock: WallClock,
    /// When the far end was last told the times, and of how many media.
    reported: Option<(Instant, usize)>,
    /// A moment of the machine's clock, and the time on the stream's timeline that belongs to it. RTCP's reports are made from it, and by
    /// them the viewer tells which sound belongs to which picture.
    anchor: Option<(Instant, MediaTime)>,
    /// What is added to the time of pictures on the stream's timeline to get their time by RTP's clock. It changes where another rendition is
    /// spliced in, whose encoder is ahead or behind.
    shift: MediaTime,
    /// When the last picture was written, and its time by RTP's clock.
    newest: Option<(Instant, MediaTime)>,
    /// The pictures' packets that the far end asked for again.
    asked: Vec<u16>,
}

impl Peer {
    pub(crate) fn new(
        wish: &Wish<'_>,
        identity: &Identity,
        provider: &Arc<CryptoProvider>,
        now: Instant,
    ) -> Result<Self, RtcError> {
        // The channel is told of no media: what goes out is made here, and what the far end says of it comes as it is.
        let config = wish.ends.config(identity, provider).enable_raw_packets(true);
        let channel = Channel::open(config, &wish.ends, now)?;
        let mut source = random_u32();
        let mut next_source = || {
            source = source.wrapping_add(1).max(1);
            source
        };
        let mut sending = |payload: &Payload| {
            let first = 1 + u64::from(random_u32()) % FIRST_NUMBER_BELOW;
            Sending::new(payload.number, next_source(), payload.clock_hz, first)
        };
        let audio = wish.audio.map(&mut sending);
        let video = wish.video.map(|(payload, repeats)| (sending(payload), repeats));
        let video = video.map(|(sending, repeats)| match repeats {
            Some(payload) => sending.repeated_by(payload.number, next_source()),
            None => sending,
        });
        let losses = Losses::new(video.as_ref().map_or(0, Sending::before_first));
        Ok(Self {
            channel,
            sealer: None,
            video,
            audio,
            losses,
            clock: WallClock::new(now),
            reported: None,
            anchor: None,
            shift: MediaTime::ZERO,
            newest: None,
            asked: Vec::new(),
        })
    }

    /// The SSRCs that the answer names: of the picture, of its repetitions, and of the sound.
    pub(crate) fn sources(&self) -> (Option<u32>, Option<u32>, Option<u32>) {
        let source = |sending: &Option<Sending>| sending.as_ref().map(|sending| sending.source);
        let repeats = self.video.as_ref().and_then(|video| video.repeats.as_ref());
        (source(&self.video), repeats.map(|repeats| repeats.source), source(&self.audio))
    }

    /// Takes a datagram that came from the far end.
    pub(crate) fn receive(&mut self, datagram: &Datagram, now: Instant) {
        self.channel.receive(datagram, now);
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        self.channel.tick(now);
    }

    /// Lets the pictures of another rendition follow, beginning with that of this time. By RTP's clock it comes as long after the last picture as
    /// it really does, so that the viewer sees neither a jump nor a picture that is late. RTCP's reports say what is heard with it.
    pub(crate) fn splice(&mut self, time: MediaTime, now: Instant) {
        let Some((written, last)) = self.newest else { return };
        let passed = now.saturating_duration_since(written).max(Duration::from_millis(1));
        self.shift = last + MediaTime::from_nanos(i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX)) - time;
    }

    /// Sends these payloads of a batch, if the far end has shown who it is. `newest` is the time of the newest media in the feed; the first call sets
    /// the clock of RTCP's reports by it.
    pub(crate) fn write(&mut self, written: &Written<'_>, segments_max: usize, send: impl FnMut(Burst<'_>)) {
        let Self { channel, sealer, video, audio, .. } = self;
        let Some((sealer, way)) = sealer.as_mut().zip(channel.way()) else { return };
        let Written { batch, part, now, .. } = written;
        self.anchor.get_or_insert((*now, written.newest));
        let mut wire = Wire { outbox: Outbox::new(segments_max), way, sealer, send };
        let mut at = written.payloads.start;
        let payloads = batch.payloads().get(..written.payloads.end).unwrap_or_default();
        while let Some(first) = payloads.get(at) {
            // What follows of the same picture goes with it.
            let run = payloads.iter().skip(at).take_while(|next| (next.kind, next.time) == (first.kind, first.time));
            let end = at + run.count();
            let (sending, time) = match first.kind {
                RtpKind::Video => (&mut *video, first.time + self.shift),
                RtpKind::Audio => (&mut *audio, first.time),
            };
            if let Some(sending) = sending.as_mut().filter(|_| part.has(first.kind)) {
                if first.kind == RtpKind::Video {
                    self.newest = Some((*now, time));
                }
                sending.send(batch, at..end, ticks(time, sending.clock_hz), *now, &mut wire);
            }
            at = end;
        }
        let begun = [&*video, &*audio].into_iter().flatten().filter(|sending| sending.sent.packets > 0).count();
        let is_told = |(at, of): (Instant, usize)| of == begun && now.saturating_duration_since(at) < REPORT_EVERY;
        if !self.reported.is_some_and(is_told) {
            let reports = sender_reports([(&*video, self.shift), (&*audio, MediaTime::ZERO)], self.anchor, *now);
            if let Some(first) = reports.first() {
                wire.reports(&of_sender(&reports, &self.clock, *now), first.source);
            }
            self.reported = Some((*now, begun));
        }
        let Wire { mut outbox, send, .. } = wire;
        outbox.flush(send);
    }

    /// Says goodbye: some of it now, some with the next [`Peer::poll`].
    pub(crate) fn close(&mut self, send: impl FnMut(Burst<'_>)) {
        let sources: Vec<u32> =
            [&self.video, &self.audio].into_iter().flatten().map(|sending| sending.source).collect();
        if let (Some(sealer), Some(way), Some(first)) = (self.sealer.as_mut(), self.channel.way(), sources.first()) {
            Wire { outbox: Outbox::new(1), way, sealer, send }.reports(&goodbye(&sources), *first);
        }
        self.channel.close();
    }

    /// Gives everything that there is to send and to tell, and returns when to poll again at the latest.
    pub(crate) fn poll(
        &mut self,
        segments_max: usize,
        mut send: impl FnMut(Burst<'_>),
        mut tell: impl FnMut(Fact),
        now: Instant,
    ) -> Result<Instant, Over> {
        let Self { channel, sealer, video, audio, losses, clock, asked, .. } = self;
        let mut ears = Ears { video: video.as_ref(), audio: audio.as_ref(), losses, clock, asked, now };
        let wake = channel.poll(segments_max, &mut send, |event| {
            match event {
                Event::Connected => tell(Fact::Connected),
                Event::RawPacket(packet) => {
                    if let RawPacket::RtcpRx(said) = *packet {
                        ears.hear(&said, &mut tell);
                    }
                }
                Event::IceConnectionStateChange(IceConnectionState::Disconnected) | Event::Closed => {
                    return Err(Over::Left);
                }
                _ => {}
            }
            Ok(())
        })?;
        if let Some(exported) = channel.take_exported() {
            *sealer = Some(Sealer::new(&exported).ok_or(Over::Fault)?);
        }
        if !asked.is_empty() {
            let asked = std::mem::take(asked);
            if let (Some(sealer), Some(way), Some(video)) = (sealer.as_mut(), channel.way(), video.as_mut()) {
                let mut wire = Wire { outbox: Outbox::new(segments_max), way, sealer, send };
                asked.into_iter().for_each(|number| video.repeat(number, now, &mut wire));
                let Wire { mut outbox, send, .. } = wire;
                outbox.flush(send);
            }
        }
        Ok(wake)
    }
}

/// Takes in what the far end says by RTCP.
struct Ears<'a> {
    video: Option<&'a Sending>,
    audio: Option<&'a Sending>,
    losses: &'a mut Losses,
    clock: &'a WallClock,
    asked: &'a mut Vec<u16>,
    now: Instant,
}

impl Ears<'_> {
    fn hear(&mut self, said: &Rtcp, tell: &mut impl FnMut(Fact)) {
        let source = self.video.map(|video| video.source);
        let is_ours = |of: u32| source == Some(of);
        match said {
            Rtcp::ReceiverReport(report) => report.reports.iter().for_each(|block| self.report(block, tell)),
            Rtcp::SenderReport(report) => report.reports.iter().for_each(|block| self.report(block, tell)),
            Rtcp::Pli(wish) if is_ours(*wish.ssrc) => tell(Fact::WantsKeyframe),
            Rtcp::Fir(wish) if wish.reports.iter().any(|entry| is_ours(*entry.ssrc)) => tell(Fact::WantsKeyframe),
            Rtcp::Remb(estimate) => tell(Fact::Estimate { bits_per_second: estimate.bitrate as u64 }),
            Rtcp::Nack(missing) if is_ours(*missing.ssrc) => {
                let numbers = missing.reports.iter().flat_map(numbers);
                let room = ASKED_MAX.saturating_sub(self.asked.len());
                self.asked.extend(numbers.take(room));
            }
            _ => {}
        }
    }

    fn report(&mut self, block: &ReceptionReport, tell: &mut impl FnMut(Fact)) {
        let rtt = self.clock.round_trip(block, self.now);
        let is_of = |sending: &&Sending| sending.source == *block.ssrc;
        if let Some(video) = self.video.filter(is_of) {
            let loss_permille = self.losses.permille(block, self.now);
            let bytes = video.sent.bytes + video.repeats.as_ref().map_or(0, |repeats| repeats.bytes);
            tell(Fact::Report { picture: true, loss_permille, rtt, bytes });
        } else if let Some(audio) = self.audio.filter(is_of) {
            tell(Fact::Report { picture: false, loss_permille: None, rtt, bytes: audio.sent.bytes });
        }
    }
}

/// The packets that an entry names: one, and those of the next sixteen whose bits are set.
fn numbers(entry: &NackEntry) -> impl Iterator<Item = u16> + use<> {
    let NackEntry { pid, blp } = *entry;
    std::iter::once(pid)
        .chain((0..16).filter(move |bit| (blp >> bit) & 1 == 1).map(move |bit| pid.wrapping_add(bit + 1)))
}

/// What is told of each medium that has begun. `shift` is what its time by RTP's clock is ahead of the stream's timeline.
fn sender_reports(
    sendings: [(&Option<Sending>, MediaTime); 2],
    anchor: Option<(Instant, MediaTime)>,
    now: Instant,
) -> Vec<SenderReport> {
    let Some((then, time)) = anchor else { return Vec::new() };
    let passed = i64::try_from(now.saturating_duration_since(then).as_nanos()).unwrap_or(i64::MAX);
    let time = time + MediaTime::from_nanos(passed);
    let report = |(sending, shift): (&Option<Sending>, MediaTime)| {
        let sending = sending.as_ref().filter(|sending| sending.sent.packets > 0)?;
        Some(SenderReport {
            source: sending.source,
            ticks: ticks(time + shift, sending.clock_hz),
            packets: sending.sent.packets,
            bytes: sending.sent.bytes,
        })
    };
    sendings.into_iter().filter_map(report).collect()
}

/// RTP's clock has 32 bits and goes round after 13 hours at 90 kHz. Receivers know that.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is left is time modulo 2^32")]
fn ticks(time: MediaTime, clock_hz: u32) -> u32 {
    time.as_ticks(clock_hz) as u32
}

fn random_u32() -> u32 {
    // If the system has no random number to give, the sequence starts at a fixed number, which serves the far end as well.
    getrandom::u32().unwrap_or(1)
}

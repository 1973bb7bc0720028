//! A peer is our end of one viewer's channel: what goes out on it, and what the viewer says of it. It has no sockets and no clock: datagrams,
//! batches and times go in, datagrams and facts come out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::bwe::BweKind;
use str0m::crypto::CryptoProvider;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, MediaKind, Mid};
use str0m::rtp::{RtpWrite, Ssrc};
use str0m::{Event, IceConnectionState, RtcError};
use weir_media::MediaTime;

use crate::channel::{Channel, Ends, Over};
use crate::crypto::Identity;
use crate::from_frames::{RtpKind, RtpPayload};
use crate::outbox::Burst;
use crate::routes::Datagram;
use crate::sdp::Payload;

/// How many sent packets are kept, in case the viewer asks for them again: 3 s at 4 Mbit/s.
const REPEATABLE_PACKETS: usize = 1_000;

/// How long a sent packet may be asked for again. A viewer who missed it for longer has given the picture up.
const REPEATABLE_FOR: Duration = Duration::from_secs(3);

/// Of all bytes that go to a viewer, so much may be repetitions. `str0m`'s own 15 % are less than one bad second of a path that loses 5 %
/// needs, and what is refused then is missed to the next keyframe. With more, a path that is too narrow would be filled with what does not fit.
const REPEATED_MAX: f32 = 0.3;

/// The first sequence number is below this. It is far from 65,535, so the number doesn't go round soon after the start, when a receiver
/// might take the numbers of the second round for older ones.
const FIRST_NUMBER_BELOW: u64 = 1 << 14;

/// Our names of the two media.
const PICTURE: &str = "v";
const SOUND: &str = "a";

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
    video: Option<Sending>,
    audio: Option<Sending>,
    /// A moment of the machine's clock, and the time on the stream's timeline that belongs to it. RTCP's reports are made from it, and by
    /// them the viewer tells which sound belongs to which picture.
    anchor: Option<(Instant, MediaTime)>,
    /// What is added to the time of pictures on the stream's timeline to get their time by RTP's clock. It changes where another rendition is
    /// spliced in, whose encoder is ahead or behind.
    shift: MediaTime,
    /// When the last picture was written, and its time by RTP's clock.
    newest: Option<(Instant, MediaTime)>,
}

#[derive(Debug)]
struct Sending {
    number: u8,
    ssrc: Ssrc,
    repeats: Option<(u8, Ssrc)>,
    clock_hz: u32,
    next: u64,
}

impl Peer {
    pub(crate) fn new(
        wish: &Wish<'_>,
        identity: &Identity,
        provider: &Arc<CryptoProvider>,
        now: Instant,
    ) -> Result<Self, RtcError> {
        let mut config = wish.ends.config(identity, provider);
        if let Some((payload, repeats)) = wish.video {
            let level = payload.profile_level_id.unwrap_or([66, 0, 31]);
            let level = u32::from_be_bytes([0, level[0], level[1], level[2]]);
            let repeats = repeats.map(|payload| payload.number.into());
            config.codec_config().add_h264(payload.number.into(), repeats, true, level);
        }
        if let Some(payload) = wish.audio {
            let (number, clock) = (payload.number.into(), Frequency::FORTY_EIGHT_KHZ);
            config.codec_config().add_config(number, None, Codec::Opus, clock, Some(2), FormatParams::default());
        }
        let mut channel = Channel::open(config, &wish.ends, now)?;
        let mut api = channel.api();
        let mut sending = |mid: &str, kind, payload: &Payload, repeats: Option<&Payload>| {
            let mid = Mid::from(mid);
            api.declare_media(mid, kind);
            let ssrc = api.new_ssrc();
            let repeats = repeats.map(|payload| (payload.number, api.new_ssrc()));
            let stream = api.declare_stream_tx(ssrc, repeats.map(|(_, ssrc)| ssrc), mid, None);
            if repeats.is_some() {
                stream.set_rtx_cache(REPEATABLE_PACKETS, REPEATABLE_FOR, Some(REPEATED_MAX));
            }
            let next = u64::from(random_u32()) % FIRST_NUMBER_BELOW;
            Sending { number: payload.number, ssrc, repeats, clock_hz: payload.clock_hz, next }
        };
        let video = wish.video.map(|(payload, repeats)| sending(PICTURE, MediaKind::Video, payload, repeats));
        let audio = wish.audio.map(|payload| sending(SOUND, MediaKind::Audio, payload, None));
        Ok(Self { channel, video, audio, anchor: None, shift: MediaTime::ZERO, newest: None })
    }

    /// The SSRCs that the answer names: of the picture, of its repetitions, and of the sound.
    pub(crate) fn sources(&self) -> (Option<u32>, Option<u32>, Option<u32>) {
        let repeats = self.video.as_ref().and_then(|video| video.repeats);
        let of = |sending: &Option<Sending>| sending.as_ref().map(|sending| *sending.ssrc);
        (of(&self.video), repeats.map(|(_, ssrc)| *ssrc), of(&self.audio))
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

    /// Puts payloads into packets, which go out with the next [`Peer::poll`]. `newest` is the time of the newest media in the feed; the
    /// first call sets the clock of RTCP's reports by it.
    pub(crate) fn write(&mut self, payloads: &[RtpPayload], part: Part, newest: MediaTime, now: Instant) {
        let (then, time) = *self.anchor.get_or_insert((now, newest));
        for payload in payloads.iter().filter(|payload| part.has(payload.kind)) {
            let sending = match payload.kind {
                RtpKind::Video => &mut self.video,
                RtpKind::Audio => &mut self.audio,
            };
            let Some(sending) = sending else { continue };
            let by_rtp = match payload.kind {
                RtpKind::Video => payload.time + self.shift,
                RtpKind::Audio => payload.time,
            };
            if payload.kind == RtpKind::Video {
                self.newest = Some((now, by_rtp));
            }
            let wallclock = match payload.time > time {
                true => then + payload.time.since(time),
                false => then.checked_sub(time.since(payload.time)).unwrap_or(then),
            };
            // RTP's clock has 32 bits and goes round after 13 hours at 90 kHz. Receivers know that.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "what is left is time modulo 2^32"
            )]
            let ticks = by_rtp.as_ticks(sending.clock_hz) as u32;
            let number = sending.next;
            sending.next += 1;
            let write = RtpWrite::new(
                sending.number.into(),
                number.into(),
                ticks,
                wallclock.min(now),
                Arc::clone(&payload.bytes),
            );
            let write = write.marker(payload.marker).nackable(sending.repeats.is_some());
            let (mut api, ssrc) = (self.channel.api(), sending.ssrc);
            if let Some(stream) = api.stream_tx(&ssrc) {
                stream.write_rtp(write);
            }
        }
        self.tick(now);
    }

    /// Makes the goodbye, which goes out with the next [`Peer::poll`].
    pub(crate) fn close(&mut self) {
        self.channel.close();
    }

    /// Gives everything that there is to send and to tell, and returns when to poll again at the latest.
    pub(crate) fn poll(
        &mut self,
        segments_max: usize,
        send: impl FnMut(Burst),
        mut tell: impl FnMut(Fact),
    ) -> Result<Instant, Over> {
        self.channel.poll(segments_max, send, |event| {
            fact(&event)?.into_iter().for_each(&mut tell);
            Ok(())
        })
    }
}

fn fact(event: &Event) -> Result<Option<Fact>, Over> {
    match event {
        Event::Connected => Ok(Some(Fact::Connected)),
        Event::KeyframeRequest(_) => Ok(Some(Fact::WantsKeyframe)),
        // Statistics come once a second in any case. They have a loss only if the far end has reported since the last ones.
        Event::MediaEgressStats(stats) if stats.loss.is_some() => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction of 1,000")]
            let permille = stats.loss.map(|loss| (loss.clamp(0.0, 1.0) * 1_000.0) as u16);
            let picture = stats.mid == Mid::from(PICTURE);
            Ok(Some(Fact::Report { picture, loss_permille: permille, rtt: stats.rtt, bytes: stats.bytes }))
        }
        Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => {
            Ok(Some(Fact::Estimate { bits_per_second: estimate.as_u64() }))
        }
        Event::IceConnectionStateChange(IceConnectionState::Disconnected) | Event::Closed => Err(Over::Left),
        _ => Ok(None),
    }
}

fn random_u32() -> u32 {
    // If the system has no random number to give, the sequence starts at a fixed number, which serves the far end as well.
    getrandom::u32().unwrap_or(1)
}

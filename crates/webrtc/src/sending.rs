//! One kind of media on its way to a viewer: its packets get their headers, are sealed straight into what goes out, and are kept for a while in
//! case they are lost.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::crypto::{HEADER_BYTES, Sealer};
use crate::from_frames::RtpBatch;
use crate::outbox::{Burst, Outbox, Way};

/// How many sent packets are kept, in case the viewer asks for them again: 3 s at 4 Mbit/s.
const KEPT_PACKETS: u64 = 1_000;

/// How long a sent packet may be asked for again. A viewer who missed it for longer has given the picture up.
const KEPT_FOR: Duration = Duration::from_secs(3);

/// Of all bytes that go to a viewer, 30 % may be repetitions: three sevenths of what is sent for the first time. Less is not enough for a bad second
/// of a path that loses 5 %. With more, a path that is too narrow would be filled with what does not fit.
const REPEATED_TO_SENT: f64 = 3.0 / 7.0;

/// What was not used of that is saved up for this long at most.
const SAVED_FOR: Duration = Duration::from_secs(1);

/// The original number stands before a repeated payload (RFC 4588).
const ORIGINAL_NUMBER_BYTES: usize = 2;

/// Where packets go: sealed, and gathered into bursts.
pub(crate) struct Wire<'a, S> {
    pub(crate) outbox: Outbox,
    pub(crate) way: Way,
    pub(crate) sealer: &'a mut Sealer,
    pub(crate) send: S,
}

/// What a packet's header says.
#[derive(Clone, Copy, Debug)]
struct Header {
    payload_type: u8,
    marker: bool,
    source: u32,
    /// Counted on where the header's 16 bits go round.
    number: u64,
    ticks: u32,
}

impl<S: FnMut(Burst<'_>)> Wire<'_, S> {
    fn media(&mut self, header: &Header, payload: [&[u8]; 2]) {
        let Header { payload_type, marker, source, number, ticks } = *header;
        let [first, second] = payload;
        let length = HEADER_BYTES + first.len() + second.len() + self.sealer.tag_bytes();
        let Self { outbox, way, sealer, send } = self;
        outbox.push_made(*way, length, send, |out| {
            let from = out.len();
            let [.., high, low] = number.to_be_bytes();
            out.extend_from_slice(&[0x80, (u8::from(marker) << 7) | payload_type, high, low]);
            out.extend_from_slice(&ticks.to_be_bytes());
            out.extend_from_slice(&source.to_be_bytes());
            out.extend_from_slice(first);
            out.extend_from_slice(second);
            sealer.media(out, from, source, number);
        });
    }

    /// Sends reports, whose first is of that source.
    pub(crate) fn reports(&mut self, reports: &[u8], source: u32) {
        let Self { way, sealer, send, .. } = self;
        let mut sealed = reports.to_vec();
        if sealer.report(&mut sealed, 0, source) {
            send(Burst { way: *way, segment_bytes: sealed.len(), bytes: &sealed });
        }
    }
}

#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) payload_type: u8,
    pub(crate) source: u32,
    pub(crate) clock_hz: u32,
    pub(crate) sent: Sent,
    pub(crate) repeats: Option<Repeats>,
    /// The number of the first packet, and of the next one.
    first: u64,
    next: u64,
}

/// What was sent, repetitions left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Repeats {
    pub(crate) payload_type: u8,
    pub(crate) source: u32,
    pub(crate) bytes: u64,
    next: u64,
    kept: VecDeque<Kept>,
    kept_packets: u64,
    /// How many bytes may be repeated now.
    allowed_bytes: f64,
    /// When, and at how many bytes sent, the last second began.
    second: Option<(Instant, u64)>,
    /// The bytes of the second before.
    bytes_a_second: u64,
}

/// Packets that followed on one another, by what they were made of.
#[derive(Debug)]
struct Kept {
    first: u64,
    at: Instant,
    ticks: u32,
    batch: RtpBatch,
    payloads: Range<usize>,
}

impl Sending {
    pub(crate) fn new(payload_type: u8, source: u32, clock_hz: u32, first: u64) -> Self {
        Self { payload_type, source, clock_hz, sent: Sent::default(), repeats: None, first, next: first }
    }

    #[must_use]
    pub(crate) fn repeated_by(self, payload_type: u8, source: u32) -> Self {
        let repeats = Repeats {
            payload_type,
            source,
            bytes: 0,
            next: self.first,
            kept: VecDeque::new(),
            kept_packets: 0,
            allowed_bytes: 0.0,
            second: None,
            bytes_a_second: 0,
        };
        Self { repeats: Some(repeats), ..self }
    }

    /// The number before the first packet's.
    pub(crate) fn before_first(&self) -> u64 {
        self.first.saturating_sub(1)
    }

    /// Sends these payloads of a batch, which all have that time.
    pub(crate) fn send<S: FnMut(Burst<'_>)>(
        &mut self,
        batch: &RtpBatch,
        payloads: Range<usize>,
        ticks: u32,
        now: Instant,
        wire: &mut Wire<'_, S>,
    ) {
        let first = self.next;
        let mut bytes = 0;
        for payload in batch.payloads().get(payloads.clone()).unwrap_or_default() {
            let (payload_type, source) = (self.payload_type, self.source);
            let header = Header { payload_type, marker: payload.marker, source, number: self.next, ticks };
            wire.media(&header, [&payload.bytes, &[]]);
            self.next += 1;
            bytes += payload.bytes.len() as u64;
        }
        self.sent.packets += self.next - first;
        self.sent.bytes += bytes;
        if let Some(repeats) = &mut self.repeats {
            repeats.keep(Kept { first, at: now, ticks, batch: batch.clone(), payloads }, self.sent.bytes, bytes);
        }
    }

    /// Sends a packet again if it is kept, and as long as repetitions are allowed. The viewer names it by the last 16 bits of its number.
    pub(crate) fn repeat<S: FnMut(Burst<'_>)>(&mut self, number: u16, now: Instant, wire: &mut Wire<'_, S>) {
        let Some(repeats) = &mut self.repeats else { return };
        let [.., high, low] = self.next.to_be_bytes();
        let back = u64::from(u16::from_be_bytes([high, low]).wrapping_sub(number));
        let Some(original) = self.next.checked_sub(back).filter(|_| back > 0) else { return };
        let at = repeats.kept.partition_point(|kept| kept.first <= original);
        let Some(kept) = at.checked_sub(1).and_then(|at| repeats.kept.get(at)) else { return };
        let place = usize::try_from(original - kept.first).ok().and_then(|place| kept.payloads.clone().nth(place));
        let Some(payload) = place.and_then(|place| kept.batch.payloads().get(place)) else { return };
        let length = (payload.bytes.len() + ORIGINAL_NUMBER_BYTES) as f64;
        if now.saturating_duration_since(kept.at) > KEPT_FOR || length > repeats.allowed_bytes {
            return;
        }
        repeats.allowed_bytes -= length;
        repeats.bytes += payload.bytes.len() as u64;
        let (payload_type, source) = (repeats.payload_type, repeats.source);
        let header = Header { payload_type, marker: payload.marker, source, number: repeats.next, ticks: kept.ticks };
        wire.media(&header, [&number.to_be_bytes(), &payload.bytes]);
        repeats.next += 1;
    }
}

impl Repeats {
    fn keep(&mut self, kept: Kept, sent_bytes: u64, bytes: u64) {
        let now = kept.at;
        let (since, before) = *self.second.get_or_insert((now, sent_bytes - bytes));
        let of_second = sent_bytes - before;
        if now.saturating_duration_since(since) >= SAVED_FOR {
            (self.second, self.bytes_a_second) = (Some((now, sent_bytes)), of_second);
        }
        let allowed_max = self.bytes_a_second.max(of_second) as f64 * REPEATED_TO_SENT;
        self.allowed_bytes = (self.allowed_bytes + bytes as f64 * REPEATED_TO_SENT).min(allowed_max);
        self.kept_packets += kept.payloads.len() as u64;
        self.kept.push_back(kept);
        while let Some(oldest) = self.kept.front() {
            let is_old = now.saturating_duration_since(oldest.at) > KEPT_FOR;
            if !is_old && self.kept_packets <= KEPT_PACKETS {
                break;
            }
            self.kept_packets -= oldest.payloads.len() as u64;
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_media::MediaTime;

    use super::*;
    use crate::from_frames::{RtpKind, RtpPayload};
    use crate::sdp::Transport;

    const PAYLOAD_BYTES: usize = 1_000;
    const TYPE: u8 = 100;
    const REPEATED_TYPE: u8 = 101;

    fn batch(payloads: usize) -> RtpBatch {
        let payload = |at| RtpPayload {
            kind: RtpKind::Video,
            time: MediaTime::ZERO,
            marker: at + 1 == payloads,
            bytes: vec![1; PAYLOAD_BYTES].into(),
        };
        RtpBatch::of((0..payloads).map(payload).collect())
    }

    /// The headers of the packets that were sent: the payload's type with the marker, the number, the source, and how long the packet is.
    fn headers(work: impl FnOnce(&mut Wire<'_, &mut dyn FnMut(Burst<'_>)>)) -> Vec<(u8, u16, u32, usize)> {
        let mut sealer = Sealer::of_test();
        let mut out = Vec::new();
        let mut note = |burst: Burst<'_>| {
            for packet in burst.bytes.chunks(burst.segment_bytes) {
                let source = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
                out.push((packet[1], u16::from_be_bytes([packet[2], packet[3]]), source, packet.len()));
            }
        };
        let place = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let way = Way { transport: Transport::Udp, source: place, destination: place };
        let send: &mut dyn FnMut(Burst<'_>) = &mut note;
        let mut wire = Wire { outbox: Outbox::new(64), way, sealer: &mut sealer, send };
        work(&mut wire);
        let Wire { mut outbox, send, .. } = wire;
        outbox.flush(send);
        out
    }

    #[test]
    fn what_was_sent_is_sent_again_under_a_number_of_its_own() {
        let now = Instant::now();
        let mut sending = Sending::new(TYPE, 7, 90_000, 65_534).repeated_by(REPEATED_TYPE, 8);
        let sent = headers(|wire| sending.send(&batch(4), 0..4, 0, now, wire));
        let length = HEADER_BYTES + PAYLOAD_BYTES + 16;
        let expected = [(TYPE, 65_534), (TYPE, 65_535), (TYPE, 0), (TYPE | 0x80, 1)];
        assert_eq!(sent, expected.map(|(kind, number)| (kind, number, 7, length)));
        let again = headers(|wire| {
            // The last, one from before the numbers went round, and some that were never sent.
            for number in [1, 65_534, 2, 65_533, 30_000] {
                sending.repeat(number, now, wire);
            }
        });
        assert_eq!(
            again,
            [(REPEATED_TYPE | 0x80, 65_534, 8, length + 2)],
            "three sevenths of 4,000 bytes are one packet"
        );
        let more = headers(|wire| {
            sending.send(&batch(4), 2..4, 0, now, wire);
            sending.repeat(65_534, now, wire);
            sending.repeat(3, now + KEPT_FOR + Duration::from_millis(1), wire);
        });
        let kinds: Vec<_> = more.iter().map(|(kind, number, ..)| (*kind, *number)).collect();
        assert_eq!(kinds, [(TYPE, 2), (TYPE | 0x80, 3), (REPEATED_TYPE, 65_535)], "what is too old is not sent again");
        assert_eq!((sending.sent.packets, sending.sent.bytes), (6, 6_000));
    }

    #[test]
    fn repetitions_are_a_share_of_what_is_sent_and_what_is_kept_is_bounded() {
        let start = Instant::now();
        let mut sending = Sending::new(TYPE, 7, 90_000, 1).repeated_by(REPEATED_TYPE, 8);
        let picture = batch(30);
        for at in 0..300_u32 {
            let now = start + Duration::from_millis(33) * at;
            headers(|wire| {
                sending.send(&picture, 0..30, 0, now, wire);
                let newest = u16::try_from(sending.next - 1).unwrap();
                // A viewer that asks for everything twice.
                (0..60).for_each(|back| sending.repeat(newest - back % 30, now, wire));
            });
        }
        let repeats = sending.repeats.as_ref().unwrap();
        let share = repeats.bytes as f64 / (repeats.bytes + sending.sent.bytes) as f64;
        assert!((0.25..=0.3).contains(&share), "{share}");
        assert!(repeats.kept_packets <= KEPT_PACKETS && repeats.kept.len() <= 34, "{}", repeats.kept.len());
    }
}

//! Makes frames of a publisher's packets, with times on one clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_media::codec::opus::{opus_head, track_info};
use weir_media::{Codec, TrackId, TrackInfo};

use super::clock::{Report, TrackClock};
use super::layers::{LAYER_SILENT, Layer, Layers, SOURCE_SILENT, Shown};
use super::reorder::{Counts, Ordered, Reorder};

pub use super::clock::TICKS_HZ;

/// A missing packet of sound is waited for so long. Sound is not asked for again, so it only comes if another packet overtook it.
const AUDIO_WAIT: Duration = Duration::from_millis(60);

/// A packet that is still missing may never come, so a keyframe is asked for within 100 ms of the loss, too. The last 5 ms are for the timer
/// and the way out of the server. A loss lies behind the last packet that came before it.
const KEYFRAME_WITHIN: Duration = Duration::from_millis(95);

/// The missing packet is asked for first, as soon as a packet behind it shows that it is missing, and a repetition takes a round trip. So it
/// is given this time at the least. A publisher of 15 pictures a second shows the loss of a picture's last packet after 67 ms, and 67 + 30 =
/// 97. One of fewer pictures shows it too late for 100 ms.
const REPEATED_WITHIN_MIN: Duration = Duration::from_millis(30);
/// Most losses show within a millisecond, and longer than this nobody should wait for a repetition.
const REPEATED_WITHIN_MAX: Duration = Duration::from_millis(80);

/// A keyframe is asked for at most so often: an encoder that is asked all the time makes nothing else.
const KEYFRAME_EVERY: Duration = Duration::from_millis(500);

/// Browsers make keyframes only when they are asked for them, and whoever begins to watch, and each segment of HLS, needs one. So one is
/// asked for when the last one is as old as this, which gives one every 2 s.
const KEYFRAME_AGE: Duration = Duration::from_millis(1_800);
/// An encoder that makes keyframes by itself, mostly every 2 s, is not asked before the next one should have come.
const KEYFRAME_AGE_UNASKED: Duration = Duration::from_millis(2_300);

/// The rate by which RTP counts the time of Opus.
const SOUND_HZ: u32 = 48_000;

/// Before the sound itself, Opus of browsers has 6.5 ms that a decoder throws away.
const PRE_SKIP: u16 = 312;

/// What comes of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RtpUnpacked {
    Track(TrackInfo),
    Frame(RtpFrame),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpFrame {
    pub track: TrackId,
    pub keyframe: bool,
    /// The time at which the frame is decoded, and shown, in ticks of 90 kHz.
    pub ticks: i64,
    pub payload: Bytes,
}

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) source: u32,
    /// The number in its source, unrolled, so that it never goes round.
    pub(crate) number: u64,
    pub(crate) stamp: u32,
    pub(crate) marker: bool,
    pub(crate) came_at: Instant,
    /// The sender's last report of this source.
    pub(crate) report: Option<Report>,
    pub(crate) bytes: Arc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketKind {
    Video,
    Audio,
}

/// The packets of sound.
#[derive(Debug)]
struct Sound {
    heard: Option<(u32, Instant)>,
    packets: Reorder<Packet>,
    clock: TrackClock,
    is_told: bool,
}

#[derive(Debug)]
pub(crate) struct ToFrames {
    began: Instant,
    layers: Layers,
    sound: Sound,
    /// Somebody who watches can't go on without a keyframe.
    keyframe_wished: bool,
    /// When the last keyframe came, and whether nobody had asked for it.
    keyframe_at: Option<(Instant, bool)>,
    /// How often a keyframe was asked for because something was missing.
    asked_for_loss: u64,
    left_out: u64,
    reordered: u64,
    out: VecDeque<RtpUnpacked>,
}

impl Sound {
    /// Takes the packet if it is of the source that is listened to. Another one is listened to when that has gone silent.
    fn push(&mut self, packet: Packet) {
        let now = packet.came_at;
        match self.heard {
            Some((source, _)) if source == packet.source => {}
            Some((_, at)) if now.saturating_duration_since(at) < SOURCE_SILENT => return,
            Some(_) => {
                self.packets.restart();
                self.clock.restart();
            }
            None => {}
        }
        self.heard = Some((packet.source, now));
        if let Some(report) = packet.report {
            self.clock.report(report);
        }
        self.packets.push(packet.number, packet, now);
    }
}

impl ToFrames {
    /// `pictures` is their codec, and `layers` how many sizes of them were agreed on.
    pub(crate) fn new(now: Instant, pictures: Codec, layers: usize) -> Self {
        let (packets, clock) = (Reorder::new(AUDIO_WAIT), TrackClock::new(SOUND_HZ));
        Self {
            began: now,
            layers: Layers::new(now, pictures, layers),
            sound: Sound { heard: None, packets, clock, is_told: false },
            keyframe_wished: false,
            keyframe_at: None,
            asked_for_loss: 0,
            left_out: 0,
            reordered: 0,
            out: VecDeque::new(),
        }
    }

    pub(crate) fn packet(&mut self, kind: PacketKind, packet: Packet) {
        let now = packet.came_at;
        match kind {
            PacketKind::Video => self.layers.push(packet),
            PacketKind::Audio => self.sound.push(packet),
        }
        self.due(now);
    }

    /// Gives up the packets that were waited for long enough.
    pub(crate) fn due(&mut self, now: Instant) {
        let Self { layers, sound, keyframe_wished, keyframe_at, left_out, reordered, out, .. } = self;
        layers.due(now, sound.clock.epoch_ticks(), &mut |shown| match shown {
            Shown::Track(info) => out.push_back(RtpUnpacked::Track(info)),
            Shown::LeftOut => *left_out += 1,
            Shown::Reordered => {
                *left_out += 1;
                *reordered += 1;
            }
            Shown::Picture { ticks, keyframe, payload, came_at, asked_at } => {
                if keyframe {
                    *keyframe_wished = false;
                    let unasked =
                        asked_at.is_none_or(|asked_at| keyframe_at.is_some_and(|(before, _)| asked_at < before));
                    *keyframe_at = Some((came_at, unasked));
                }
                let track = TrackId::SOURCE_VIDEO;
                out.push_back(RtpUnpacked::Frame(RtpFrame { track, keyframe, ticks, payload }));
            }
        });
        while let Some(ordered) = self.sound.packets.pop(now) {
            if let Ordered::Packet(packet) = ordered {
                self.sound(&packet);
            }
        }
    }

    pub(crate) fn next(&mut self) -> Option<RtpUnpacked> {
        self.out.pop_front()
    }

    /// When [`due`](Self::due) or [`keyframe_wanted`](Self::keyframe_wanted) has something to do without another packet.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let keyframe = self.keyframe_due().map(|(due, _)| due);
        [self.layers.deadline(), self.sound.packets.deadline(), keyframe].into_iter().flatten().min()
    }

    /// Has a keyframe asked for, though nothing is missing here.
    pub(crate) fn want_keyframe(&mut self) {
        self.keyframe_wished = true;
    }

    /// The source that is to be asked for a keyframe now.
    pub(crate) fn keyframe_wanted(&mut self, now: Instant) -> Option<u32> {
        let (_, source) = self.keyframe_due().filter(|(due, _)| *due <= now)?;
        let is_main = self.layers.main().is_some_and(|main| main.source == source);
        let for_loss = is_main && self.loss_due().is_some_and(|due| due <= now);
        self.layers.ask(source, now);
        if is_main {
            self.keyframe_wished = false;
        }
        self.asked_for_loss += u64::from(for_loss);
        Some(source)
    }

    /// When a keyframe is to be asked for, and of which source.
    fn keyframe_due(&self) -> Option<(Instant, u32)> {
        let not_again =
            |layer: &Layer, due: Instant, pause| layer.asked_at.map_or(due, |asked_at| due.max(asked_at + pause));
        let successor = self.layers.successor();
        let successor = successor.map(|(due, layer)| (not_again(layer, due, KEYFRAME_EVERY), layer.source));
        let main = self.layers.main()?;
        let not_before = |due, pause| not_again(main, due, pause);
        let aged = self.keyframe_at.map(|(at, unasked)| {
            not_before(at + if unasked { KEYFRAME_AGE_UNASKED } else { KEYFRAME_AGE }, KEYFRAME_AGE)
        });
        let lost = self.loss_due().map(|due| not_before(due, KEYFRAME_EVERY));
        let wished = self.keyframe_wished.then(|| not_before(main.heard_at, KEYFRAME_EVERY));
        // A source that is silent, because its camera is off, is not asked, and none that another one is to take over from.
        let heard_until = main.heard_at + if successor.is_some() { LAYER_SILENT } else { SOURCE_SILENT };
        let of_main = [lost, aged, wished].into_iter().flatten().min().filter(|due| *due <= heard_until);
        let of_main = of_main.map(|due| (due, main.source));
        [of_main, successor].into_iter().flatten().min_by_key(|(due, _)| *due)
    }

    /// When a keyframe is needed because something is missing.
    fn loss_due(&self) -> Option<Instant> {
        let main = self.layers.main()?;
        let missing = main.missing().map(|(lost_after, since)| given_up_at(lost_after, since));
        let lacking = main.lacks_keyframe().then_some(main.heard_at);
        [missing, lacking].into_iter().flatten().min()
    }

    /// How often a keyframe was asked for because something was missing.
    pub(crate) fn asked_for_loss(&self) -> u64 {
        self.asked_for_loss
    }

    /// The counts of packets, of pictures and of sound.
    pub(crate) fn counts(&self) -> [Counts; 2] {
        [self.layers.counts(), self.sound.packets.counts()]
    }

    /// How many pictures were not passed on.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How many of those came in another order than they are shown in.
    pub(crate) fn reordered(&self) -> u64 {
        self.reordered
    }

    fn sound(&mut self, packet: &Packet) {
        let ticks = self.sound.clock.ticks(packet.stamp, packet.came_at.saturating_duration_since(self.began));
        // In silence some encoders send an empty packet.
        if packet.bytes.is_empty() {
            return;
        }
        let track = TrackId::SOURCE_AUDIO;
        if !std::mem::replace(&mut self.sound.is_told, true) {
            let told = opus_head(2, PRE_SKIP).and_then(|head| track_info(track, head));
            self.out.extend(told.ok().map(RtpUnpacked::Track));
        }
        let payload = Bytes::copy_from_slice(&packet.bytes);
        self.out.push_back(RtpUnpacked::Frame(RtpFrame { track, keyframe: true, ticks, payload }));
    }
}

/// When a keyframe is asked for because of a packet that was lost after the first of these times, and was seen to be missing at the second.
fn given_up_at(lost_after: Instant, missing_since: Instant) -> Instant {
    let (earliest, latest) = (missing_since + REPEATED_WITHIN_MIN, missing_since + REPEATED_WITHIN_MAX);
    (lost_after + KEYFRAME_WITHIN).clamp(earliest, latest)
}

#[cfg(test)]
mod tests;

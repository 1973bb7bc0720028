//! Makes frames of a publisher's packets, with times on one clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_media::codec::opus::{opus_head, track_info};
use weir_media::{Codec, TrackId, TrackInfo};
use weir_mux::rtp::{PictureEvent, PictureUnpacker, RtpPayload};

use super::clock::{Clocks, Report};
use super::reorder::{Counts, Ordered, Reorder};

pub use super::clock::TICKS_HZ;

/// A missing packet of a picture is waited for so long. It is asked for again, which takes a round trip, or two.
const VIDEO_WAIT: Duration = Duration::from_millis(250);

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

/// Another source of the same kind is listened to once the one before has been silent for so long. Until then it is taken for a layer of
/// simulcast, which was not agreed on.
const SOURCE_SILENT: Duration = Duration::from_secs(1);

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

/// The packets of one kind.
#[derive(Debug)]
struct Source {
    heard: Option<(u32, Instant)>,
    packets: Reorder<Packet>,
}

#[derive(Debug)]
pub(crate) struct ToFrames {
    clocks: Clocks,
    video: Source,
    audio: Source,
    unpacker: PictureUnpacker,
    sound_told: bool,
    lacks_keyframe: bool,
    /// Somebody who watches can't go on without a keyframe.
    keyframe_wished: bool,
    keyframe_asked_at: Option<Instant>,
    /// When the last keyframe came, and whether nobody had asked for it.
    keyframe_at: Option<(Instant, bool)>,
    /// How often a keyframe was asked for because something was missing.
    asked_for_loss: u64,
    last_picture_ticks: Option<i64>,
    left_out: u64,
    reordered: u64,
    out: VecDeque<RtpUnpacked>,
}

impl Source {
    fn new(wait: Duration) -> Self {
        Self { heard: None, packets: Reorder::new(wait) }
    }

    /// Takes the packet if it is of the source that is listened to, and returns whether that is another one than before. Returns none if
    /// the packet is not taken.
    fn push(&mut self, packet: Packet) -> Option<bool> {
        let now = packet.came_at;
        let changed = match self.heard {
            Some((source, _)) if source == packet.source => false,
            Some((_, at)) if now.saturating_duration_since(at) < SOURCE_SILENT => return None,
            Some(_) => true,
            None => false,
        };
        if changed {
            self.packets.restart();
        }
        self.heard = Some((packet.source, now));
        self.packets.push(packet.number, packet, now);
        Some(changed)
    }
}

impl ToFrames {
    /// `pictures` is their codec.
    pub(crate) fn new(now: Instant, pictures: Codec) -> Self {
        Self {
            clocks: Clocks::new(now),
            video: Source::new(VIDEO_WAIT),
            audio: Source::new(AUDIO_WAIT),
            unpacker: PictureUnpacker::new(TrackId::SOURCE_VIDEO, pictures),
            sound_told: false,
            lacks_keyframe: false,
            keyframe_wished: false,
            keyframe_asked_at: None,
            keyframe_at: None,
            asked_for_loss: 0,
            last_picture_ticks: None,
            left_out: 0,
            reordered: 0,
            out: VecDeque::new(),
        }
    }

    pub(crate) fn packet(&mut self, kind: PacketKind, packet: Packet) {
        let (now, report) = (packet.came_at, packet.report);
        match kind {
            PacketKind::Video => match self.video.push(packet) {
                None => return,
                Some(false) => {}
                Some(true) => {
                    self.clocks.restart_video();
                    self.lost();
                    self.last_picture_ticks = None;
                }
            },
            PacketKind::Audio => match self.audio.push(packet) {
                None => return,
                Some(false) => {}
                Some(true) => self.clocks.audio.restart(),
            },
        }
        if let Some(report) = report {
            match kind {
                PacketKind::Video => self.clocks.video.report(report),
                PacketKind::Audio => self.clocks.audio.report(report),
            }
        }
        self.due(now);
    }

    /// Gives up the packets that were waited for long enough.
    pub(crate) fn due(&mut self, now: Instant) {
        while let Some(ordered) = self.video.packets.pop(now) {
            match ordered {
                Ordered::Packet(packet) => self.picture(&packet),
                Ordered::Lost(_) => self.lost(),
            }
        }
        while let Some(ordered) = self.audio.packets.pop(now) {
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
        let video = &self.video.packets;
        [video.deadline(), self.audio.packets.deadline(), self.keyframe_due()].into_iter().flatten().min()
    }

    /// Has a keyframe asked for, though nothing is missing here.
    pub(crate) fn want_keyframe(&mut self) {
        self.keyframe_wished = true;
    }

    /// The source that is to be asked for a keyframe now.
    pub(crate) fn keyframe_wanted(&mut self, now: Instant) -> Option<u32> {
        let due = self.keyframe_due()?;
        let (source, _) = self.video.heard.filter(|_| due <= now)?;
        self.keyframe_asked_at = Some(now);
        self.keyframe_wished = false;
        self.asked_for_loss += u64::from(self.loss_due().is_some_and(|due| due <= now));
        Some(source)
    }

    fn keyframe_due(&self) -> Option<Instant> {
        let not_before = |due: Instant, pause| self.keyframe_asked_at.map_or(due, |asked_at| due.max(asked_at + pause));
        let aged = self.keyframe_at.map(|(at, unasked)| {
            not_before(at + if unasked { KEYFRAME_AGE_UNASKED } else { KEYFRAME_AGE }, KEYFRAME_AGE)
        });
        let lost = self.loss_due().map(|due| not_before(due, KEYFRAME_EVERY));
        let (_, heard_at) = self.video.heard?;
        let wished = self.keyframe_wished.then(|| not_before(heard_at, KEYFRAME_EVERY));
        // A source that is silent, because its camera is off, is not asked.
        [lost, aged, wished].into_iter().flatten().min().filter(|due| *due <= heard_at + SOURCE_SILENT)
    }

    /// When a keyframe is needed because something is missing.
    fn loss_due(&self) -> Option<Instant> {
        let (_, heard_at) = self.video.heard?;
        let packets = &self.video.packets;
        let missing = packets.missing_since().map(|since| given_up_at(packets.lost_after().unwrap_or(since), since));
        let lacking = self.lacks_keyframe.then_some(heard_at);
        [missing, lacking].into_iter().flatten().min()
    }

    /// How often a keyframe was asked for because something was missing.
    pub(crate) fn asked_for_loss(&self) -> u64 {
        self.asked_for_loss
    }

    /// The counts of packets, of pictures and of sound.
    pub(crate) fn counts(&self) -> [Counts; 2] {
        [self.video.packets.counts(), self.audio.packets.counts()]
    }

    /// How many pictures were not passed on.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How many of those came in another order than they are shown in.
    pub(crate) fn reordered(&self) -> u64 {
        self.reordered
    }

    fn lost(&mut self) {
        let Self { unpacker, left_out, .. } = self;
        unpacker.lost(|_| *left_out += 1);
        self.lacks_keyframe = true;
    }

    fn picture(&mut self, packet: &Packet) {
        let came_at = packet.came_at;
        let ticks = self.clocks.video_ticks(packet.stamp, packet.came_at);
        let asked_at = self.keyframe_asked_at;
        let Self {
            unpacker,
            out,
            left_out,
            reordered,
            last_picture_ticks,
            lacks_keyframe,
            keyframe_wished,
            keyframe_at,
            ..
        } = self;
        let payload = RtpPayload { ticks, marker: packet.marker, bytes: &packet.bytes };
        unpacker.packet(payload, |event| match event {
            PictureEvent::Track(info) => out.push_back(RtpUnpacked::Track(info)),
            PictureEvent::LeftOut => {
                *left_out += 1;
                *lacks_keyframe = true;
            }
            // RTP says when a picture is shown, and nowhere when it is decoded, so no time can be given to what comes before B-frames.
            PictureEvent::Picture { ticks, .. } if last_picture_ticks.is_some_and(|last| ticks < last) => {
                *left_out += 1;
                *reordered += 1;
            }
            PictureEvent::Picture { ticks, keyframe, payload } => {
                *last_picture_ticks = Some(ticks);
                if keyframe {
                    *lacks_keyframe = false;
                    *keyframe_wished = false;
                    let unasked =
                        asked_at.is_none_or(|asked_at| keyframe_at.is_some_and(|(before, _)| asked_at < before));
                    *keyframe_at = Some((came_at, unasked));
                }
                let track = TrackId::SOURCE_VIDEO;
                out.push_back(RtpUnpacked::Frame(RtpFrame { track, keyframe, ticks, payload }));
            }
        });
    }

    fn sound(&mut self, packet: &Packet) {
        let ticks = self.clocks.audio_ticks(packet.stamp, packet.came_at);
        // In silence some encoders send an empty packet.
        if packet.bytes.is_empty() {
            return;
        }
        let track = TrackId::SOURCE_AUDIO;
        if !std::mem::replace(&mut self.sound_told, true) {
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

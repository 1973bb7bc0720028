//! The sources of a publisher's pictures. Mostly there is one. With simulcast there is one for each size of the picture, its layers: the largest
//! that comes steadily is on air, and another one takes over, at a keyframe, when that one stops.

use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_media::{Codec, TrackId, TrackInfo};
use weir_mux::rtp::{PictureEvent, PictureUnpacker, RtpPayload};

use super::clock::PictureClock;
use super::reorder::{Counts, Ordered, Reorder};
use super::to_frames::Packet;

/// A missing packet of a picture is waited for so long. It is asked for again, which takes a round trip, or two.
const WAIT: Duration = Duration::from_millis(250);

/// Another source is listened to once one has been silent for so long, if there is no place for more. Until then it is taken for something
/// that was not agreed on.
pub(super) const SOURCE_SILENT: Duration = Duration::from_secs(1);

/// A layer that is silent for so long has stopped, if another one still comes: pictures come every 33 ms, or 67 ms in poor light.
pub(super) const LAYER_SILENT: Duration = Duration::from_millis(300);

/// A larger layer goes on air once it has come for so long without a pause. Browsers try larger layers, and give them up again, as they find
/// out how much the path carries.
const STEADY: Duration = Duration::from_secs(2);

/// After another layer took over, a picture comes at least so long after the one before it: a third of what 30 a second have.
const STEP_TICKS: i64 = 1_000;

/// A layer's pictures that were put off, to come behind those of another layer, make up for it by a tenth of the time that passes.
const MAKES_UP_BY: i64 = 10;

/// What comes of the layer on air.
#[derive(Debug)]
pub(super) enum Shown {
    Track(TrackInfo),
    Picture {
        ticks: i64,
        keyframe: bool,
        payload: Bytes,
        came_at: Instant,
        /// When a keyframe was asked for last.
        asked_at: Option<Instant>,
    },
    LeftOut,
    /// The picture came in another order than it is shown in, and is left out.
    Reordered,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) source: u32,
    pub(super) heard_at: Instant,
    steady_since: Instant,
    /// When it was asked for a keyframe.
    pub(super) asked_at: Option<Instant>,
    packets: Reorder<Packet>,
    unpacker: PictureUnpacker,
    clock: PictureClock,
    track: Option<TrackInfo>,
    /// How far its pictures are put off.
    late_ticks: i64,
    last_ticks: Option<i64>,
    lacks_keyframe: bool,
}

#[derive(Debug)]
pub(super) struct Layers {
    began: Instant,
    codec: Codec,
    /// How many sources were agreed on.
    agreed: usize,
    all: Vec<Layer>,
    on_air: Option<u32>,
    /// The track that was told last.
    told: Option<TrackInfo>,
    last_ticks: Option<i64>,
    /// The counts of sources that are gone.
    gone: Counts,
}

impl Layer {
    fn new(packet: &Packet, codec: Codec) -> Self {
        Self {
            source: packet.source,
            heard_at: packet.came_at,
            steady_since: packet.came_at,
            asked_at: None,
            packets: Reorder::new(WAIT),
            unpacker: PictureUnpacker::new(TrackId::SOURCE_VIDEO, codec),
            clock: PictureClock::new(),
            track: None,
            late_ticks: 0,
            last_ticks: None,
            lacks_keyframe: false,
        }
    }

    /// The size; none before the first keyframe.
    fn pixels(&self) -> Option<u64> {
        let video = self.track.as_ref()?.video.as_ref()?;
        Some(u64::from(video.width) * u64::from(video.height))
    }

    fn has_stopped(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard_at) >= LAYER_SILENT
    }

    /// Whether nothing can be shown of it before a keyframe.
    pub(super) fn lacks_keyframe(&self) -> bool {
        self.lacks_keyframe
    }

    /// When a packet was lost, at the earliest, and when it was seen to be missing. None while none is missing.
    pub(super) fn missing(&self) -> Option<(Instant, Instant)> {
        let since = self.packets.missing_since()?;
        Some((self.packets.lost_after().unwrap_or(since), since))
    }

    /// Puts the picture's time behind the last one's, as far as it has to be.
    fn put_off(&mut self, ticks: i64, last_ticks: Option<i64>) {
        self.late_ticks = last_ticks.map_or(0, |last| (last + STEP_TICKS - ticks).max(0));
        self.last_ticks = Some(ticks);
    }

    fn put_off_ticks(&mut self, ticks: i64) -> i64 {
        let passed = self.last_ticks.replace(ticks).map_or(0, |last| (ticks - last).max(0));
        self.late_ticks = (self.late_ticks - passed / MAKES_UP_BY).max(0);
        ticks + self.late_ticks
    }
}

impl Layers {
    /// `agreed` is how many sources may be listened to side by side.
    pub(super) fn new(began: Instant, codec: Codec, agreed: usize) -> Self {
        Self {
            began,
            codec,
            agreed: agreed.max(1),
            all: Vec::new(),
            on_air: None,
            told: None,
            last_ticks: None,
            gone: Counts::default(),
        }
    }

    /// Takes a packet, if it is of a source that is listened to.
    pub(super) fn push(&mut self, packet: Packet) {
        let now = packet.came_at;
        let Some(layer) = self.layer_of(&packet) else { return };
        if layer.has_stopped(now) {
            layer.steady_since = now;
        }
        layer.heard_at = now;
        if let Some(report) = packet.report {
            layer.clock.report(report);
        }
        layer.packets.push(packet.number, packet, now);
    }

    /// The layer of a packet. A source that nobody has heard of gets a free place, or that of one that is gone.
    fn layer_of(&mut self, packet: &Packet) -> Option<&mut Layer> {
        let known = self.all.iter().position(|layer| layer.source == packet.source);
        let at = match known {
            Some(at) => at,
            None => {
                let now = packet.came_at;
                let is_gone = |layer: &Layer| now.saturating_duration_since(layer.heard_at) >= SOURCE_SILENT;
                if let Some(gone) = self.all.iter().position(is_gone).filter(|_| self.all.len() >= self.agreed) {
                    let gone = self.all.swap_remove(gone);
                    self.gone = self.gone.and(gone.packets.counts());
                    self.on_air = self.on_air.filter(|source| *source != gone.source);
                }
                if self.all.len() >= self.agreed {
                    return None;
                }
                self.all.push(Layer::new(packet, self.codec));
                if self.agreed == 1 {
                    // Nothing else could be on air, so its track is told before its first keyframe.
                    self.on_air = Some(packet.source);
                }
                self.all.len() - 1
            }
        };
        self.all.get_mut(at)
    }

    /// Gives what comes next of the layer on air, and gives up the packets that were waited for long enough.
    pub(super) fn due(&mut self, now: Instant, sound_epoch: Option<i64>, tell: &mut impl FnMut(Shown)) {
        let mut events = Vec::new();
        for at in 0..self.all.len() {
            while let Some(layer) = self.all.get_mut(at)
                && let Some(ordered) = layer.packets.pop(now)
            {
                let came_at = match ordered {
                    Ordered::Packet(packet) => {
                        let since_began = packet.came_at.saturating_duration_since(self.began);
                        let ticks = layer.clock.ticks(packet.stamp, since_began, sound_epoch);
                        let payload = RtpPayload { ticks, marker: packet.marker, bytes: &packet.bytes };
                        layer.unpacker.packet(payload, |event| events.push(event));
                        packet.came_at
                    }
                    Ordered::Lost(_) => {
                        layer.lacks_keyframe = true;
                        layer.unpacker.lost(|event| events.push(event));
                        now
                    }
                };
                for event in events.drain(..) {
                    self.event(at, event, came_at, tell);
                }
            }
        }
    }

    fn event(&mut self, at: usize, event: PictureEvent, came_at: Instant, tell: &mut impl FnMut(Shown)) {
        let takes_over = self.takes_over(at, &event, came_at);
        let Some(layer) = self.all.get_mut(at) else { return };
        let is_on_air = self.on_air == Some(layer.source);
        match event {
            PictureEvent::Track(info) => {
                layer.track = Some(info);
                if is_on_air {
                    self.tell_track(at, tell);
                }
            }
            PictureEvent::LeftOut => {
                layer.lacks_keyframe = true;
                if is_on_air {
                    tell(Shown::LeftOut);
                }
            }
            PictureEvent::Picture { ticks, keyframe, payload } => {
                if keyframe {
                    layer.lacks_keyframe = false;
                }
                if takes_over {
                    layer.put_off(ticks, self.last_ticks);
                    self.on_air = Some(layer.source);
                    self.tell_track(at, tell);
                } else if !is_on_air {
                    return;
                }
                let Some(layer) = self.all.get_mut(at) else { return };
                let (ticks, asked_at) = (layer.put_off_ticks(ticks), layer.asked_at);
                // RTP says when a picture is shown, and nowhere when it is decoded, so no time can be given to what comes before B-frames.
                if self.last_ticks.is_some_and(|last| ticks < last) {
                    return tell(Shown::Reordered);
                }
                self.last_ticks = Some(ticks);
                tell(Shown::Picture { ticks, keyframe, payload, came_at, asked_at });
            }
        }
    }

    /// Tells the layer's track, unless it is the one that was told last.
    fn tell_track(&mut self, at: usize, tell: &mut impl FnMut(Shown)) {
        let Some(track) = self.all.get(at).and_then(|layer| layer.track.as_ref()) else { return };
        if self.told.as_ref() != Some(track) {
            self.told = Some(track.clone());
            tell(Shown::Track(track.clone()));
        }
    }

    /// Whether the layer goes on air with this picture.
    fn takes_over(&self, at: usize, event: &PictureEvent, now: Instant) -> bool {
        let (Some(layer), PictureEvent::Picture { keyframe: true, .. }) = (self.all.get(at), event) else {
            return false;
        };
        match self.on_air() {
            None => true,
            Some(on_air) if on_air.source == layer.source => false,
            Some(on_air) => {
                let is_steady = now.saturating_duration_since(layer.steady_since) >= STEADY;
                on_air.has_stopped(now) || (is_steady && layer.pixels() > on_air.pixels())
            }
        }
    }

    fn on_air(&self) -> Option<&Layer> {
        self.all.iter().find(|layer| Some(layer.source) == self.on_air)
    }

    /// Notes that a source is asked for a keyframe.
    pub(super) fn ask(&mut self, source: u32, now: Instant) {
        let asked = self.all.iter_mut().find(|layer| layer.source == source);
        asked.into_iter().for_each(|layer| layer.asked_at = Some(now));
    }

    /// The layer on air, or before there is one, the one that was heard last.
    pub(super) fn main(&self) -> Option<&Layer> {
        self.on_air().or_else(|| self.all.iter().max_by_key(|layer| layer.heard_at))
    }

    /// When another layer should take over, and which: the largest of those that still come when the one on air has stopped, or one that
    /// is larger and has become steady. One whose size nobody knows may be the largest.
    pub(super) fn successor(&self) -> Option<(Instant, &Layer)> {
        let on_air = self.on_air()?;
        let others = || self.all.iter().filter(|layer| layer.source != on_air.source);
        let stops_at = on_air.heard_at + LAYER_SILENT;
        // Only what comes on while the other one is silent can take over from it.
        let follows = others().filter(|layer| layer.heard_at + LAYER_SILENT > stops_at);
        let in_place = follows.max_by_key(|layer| layer.pixels()).map(|layer| (stops_at, layer));
        let larger = others().filter(|layer| layer.pixels().is_none_or(|pixels| Some(pixels) > on_air.pixels()));
        let larger = larger.map(|layer| (layer.steady_since + STEADY, layer));
        let larger = larger.filter(|(at, layer)| *at < layer.heard_at + LAYER_SILENT);
        let larger = larger.max_by_key(|(_, layer)| layer.pixels().unwrap_or(u64::MAX));
        [in_place, larger].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// When [`due`](Self::due) has something to give without another packet.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.all.iter().filter_map(|layer| layer.packets.deadline()).min()
    }

    /// The counts of packets of all layers.
    pub(super) fn counts(&self) -> Counts {
        self.all.iter().fold(self.gone, |sum, layer| sum.and(layer.packets.counts()))
    }
}

#[cfg(test)]
mod tests;

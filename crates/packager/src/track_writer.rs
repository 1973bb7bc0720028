//! One track into parts and segments: frames in, changes to the store out.

use std::sync::Arc;
use std::time::Duration;

use weir_media::codec::captions::Captions;
use weir_media::{Frame, MediaKind, MediaTime, TrackInfo};
use weir_mux::fmp4::{self, Fmp4Error, Sample};

use crate::PackagerConfig;
use crate::clock::{TrackClock, media_time};
use crate::dvr::TrackResume;
use crate::held::Held;
use crate::part::Part;
use crate::segment::Segment;
use crate::store::Change;
use crate::track::Init;

/// A frame that comes so long after the one before it is not the next picture: something is missing in between.
pub(crate) const HOLE: Duration = Duration::from_secs(1);
/// Unless pictures are that slow: so many times the last one's length, but not without end.
const HOLE_FRAMES: u64 = 4;
const HOLE_MAX: Duration = Duration::from_secs(5);

/// A part holds this many frames at most: 0.5 s at 1,000 frames a second.
const PART_SAMPLES_MAX: usize = 500;
/// A segment holds this many parts at most: 20 s of parts of 200 ms, and some.
const SEGMENT_PARTS_MAX: usize = 128;
/// Longer GOPs are cut within: a playlist of segments longer than this serves nobody.
const SEGMENT_MAX: Duration = Duration::from_secs(20);

/// What a new segment is told by its rendition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) number: u64,
    pub(crate) breaks: u64,
    pub(crate) period_start: MediaTime,
}

#[derive(Debug)]
struct Open {
    start: MediaTime,
    ticks: u64,
    bytes: usize,
    parts: usize,
}

#[derive(Debug)]
pub(crate) struct TrackWriter {
    pub(crate) kind: MediaKind,
    pub(crate) info: Arc<TrackInfo>,
    clock: TrackClock,
    init: u32,
    part_ticks_max: u64,
    segment_bytes_max: usize,
    held: Option<Held>,
    part: Vec<Sample>,
    part_start_ticks: u64,
    part_ticks: u64,
    open: Option<Open>,
    sequence: u32,
    last_frame_ticks: u64,
    next_number: Option<u64>,
    /// Where the newest sample that was written ends.
    end_ticks: u64,
    newest_dts: Option<MediaTime>,
    captions: Captions,
}

impl TrackWriter {
    pub(crate) fn new(
        info: &Arc<TrackInfo>,
        config: &PackagerConfig,
        resume: Option<TrackResume>,
        changes: &mut Vec<Change>,
    ) -> Result<Self, Fmp4Error> {
        let body = fmp4::init_segment(info)?;
        let clock = TrackClock::new(info);
        let kind = info.kind();
        let number = resume.map_or(0, |resume| resume.init);
        changes.push(Change::Init { kind, number, init: Init { body, info: Arc::clone(info) } });
        Ok(Self {
            kind,
            info: Arc::clone(info),
            init: number,
            part_ticks_max: clock.ticks_of(config.part_target),
            segment_bytes_max: config.window_bytes_max / 4,
            held: None,
            part: Vec::new(),
            part_start_ticks: 0,
            part_ticks: 0,
            open: None,
            sequence: 0,
            last_frame_ticks: clock.nominal_ticks(),
            next_number: resume.map(|resume| resume.number),
            // Rounded up: time does not go back by a tick either.
            end_ticks: resume
                .map_or(0, |resume| u64::try_from(resume.end.as_ticks(clock.timescale())).unwrap_or(0) + 1),
            newest_dts: None,
            captions: Captions::default(),
            clock,
        })
    }

    /// Whether decoders must be set up anew for `info`.
    pub(crate) fn differs(&self, info: &TrackInfo) -> bool {
        self.info.codec != info.codec || self.info.config != info.config
    }

    /// Takes a new decoder configuration; the segments before it have been ended.
    pub(crate) fn reconfigure(
        &mut self,
        info: &Arc<TrackInfo>,
        config: &PackagerConfig,
        changes: &mut Vec<Change>,
    ) -> Result<(), Fmp4Error> {
        let body = fmp4::init_segment(info)?;
        self.init += 1;
        changes.push(Change::Init { kind: self.kind, number: self.init, init: Init { body, info: Arc::clone(info) } });
        let end = self.end();
        self.info = Arc::clone(info);
        self.clock = TrackClock::new(info);
        self.part_ticks_max = self.clock.ticks_of(config.part_target);
        self.last_frame_ticks = self.clock.nominal_ticks();
        // Time does not go back, whatever the new clock counts in.
        self.end_ticks = u64::try_from(end.as_ticks(self.clock.timescale())).unwrap_or(0);
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(crate) fn open_start(&self) -> Option<MediaTime> {
        self.open.as_ref().map(|open| open.start)
    }

    /// Where what was written ends.
    pub(crate) fn end(&self) -> MediaTime {
        media_time(self.end_ticks, self.clock.timescale())
    }

    pub(crate) fn next_number(&self) -> Option<u64> {
        self.next_number
    }

    /// When the frame after the newest one is due, while a segment is open.
    pub(crate) fn next_dts(&self) -> Option<MediaTime> {
        let held = self.held.as_ref().filter(|_| self.is_open())?;
        Some(media_time(held.ticks + self.clock.nominal_ticks(), self.clock.timescale()))
    }

    /// The frame has been taken before: who subscribes anew begins with what the hub has cached.
    pub(crate) fn knows(&self, dts: MediaTime) -> bool {
        self.newest_dts.is_some_and(|newest| dts <= newest)
    }

    /// The open segment has to end with the next frame, keyframe or not.
    pub(crate) fn is_overfull(&self) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.ticks + self.part_ticks >= self.clock.ticks_of(SEGMENT_MAX)
                || open.bytes >= self.segment_bytes_max
                || open.parts >= SEGMENT_PARTS_MAX
        })
    }

    /// Whether something is missing between the newest frame and one at `dts`.
    pub(crate) fn is_hole(&self, dts: MediaTime) -> bool {
        let Some(held) = &self.held else { return false };
        let ticks = u64::try_from(dts.as_ticks(self.clock.timescale())).unwrap_or(0);
        let slow = self.last_frame_ticks.saturating_mul(HOLE_FRAMES).min(self.clock.ticks_of(HOLE_MAX));
        let limit = self.clock.ticks_of(HOLE).max(slow);
        ticks.saturating_sub(held.ticks) > limit
    }

    /// Takes a frame; it begins a new segment if there is a cut.
    pub(crate) fn push(&mut self, frame: &Frame, cut: Option<Cut>, changes: &mut Vec<Change>) {
        self.newest_dts = Some(frame.dts);
        self.look_for_captions(&frame.payload, changes);
        let ticks = self.clock.stamp(frame.dts).max(self.end_ticks);
        // Never earlier than the end of what was written: after silence the last frame's length was a guess.
        let ticks = self.held.as_ref().map_or(ticks, |held| ticks.max(held.ticks + 1));
        if let Some(held) = self.held.take() {
            self.last_frame_ticks = ticks - held.ticks;
            self.write(held, ticks, changes);
        }
        let held = Held::new(frame, ticks, self.clock.timescale());
        if let Some(cut) = cut {
            self.end_segment(changes);
            self.begin_segment(cut, held.shown_ticks(), changes);
        }
        self.held = Some(held);
    }

    /// Once seen they are told for good: between two captions there may be minutes.
    fn look_for_captions(&mut self, payload: &[u8], changes: &mut Vec<Change>) {
        let captions = self.captions.and(Captions::of(self.info.codec, payload));
        if captions != self.captions {
            self.captions = captions;
            changes.push(Change::Captions { kind: self.kind, captions });
        }
    }

    /// Writes all there is and ends the segment: the source is silent, or something is missing.
    pub(crate) fn flush(&mut self, changes: &mut Vec<Change>) {
        if let Some(held) = self.held.take() {
            let end = held.ticks + self.last_frame_ticks;
            self.write(held, end, changes);
        }
        self.end_segment(changes);
    }

    fn write(&mut self, held: Held, end_ticks: u64, changes: &mut Vec<Change>) {
        let duration = end_ticks - held.ticks;
        if !self.part.is_empty() && self.part_ticks + duration > self.part_ticks_max {
            self.end_part(changes);
        }
        if self.part.is_empty() {
            self.part_start_ticks = held.ticks;
        }
        self.end_ticks = end_ticks;
        self.part_ticks += duration;
        self.part.push(held.lasting(duration));
        // Out as soon as it is full: another frame would be too much. A pause before this one says nothing of the next.
        let next = self.part.iter().map(|sample| u64::from(sample.duration_ticks)).min().unwrap_or(duration);
        if self.part_ticks + next > self.part_ticks_max || self.part.len() >= PART_SAMPLES_MAX {
            self.end_part(changes);
        }
    }

    fn end_part(&mut self, changes: &mut Vec<Change>) {
        let (Some(first), Some(open)) = (self.part.first(), self.open.as_mut()) else { return };
        let independent = first.keyframe || self.kind == MediaKind::Audio;
        let samples = u32::try_from(self.part.len()).unwrap_or(u32::MAX);
        self.sequence = self.sequence.wrapping_add(1);
        let head = fmp4::chunk_head(self.kind, self.sequence, self.part_start_ticks, &self.part);
        let pieces = std::iter::once(head).chain(self.part.drain(..).map(|sample| sample.payload)).collect();
        let part = Part::new(pieces, self.part_ticks, independent, samples);
        open.ticks += self.part_ticks;
        open.bytes += part.bytes;
        open.parts += 1;
        changes.push(Change::Part { kind: self.kind, part });
        self.part_ticks = 0;
    }

    fn begin_segment(&mut self, cut: Cut, start_ticks: u64, changes: &mut Vec<Change>) {
        let number = self.next_number.unwrap_or(cut.number);
        self.next_number = Some(number + 1);
        let timescale = self.clock.timescale();
        self.open = Some(Open { start: media_time(start_ticks, timescale), ticks: 0, bytes: 0, parts: 0 });
        let mut segment = Segment::open(number, self.init, start_ticks, timescale);
        (segment.breaks, segment.period_start) = (cut.breaks, cut.period_start);
        changes.push(Change::Begin { kind: self.kind, segment });
    }

    fn end_segment(&mut self, changes: &mut Vec<Change>) {
        self.end_part(changes);
        self.part.clear();
        self.part_ticks = 0;
        let Some(open) = self.open.take() else { return };
        if open.parts == 0 {
            // The store forgets it: the number is free again.
            self.next_number = self.next_number.map(|next| next - 1);
        }
        changes.push(Change::End { kind: self.kind });
    }
}

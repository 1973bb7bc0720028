//! Cuts one track into parts and segments: it takes frames, and makes the changes to the store.

use std::sync::Arc;
use std::time::Duration;

use weir_media::codec::captions::Captions;
use weir_media::{Frame, MediaKind, MediaTime, TrackInfo};
use weir_mux::fmp4::{self, Fmp4Error, Sample};

use crate::config::PackagerConfig;
use crate::cut::eras::{Era, Eras};
use crate::store::Change;
use crate::store::clock::{TrackClock, media_time};
use crate::store::held::Held;
use crate::store::part::Part;
use crate::store::part_times;
use crate::store::resume::TrackResume;
use crate::store::segment::Segment;
use crate::store::track::Init;
use crate::store::track_name::TrackName;

/// If a frame comes so long after the one before it, it is not the next picture: something is missing in between.
pub(crate) const HOLE: Duration = Duration::from_secs(1);
/// Pictures may come more slowly than that. So a hole must also be longer than so many times the last picture's length, of which no more
/// than `HOLE_MAX` counts.
const HOLE_FRAMES: u64 = 4;
const HOLE_MAX: Duration = Duration::from_secs(5);

/// Each part except the last of a segment must last at least 85 % of what is announced (RFC 8216bis, 4.4.4.9). This is one in a hundred
/// more, because lengths are written with five digits and compared as binary fractions.
const PART_PERCENT_MIN: u64 = 86;

/// A part holds so many frames at most: 0.5 s at 1,000 frames a second.
const PART_SAMPLES_MAX: usize = 500;
/// A segment holds so many parts at most: 20 s of parts of 200 ms are 100, and there is some room.
const SEGMENT_PARTS_MAX: usize = 128;
/// What a rendition says of a segment that begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) number: u64,
    pub(crate) breaks: u64,
    pub(crate) period_start: MediaTime,
}

/// If more time than this is missing between two segments, that is a discontinuity: players then put the segments edge to edge, instead of
/// waiting in the hole. If less is missing, it is only that the length of the last frame was guessed.
const BREAK_MIN: Duration = Duration::from_millis(500);

/// The cut at `time`. If it comes after a pause, what there was before ended at `paused_at`, and the cut is a discontinuity if time is
/// missing.
pub(crate) fn next_cut(
    number: u64,
    time: MediaTime,
    paused_at: Option<MediaTime>,
    breaks: bool,
    eras: &mut Eras,
) -> Cut {
    let missing = paused_at.is_some_and(|end| end > MediaTime::ZERO && time.since(end) > BREAK_MIN);
    let Era { breaks, start } = if breaks || missing { eras.begin(time) } else { eras.at(time) };
    Cut { number, breaks, period_start: start }
}

#[derive(Debug)]
struct Open {
    /// When the segment is first shown.
    start: MediaTime,
    /// When the segment is first decoded.
    decode_ticks: u64,
    bytes: usize,
    parts: usize,
}

#[derive(Debug)]
pub(crate) struct TrackWriter {
    pub(crate) name: TrackName,
    pub(crate) info: Arc<TrackInfo>,
    clock: TrackClock,
    init: u32,
    part_ticks_max: u64,
    part_ticks_min: u64,
    /// Whether the open segment is listed in parts. It is if at least the first part of the segment before it could be listed.
    lists_parts: bool,
    /// The first part of the open segment that is too long or too short to be listed.
    misfit: Option<usize>,
    segment_bytes_max: usize,
    held: Option<Held>,
    part: Vec<Sample>,
    part_start_ticks: u64,
    part_ticks: u64,
    open: Option<Open>,
    sequence: u32,
    last_frame_ticks: u64,
    /// How much later a keyframe is shown than it is decoded.
    shown_after_ticks: u64,
    next_number: Option<u64>,
    /// When the newest sample that was written ends.
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
        let name = TrackName::of(info);
        let number = resume.map_or(0, |resume| resume.init);
        let (part_ticks_min, part_ticks_max) = part_ticks(&clock, config);
        changes.push(Change::Init { track: name, number, init: Init { body, info: Arc::clone(info) } });
        Ok(Self {
            name,
            info: Arc::clone(info),
            init: number,
            part_ticks_max,
            part_ticks_min,
            lists_parts: true,
            misfit: None,
            segment_bytes_max: config.window_bytes_max / 4,
            held: None,
            part: Vec::new(),
            part_start_ticks: 0,
            part_ticks: 0,
            open: None,
            sequence: 0,
            last_frame_ticks: clock.nominal_ticks(),
            shown_after_ticks: 0,
            next_number: resume.map(|resume| resume.number),
            // The end is rounded up, so that time does not go back by a single tick.
            end_ticks: resume
                .map_or(0, |resume| u64::try_from(resume.end.as_ticks(clock.timescale())).unwrap_or(0) + 1),
            newest_dts: resume.map(|resume| resume.end),
            captions: Captions::default(),
            clock,
        })
    }

    /// Whether decoders must be set up anew for `info`.
    pub(crate) fn differs(&self, info: &TrackInfo) -> bool {
        !self.info.decodes_as(info)
    }

    /// Takes the track's new label and language. Its files stay as they are.
    pub(crate) fn rename(&mut self, info: &Arc<TrackInfo>, changes: &mut Vec<Change>) {
        if (self.info.language, &self.info.label) == (info.language, &info.label) {
            return;
        }
        self.info = Arc::clone(info);
        // The init segment could be written before, and only names have changed, so this does not fail.
        if let Ok(body) = fmp4::init_segment(info) {
            self.init += 1;
            changes.push(Change::Init {
                track: self.name,
                number: self.init,
                init: Init { body, info: Arc::clone(info) },
            });
        }
    }

    /// Takes a new decoder configuration. The segments before it have ended already.
    pub(crate) fn reconfigure(
        &mut self,
        info: &Arc<TrackInfo>,
        config: &PackagerConfig,
        changes: &mut Vec<Change>,
    ) -> Result<(), Fmp4Error> {
        let body = fmp4::init_segment(info)?;
        self.init += 1;
        changes.push(Change::Init { track: self.name, number: self.init, init: Init { body, info: Arc::clone(info) } });
        let end = self.end();
        self.info = Arc::clone(info);
        self.clock = TrackClock::new(info);
        (self.part_ticks_min, self.part_ticks_max) = part_ticks(&self.clock, config);
        self.shown_after_ticks = 0;
        self.last_frame_ticks = self.clock.nominal_ticks();
        // Time does not go back, whatever unit the new clock counts in.
        self.end_ticks = u64::try_from(end.as_ticks(self.clock.timescale())).unwrap_or(0);
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(crate) fn open_start(&self) -> Option<MediaTime> {
        self.open.as_ref().map(|open| open.start)
    }

    /// When what was written ends.
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

    /// Whether the frame has been taken before. This happens because whoever subscribes anew begins with what the hub has cached, and
    /// because an earlier run of the server may have come further than its clock's mark says.
    pub(crate) fn knows(&self, dts: MediaTime) -> bool {
        self.newest_dts.is_some_and(|newest| dts <= newest)
    }

    /// Whether the open segment has to end with the next frame, even if that is no keyframe.
    pub(crate) fn is_overfull(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.bytes >= self.segment_bytes_max || open.parts >= SEGMENT_PARTS_MAX)
    }

    /// How long the open segment is, if it ends before a frame at `dts`.
    pub(crate) fn length_at(&self, dts: MediaTime) -> Duration {
        self.open
            .as_ref()
            .map_or(Duration::ZERO, |open| dts.since(media_time(open.decode_ticks, self.clock.timescale())))
    }

    /// How long the newest frame lasted, which is how long the next one most likely lasts.
    pub(crate) fn frame_length(&self) -> Duration {
        media_time(self.last_frame_ticks, self.clock.timescale()).since(MediaTime::ZERO)
    }

    /// When a segment that begins with this frame is first shown. Within a GOP, frames are shown in another order than they are decoded in,
    /// and the segment is shown as much later than its decoding begins as the GOP's keyframe is.
    pub(crate) fn shown_from(&self, frame: &Frame) -> MediaTime {
        match frame.is_keyframe() {
            true => frame.pts,
            false => frame.dts + media_time(self.shown_after_ticks, self.clock.timescale()),
        }
    }

    /// Whether something is missing between the newest frame and one at `dts`.
    pub(crate) fn is_hole(&self, dts: MediaTime) -> bool {
        let Some(held) = &self.held else { return false };
        let ticks = u64::try_from(dts.as_ticks(self.clock.timescale())).unwrap_or(0);
        let slow = self.last_frame_ticks.saturating_mul(HOLE_FRAMES).min(self.clock.ticks_of(HOLE_MAX));
        let limit = self.clock.ticks_of(HOLE).max(slow);
        ticks.saturating_sub(held.ticks) > limit
    }

    /// Takes a frame, which begins a new segment if there is a cut.
    pub(crate) fn push(&mut self, frame: &Frame, cut: Option<Cut>, changes: &mut Vec<Change>) {
        self.newest_dts = Some(frame.dts);
        self.look_for_captions(&frame.payload, changes);
        let ticks = self.clock.stamp(frame.dts).max(self.end_ticks);
        // A frame must not begin before what was written ends. After silence that end is a guess, and may lie too late.
        let ticks = self.held.as_ref().map_or(ticks, |held| ticks.max(held.ticks + 1));
        if let Some(held) = self.held.take() {
            self.last_frame_ticks = ticks - held.ticks;
            self.write(held, ticks, changes);
        }
        let held = Held::new(frame, ticks, self.clock.timescale());
        if let Some(cut) = cut {
            self.end_segment(changes);
            self.begin_segment(cut, &held, changes);
        }
        self.held = Some(held);
    }

    /// Looks for captions in the frame. Once they are seen they are told for good, because there may be minutes between two captions.
    fn look_for_captions(&mut self, payload: &[u8], changes: &mut Vec<Change>) {
        let captions = self.captions.and(Captions::of(self.info.codec, payload));
        if captions != self.captions {
            self.captions = captions;
            changes.push(Change::Captions { track: self.name, captions });
        }
    }

    /// Writes all that there is and ends the segment, because the source is silent or something is missing. How long the last frame lasted
    /// is guessed, and that must not make the segment longer than `longest`.
    pub(crate) fn flush(&mut self, longest: Duration, changes: &mut Vec<Change>) {
        if let Some(held) = self.held.take() {
            let begin = self.open.as_ref().map_or(held.ticks, |open| open.decode_ticks);
            let end = (held.ticks + self.last_frame_ticks).min(begin + self.clock.ticks_of(longest));
            let end = end.max(held.ticks + 1);
            self.write(held, end, changes);
        }
        self.end_segment(changes);
    }

    fn write(&mut self, held: Held, end_ticks: u64, changes: &mut Vec<Change>) {
        let duration = end_ticks - held.ticks;
        if !self.part.is_empty() && self.part_ticks + duration > self.part_ticks_max {
            self.end_part(false, changes);
        }
        if self.part.is_empty() {
            self.part_start_ticks = held.ticks;
        }
        self.end_ticks = end_ticks;
        self.part_ticks += duration;
        self.part.push(held.lasting(duration));
        // The part goes out as soon as it is full, which means that another frame would be too much. The next frame is expected to be as
        // short as the shortest one here, because a pause before this one says nothing of the next. If the part is not long enough yet, it
        // waits all the same, because the next frame may be even shorter.
        let next = self.part.iter().map(|sample| u64::from(sample.duration_ticks)).min().unwrap_or(duration);
        let is_full = self.part_ticks >= self.part_ticks_min && self.part_ticks + next > self.part_ticks_max;
        if is_full || self.part.len() >= PART_SAMPLES_MAX {
            self.end_part(false, changes);
        }
    }

    /// Ends the part that is being made. The last part of a segment may be short.
    fn end_part(&mut self, is_last: bool, changes: &mut Vec<Change>) {
        let (Some(first), Some(open)) = (self.part.first(), self.open.as_mut()) else { return };
        let independent = first.keyframe || self.name.kind == MediaKind::Audio;
        let samples = u32::try_from(self.part.len()).unwrap_or(u32::MAX);
        self.sequence = self.sequence.wrapping_add(1);
        let head = fmp4::chunk_head(self.name.kind, self.sequence, self.part_start_ticks, &self.part);
        let pieces = std::iter::once(head).chain(self.part.drain(..).map(|sample| sample.payload)).collect();
        let fits = self.part_ticks <= self.part_ticks_max && (is_last || self.part_ticks >= self.part_ticks_min);
        if !fits {
            self.misfit.get_or_insert(open.parts);
        }
        let listable = self.lists_parts && self.misfit.is_none();
        let part = Part::new(pieces, self.part_ticks, independent, samples).listable(listable);
        open.bytes += part.bytes;
        open.parts += 1;
        changes.push(Change::Part { track: self.name, part });
        self.part_ticks = 0;
    }

    fn begin_segment(&mut self, cut: Cut, first: &Held, changes: &mut Vec<Change>) {
        if first.keyframe {
            self.shown_after_ticks = first.shown_ticks() - first.ticks;
        }
        let start_ticks = first.ticks + self.shown_after_ticks;
        // If pictures come so slowly that no number of them fits a part, no parts are listed, or players would wait for one each time.
        self.lists_parts = self.misfit.take() != Some(0);
        let number = self.next_number.unwrap_or(cut.number);
        self.next_number = Some(number + 1);
        let timescale = self.clock.timescale();
        let start = media_time(start_ticks, timescale);
        self.open = Some(Open { start, decode_ticks: first.ticks, bytes: 0, parts: 0 });
        let mut segment = Segment::open(number, self.init, start_ticks, timescale);
        (segment.breaks, segment.period_start) = (cut.breaks, cut.period_start);
        segment.unlisted_from = (!self.lists_parts).then_some(0);
        changes.push(Change::Begin { track: self.name, segment });
    }

    fn end_segment(&mut self, changes: &mut Vec<Change>) {
        self.end_part(true, changes);
        self.part.clear();
        self.part_ticks = 0;
        let Some(open) = self.open.take() else { return };
        if open.parts == 0 {
            // The store forgets this segment, so its number is free again.
            self.next_number = self.next_number.map(|next| next - 1);
        }
        changes.push(Change::End { track: self.name });
    }
}

/// The least and the most that a part may last. The length that playlists tell is a hair longer, and has to keep to the target, too.
fn part_ticks(clock: &TrackClock, config: &PackagerConfig) -> (u64, u64) {
    let max = clock.ticks_of(config.part_target.saturating_sub(part_times::MORE_MAX));
    ((max * PART_PERCENT_MIN).div_ceil(100), max)
}

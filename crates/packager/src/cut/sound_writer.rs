//! Cuts one sound into segments, where the pictures beside it are cut, or by itself if there are none. It puts silence where sound is
//! missing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use weir_media::{Frame, FrameFlags, MediaTime, TrackInfo};
use weir_mux::fmp4::Fmp4Error;

use crate::config::PackagerConfig;
use crate::cut::boundaries::{Boundaries, SAME_TIME};
use crate::cut::eras::Era;
use crate::cut::silence::Silence;
use crate::cut::track_writer::{Cut, HOLE, TrackWriter, next_cut};
use crate::store::Change;
use crate::store::resume::TrackResume;
use crate::store::target::SOUND_OVER;

/// So many cuts of the picture are kept that the sound has not reached. Sound that is further behind is not coming.
const CUTS_AHEAD_MAX: usize = 32;

/// Pictures of different rates begin the same segment this far apart at most, which happens at two pictures a second. No segment is that
/// short.
pub(crate) const SAME_CUT: MediaTime = MediaTime::from_millis(500);

/// If sound is missing for so long, silence is put there. A shorter gap comes of an encoder whose stamps jitter, and the sound is stretched
/// over it.
const FILL_MIN: Duration = Duration::from_millis(150);
/// So many frames of silence are put in at once at most. A picture may come 5 s after the one before it, and 512 frames at 96 kHz are
/// 5.4 s.
const FILL_FRAMES_MAX: usize = 512;

/// Who decides where a sound is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    /// The pictures beside it.
    Pictures,
    /// The sound itself, because there are no pictures any more.
    Itself,
    /// The sound itself, because its rendition has no pictures.
    Alone,
    /// The stream's clock, because the sound's rendition has no pictures, and an encoder of ours makes the sound.
    Clock,
}

/// What a frame of sound led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SoundProgress {
    /// The sound began a segment by its own decision.
    pub(crate) cut: bool,
    /// A segment ended because the next one began.
    pub(crate) segment_ended: bool,
}

impl SoundProgress {
    /// What this frame and another one led to together.
    fn and(self, other: Self) -> Self {
        Self { cut: self.cut || other.cut, segment_ended: self.segment_ended || other.segment_ended }
    }
}

#[derive(Debug)]
pub(crate) struct SoundWriter {
    writer: TrackWriter,
    /// The picture's cuts that the sound still has to follow. `newest_cut` is the newest one, by which the same cut is known again: several
    /// renditions tell it, each at its own picture.
    cuts: VecDeque<(MediaTime, Cut)>,
    newest_cut: Option<(MediaTime, u64)>,
    /// The silence that is put where sound is missing. None if there is none for the codec.
    silence: Option<Silence>,
    /// Whether configurations changed, so that the next segment begins another era.
    breaks: bool,
    /// The cut with which the sound may go on without one of the picture, because only the sound had been cut short.
    resumes: Option<Cut>,
}

impl SoundWriter {
    pub(crate) fn new(
        info: &Arc<TrackInfo>,
        config: &PackagerConfig,
        resume: Option<TrackResume>,
        changes: &mut Vec<Change>,
    ) -> Result<Self, Fmp4Error> {
        let breaks = resume.is_some();
        let writer = TrackWriter::new(info, config, resume, changes)?;
        let silence = Silence::of(info);
        Ok(Self { writer, cuts: VecDeque::new(), newest_cut: None, silence, breaks, resumes: None })
    }

    /// Takes what the track is now. If decoders must be set up anew for it, the open segment ends.
    pub(crate) fn take(
        &mut self,
        info: &Arc<TrackInfo>,
        config: &PackagerConfig,
        longest: Duration,
        changes: &mut Vec<Change>,
    ) -> Result<(), Fmp4Error> {
        if !self.writer.differs(info) {
            self.writer.rename(info, changes);
            return Ok(());
        }
        self.flush(longest, changes);
        self.breaks = true;
        self.silence = Silence::of(info);
        self.writer.reconfigure(info, config, changes)
    }

    pub(crate) fn differs(&self, info: &TrackInfo) -> bool {
        self.writer.differs(info)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.writer.is_open()
    }

    pub(crate) fn open_start(&self) -> Option<MediaTime> {
        self.writer.open_start()
    }

    /// Has another era begin with the next segment that the sound begins by itself.
    pub(crate) fn break_here(&mut self) {
        self.breaks = true;
    }

    /// Ends the open segment, because the source is silent or frames were lost.
    pub(crate) fn flush(&mut self, longest: Duration, changes: &mut Vec<Change>) {
        self.writer.flush(longest + SOUND_OVER, changes);
        self.cuts.clear();
        self.newest_cut = None;
        self.resumes = None;
    }

    /// Notes that a segment of the pictures that the sound follows begins at `time`.
    pub(crate) fn cut(&mut self, time: MediaTime, cut: Cut) {
        let is_known = |(newest, number): (MediaTime, u64)| {
            time <= newest + SAME_TIME || cut.number <= number && time <= newest + SAME_CUT
        };
        if self.newest_cut.is_some_and(is_known) {
            return;
        }
        self.newest_cut = Some((time, cut.number));
        self.cuts.push_back((time, cut));
        if self.cuts.len() > CUTS_AHEAD_MAX {
            self.cuts.pop_front();
        }
    }

    /// Takes a frame, and puts silence before it if sound is missing there.
    pub(crate) fn push(
        &mut self,
        frame: &Frame,
        lead: Lead,
        boundaries: &mut Boundaries,
        changes: &mut Vec<Change>,
    ) -> SoundProgress {
        if self.writer.knows(frame.dts) {
            return SoundProgress::default();
        }
        let gap = self.writer.next_dts().map(|next| frame.dts.since(next));
        // Beside pictures a longer gap has been filled already, as the pictures went on.
        let longest = if lead == Lead::Pictures { HOLE * 2 } else { HOLE };
        let mut progress = SoundProgress::default();
        if gap.is_some_and(|gap| (FILL_MIN..longest).contains(&gap)) {
            progress = self.fill(frame.dts, lead, boundaries, changes);
        }
        progress.and(self.push_one(frame, lead, boundaries, changes))
    }

    /// Puts silence up to `until`, if the sound has begun and is missing.
    pub(crate) fn fill(
        &mut self,
        until: MediaTime,
        lead: Lead,
        boundaries: &mut Boundaries,
        changes: &mut Vec<Change>,
    ) -> SoundProgress {
        let mut progress = SoundProgress::default();
        let Some(silence) = self.silence.clone() else { return progress };
        let (length, track) = (silence.length, self.writer.info.id);
        for _ in 0..FILL_FRAMES_MAX {
            let Some(dts) = self.writer.next_dts().filter(|dts| *dts + length <= until) else { break };
            let flags = FrameFlags { keyframe: true, discontinuity: false };
            let frame = Frame { track, dts, pts: dts, flags, payload: silence.payload.clone() };
            progress = progress.and(self.push_one(&frame, lead, boundaries, changes));
        }
        progress
    }

    fn push_one(
        &mut self,
        frame: &Frame,
        lead: Lead,
        boundaries: &mut Boundaries,
        changes: &mut Vec<Change>,
    ) -> SoundProgress {
        let longest = boundaries.longest() + SOUND_OVER;
        if self.writer.is_hole(frame.dts) {
            self.writer.flush(longest, changes);
            let Era { breaks, start } = boundaries.eras.at(frame.dts);
            let cut = Cut { number: 0, breaks, period_start: start };
            self.resumes = (lead == Lead::Pictures).then_some(cut);
        }
        if lead != Lead::Pictures {
            return self.push_leading(frame, lead, boundaries, changes);
        }
        let mut cut = None;
        while let Some((_, next)) = self.cuts.pop_front_if(|(time, _)| *time <= frame.dts) {
            cut = Some(next);
        }
        if !self.writer.is_open() {
            // Sound before the first picture belongs to no segment.
            cut = cut.or(self.resumes.take());
            if cut.is_none() {
                return SoundProgress::default();
            }
        }
        self.resumes = None;
        if cut.is_none() && self.writer.length_at(frame.dts) + self.writer.frame_length() > longest {
            // The picture has paused for so long that its next segment begins behind a break. Sound that no segment can hold until then
            // would need a segment of its own, and all later ones would be counted differently. So it is left out, as the pictures are.
            self.writer.flush(longest, changes);
            return SoundProgress::default();
        }
        self.breaks &= cut.is_none();
        let segment_ended = cut.is_some() && self.writer.is_open();
        self.writer.push(frame, cut, changes);
        SoundProgress { cut: false, segment_ended }
    }

    fn push_leading(
        &mut self,
        frame: &Frame,
        lead: Lead,
        boundaries: &mut Boundaries,
        changes: &mut Vec<Change>,
    ) -> SoundProgress {
        self.cuts.clear();
        let writer = &mut self.writer;
        let ends = writer.open_start().is_none_or(|start| {
            let ends = match lead {
                Lead::Clock => boundaries.slots.cut_at(frame.pts, start),
                Lead::Alone => boundaries.cut_sound_at(frame.pts, start, writer.frame_length()),
                Lead::Pictures | Lead::Itself => boundaries.cut_at(frame.pts, start, writer.frame_length()),
            };
            ends || writer.is_overfull()
        });
        if !ends {
            writer.push(frame, None, changes);
            return SoundProgress::default();
        }
        let segment_ended = writer.is_open();
        let number = match lead {
            Lead::Clock => boundaries.slots.begin(frame.pts, writer.next_number()),
            _ if segment_ended => 0,
            _ => boundaries.start_at(frame.pts),
        };
        let breaks = std::mem::take(&mut self.breaks);
        let cut = next_cut(number, frame.pts, (!segment_ended).then(|| writer.end()), breaks, &mut boundaries.eras);
        writer.push(frame, Some(cut), changes);
        // Pictures that come back right behind this cut begin the same segment.
        self.newest_cut = writer.next_number().map(|next| (frame.pts, next - 1));
        SoundProgress { cut: true, segment_ended }
    }
}

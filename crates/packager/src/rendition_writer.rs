//! One rendition into segments: which frame begins one, and that picture and sound begin theirs together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use weir_hub::{Entry, Tracks};
use weir_media::{Frame, FrameFlags, MediaKind, MediaTime, TrackId, TrackInfo};

use crate::PackagerConfig;
use crate::boundaries::{Boundaries, Within};
use crate::dvr::{Resume, TrackResume};
use crate::eras::{Era, Eras};
use crate::keyframes::Keyframes;
use crate::silence::Silence;
use crate::store::Change;
use crate::target::SOUND_OVER;
use crate::track_writer::{Cut, HOLE, TrackWriter};

/// Cuts of the picture that the sound has not reached: sound that is this far behind is not coming.
const CUTS_AHEAD_MAX: usize = 32;

/// Time that is missing between two segments and more than this is a discontinuity: players then put the segments edge to
/// edge instead of waiting in the hole. Less is the guess at a last frame's length.
const BREAK_MIN: Duration = Duration::from_millis(500);

/// Between times that were counted in ticks and in milliseconds.
const ROUNDING: MediaTime = MediaTime::from_millis(1);

/// Sound that is missing for so long is filled with silence; less is an encoder whose stamps jitter, and is stretched.
const FILL_MIN: Duration = Duration::from_millis(150);
/// Sound may lie so far behind the picture in the input's interleaving; what is further behind does not come.
const SOUND_LATE_MAX: MediaTime = MediaTime::from_millis(1000);
/// What is filled at once at most: a picture may come 5 s after the one before it, 512 frames at 96 kHz are 5.4 s.
const FILL_FRAMES_MAX: usize = 512;

/// What happened, for whoever watches the schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// A segment of the leading track ended because the next one began.
    pub(crate) segment_ended: bool,
}

#[derive(Debug)]
pub(crate) struct RenditionWriter {
    config: PackagerConfig,
    tracks: Arc<Tracks>,
    video: Option<TrackWriter>,
    audio: Option<TrackWriter>,
    /// The picture's cuts, for the sound to follow.
    cuts: VecDeque<(MediaTime, Cut)>,
    /// Put where sound is missing, where its codec has one.
    silence: Option<Silence>,
    /// Configurations changed, or time is missing: the next segment begins another era.
    breaks: bool,
    keyframes: Keyframes,
    /// Pictures up to the next keyframe cannot be decoded.
    wants_keyframe: bool,
    /// Sound may go on without a cut of the picture: only the sound was cut short.
    sound_resumes: Option<Cut>,
    last_picture: Option<MediaTime>,
    /// Where the tracks of an earlier run of the server ended, until they begin again.
    resume: Resume,
}

impl RenditionWriter {
    pub(crate) fn new(config: PackagerConfig) -> Self {
        Self {
            config,
            tracks: Arc::default(),
            video: None,
            audio: None,
            cuts: VecDeque::new(),
            silence: None,
            breaks: false,
            keyframes: Keyframes::default(),
            wants_keyframe: true,
            sound_resumes: None,
            last_picture: None,
            resume: Resume::default(),
        }
    }

    /// Goes on where an earlier run ended: numbers rise from there, and another era begins.
    pub(crate) fn resumed(config: PackagerConfig, resume: Resume) -> Self {
        Self { breaks: true, resume, ..Self::new(config) }
    }

    pub(crate) fn push(&mut self, entry: &Entry, boundaries: &mut Boundaries, changes: &mut Vec<Change>) -> Progress {
        if !Arc::ptr_eq(&entry.tracks, &self.tracks) {
            self.take_tracks(&entry.tracks, boundaries.longest(), changes);
        }
        let kind = entry.track().kind();
        if kind == MediaKind::Audio && self.tracks.audio().is_none_or(|audio| audio.id != entry.frame.track) {
            return Progress::default();
        }
        let writer = match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        };
        if writer.as_ref().is_some_and(|writer| writer.knows(entry.frame.dts)) {
            return Progress::default();
        }
        match kind {
            MediaKind::Video => {
                let progress = self.push_picture(entry, boundaries, changes);
                // Pictures that go on show that time does.
                self.fill_sound(entry.frame.dts - SOUND_LATE_MAX, boundaries, changes);
                progress
            }
            MediaKind::Audio => {
                let gap = self.audio.as_ref().and_then(TrackWriter::next_dts).map(|next| entry.frame.dts.since(next));
                // Beside pictures a longer one has been filled from behind already.
                let longest = if self.sound_leads(entry.frame.dts) { HOLE } else { HOLE * 2 };
                if gap.is_some_and(|gap| (FILL_MIN..longest).contains(&gap)) {
                    self.fill_sound(entry.frame.dts, boundaries, changes);
                }
                self.push_sound(&entry.frame, boundaries, changes)
            }
        }
    }

    /// Ends everything that is open: the source is silent, or frames were lost.
    pub(crate) fn flush(&mut self, longest: Duration, changes: &mut Vec<Change>) {
        if let Some(video) = &mut self.video {
            video.flush(longest, changes);
        }
        if let Some(audio) = &mut self.audio {
            audio.flush(longest + SOUND_OVER, changes);
        }
        self.cuts.clear();
        self.sound_resumes = None;
    }

    /// What came last does not lead to what comes next: pictures begin again with a keyframe.
    pub(crate) fn want_keyframe(&mut self) {
        self.wants_keyframe = true;
    }

    pub(crate) fn is_open(&self) -> bool {
        [&self.video, &self.audio].into_iter().flatten().any(TrackWriter::is_open)
    }

    fn take_tracks(&mut self, tracks: &Arc<Tracks>, longest: Duration, changes: &mut Vec<Change>) {
        let known = [(&self.video, tracks.video()), (&self.audio, tracks.audio())];
        let differs = known.into_iter().any(|(writer, info)| match (writer, info) {
            (Some(writer), Some(info)) => writer.differs(info),
            _ => false,
        });
        if differs {
            self.flush(longest, changes);
            self.want_keyframe();
            self.breaks = true;
        }
        take_track(&mut self.video, tracks.video(), &self.config, &mut self.resume.video, changes);
        self.silence = tracks.audio().and_then(|info| Silence::of(info));
        take_track(&mut self.audio, tracks.audio(), &self.config, &mut self.resume.audio, changes);
        self.tracks = Arc::clone(tracks);
    }

    fn push_picture(&mut self, entry: &Entry, boundaries: &mut Boundaries, changes: &mut Vec<Change>) -> Progress {
        let frame = &entry.frame;
        let longest = boundaries.longest();
        // Where the newest picture would make its segment too long if it lasted until now, what is missing is told instead.
        let is_hole = |video: &TrackWriter| video.is_hole(frame.dts) || video.length_at(frame.dts) > longest;
        if self.video.as_ref().is_some_and(is_hole) {
            self.flush(longest, changes);
            self.breaks = true;
            self.keyframes.lost();
        }
        // Another session's pictures, or those after a leap. A mere pause within a GOP can be decoded across.
        self.wants_keyframe |= frame.flags.discontinuity;
        let Some(video) = &mut self.video else { return Progress::default() };
        if self.wants_keyframe && !frame.is_keyframe() {
            return Progress::default();
        }
        self.wants_keyframe = false;
        self.last_picture = Some(frame.dts);
        if frame.is_keyframe() {
            self.keyframes.saw(frame.pts);
        }
        let time = video.shown_from(frame);
        let ends = match video.open_start() {
            None => true,
            Some(start) if frame.is_keyframe() => {
                let next_in = self.keyframes.apart().max(video.frame_length());
                boundaries.cut_at(time, start, next_in) || video.is_overfull()
            }
            Some(open_start) => {
                let within = Within {
                    time,
                    open_start,
                    length: video.length_at(frame.dts),
                    frame: video.frame_length(),
                    keyframe_in: self.keyframes.due_in(time),
                    is_tidy: frame.pts + ROUNDING >= time,
                };
                boundaries.cut_within(&within) || video.is_overfull()
            }
        };
        if !ends {
            video.push(frame, None, changes);
            return Progress::default();
        }
        boundaries.picture_at(time);
        let segment_ended = video.is_open();
        let number = if segment_ended { 0 } else { boundaries.start_at(time) };
        let end = video.end();
        let cut = self.next_cut(number, time, !segment_ended, end, &mut boundaries.eras);
        let Some(video) = &mut self.video else { return Progress::default() };
        video.push(frame, Some(cut), changes);
        // The sound's first segment takes the number of the picture's.
        let number = video.next_number().map_or(cut.number, |next| next - 1);
        self.cuts.push_back((time, Cut { number, ..cut }));
        if self.cuts.len() > CUTS_AHEAD_MAX {
            self.cuts.pop_front();
        }
        self.tell_live(changes);
        Progress { segment_ended }
    }

    /// The cut at `time`; one after a pause is a discontinuity if time is missing since `end`.
    fn next_cut(&mut self, number: u64, time: MediaTime, after_pause: bool, end: MediaTime, eras: &mut Eras) -> Cut {
        let missing = after_pause && end > MediaTime::ZERO && time.since(end) > BREAK_MIN;
        let breaks = std::mem::take(&mut self.breaks) || missing;
        let Era { breaks, start } = if breaks { eras.begin(time) } else { eras.at(time) };
        Cut { number, breaks, period_start: start }
    }

    /// Silence up to `until`, where sound has begun and is missing.
    fn fill_sound(&mut self, until: MediaTime, boundaries: &mut Boundaries, changes: &mut Vec<Change>) {
        let Some(silence) = self.silence.clone().filter(|_| self.tracks.audio().is_some()) else { return };
        let (length, track) = (silence.length, TrackId::SOURCE_AUDIO);
        for _ in 0..FILL_FRAMES_MAX {
            let Some(dts) = self.audio.as_ref().and_then(TrackWriter::next_dts) else { return };
            if dts + length > until {
                return;
            }
            let flags = FrameFlags { keyframe: true, discontinuity: false };
            self.push_sound(
                &Frame { track, dts, pts: dts, flags, payload: silence.payload.clone() },
                boundaries,
                changes,
            );
        }
    }

    fn push_sound(&mut self, frame: &Frame, boundaries: &mut Boundaries, changes: &mut Vec<Change>) -> Progress {
        let leads = self.sound_leads(frame.dts);
        let Some(audio) = &mut self.audio else { return Progress::default() };
        let longest = boundaries.longest() + SOUND_OVER;
        if audio.is_hole(frame.dts) {
            audio.flush(longest, changes);
            let Era { breaks, start } = boundaries.eras.at(frame.dts);
            let cut = Cut { number: 0, breaks, period_start: start };
            self.sound_resumes = (!leads).then_some(cut);
        }
        if leads {
            return self.push_leading_sound(frame, boundaries, changes);
        }
        let mut cut = None;
        while let Some((_, next)) = self.cuts.pop_front_if(|(time, _)| *time <= frame.dts) {
            cut = Some(next);
        }
        if !audio.is_open() {
            // Sound before the first picture belongs to no segment.
            cut = cut.or(self.sound_resumes.take());
            if cut.is_none() {
                return Progress::default();
            }
        }
        self.sound_resumes = None;
        if cut.is_none() && audio.length_at(frame.dts) + audio.frame_length() > longest {
            // The picture has paused for so long that its next segment begins behind a break. Sound that no segment can hold until
            // then would need one of its own, and be counted differently ever after: it is left out, as the pictures are.
            audio.flush(longest, changes);
            return Progress::default();
        }
        audio.push(frame, cut, changes);
        Progress::default()
    }

    fn push_leading_sound(
        &mut self,
        frame: &Frame,
        boundaries: &mut Boundaries,
        changes: &mut Vec<Change>,
    ) -> Progress {
        self.cuts.clear();
        let alone = self.tracks.video().is_none();
        let Some(audio) = &mut self.audio else { return Progress::default() };
        let ends = match audio.open_start() {
            None => true,
            Some(start) if alone => {
                boundaries.cut_sound_at(frame.pts, start, audio.frame_length()) || audio.is_overfull()
            }
            Some(start) => boundaries.cut_at(frame.pts, start, audio.frame_length()) || audio.is_overfull(),
        };
        if !ends {
            audio.push(frame, None, changes);
            return Progress::default();
        }
        let segment_ended = audio.is_open();
        let number = if segment_ended { 0 } else { boundaries.start_at(frame.pts) };
        let end = audio.end();
        let cut = self.next_cut(number, frame.pts, !segment_ended, end, &mut boundaries.eras);
        if let Some(audio) = &mut self.audio {
            audio.push(frame, Some(cut), changes);
        }
        self.tell_live(changes);
        Progress { segment_ended }
    }

    /// Sound cuts for itself where there is no picture, or none any more.
    fn sound_leads(&self, dts: MediaTime) -> bool {
        if self.tracks.video().is_none() || self.video.is_none() {
            return true;
        }
        let patience = self.config.segment_target * 3 / 2;
        self.last_picture.is_some_and(|picture| dts.since(picture) > patience)
    }

    fn tell_live(&self, changes: &mut Vec<Change>) {
        // Also of a track that only an earlier run had.
        for (kind, writer, info) in
            [(MediaKind::Video, &self.video, self.tracks.video()), (MediaKind::Audio, &self.audio, self.tracks.audio())]
        {
            changes.push(Change::Live { kind, live: writer.is_some() && info.is_some() });
        }
    }
}

/// Sets up a track's writer, anew if its configuration changed. A track that can't be written is left out, and said.
fn take_track(
    writer: &mut Option<TrackWriter>,
    info: Option<&Arc<TrackInfo>>,
    config: &PackagerConfig,
    resume: &mut Option<TrackResume>,
    changes: &mut Vec<Change>,
) {
    let Some(info) = info else { return };
    let taken = match writer {
        Some(writer) if writer.differs(info) => writer.reconfigure(info, config, changes),
        Some(_) => Ok(()),
        None => TrackWriter::new(info, config, resume.take(), changes).map(|new| *writer = Some(new)),
    };
    if let Err(error) = taken {
        tracing::warn!(codec = %info.codec, %error, "a track is not packaged");
    }
}

//! Cuts one rendition into segments: it decides which picture begins one, and has the sounds begin theirs at the same time.

use std::sync::Arc;
use std::time::Duration;

use weir_hub::{Entry, Tracks};
use weir_media::{Frame, MediaKind, MediaTime, TrackInfo};

use crate::config::{Cuts, PackagerConfig};
use crate::cut::boundaries::{Boundaries, Within};
use crate::cut::keyframes::Keyframes;
use crate::cut::sound_writer::{Lead, SAME_CUT};
use crate::cut::sounds::Cutting;
use crate::cut::track_writer::{Cut, TrackWriter, next_cut};
use crate::store::measure::menu_name;
use crate::store::resume::TrackResume;
use crate::store::track_name::TrackName;
use crate::store::{Changes, Has, LeftOut, Sound};

/// The most by which a time that was counted in ticks differs from the same time in milliseconds.
const ROUNDING: MediaTime = MediaTime::from_millis(1);

/// In the input's interleaving, sound may lie so far behind the picture. Sound that is further behind does not come.
const SOUND_LATE_MAX: MediaTime = MediaTime::from_millis(1000);

/// What a frame led to, for whoever watches the schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// A segment of the leading track ended because the next one began.
    pub(crate) segment_ended: bool,
}

#[derive(Debug)]
pub(crate) struct RenditionWriter {
    name: Arc<str>,
    cuts: Cuts,
    config: PackagerConfig,
    tracks: Arc<Tracks>,
    picture: Option<TrackWriter>,
    sounds: Vec<Sound>,
    left_out: Vec<LeftOut>,
    /// Whether configurations changed or time is missing, so that the next segment begins another era.
    breaks: bool,
    keyframes: Keyframes,
    /// Whether pictures up to the next keyframe cannot be decoded.
    wants_keyframe: bool,
    last_picture: Option<MediaTime>,
    /// Where the picture of an earlier run of the server ended. This is kept until the picture begins again.
    resume: Option<(TrackName, TrackResume)>,
}

impl RenditionWriter {
    pub(crate) fn new(name: &str, cuts: Cuts, config: PackagerConfig) -> Self {
        Self {
            name: name.into(),
            cuts,
            config,
            tracks: Arc::default(),
            picture: None,
            sounds: Vec::new(),
            left_out: Vec::new(),
            breaks: false,
            keyframes: Keyframes::default(),
            wants_keyframe: true,
            last_picture: None,
            resume: None,
        }
    }

    /// A writer that goes on where an earlier run of the server ended: another era begins, and the picture's numbers go on from where they
    /// were.
    pub(crate) fn resumed(
        name: &str,
        cuts: Cuts,
        config: PackagerConfig,
        resume: impl IntoIterator<Item = (TrackName, TrackResume)>,
    ) -> Self {
        let resume = resume.into_iter().find(|(track, _)| track.kind == MediaKind::Video);
        Self { breaks: true, resume, ..Self::new(name, cuts, config) }
    }

    /// The same writer, whose next segments end as `cuts` says.
    pub(crate) fn cutting(self, cuts: Cuts) -> Self {
        Self { cuts, ..self }
    }

    pub(crate) fn push(&mut self, entry: &Entry, cutting: &mut Cutting, changes: &mut Changes) -> Progress {
        if !Arc::ptr_eq(&entry.tracks, &self.tracks) {
            self.take_tracks(&entry.tracks, cutting, changes);
        }
        let frame = &entry.frame;
        match entry.track().kind() {
            MediaKind::Video => {
                let ours = self.picture.as_ref().filter(|picture| picture.name.id == frame.track);
                if ours.is_none_or(|picture| picture.knows(frame.dts)) {
                    return Progress::default();
                }
                let progress = self.push_picture(frame, cutting, changes);
                // If pictures go on, time goes on, and missing sound is really missing.
                let until = frame.dts - SOUND_LATE_MAX;
                cutting.sounds.fill(&self.sounds, until, &mut cutting.boundaries, changes);
                progress
            }
            MediaKind::Audio => {
                let lead = self.sound_lead(frame.dts);
                let progress =
                    cutting.sounds.push(&self.name, frame, (lead, self.cuts), &mut cutting.boundaries, changes);
                if progress.cut {
                    self.tell_has(changes);
                }
                Progress { segment_ended: progress.segment_ended && lead != Lead::Pictures }
            }
        }
    }

    /// Ends every open segment, because the source is silent or frames were lost. Sounds that others bring go on.
    pub(crate) fn flush(&mut self, cutting: &mut Cutting, changes: &mut Changes) {
        self.end_all(false, None, cutting, changes);
    }

    fn end_all(&mut self, breaks: bool, since: Option<MediaTime>, cutting: &mut Cutting, changes: &mut Changes) {
        let longest = cutting.boundaries.longest();
        self.end_picture(longest, changes);
        cutting.sounds.flush(&self.name, (breaks, since), longest, changes);
        self.breaks |= breaks;
    }

    fn end_picture(&mut self, longest: Duration, changes: &mut Changes) {
        if let Some(picture) = &mut self.picture {
            let mut own = Vec::new();
            picture.flush(longest, &mut own);
            changes.add(&self.name, own);
        }
    }

    /// Has pictures begin again with a keyframe, because what comes next does not follow what came last.
    pub(crate) fn want_keyframe(&mut self) {
        self.wants_keyframe = true;
    }

    /// Notes that nobody brings this rendition any more.
    pub(crate) fn leave(&self, changes: &mut Changes) {
        changes.gone(&self.name);
    }

    pub(crate) fn is_open(&self, cutting: &Cutting) -> bool {
        self.picture.as_ref().is_some_and(TrackWriter::is_open) || cutting.sounds.any_open(&self.name)
    }

    fn take_tracks(&mut self, tracks: &Arc<Tracks>, cutting: &mut Cutting, changes: &mut Changes) {
        let picture_differs =
            tracks.video().is_some_and(|info| self.picture.as_ref().is_some_and(|picture| picture.differs(info)));
        if picture_differs || tracks.audios().any(|info| cutting.sounds.differs(info)) {
            self.end_all(true, None, cutting, changes);
            self.want_keyframe();
        }
        let longest = cutting.boundaries.longest();
        if let Some(info) = tracks.video() {
            self.take_picture(info, longest, changes);
        }
        (self.sounds, self.left_out) = (Vec::new(), Vec::new());
        for (place, info) in tracks.audios().enumerate() {
            match cutting.sounds.take(&self.name, info, &self.config, longest, changes) {
                Some(home) => self.sounds.push(Sound { home, track: TrackName::of(info), place }),
                None => self.left_out.push(LeftOut { name: menu_name(info, place), codec: info.codec }),
            }
        }
        self.tracks = Arc::clone(tracks);
    }

    /// Sets up the picture's writer, and does so anew if its configuration changed. A picture that can't be written is left out, and that
    /// is logged.
    fn take_picture(&mut self, info: &Arc<TrackInfo>, longest: Duration, changes: &mut Changes) {
        let name = TrackName::of(info);
        if self.picture.as_ref().is_some_and(|picture| picture.name != name) {
            self.end_picture(longest, changes);
            self.picture = None;
        }
        let mut own = Vec::new();
        let taken = match &mut self.picture {
            Some(picture) if picture.differs(info) => picture.reconfigure(info, &self.config, &mut own),
            Some(_) => Ok(()),
            None => {
                let resume = self.resume.take_if(|(track, _)| *track == name).map(|(_, resume)| resume);
                let new = TrackWriter::new(info, &self.config, resume, &mut own);
                new.map(|new| self.picture = Some(new))
            }
        };
        changes.add(&self.name, own);
        if let Err(error) = taken {
            self.picture = None;
            tracing::warn!(codec = %info.codec, %error, "a picture is not packaged");
        }
    }

    fn push_picture(&mut self, frame: &Frame, cutting: &mut Cutting, changes: &mut Changes) -> Progress {
        let longest = cutting.boundaries.longest();
        // If the newest picture lasted until now and that made its segment too long, something is missing, and that is told instead.
        let is_hole = |picture: &TrackWriter| picture.is_hole(frame.dts) || picture.length_at(frame.dts) > longest;
        if self.picture.as_ref().is_some_and(is_hole) {
            self.end_all(true, Some(frame.dts - SAME_CUT), cutting, changes);
            self.keyframes.lost();
        }
        // The flag is set on pictures of another session, or after a leap. A mere pause within a GOP can be decoded across.
        self.wants_keyframe |= frame.flags.discontinuity;
        if self.wants_keyframe && !frame.is_keyframe() {
            return Progress::default();
        }
        self.wants_keyframe = false;
        self.last_picture = Some(frame.dts);
        if frame.is_keyframe() {
            self.keyframes.saw(frame.pts);
        }
        let Some(picture) = &mut self.picture else { return Progress::default() };
        let time = picture.shown_from(frame);
        let mut own = Vec::new();
        let ends = match self.cuts {
            Cuts::ByClock => slot_ends_before(picture, frame, time, &cutting.boundaries),
            Cuts::AtKeyframes => ends_before(picture, &self.keyframes, frame, time, &mut cutting.boundaries),
        };
        if !ends {
            picture.push(frame, None, &mut own);
            changes.add(&self.name, own);
            return Progress::default();
        }
        let boundaries = &mut cutting.boundaries;
        let segment_ended = picture.is_open();
        let number = match self.cuts {
            Cuts::ByClock => boundaries.slot_begins(time, picture.next_number()),
            Cuts::AtKeyframes => {
                boundaries.picture_at(time);
                if segment_ended { 0 } else { boundaries.start_at(time) }
            }
        };
        let paused_at = (!segment_ended).then(|| picture.end());
        let breaks = std::mem::take(&mut self.breaks);
        let cut = next_cut(number, time, paused_at, breaks, &mut boundaries.eras);
        picture.push(frame, Some(cut), &mut own);
        changes.add(&self.name, own);
        // A sound's first segment takes the number of the picture's.
        let number = picture.next_number().map_or(cut.number, |next| next - 1);
        cutting.sounds.cut(self.cuts, &self.sounds, time, Cut { number, ..cut });
        self.tell_has(changes);
        Progress { segment_ended }
    }

    /// Who decides where the rendition's sounds are cut: they do so themselves if there is no picture, or none any more.
    fn sound_lead(&self, dts: MediaTime) -> Lead {
        if self.tracks.video().is_none() || self.picture.is_none() {
            return if self.cuts == Cuts::ByClock { Lead::Clock } else { Lead::Alone };
        }
        let patience = self.config.segment_target * 3 / 2;
        match self.last_picture {
            Some(picture) if dts.since(picture) > patience => Lead::Itself,
            _ => Lead::Pictures,
        }
    }

    fn tell_has(&self, changes: &mut Changes) {
        let is_there = self.tracks.video().is_some();
        let picture = self.picture.as_ref().filter(|_| is_there).map(|picture| picture.name);
        let hidden_picture = is_there && picture.is_none();
        let (sounds, left_out) = (self.sounds.clone(), self.left_out.clone());
        changes.has(&self.name, Has { picture, hidden_picture, sounds, left_out });
    }
}

/// Whether a segment begins with this picture: none is open, or the open one ends here. These pictures have keyframes where slots begin. If
/// a keyframe did not come, the segment ends before it is too long.
fn slot_ends_before(picture: &TrackWriter, frame: &Frame, time: MediaTime, boundaries: &Boundaries) -> bool {
    let Some(open_start) = picture.open_start() else { return true };
    let is_last = picture.length_at(frame.dts) + picture.frame_length() > boundaries.longest();
    frame.is_keyframe() && boundaries.slots.cut_at(time, open_start) || is_last || picture.is_overfull()
}

/// Whether a segment begins with this picture: none is open, or the open one ends here.
fn ends_before(
    picture: &TrackWriter,
    keyframes: &Keyframes,
    frame: &Frame,
    time: MediaTime,
    boundaries: &mut Boundaries,
) -> bool {
    match picture.open_start() {
        None => true,
        Some(start) if frame.is_keyframe() => {
            let next_in = keyframes.apart().max(picture.frame_length());
            boundaries.cut_at(time, start, next_in) || picture.is_overfull()
        }
        Some(open_start) => {
            let within = Within {
                time,
                open_start,
                length: picture.length_at(frame.dts),
                frame: picture.frame_length(),
                keyframe_in: keyframes.due_in(time),
                is_tidy: frame.pts + ROUNDING >= time,
            };
            boundaries.cut_within(&within) || picture.is_overfull()
        }
    }
}

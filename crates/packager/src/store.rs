//! The segment store: every track's segments and parts, bounded in time and bytes, from which all protocols are served.

pub(crate) mod awaited;
pub(crate) mod backlog;
pub(crate) mod clock;
pub(crate) mod held;
pub(crate) mod index;
pub(crate) mod live;
pub(crate) mod measure;
pub(crate) mod part;
pub(crate) mod part_times;
pub(crate) mod rendered;
pub(crate) mod resume;
pub(crate) mod segment;
pub(crate) mod target;
pub(crate) mod track;
pub(crate) mod track_name;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use weir_media::codec::captions::Captions;
use weir_media::{Codec, MediaKind};

use crate::config::PackagerConfig;
use crate::store::backlog::Backlog;
use crate::store::part::Part;
use crate::store::segment::Segment;
use crate::store::track::{Init, Track, forget};
use crate::store::track_name::TrackName;

/// What packaging does to a track in the store.
#[derive(Debug)]
pub(crate) enum Change {
    Init { track: TrackName, number: u32, init: Init },
    Begin { track: TrackName, segment: Segment },
    Part { track: TrackName, part: Part },
    End { track: TrackName },
    Captions { track: TrackName, captions: Captions },
}

/// All changes that one frame causes, one rendition after the other. They are applied together, so that nobody sees that a segment has
/// ended without the one that follows it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    of: Vec<(Arc<str>, Vec<Change>)>,
    /// What the rendition of that name has now. None inside means that the rendition has gone.
    has: Option<(Arc<str>, Option<Has>)>,
}

impl Changes {
    /// Adds what happened to tracks that lie with that rendition.
    pub(crate) fn add(&mut self, rendition: &Arc<str>, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        match self.of.last_mut().filter(|(last, _)| last == rendition) {
            Some((_, all)) => all.extend(changes),
            None => self.of.push((Arc::clone(rendition), changes)),
        }
    }

    pub(crate) fn has(&mut self, rendition: &Arc<str>, has: Has) {
        self.has = Some((Arc::clone(rendition), Some(has)));
    }

    /// Notes that nobody brings the rendition any more. What there is of it can still be played.
    pub(crate) fn gone(&mut self, rendition: &Arc<str>) {
        self.has = Some((Arc::clone(rendition), None));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.of.is_empty() && self.has.is_none()
    }

    /// The highest number of the segments that begin.
    pub(crate) fn newest_number(&self) -> Option<u64> {
        let changes = self.of.iter().flat_map(|(_, changes)| changes);
        let numbers = changes.filter_map(|change| match change {
            Change::Begin { segment, .. } => Some(segment.number),
            _ => None,
        });
        numbers.max()
    }
}

/// What a rendition consists of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Has {
    pub(crate) picture: Option<TrackName>,
    /// Whether the rendition has a picture that can't be packaged.
    pub(crate) hidden_picture: bool,
    pub(crate) sounds: Vec<Sound>,
    /// The sounds that can't be packaged.
    pub(crate) left_out: Vec<LeftOut>,
}

/// A sound that players are not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// The sound's name as a menu shows it.
    pub(crate) name: String,
    pub(crate) codec: Codec,
}

/// A sound of a rendition. Sounds that are the same in several renditions lie with one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    pub(crate) home: Arc<str>,
    pub(crate) track: TrackName,
    /// The sound's place among all sounds of the rendition, including those that can't be packaged. In every rendition, what was made of
    /// the same sound of the source stands in the same place.
    pub(crate) place: usize,
}

/// A sound of a rendition, with the track that was found for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundSound<'a> {
    pub(crate) home: &'a str,
    pub(crate) track: &'a Track,
    pub(crate) place: usize,
}

#[derive(Debug)]
pub(crate) struct Store {
    config: PackagerConfig,
    pub(crate) renditions: BTreeMap<String, Vec<Track>>,
    /// Whether each rendition is live, and what it consists of, or did when it went, wherever those tracks lie. A rendition that has not
    /// begun in this run has no entry.
    has: BTreeMap<String, (bool, Has)>,
    /// The renditions that are brought now, or will be.
    pub(crate) followed: BTreeSet<String>,
    /// What the wall clock said at the stream's time zero.
    pub(crate) zero_at: Option<OffsetDateTime>,
    /// The target duration of HLS, which is the same for all playlists. None until it is announced.
    pub(crate) target: Option<u64>,
    /// The version rises with every change.
    pub(crate) version: u64,
    /// This run of the server, as in [`Segment::run`].
    pub(crate) run: u64,
    /// What is still to be written to disk. None if the window does not reach beyond memory.
    pub(crate) backlog: Option<Backlog>,
    bytes: usize,
}

impl Store {
    /// Segments are kept for so long beyond the window, for those who still read an older playlist (RFC 8216bis, 6.2.2).
    const GRACE: Duration = Duration::from_secs(12);

    pub(crate) fn new(config: PackagerConfig) -> Self {
        let renditions = BTreeMap::new();
        Self {
            config,
            renditions,
            has: BTreeMap::new(),
            followed: BTreeSet::new(),
            zero_at: None,
            target: None,
            version: 0,
            run: 0,
            backlog: None,
            bytes: 0,
        }
    }

    pub(crate) fn config(&self) -> &PackagerConfig {
        &self.config
    }

    /// The target duration, or the least that it will be if it is not announced yet.
    pub(crate) fn target_seconds(&self) -> u64 {
        let least = self.config.segment_target.max(self.config.slot());
        self.target.unwrap_or_else(|| target::for_length(least))
    }

    /// Whether playlists can be written. They promise something of all that is to come, so that has to be known.
    pub(crate) fn is_announced(&self) -> bool {
        self.target.is_some()
    }

    /// Announces the target duration when the first segment is whole, whose length this is. Later calls change nothing.
    fn announce(&mut self, length: Duration) {
        let target = self.target_seconds().max(target::for_length(length));
        self.target.get_or_insert(target);
    }

    pub(crate) fn track(&self, rendition: &str, name: TrackName) -> Option<&Track> {
        self.renditions.get(rendition)?.iter().find(|track| track.name == name)
    }

    pub(crate) fn track_mut(&mut self, rendition: &str, name: TrackName) -> Option<&mut Track> {
        self.renditions.get_mut(rendition)?.iter_mut().find(|track| track.name == name)
    }

    /// Whether the rendition has gone.
    pub(crate) fn is_gone(&self, rendition: &str) -> bool {
        self.has.get(rendition).is_some_and(|(is_live, _)| !is_live)
    }

    /// Whether the rendition has brought anything in this run.
    pub(crate) fn has_begun(&self, rendition: &str) -> bool {
        self.has.get(rendition).is_some_and(|(is_live, _)| *is_live)
    }

    /// Whether the rendition has a picture that can't be packaged.
    pub(crate) fn hides_picture(&self, rendition: &str) -> bool {
        self.has.get(rendition).is_some_and(|(_, has)| has.hidden_picture)
    }

    /// The sounds of a live rendition that can't be packaged.
    pub(crate) fn left_out_of(&self, rendition: &str) -> &[LeftOut] {
        self.has.get(rendition).filter(|(is_live, _)| *is_live).map_or(&[], |(_, has)| &has.left_out)
    }

    /// Takes over what the other store says of renditions.
    pub(crate) fn follow_renditions(&mut self, other: &Self) {
        if self.followed != other.followed {
            self.followed.clone_from(&other.followed);
        }
        if self.has != other.has {
            self.has.clone_from(&other.has);
            for rendition in other.renditions.keys() {
                self.renditions.entry(rendition.clone()).or_default();
            }
        }
    }

    /// The rendition's picture: the one that is live, or else the one that an earlier run had.
    pub(crate) fn picture_of(&self, rendition: &str) -> Option<&Track> {
        let pictures = self.renditions.get(rendition)?.iter().filter(|track| track.name.kind == MediaKind::Video);
        pictures.max_by_key(|track| track.live)
    }

    /// The rendition's sounds, each with the rendition that it lies with and its place.
    pub(crate) fn sounds_of(&self, rendition: &str) -> Vec<FoundSound<'_>> {
        let Some((_, has)) = self.has.get(rendition) else {
            // The rendition has not begun in this run, so its sounds are those that an earlier run of the server left.
            let own = self.renditions.get_key_value(rendition).into_iter();
            let own = own.flat_map(|(home, tracks)| tracks.iter().map(move |track| (home.as_str(), track)));
            let own = own.filter(|(_, track)| track.name.kind == MediaKind::Audio).enumerate();
            return own.map(|(place, (home, track))| FoundSound { home, track, place }).collect();
        };
        let found = |sound: &'_ Sound| {
            let (home, tracks) = self.renditions.get_key_value(&*sound.home)?;
            let track = tracks.iter().find(|track| track.name == sound.track)?;
            Some(FoundSound { home, track, place: sound.place })
        };
        has.sounds.iter().filter_map(found).collect()
    }

    /// Applies the changes. Returns the tracks that now have one more whole segment, each with the rendition that it lies with.
    pub(crate) fn apply(&mut self, changes: Changes) -> Vec<(Arc<str>, TrackName)> {
        let mut whole = Vec::new();
        if changes.is_empty() {
            return whole;
        }
        self.version += 1;
        let mut ended = false;
        for (rendition, changes) in changes.of {
            for change in changes {
                ended |= matches!(change, Change::End { .. });
                let is_whole = self.apply_one(&rendition, change);
                whole.extend(is_whole.map(|track| (Arc::clone(&rendition), track)));
            }
        }
        if let Some((rendition, has)) = changes.has {
            self.take_has(&rendition, has);
        }
        if ended {
            self.evict();
        }
        whole
    }

    /// Takes over what the rendition has now. Those tracks are live, and tracks that it alone had are not live any more.
    fn take_has(&mut self, rendition: &str, has: Option<Has>) {
        let picture = has.as_ref().and_then(|has| has.picture);
        for track in self.renditions.get_mut(rendition).into_iter().flatten() {
            if track.name.kind == MediaKind::Video {
                track.live = Some(track.name) == picture;
            }
        }
        match has {
            Some(has) => {
                // The rendition is listed even if all that it has lies elsewhere.
                self.renditions.entry(rendition.to_owned()).or_default();
                self.has.insert(rendition.to_owned(), (true, has));
            }
            None => self.has.entry(rendition.to_owned()).or_default().0 = false,
        }
        for (home, tracks) in &mut self.renditions {
            for track in tracks.iter_mut().filter(|track| track.name.kind == MediaKind::Audio) {
                let mut live = self.has.values().filter(|(is_live, _)| *is_live).flat_map(|(_, has)| &has.sounds);
                let used = live.any(|sound| *sound.home == **home && sound.track == track.name);
                // The source is always expected back, so what an earlier run had is live until this run says otherwise.
                track.live = used || track.live && !self.has.contains_key(home);
            }
        }
    }

    /// Applies one change. Returns the track if one more segment of it is whole now.
    fn apply_one(&mut self, rendition: &str, change: Change) -> Option<TrackName> {
        match change {
            Change::Init { track, number, init } => {
                if let Some(backlog) = &mut self.backlog {
                    backlog.add_init(rendition, track, number);
                }
                self.track_or_new(rendition, track).inits.insert(number, init);
            }
            Change::Captions { track, captions } => self.track_or_new(rendition, track).captions = captions,
            Change::Begin { track, mut segment } => {
                segment.run = self.run;
                self.track_or_new(rendition, track).push(segment);
            }
            Change::Part { track, part } => self.add_part(rendition, track, part),
            Change::End { track } => {
                let found = self.track_mut(rendition, track)?;
                match found.segments.back_mut() {
                    // If nothing came, there never was such a segment, and the next one gets its number.
                    Some(open) if open.is_complete() => {}
                    Some(open) if open.parts.is_empty() => drop(found.segments.pop_back()),
                    Some(open) => {
                        open.complete = true;
                        let length = open.end().since(open.start());
                        self.announce(length);
                        return Some(track);
                    }
                    None => {}
                }
            }
        }
        None
    }

    fn add_part(&mut self, rendition: &str, name: TrackName, part: Part) {
        let bytes = part.bytes;
        let Some(track) = self.track_mut(rendition, name) else { return };
        let Some(open) = track.segments.back_mut() else { return };
        open.duration_ticks += part.duration_ticks;
        open.independent |= open.samples == 0 && part.independent;
        open.samples += u64::from(part.samples);
        open.bytes += bytes;
        if !part.listable {
            open.unlisted_from.get_or_insert(open.parts.len());
        }
        open.parts.push(part);
        self.bytes += bytes;
    }

    pub(crate) fn track_or_new(&mut self, rendition: &str, name: TrackName) -> &mut Track {
        let tracks = self.renditions.entry(rendition.to_owned()).or_default();
        let at = tracks.iter().position(|track| track.name == name).unwrap_or_else(|| {
            tracks.push(Track::new(name));
            tracks.len() - 1
        });
        &mut tracks[at]
    }

    fn evict(&mut self) {
        let (window, target_seconds) = (self.config.window, self.target_seconds());
        let kept = window + Self::GRACE;
        let mut freed = 0;
        let mut backlog = self.backlog.as_mut();
        let tracks =
            self.renditions.iter_mut().flat_map(|(name, tracks)| tracks.iter_mut().map(move |track| (name, track)));
        for (name, track) in tracks {
            track.list_from(window, target_seconds);
            while let Some(oldest) = track.pop_older(kept) {
                freed += forget(&oldest, name, track.name, &mut backlog);
            }
            if let Some(backlog) = &mut backlog {
                freed += track.leave_memory(name, backlog.memory_window + Self::GRACE, backlog);
            }
        }
        self.bytes = self.bytes.saturating_sub(freed);
        while self.bytes > self.config.window_bytes_max {
            let tracks =
                self.renditions.iter_mut().flat_map(|(name, tracks)| tracks.iter_mut().map(move |track| (name, track)));
            let oldest = tracks.filter_map(|(name, track)| {
                let (index, oldest) = track.first_in_memory()?;
                let start = oldest.start();
                (index + 1 < track.segments.len()).then_some((start, index, name, track))
            });
            let Some((_, index, name, track)) = oldest.min_by_key(|(start, ..)| *start) else { break };
            let freed = track.leave_memory_at(index, name, self.backlog.as_mut());
            self.bytes = self.bytes.saturating_sub(freed);
        }
    }
}

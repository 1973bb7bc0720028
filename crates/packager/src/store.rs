//! The segment store: every track's segments and parts, bounded in time and bytes, from which all protocols are served.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;
use weir_media::codec::captions::Captions;
use weir_media::{MediaKind, MediaTime};

use crate::PackagerConfig;
use crate::dvr::Backlog;
use crate::part::Part;
use crate::segment::Segment;
use crate::target;
use crate::track::{Init, Track, forget};

/// What the packaging of a rendition does to the store. All that one frame causes is applied at once, so that nobody sees a
/// segment that ended without the one that follows.
#[derive(Debug)]
pub(crate) enum Change {
    Init { kind: MediaKind, number: u32, init: Init },
    Begin { kind: MediaKind, segment: Segment },
    Part { kind: MediaKind, part: Part },
    End { kind: MediaKind },
    Live { kind: MediaKind, live: bool },
    Captions { kind: MediaKind, captions: Captions },
}

#[derive(Debug)]
pub(crate) struct Store {
    config: PackagerConfig,
    pub(crate) renditions: BTreeMap<String, Vec<Track>>,
    /// The wall clock at the stream's time zero.
    pub(crate) zero_at: Option<OffsetDateTime>,
    /// HLS's target duration, one for all playlists, once it is announced.
    pub(crate) target: Option<u64>,
    /// Rises with every change.
    pub(crate) version: u64,
    /// See [`Segment::run`].
    pub(crate) run: u64,
    /// Where the timeline of an earlier run ended, if this one goes on from it.
    pub(crate) resumed_end: Option<MediaTime>,
    /// What is to be written, where the window reaches beyond memory.
    pub(crate) backlog: Option<Backlog>,
    bytes: usize,
}

impl Store {
    /// Kept beyond the window for those who still read an older playlist (RFC 8216bis, 6.2.2).
    const GRACE: Duration = Duration::from_secs(12);

    pub(crate) fn new(config: PackagerConfig) -> Self {
        let renditions = BTreeMap::new();
        Self {
            config,
            renditions,
            zero_at: None,
            target: None,
            version: 0,
            run: 0,
            resumed_end: None,
            backlog: None,
            bytes: 0,
        }
    }

    pub(crate) fn config(&self) -> &PackagerConfig {
        &self.config
    }

    /// The target duration, or what it will be at least.
    pub(crate) fn target_seconds(&self) -> u64 {
        let least = self.config.segment_target.max(self.config.keyframes_apart);
        self.target.unwrap_or_else(|| target::for_length(least))
    }

    /// Whether playlists can be written: what they say of all that is to come is known.
    pub(crate) fn is_announced(&self) -> bool {
        self.target.is_some()
    }

    /// The first segment is whole.
    fn announce(&mut self, length: Duration) {
        let target = self.target_seconds().max(target::for_length(length));
        self.target.get_or_insert(target);
    }

    pub(crate) fn track(&self, rendition: &str, kind: MediaKind) -> Option<&Track> {
        self.renditions.get(rendition)?.iter().find(|track| track.kind == kind)
    }

    pub(crate) fn track_mut(&mut self, rendition: &str, kind: MediaKind) -> Option<&mut Track> {
        self.renditions.get_mut(rendition)?.iter_mut().find(|track| track.kind == kind)
    }

    pub(crate) fn apply(&mut self, rendition: &str, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.version += 1;
        let mut ended = false;
        for change in changes {
            ended |= matches!(change, Change::End { .. });
            self.apply_one(rendition, change);
        }
        if ended {
            self.evict();
        }
    }

    fn apply_one(&mut self, rendition: &str, change: Change) {
        match change {
            Change::Init { kind, number, init } => {
                if let Some(backlog) = &mut self.backlog {
                    backlog.add_init(rendition, kind, number);
                }
                self.track_or_new(rendition, kind).inits.insert(number, init);
            }
            Change::Live { kind, live } => {
                if let Some(track) = self.track_mut(rendition, kind) {
                    track.live = live;
                }
            }
            Change::Captions { kind, captions } => self.track_or_new(rendition, kind).captions = captions,
            Change::Begin { kind, mut segment } => {
                segment.run = self.run;
                self.track_or_new(rendition, kind).push(segment);
            }
            Change::Part { kind, part } => self.add_part(rendition, kind, part),
            Change::End { kind } => {
                let Some(track) = self.track_mut(rendition, kind) else { return };
                match track.segments.back_mut() {
                    // Nothing came: there never was such a segment, and the next one has its number.
                    Some(open) if open.is_complete() => {}
                    Some(open) if open.parts.is_empty() => drop(track.segments.pop_back()),
                    Some(open) => {
                        open.complete = true;
                        let length = open.end().since(open.start());
                        self.announce(length);
                    }
                    None => {}
                }
            }
        }
    }

    fn add_part(&mut self, rendition: &str, kind: MediaKind, part: Part) {
        let bytes = part.bytes;
        let Some(track) = self.track_mut(rendition, kind) else { return };
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

    pub(crate) fn track_or_new(&mut self, rendition: &str, kind: MediaKind) -> &mut Track {
        let tracks = self.renditions.entry(rendition.to_owned()).or_default();
        let at = tracks.iter().position(|track| track.kind == kind).unwrap_or_else(|| {
            tracks.push(Track::new(kind));
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
                freed += forget(&oldest, name, track.kind, &mut backlog);
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

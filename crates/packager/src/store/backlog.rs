//! The store's work for the disk: what is still to be written there, and what is to be deleted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::index::Record;
use crate::store::Store;
use crate::store::part::Part;
use crate::store::segment::Segment;
use crate::store::track::Track;
use crate::store::track_name::TrackName;

/// So many files may wait to be deleted while the disk hangs: two tracks with segments of 2 s make as many in 14 hours. Files beyond that
/// are forgotten, and the next start of the server deletes them.
const DOOMED_MAX: usize = 50_000;
/// The index is written anew once it has so many lines that are of no use any more. They are half a megabyte.
const DEAD_LINES_MAX: usize = 5_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrackKey {
    pub(crate) rendition: String,
    pub(crate) track: TrackName,
}

impl TrackKey {
    pub(crate) fn new(rendition: &str, track: TrackName) -> Self {
        Self { rendition: rendition.to_owned(), track }
    }

    /// The path of a segment's file below the stream's folder. Names are checked before a rendition is packaged, so they can stand in it.
    pub(crate) fn file(&self, segment: &Segment) -> PathBuf {
        Path::new(&self.rendition).join(self.track.to_string()).join(format!("{}.m4s", segment.name()))
    }
}

/// The next thing that the disk has to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Deletes files. Each has its size in bytes.
    Delete(Vec<(PathBuf, u64)>),
    Line {
        text: String,
        of: Line,
    },
    Segment {
        track: TrackKey,
        number: u64,
        file: PathBuf,
        pieces: Vec<Bytes>,
        bytes: u64,
        line: String,
    },
    /// Writes the index anew.
    Index {
        text: String,
        lines: usize,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Zero,
    Target,
    Init(TrackKey, u32),
}

#[derive(Debug)]
pub(crate) struct Backlog {
    pub(crate) memory_window: Duration,
    doomed: Vec<(PathBuf, u64)>,
    inits: Vec<(TrackKey, u32)>,
    zero_saved: bool,
    target_saved: bool,
    lines: usize,
    /// How many segments left memory before the disk had taken them.
    pub(crate) lost: u64,
}

impl Backlog {
    /// A new backlog. Its first job is to write the index anew, so that lines that an earlier run left torn are gone.
    pub(crate) fn new(memory_window: Duration) -> Self {
        let lines = usize::MAX;
        let (zero_saved, target_saved) = (false, false);
        Self { memory_window, doomed: Vec::new(), inits: Vec::new(), zero_saved, target_saved, lines, lost: 0 }
    }

    pub(crate) fn add_init(&mut self, rendition: &str, track: TrackName, number: u32) {
        self.inits.push((TrackKey::new(rendition, track), number));
    }

    /// Notes that a segment has left the window.
    pub(crate) fn left(&mut self, rendition: &str, track: TrackName, segment: &Segment) {
        if !segment.saved {
            self.lost += 1;
            return;
        }
        if self.doomed.len() < DOOMED_MAX {
            self.doomed.push((TrackKey::new(rendition, track).file(segment), segment.bytes as u64));
        }
    }
}

impl Store {
    /// What the disk should do next. Files are deleted first, because that makes room. Then comes what segments need, and then the
    /// segments, oldest first.
    pub(crate) fn next_job(&mut self) -> Option<Job> {
        let backlog = self.backlog.as_mut()?;
        if !backlog.doomed.is_empty() {
            return Some(Job::Delete(std::mem::take(&mut backlog.doomed)));
        }
        let live: usize =
            self.renditions.values().flatten().map(|track| track.segments.len() + track.inits.len()).sum();
        if backlog.lines > live * 2 + DEAD_LINES_MAX {
            let (text, lines) = self.records();
            return Some(Job::Index { text, lines });
        }
        if !backlog.zero_saved
            && let Some(zero_at) = self.zero_at
        {
            return Some(Job::Line { text: Record::zero(zero_at), of: Line::Zero });
        }
        if !backlog.target_saved
            && let Some(target) = self.target
        {
            return Some(Job::Line { text: Record::target(target), of: Line::Target });
        }
        while let Some((key, number)) = self.backlog.as_ref().and_then(|backlog| backlog.inits.first()).cloned() {
            let track = self.track(&key.rendition, key.track);
            if let Some(init) = track.and_then(|track| track.inits.get(&number)) {
                return Some(Job::Line { text: Record::init(&key, number, init), of: Line::Init(key, number) });
            }
            // No segment needs this init segment any more.
            self.line_saved(&Line::Init(key, number));
        }
        self.oldest_unsaved()
    }

    pub(crate) fn line_saved(&mut self, line: &Line) {
        let Some(backlog) = &mut self.backlog else { return };
        backlog.lines = backlog.lines.saturating_add(1);
        match line {
            Line::Zero => backlog.zero_saved = true,
            Line::Target => backlog.target_saved = true,
            Line::Init(key, number) => backlog.inits.retain(|(other, n)| (other, n) != (key, number)),
        }
    }

    pub(crate) fn index_saved(&mut self, lines: usize) {
        if let Some(backlog) = &mut self.backlog {
            backlog.lines = lines;
        }
    }

    /// Notes that a segment is on disk. If it has left the window meanwhile, its file is deleted again.
    pub(crate) fn segment_saved(&mut self, key: &TrackKey, number: u64, file: PathBuf, bytes: u64) {
        let run = self.run;
        let track = self.track_mut(&key.rendition, key.track);
        let segment = track.and_then(|track| track.segment_mut(number)).filter(|segment| segment.run == run);
        let found = segment.map(|segment| segment.saved = true).is_some();
        let Some(backlog) = &mut self.backlog else { return };
        backlog.lines = backlog.lines.saturating_add(1);
        if !found {
            backlog.doomed.push((file, bytes));
        }
    }

    /// Shortens the window until so many bytes are to be deleted. The oldest segment of all tracks goes first, and what is in memory stays.
    /// Returns how many bytes are to be deleted.
    pub(crate) fn shrink(&mut self, bytes: u64) -> u64 {
        let mut freed = 0;
        while freed < bytes {
            let on_disk = |track: &&mut Track| track.segments.front().is_some_and(Segment::is_on_disk_only);
            let tracks = self
                .renditions
                .iter_mut()
                .flat_map(|(name, tracks)| tracks.iter_mut().filter(on_disk).map(move |track| (name, track)));
            let oldest = tracks.min_by_key(|(_, track)| track.segments.front().map(Segment::start));
            let Some((name, track)) = oldest else { break };
            let (Some(popped), Some(backlog)) = (track.pop_oldest(), &mut self.backlog) else { break };
            backlog.left(name, track.name, &popped);
            freed += popped.bytes as u64;
        }
        if freed > 0 {
            self.version += 1;
        }
        freed
    }

    /// The text of the whole index as it should be, and its number of lines.
    pub(crate) fn records(&self) -> (String, usize) {
        let mut text = self.zero_at.map_or(String::new(), Record::zero);
        text.push_str(&self.target.map_or(String::new(), Record::target));
        for (name, track) in
            self.renditions.iter().flat_map(|(name, tracks)| tracks.iter().map(move |track| (name, track)))
        {
            let key = TrackKey::new(name, track.name);
            track.inits.iter().for_each(|(number, init)| text.push_str(&Record::init(&key, *number, init)));
            let saved = track.segments.iter().filter(|segment| segment.saved);
            saved.for_each(|segment| text.push_str(&Record::segment(&key, segment, track.first_listed)));
        }
        let lines = text.matches('\n').count();
        (text, lines)
    }

    fn oldest_unsaved(&self) -> Option<Job> {
        let tracks = self.renditions.iter().flat_map(|(name, tracks)| tracks.iter().map(move |track| (name, track)));
        let unsaved = tracks.filter_map(|(name, track)| {
            let first = track.segments.get(track.segments.partition_point(|segment| segment.saved))?;
            first.is_complete().then(|| (first.start(), name, track, first))
        });
        let (_, name, track, segment) = unsaved.min_by_key(|(start, ..)| *start)?;
        let key = TrackKey::new(name, track.name);
        let line = Record::segment(&key, segment, track.first_listed);
        let pieces = segment.parts.iter().flat_map(Part::pieces).cloned().collect();
        let bytes = segment.bytes as u64;
        Some(Job::Segment { number: segment.number, file: key.file(segment), pieces, bytes, line, track: key })
    }
}

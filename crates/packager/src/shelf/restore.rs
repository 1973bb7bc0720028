//! Reads what an earlier run of the server left of a stream's window, checks it against the files, and puts it in order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use time::OffsetDateTime;
use weir_media::{ClockMark, MediaTime};

use super::StreamShelf;
use crate::shelf::disk::Disk;
use crate::store::Store;
use crate::store::backlog::TrackKey;
use crate::store::index::Record;
use crate::store::resume::{Ended, Resume, TrackResume};
use crate::store::segment::Segment;
use crate::store::track::{Init, Track};
use crate::wall_time::wall_time;

/// Tracks whose ends are closer together than this were live together. They are made to end with the same number, and go on alike.
const TOGETHER: Duration = Duration::from_secs(30);

/// A window as it was found on disk.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) zero_at: Option<OffsetDateTime>,
    target: Option<u64>,
    tracks: Vec<(TrackKey, Found)>,
}

#[derive(Debug, Default)]
struct Found {
    inits: BTreeMap<u32, Init>,
    segments: VecDeque<Segment>,
    first_listed: u64,
}

/// Reads the window, and deletes what does not belong to it. This blocks.
///
/// A window whose time zero is not that of the stream's clock is of no use, because the times in its files are not the stream's.
///
/// Nothing is too old by the wall clock: the server can't tell whether it was down for a day, or somebody set the clock forward by one. A
/// window grows old only while the server runs.
pub(crate) fn read(shelf: &StreamShelf, zero_at: Option<OffsetDateTime>) -> io::Result<Restored> {
    let mut restored = Restored::of(shelf.disk(), &shelf.index())?;
    if restored.zero_at != zero_at && !restored.tracks.is_empty() {
        tracing::warn!(
            folder = %shelf.folder.display(),
            "the window on disk was made by another clock than the stream has now, so it can't go on and begins anew"
        );
        restored = Restored::default();
    }
    let files: HashMap<PathBuf, u64> = shelf.disk().files(&shelf.folder)?.into_iter().collect();
    let is_there = |key: &TrackKey, segment: &Segment| {
        files.get(&shelf.folder.join(key.file(segment))) == Some(&(segment.bytes as u64))
    };
    for (key, found) in &mut restored.tracks {
        found.keep_from_last(|segment, inits| !is_there(key, segment) || !inits.contains_key(&segment.init));
    }
    restored.end_together();
    restored.forget_unlisted();
    restored.delete_others(shelf, files.into_keys())?;
    Ok(restored)
}

/// The mark of the clock by which a window was made. None if there is no window. This blocks.
pub(super) fn mark(disk: &dyn Disk, index: &Path) -> io::Result<Option<ClockMark>> {
    let restored = Restored::of(disk, index)?;
    let Some(zero_at) = restored.zero_at else { return Ok(None) };
    let newest = || restored.tracks.iter().filter_map(|(_, found)| found.segments.back());
    let reached = newest().map(Segment::end).max().unwrap_or(MediaTime::ZERO);
    Ok(Some(ClockMark {
        zero_at,
        // This is the number that a clock has when it begins.
        first_number: u64::try_from(zero_at.unix_timestamp()).unwrap_or(0),
        reached,
        next_number: newest().map(|segment| segment.number + 1).max().unwrap_or(0),
        noted_at: wall_time(zero_at, reached),
    }))
}

impl Restored {
    fn of(disk: &dyn Disk, index: &Path) -> io::Result<Self> {
        let text = match disk.read(index) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text?,
        };
        let mut restored = Self::default();
        for record in Record::parse_all(&text) {
            restored.take(record);
        }
        Ok(restored)
    }

    /// Puts the whole window into a store that has nothing yet. Returns where the window ended.
    pub(crate) fn put(self, store: &mut Store) -> Ended {
        let mut resumes = BTreeMap::<String, Resume>::new();
        let (mut next_number, mut breaks) = (0, 0);
        store.zero_at = self.zero_at;
        for (key, found) in self.tracks {
            let Some(last) = found.segments.back() else { continue };
            let init = found.inits.keys().next_back().map_or(0, |last| last + 1);
            let track_resume = TrackResume { init, number: last.number + 1, end: last.end() };
            let resume = resumes.entry(key.rendition.clone()).or_default();
            breaks = breaks.max(last.breaks);
            resume.insert(key.track, track_resume);
            next_number = next_number.max(last.number + 1);
            let longest = found.segments.iter().map(Segment::seconds).fold(0.0, f64::max);
            // An index of an older version does not say which target was announced: it was the longest segment, rounded.
            let least = self.target.unwrap_or(store.target_seconds()).max(longest.round() as u64);
            store.target = store.target.max(Some(least));
            let track: &mut Track = store.track_or_new(&key.rendition, key.track);
            // The source is always expected back. Other renditions are live again when someone makes them.
            track.live = key.rendition == weir_hub::SOURCE_RENDITION;
            track.restore(found.inits, found.segments, found.first_listed);
        }
        store.version += 1;
        Ended { resumes, next_number, breaks }
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.tracks.iter().flat_map(|(_, found)| &found.segments).map(|segment| segment.bytes as u64).sum()
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Target(seconds) => self.target = Some(seconds),
            Record::Zero(nanos) => self.zero_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok(),
            Record::Init { track, number, init } => {
                self.found(track).inits.insert(number, init);
            }
            Record::Segment { track, segment, first_listed } => {
                let found = self.found(track);
                // If a number comes again, it is of a later run, which did not know of the first.
                while found.segments.back().is_some_and(|last| last.number >= segment.number) {
                    found.segments.pop_back();
                }
                if found.segments.back().is_some_and(|last| last.number + 1 != segment.number) {
                    found.segments.clear();
                }
                found.segments.push_back(segment);
                found.first_listed = found.first_listed.max(first_listed);
            }
        }
    }

    fn found(&mut self, key: TrackKey) -> &mut Found {
        let at = self.tracks.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            self.tracks.push((key, Found::default()));
            self.tracks.len() - 1
        });
        &mut self.tracks[at].1
    }

    /// Has all tracks end with the same number. Of two tracks that were live, one may have one segment more on disk. That one goes, so that
    /// the same number still means the same time. A track that ended long before is of no use to anyone who joins now, and goes too.
    fn end_together(&mut self) {
        let ends = self.tracks.iter().filter_map(|(_, found)| found.segments.back().map(Segment::end));
        let Some(end) = ends.max() else { return };
        let recent = |found: &Found| found.segments.back().is_some_and(|last| end.since(last.end()) <= TOGETHER);
        self.tracks.retain(|(_, found)| recent(found));
        let Some(last) = self.tracks.iter().filter_map(|(_, found)| Some(found.segments.back()?.number)).min() else {
            return;
        };
        for (_, found) in &mut self.tracks {
            while found.segments.back().is_some_and(|segment| segment.number > last) {
                found.segments.pop_back();
            }
        }
        self.tracks.retain(|(_, found)| !found.segments.is_empty());
    }

    /// Forgets segments that were not listed any more. The last one stays, because numbers go on from it.
    fn forget_unlisted(&mut self) {
        for (_, found) in &mut self.tracks {
            let last = found.segments.back().map_or(0, |last| last.number);
            found.first_listed = found.first_listed.min(last);
            while found.segments.pop_front_if(|oldest| oldest.number < found.first_listed).is_some() {}
            let needed = found.segments.front().map_or(0, |oldest| oldest.init);
            found.inits.retain(|number, _| *number >= needed);
        }
    }

    fn delete_others(&self, shelf: &StreamShelf, files: impl Iterator<Item = PathBuf>) -> io::Result<()> {
        let index = shelf.index();
        let mut kept: Vec<PathBuf> = vec![index];
        for (key, found) in &self.tracks {
            kept.extend(found.segments.iter().map(|segment| shelf.folder.join(key.file(segment))));
        }
        kept.sort();
        let is_kept = |path: &Path| kept.binary_search_by(|known| known.as_path().cmp(path)).is_ok();
        files.filter(|path| !is_kept(path)).try_for_each(|path| shelf.disk().remove(&path))
    }
}

impl Found {
    /// Keeps the segments behind the last one that is missing. A power cut takes the newest files, so those are left out first. And a
    /// playlist has no holes, so what comes before a missing segment counts as missing too.
    fn keep_from_last(&mut self, is_missing: impl Fn(&Segment, &BTreeMap<u32, Init>) -> bool) {
        let inits = &self.inits;
        while self.segments.pop_back_if(|newest| is_missing(newest, inits)).is_some() {}
        if let Some(index) = self.segments.iter().rposition(|segment| is_missing(segment, inits)) {
            self.segments.drain(..=index);
        }
        if let Some(first) = self.segments.front() {
            self.first_listed = self.first_listed.max(first.number);
        }
    }
}

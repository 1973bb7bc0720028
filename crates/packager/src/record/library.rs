//! The recordings that there are. They are files below one folder, and all is known by their names, so that nothing else has to survive.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use weir_model::StreamId;

use super::file::whole_boxes;
use crate::shelf::disk::{NoSpace, RealDisk, Space, SpaceLimits};

/// The limits of recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingLimits {
    pub space: SpaceLimits,
    /// When a file is longer than this, the recording goes on in another.
    pub file_duration: Duration,
}

/// One recording, which is one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The id is unique for ever. It is the milliseconds since 1970 when the recording began, or the next number that is free.
    pub id: i64,
    pub stream_id: StreamId,
    /// The name is `<id>-<the stream's name>-<start>.mp4`.
    pub file_name: String,
    pub started_at: OffsetDateTime,
    /// None while the recording goes on.
    pub duration: Option<Duration>,
    pub bytes: u64,
    pub(super) path: PathBuf,
}

/// Why a recording is not deleted.
#[derive(Debug, thiserror::Error)]
pub enum RemoveFault {
    #[error("there is no such recording")]
    NotFound,
    #[error("it is still being recorded")]
    InProgress,
    #[error("the disk: {0}")]
    Io(#[from] io::Error),
}

/// The handle on all recordings. A clone is the same handle.
#[derive(Clone, Debug)]
pub struct Recordings {
    pub(super) space: Space,
    pub(super) limits: RecordingLimits,
    known: Arc<Mutex<BTreeMap<i64, Recording>>>,
}

impl Recordings {
    /// Makes the folder, or finds what is in it. A file that a crash left unfinished is cut after its last whole fragment. This blocks.
    pub fn open(root: PathBuf, limits: RecordingLimits) -> io::Result<Self> {
        std::fs::create_dir_all(&root)?;
        let space = Space::new(Arc::new(RealDisk), root, limits.space);
        let library = Self { space, limits, known: Arc::default() };
        for (path, bytes) in library.space.disk.files(&library.space.root)? {
            let Some(mut found) = parse(&path, bytes) else { continue };
            if found.duration.is_none() {
                match mend(&found) {
                    Ok(Some(mended)) => found = mended,
                    // The file has not even a beginning, so nothing is lost.
                    Ok(None) => {
                        library.space.disk.remove(&path)?;
                        continue;
                    }
                    Err(error) => tracing::warn!(recording_id = found.id, %error, "a recording could not be mended"),
                }
            }
            library.space.count(found.bytes);
            library.known().insert(found.id, found);
        }
        Ok(library)
    }

    /// The recordings of a stream, or all of them, that come after an id. The oldest is the first.
    pub fn list(&self, stream: Option<StreamId>, after: i64, limit: usize) -> Vec<Recording> {
        let known = self.known();
        let later = known.range(after.saturating_add(1)..).map(|(_, recording)| recording);
        later.filter(|recording| stream.is_none_or(|id| recording.stream_id == id)).take(limit).cloned().collect()
    }

    pub fn get(&self, id: i64) -> Option<Recording> {
        self.known().get(&id).cloned()
    }

    /// The file as it is now. This blocks.
    pub fn open_file(&self, id: i64) -> io::Result<std::fs::File> {
        let recording = self.get(id).ok_or(io::ErrorKind::NotFound)?;
        // The recording may have ended, and its file been renamed, between the two steps, so this tries once more.
        std::fs::File::open(&recording.path)
            .or_else(|_| std::fs::File::open(self.get(id).ok_or(io::ErrorKind::NotFound)?.path))
    }

    /// Deletes the file. This blocks.
    pub fn remove(&self, id: i64) -> Result<(), RemoveFault> {
        let recording = self.get(id).ok_or(RemoveFault::NotFound)?;
        if recording.duration.is_none() {
            return Err(RemoveFault::InProgress);
        }
        self.space.disk.remove(&recording.path)?;
        if self.known().remove(&id).is_some() {
            self.space.release(recording.bytes);
        }
        Ok(())
    }

    /// Begins a new file with its first bytes. This blocks.
    pub(super) fn begin(&self, stream_id: StreamId, stream_name: &str, first: &[u8]) -> Result<i64, NoSpace> {
        let bytes = first.len() as u64;
        self.space.claim(bytes)?;
        let now = OffsetDateTime::now_utc();
        let recording = {
            let mut known = self.known();
            let now_ms = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX / 2);
            let id = known.last_key_value().map_or(now_ms, |(last, _)| now_ms.max(last + 1));
            // This is the time that the name will tell after a restart.
            let started_at = begun_at(id).unwrap_or(now);
            let file_name = format!("{id}-{stream_name}-{}.mp4", stamp(started_at));
            let path = self.space.root.join(stream_id.0.to_string()).join(&file_name);
            let recording = Recording { id, stream_id, file_name, started_at, duration: None, bytes, path };
            known.insert(id, recording.clone());
            recording
        };
        let written = self.space.disk.write(&recording.path, first);
        if let Err(error) = written {
            self.known().remove(&recording.id);
            self.space.release(bytes);
            return Err(error.into());
        }
        Ok(recording.id)
    }

    /// Adds a fragment. After an error the file may end with a torn one, which is cut off when the recording ends. This blocks.
    pub(super) fn append(&self, id: i64, fragment: &[u8]) -> Result<(), NoSpace> {
        let Some(recording) = self.get(id) else { return Ok(()) };
        let bytes = fragment.len() as u64;
        self.space.claim(bytes)?;
        if let Err(error) = self.space.disk.append(&recording.path, fragment) {
            self.space.release(bytes);
            return Err(error.into());
        }
        if let Some(recording) = self.known().get_mut(&id) {
            recording.bytes += bytes;
        }
        Ok(())
    }

    /// Ends a recording. Its file is complete, and from now on its name says so. This blocks.
    pub(super) fn end(&self, id: i64, duration: Duration) -> Option<Recording> {
        let mut recording = self.get(id)?;
        recording.duration = Some(duration);
        let path = recording.path.clone();
        let ended = std::fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(recording.bytes));
        let ended = ended.and_then(|()| std::fs::rename(&path, finished_path(&path, duration)));
        match ended {
            Ok(()) => recording.path = finished_path(&path, duration),
            // The next start of the server closes it.
            Err(error) => tracing::warn!(recording_id = id, %error, "a recording could not be closed"),
        }
        recording.file_name = name_of(&recording.path);
        self.known().insert(id, recording.clone());
        Some(recording)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<i64, Recording>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begun_at(id: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(id) * 1_000_000).ok()
}

/// The time as in "20260131T120000Z".
fn stamp(at: OffsetDateTime) -> String {
    let (date, clock) = (at.date(), at.time());
    let (hour, minute, second) = clock.as_hms();
    format!("{:04}{:02}{:02}T{hour:02}{minute:02}{second:02}Z", date.year(), u8::from(date.month()), date.day())
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

/// The path of a finished file: `...Z.mp4` becomes `...Z-12345ms.mp4`.
fn finished_path(path: &Path, duration: Duration) -> PathBuf {
    let stem = path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
    path.with_file_name(format!("{stem}-{}ms.mp4", duration.as_millis()))
}

/// The recording that a file's name tells of. None if the file is none of ours.
fn parse(path: &Path, bytes: u64) -> Option<Recording> {
    let stream_id = StreamId(path.parent()?.file_name()?.to_str()?.parse().ok()?);
    let file_name = path.file_name()?.to_str()?.to_owned();
    let stem = file_name.strip_suffix(".mp4")?;
    let (id, rest) = stem.split_once('-')?;
    let id: i64 = id.parse().ok()?;
    let started_at = begun_at(id)?;
    let millis = rest.rsplit_once('-')?.1.strip_suffix("ms").and_then(|millis| millis.parse().ok());
    let duration = millis.map(Duration::from_millis);
    Some(Recording { id, stream_id, file_name, started_at, duration, bytes, path: path.to_owned() })
}

/// Cuts a file after its last whole fragment, and gives it the name of a finished one. None means that it has no whole fragment.
fn mend(found: &Recording) -> io::Result<Option<Recording>> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&found.path)?;
    let written_at = OffsetDateTime::from(file.metadata()?.modified()?);
    let whole = whole_boxes(|at, into| file.read_exact_at(into, at).is_ok(), found.bytes);
    if whole == 0 {
        return Ok(None);
    }
    if whole < found.bytes {
        file.set_len(whole)?;
    }
    // The duration is right to within a fragment, which is what was lost.
    let duration = Duration::try_from(written_at - found.started_at).unwrap_or_default();
    let path = finished_path(&found.path, duration);
    std::fs::rename(&found.path, &path)?;
    let file_name = name_of(&path);
    Ok(Some(Recording { duration: Some(duration), bytes: whole, file_name, path, ..found.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(root: &Path, max_bytes: u64) -> Recordings {
        let space = SpaceLimits { max_bytes, min_free_bytes: 0 };
        let limits = RecordingLimits { space, file_duration: Duration::from_secs(3600) };
        Recordings::open(root.to_owned(), limits).unwrap()
    }

    fn boxed(kind: &[u8; 4], body: usize) -> Vec<u8> {
        let mut out = (body as u32 + 8).to_be_bytes().to_vec();
        out.extend_from_slice(kind);
        out.resize(body + 8, 7);
        out
    }

    #[test]
    fn recordings_are_known_by_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let library = open(folder.path(), 1 << 20);
        let (head, fragment) = (boxed(b"moov", 100), [boxed(b"moof", 20), boxed(b"mdat", 200)].concat());
        let ids: Vec<i64> = [7, 7, 8].map(|stream| library.begin(StreamId(stream), "cam-1_a", &head).unwrap()).to_vec();
        assert!(ids.is_sorted_by(|a, b| a < b));
        for id in &ids {
            library.append(*id, &fragment).unwrap();
        }
        assert!(matches!(library.remove(ids[0]), Err(RemoveFault::InProgress)));
        let ended = library.end(ids[0], Duration::from_millis(4_500)).unwrap();
        assert!(ended.file_name.starts_with(&format!("{}-cam-1_a-20", ids[0])), "{}", ended.file_name);
        // The server is killed within a fragment of the second recording, and when the third has hardly begun.
        let path = library.get(ids[1]).unwrap().path;
        RealDisk.append(&path, &fragment[..100]).unwrap();
        std::fs::write(&library.get(ids[2]).unwrap().path, &head[..50]).unwrap();
        std::fs::write(folder.path().join("7/notes.txt"), "not ours").unwrap();
        drop(library);

        let library = open(folder.path(), 1 << 20);
        let listed = library.list(None, 0, 10);
        assert_eq!(listed.iter().map(|found| found.id).collect::<Vec<_>>(), ids[..2]);
        assert_eq!(listed[0], ended);
        let whole = (head.len() + fragment.len()) as u64;
        assert_eq!((listed[1].bytes, listed[1].stream_id), (whole, StreamId(7)));
        assert!(listed[1].duration.is_some());
        assert_eq!(library.space.used(), whole * 2);
        assert_eq!(library.open_file(ids[1]).unwrap().metadata().unwrap().len(), whole);
        assert!(library.list(Some(StreamId(8)), 0, 10).is_empty());
        assert_eq!(library.list(None, ids[0], 10).len(), 1);
        assert_eq!(library.list(None, 0, 1).len(), 1);
        library.remove(ids[0]).unwrap();
        assert!(matches!(library.remove(ids[0]), Err(RemoveFault::NotFound)));
        assert_eq!(library.space.used(), whole);
        assert!(library.open_file(ids[0]).is_err());
    }

    #[test]
    fn the_limit_holds() {
        let folder = tempfile::tempdir().unwrap();
        let library = open(folder.path(), 300);
        let id = library.begin(StreamId(1), "a", &boxed(b"moov", 92)).unwrap();
        library.append(id, &[0; 200]).unwrap();
        assert_eq!(library.append(id, &[0]).unwrap_err().code(), "limit");
        assert_eq!(library.begin(StreamId(1), "a", &[0]).unwrap_err().code(), "limit");
        assert_eq!(library.list(None, 0, 10).len(), 1);
        assert_eq!(library.end(id, Duration::ZERO).unwrap().bytes, 300);
    }

    use crate::shelf::disk::Disk as _;
}

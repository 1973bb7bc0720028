//! Reads segments back from disk. This happens off the threads that serve, with a limit on how many are read at once, and those who ask
//! for the same segment share the read.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::StreamShelf;

/// So many reads happen at once at most.
pub(super) const READS_MAX: usize = 16;
/// A disk that takes longer is of no use to a player, so the player is told to come again.
const READ_MAX: Duration = Duration::from_secs(5);
/// So many bytes are kept, so that many who watch the same old segment share it. 64 MiB are some 60 segments of 2 s at 4 Mbps.
const CACHE_BYTES_MAX: usize = 64 << 20;

/// The segments that were read last, newest first.
#[derive(Debug, Default)]
pub(super) struct ReadCache {
    kept: Mutex<(VecDeque<(PathBuf, Bytes)>, usize)>,
}

impl ReadCache {
    fn get(&self, path: &Path) -> Option<Bytes> {
        let mut guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept, _) = &mut *guard;
        let at = kept.iter().position(|(known, _)| known == path)?;
        let found = kept.remove(at)?;
        let body = found.1.clone();
        kept.push_front(found);
        Some(body)
    }

    fn put(&self, path: PathBuf, body: Bytes) {
        let mut guard = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept, bytes) = &mut *guard;
        if kept.iter().any(|(known, _)| *known == path) {
            return;
        }
        *bytes += body.len();
        kept.push_front((path, body));
        while *bytes > CACHE_BYTES_MAX {
            let Some((_, oldest)) = kept.pop_back() else { break };
            *bytes -= oldest.len();
        }
    }
}

/// Why a segment that should be on disk is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadFault {
    /// The disk has too much to do.
    Busy,
    Gone,
}

impl StreamShelf {
    /// Reads the bytes of a segment that was saved.
    pub(crate) async fn read(self: Arc<Self>, file: PathBuf) -> Result<Bytes, ReadFault> {
        let path = self.folder.join(file);
        match timeout(READ_MAX, self.read_in_turn(path)).await {
            Ok(read) => read,
            Err(_) => Err(ReadFault::Busy),
        }
    }

    async fn read_in_turn(self: Arc<Self>, path: PathBuf) -> Result<Bytes, ReadFault> {
        let cache = &self.shelf.cache;
        if let Some(body) = cache.get(&path) {
            return Ok(body);
        }
        let turn = Arc::clone(&self.shelf.reads).acquire_owned().await.map_err(|_| ReadFault::Gone)?;
        // Someone else may have read the segment meanwhile.
        if let Some(body) = cache.get(&path) {
            return Ok(body);
        }
        let (disk, asked) = (Arc::clone(&self.shelf.space.disk), path.clone());
        let read = tokio::task::spawn_blocking(move || {
            let read = disk.read(&asked);
            // The turn is held until the disk is done, even if nobody waits any more.
            drop(turn);
            read
        });
        match read.await {
            Ok(Ok(body)) => {
                let body = Bytes::from(body);
                cache.put(path, body.clone());
                Ok(body)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "a segment of a window could not be read from disk");
                Err(ReadFault::Gone)
            }
            Err(_) => Err(ReadFault::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_read() {
        let cache = ReadCache::default();
        let body = Bytes::from(vec![0; CACHE_BYTES_MAX / 4]);
        for name in ["a", "b", "c", "d", "d"] {
            cache.put(name.into(), body.clone());
        }
        assert!(cache.get(Path::new("a")).is_some(), "four fit");
        cache.put("e".into(), body);
        assert!(cache.get(Path::new("b")).is_none(), "the one that was read longest ago");
        for name in ["a", "c", "d", "e"] {
            assert!(cache.get(Path::new(name)).is_some(), "{name}");
        }
    }
}

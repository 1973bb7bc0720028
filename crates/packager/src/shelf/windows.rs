//! Where windows lie on disk: there is a folder for all of them, and in it a folder for each stream, which is named by the stream's id.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use weir_media::ClockMark;
use weir_model::StreamId;

use super::reader::{READS_MAX, ReadCache};
use crate::shelf::disk::{Disk, NoSpace, RealDisk, Space, SpaceLimits};

const INDEX: &str = "index";

/// The limits of windows on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DvrLimits {
    pub space: SpaceLimits,
    /// The newest part of every window is served from memory. A window that is no longer than this needs no disk.
    pub memory_window: Duration,
}

/// The folder of all windows. A clone is the same folder.
#[derive(Clone, Debug)]
pub struct DvrShelf {
    pub(super) space: Space,
    pub(super) limits: DvrLimits,
    /// The turns of reads, of all streams together: a disk that hangs must not take every thread.
    pub(super) reads: Arc<Semaphore>,
    pub(super) cache: Arc<ReadCache>,
    streams: Arc<AtomicUsize>,
}

impl DvrShelf {
    /// Opens the folder, and makes it if it is not there.
    pub fn open(root: PathBuf, limits: DvrLimits) -> io::Result<Self> {
        std::fs::create_dir_all(&root)?;
        Ok(Self::on(Arc::new(RealDisk), root, limits))
    }

    /// A folder of windows on any disk, for tests.
    pub fn on(disk: Arc<dyn Disk>, root: PathBuf, limits: DvrLimits) -> Self {
        let reads = Arc::new(Semaphore::new(READS_MAX));
        Self {
            space: Space::new(disk, root, limits.space),
            limits,
            reads,
            cache: Arc::default(),
            streams: Arc::default(),
        }
    }

    /// Whether a window of that length reaches beyond memory.
    pub fn is_for(&self, window: Duration) -> bool {
        window > self.limits.memory_window
    }

    /// Deletes what belongs to none of these streams. This blocks.
    pub fn clean(&self, known: &BTreeSet<StreamId>) -> io::Result<()> {
        let mut orphans = BTreeSet::new();
        for (path, _) in self.space.disk.files(&self.space.root)? {
            let top = path.strip_prefix(&self.space.root).ok().and_then(|below| below.iter().next());
            let Some(top) = top.and_then(|top| top.to_str()) else { continue };
            if !top.parse().is_ok_and(|id| known.contains(&StreamId(id))) {
                orphans.insert(self.space.root.join(top));
            }
        }
        orphans.iter().try_for_each(|orphan| self.space.disk.remove(orphan))
    }

    /// The mark of the clock by which a stream's window was made. None if there is no window. This blocks.
    pub fn clock_mark(&self, id: StreamId) -> io::Result<Option<ClockMark>> {
        super::restore::mark(&*self.space.disk, &self.folder(id).join(INDEX))
    }

    /// Deletes a stream's window. This blocks.
    pub fn remove(&self, id: StreamId) -> io::Result<()> {
        self.space.disk.remove(&self.folder(id))
    }

    pub(crate) fn stream(&self, id: StreamId) -> StreamShelf {
        self.streams.fetch_add(1, Ordering::Relaxed);
        StreamShelf {
            shelf: self.clone(),
            folder: self.folder(id),
            own_bytes: AtomicU64::new(0),
            torn: AtomicBool::new(false),
            deleted: Mutex::default(),
        }
    }

    fn folder(&self, id: StreamId) -> PathBuf {
        self.space.root.join(id.0.to_string())
    }
}

/// The folder of one stream's window.
#[derive(Debug)]
pub(crate) struct StreamShelf {
    pub(super) shelf: DvrShelf,
    pub(super) folder: PathBuf,
    own_bytes: AtomicU64,
    /// Whether the index may end within a line.
    pub(super) torn: AtomicBool,
    /// Whether the window is deleted. The lock is held while anything is written, so that nothing is written after the window is deleted.
    deleted: Mutex<bool>,
}

impl StreamShelf {
    pub(super) fn space(&self) -> &Space {
        &self.shelf.space
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.shelf.space.disk
    }

    /// Counts bytes that an earlier run of the server left.
    pub(crate) fn count(&self, bytes: u64) {
        self.own_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.space().count(bytes);
    }

    pub(super) fn claim(&self, bytes: u64) -> Result<(), NoSpace> {
        self.space().claim(bytes)?;
        self.own_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn release(&self, bytes: u64) {
        self.own_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.space().release(bytes);
    }

    /// Deletes the window for good. This blocks.
    pub(crate) fn delete(&self) -> io::Result<()> {
        let mut deleted = self.gate();
        *deleted = true;
        self.disk().remove(&self.folder)
    }

    /// Whether the window is deleted. It is not deleted while the answer is held.
    pub(super) fn gate(&self) -> MutexGuard<'_, bool> {
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn own_bytes(&self) -> u64 {
        self.own_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn memory_window(&self) -> Duration {
        self.shelf.limits.memory_window
    }

    pub(super) fn index(&self) -> PathBuf {
        self.folder.join(INDEX)
    }

    /// The stream's share of the whole space, if all streams take the same.
    pub(super) fn share_bytes(&self) -> u64 {
        let streams = self.shelf.streams.load(Ordering::Relaxed).max(1) as u64;
        self.space().limits.max_bytes / streams
    }
}

impl Drop for StreamShelf {
    fn drop(&mut self) {
        self.shelf.streams.fetch_sub(1, Ordering::Relaxed);
        // Whoever opens the window again counts its bytes anew.
        self.space().release(self.own_bytes());
    }
}

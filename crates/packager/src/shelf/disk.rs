//! The disk as storage of media needs it. It has few operations, so that tests can give one that fails, and there is a budget for all
//! streams together.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is asked of a disk. Calls block, so a task that moves media must never make them.
pub trait Disk: std::fmt::Debug + Send + Sync {
    /// Writes a new file. What is left of it after an error is removed.
    fn write(&self, path: &Path, body: &[u8]) -> io::Result<()>;
    /// Writes at the end of a file, which is made if it is not there.
    fn append(&self, path: &Path, body: &[u8]) -> io::Result<()>;
    /// Writes a file in place of the one that was there. After a crash the file is the old one or the new one.
    fn replace(&self, path: &Path, body: &[u8]) -> io::Result<()>;
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Removes a file, or a folder with all that is in it. If it is not there, that is no error.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The files in a folder and in all folders below it, each with its size. There are none if there is no such folder.
    fn files(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>>;
    /// How many bytes users other than root may still write.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// The file systems of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn write(&self, path: &Path, body: &[u8]) -> io::Result<()> {
        let written = make_folder_of(path).and_then(|()| fs::write(path, body));
        if written.is_err() {
            let _ = fs::remove_file(path);
        }
        written
    }

    fn append(&self, path: &Path, body: &[u8]) -> io::Result<()> {
        make_folder_of(path)?;
        OpenOptions::new().create(true).append(true).open(path)?.write_all(body)
    }

    fn replace(&self, path: &Path, body: &[u8]) -> io::Result<()> {
        let beside = path.with_extension("new");
        self.write(&beside, body)?;
        fs::rename(&beside, path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }

    fn files(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let metadata = match entry.metadata() {
                    // The file was deleted since the folder was read.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata?,
                };
                // Neither this nor `metadata` follows links.
                match metadata.is_dir() {
                    true => folders.push(entry.path()),
                    false => found.push((entry.path(), metadata.len())),
                }
            }
        }
        found.sort();
        Ok(found)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = nix::sys::statvfs::statvfs(path)?;
        #[allow(clippy::useless_conversion, reason = "the fields' types differ between targets")]
        let (blocks, size) = (u64::from(stat.blocks_available()), u64::from(stat.fragment_size()));
        Ok(blocks.saturating_mul(size))
    }
}

fn make_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// How much of a disk may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceLimits {
    /// All files together may take so many bytes.
    pub max_bytes: u64,
    /// So many bytes stay free for everyone else.
    pub min_free_bytes: u64,
}

/// Why something can't be written now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSpace {
    #[error("the limit of {max_bytes} bytes is reached")]
    Limit { max_bytes: u64 },
    #[error("less than {min_free_bytes} bytes would be free")]
    Floor { min_free_bytes: u64 },
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl NoSpace {
    /// The reason in one word, for events.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "limit",
            Self::Floor { .. } => "free_space",
            Self::Io(error) if error.kind() == io::ErrorKind::StorageFull => "disk_full",
            Self::Io(_) => "io_error",
        }
    }
}

/// A folder with a budget that all who write below it share.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) root: PathBuf,
    pub(crate) limits: SpaceLimits,
    used: Arc<AtomicU64>,
}

impl Space {
    pub(crate) fn new(disk: Arc<dyn Disk>, root: PathBuf, limits: SpaceLimits) -> Self {
        Self { disk, root, limits, used: Arc::default() }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts bytes that are there already.
    pub(crate) fn count(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Claims room for something that is about to be written.
    pub(crate) fn claim(&self, bytes: u64) -> Result<(), NoSpace> {
        let SpaceLimits { max_bytes, min_free_bytes } = self.limits;
        if self.disk.free_bytes(&self.root)? < min_free_bytes.saturating_add(bytes) {
            return Err(NoSpace::Floor { min_free_bytes });
        }
        let claim = |used: u64| used.checked_add(bytes).filter(|used| *used <= max_bytes);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim) {
            Ok(_) => Ok(()),
            Err(_) => Err(NoSpace::Limit { max_bytes }),
        }
    }

    /// Notes that bytes which were claimed or counted are free again.
    pub(crate) fn release(&self, bytes: u64) {
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_disk_does_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, at) = (RealDisk, |name: &str| folder.path().join(name));
        disk.write(&at("a/b/1"), b"one").unwrap();
        disk.append(&at("a/log"), b"x").unwrap();
        disk.append(&at("a/log"), b"y").unwrap();
        disk.replace(&at("a/b/1"), b"two!").unwrap();
        assert_eq!(disk.read(&at("a/log")).unwrap(), b"xy");
        assert_eq!(disk.files(folder.path()).unwrap(), [(at("a/b/1"), 4), (at("a/log"), 2)]);
        assert!(disk.files(&at("nowhere")).unwrap().is_empty());
        for _ in 0..2 {
            disk.remove(&at("a/log")).unwrap();
            disk.remove(&at("a")).unwrap();
        }
        assert!(disk.files(folder.path()).unwrap().is_empty());
        assert!(disk.free_bytes(folder.path()).unwrap() > 0);
        assert!(disk.free_bytes(&at("nowhere")).is_err());
    }

    #[test]
    fn no_more_is_claimed_than_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let space = |max_bytes, min_free_bytes| {
            Space::new(Arc::new(RealDisk), folder.path().to_owned(), SpaceLimits { max_bytes, min_free_bytes })
        };
        let limited = space(100, 0);
        limited.count(40);
        limited.claim(60).unwrap();
        assert_eq!(limited.claim(1).unwrap_err().code(), "limit");
        limited.release(10);
        limited.claim(10).unwrap();
        limited.release(1_000);
        assert_eq!(limited.used(), 0, "a mistake in counting is no overflow");
        assert_eq!(space(100, u64::MAX - 5).claim(1).unwrap_err().code(), "free_space");
    }
}

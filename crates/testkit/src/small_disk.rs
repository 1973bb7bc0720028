//! A disk of a few megabytes, for testing what happens when it is full.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const FILL_STEP_BYTES: usize = 4_096;

/// A file system in memory, which is gone when this is dropped: programs that use it must end first.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts it. Where this user may not mount anything, it says so and gives None.
    pub fn mount(megabytes: u32) -> Option<Self> {
        let folder = TempDir::with_prefix("weir-small-disk-").expect("a temporary folder can be made");
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { folder }),
            refused => {
                eprintln!("skipped: a small disk can only be mounted by root, in a machine that lets it: {refused:?}");
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all room that is left; removing the returned file gives it back.
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).expect("a file can be made");
        loop {
            match file.write_all(&[0; FILL_STEP_BYTES]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return path,
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    pub fn free(&self, filler: &Path) {
        fs::remove_file(filler).expect("the filler is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It is unmounted lazily: a program that still has a file open there keeps it until it ends.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

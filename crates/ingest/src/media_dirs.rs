//! The folders in which media files may lie that streams name: what is elsewhere is never opened, whatever a link says.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct MediaDirs {
    dirs: Arc<[PathBuf]>,
}

impl MediaDirs {
    /// The first folder is the one in which relative paths start.
    pub fn new(dirs: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { dirs: dirs.into_iter().collect() }
    }

    /// Whether the path, as it is written, lies in one of the folders.
    pub fn holds(&self, path: &str) -> bool {
        let path = Path::new(path);
        let steps_out = path.components().any(|part| part == Component::ParentDir);
        !steps_out && (path.is_relative() && !self.dirs.is_empty() || self.dirs.iter().any(|dir| path.starts_with(dir)))
    }

    /// Opens a file in one of the folders. What the path leads to is judged once it is open, so that nobody can change it in between.
    pub(crate) fn open(&self, path: &str) -> io::Result<File> {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let first = self.dirs.first().filter(|_| self.holds(path)).ok_or_else(denied)?;
        // A pipe that nobody writes to would hold up whoever opens it.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(nix::libc::O_NONBLOCK);
        let file = options.open(first.join(path))?;
        let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let inside = self.dirs.iter().filter_map(|dir| dir.canonicalize().ok()).any(|dir| real.starts_with(dir));
        if inside && file.metadata()?.is_file() { Ok(file) } else { Err(denied()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_files_in_the_folders_are_opened() {
        let root = tempfile::tempdir().unwrap();
        let (media, other) = (root.path().join("media"), root.path().join("other"));
        [&media, &other].into_iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
        let secret = root.path().join("secret");
        std::fs::write(&secret, "secret").unwrap();
        std::fs::write(media.join("a.ts"), "a").unwrap();
        std::fs::write(other.join("b.ts"), "b").unwrap();
        symlink(&secret, media.join("out.ts")).unwrap();
        symlink(root.path(), media.join("up")).unwrap();
        symlink("a.ts", media.join("in.ts")).unwrap();
        let dirs = MediaDirs::new([media.clone(), other.clone()]);
        let absolute = |path: &Path| path.to_str().unwrap().to_owned();
        for (path, held, opened) in [
            ("a.ts".to_owned(), true, true),
            (absolute(&media.join("a.ts")), true, true),
            (absolute(&other.join("b.ts")), true, true),
            ("in.ts".to_owned(), true, true),
            ("out.ts".to_owned(), true, false),
            ("up/secret".to_owned(), true, false),
            (".".to_owned(), true, false),
            ("none.ts".to_owned(), true, false),
            ("../secret".to_owned(), false, false),
            (absolute(&media.join("../secret")), false, false),
            (absolute(&secret), false, false),
            ("/etc/passwd".to_owned(), false, false),
        ] {
            assert_eq!((dirs.holds(&path), dirs.open(&path).is_ok()), (held, opened), "{path}");
        }
        assert!(!MediaDirs::default().holds("a.ts"), "without folders there are no files");
    }
}

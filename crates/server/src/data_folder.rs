//! The data directory: nobody else may read it, and only one server at a time may use it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep};

const LOCK_FILE: &str = "weir.lock";

/// A command holds the lock for the moment of a migration or an import, and a server that is being replaced holds it until it has ended.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(100);

/// The rights of others.
const FOR_OTHERS: u32 = 0o077;

/// The sticky bit, as `/tmp` has it: many share such a folder.
const STICKY: u32 = 0o1000;

/// The beginnings of the names of what we keep there; the last one is what a disk's own folder contains.
const OUR_NAMES: [&str; 9] =
    ["weir.", "secret.key", "abilities.json", "self-signed.", "dvr", "recordings", "media", ".weir-", "lost+found"];

/// Makes everything that this process writes readable by its user alone: the database, media, recordings, the encoders' proofs.
pub(crate) fn keep_files_private() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(FOR_OTHERS));
}

/// Makes the folder. From an existing one, and from what we wrote into it, the rights of others are taken away.
pub(crate) fn prepare(data: &Path, database: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("cannot make the data directory {}", data.display()))?;
    let mut ours = vec![database.to_owned(), beside(database, "-wal"), beside(database, "-shm")];
    let mut only_ours = true;
    for entry in fs::read_dir(data).with_context(|| format!("cannot read {}", data.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if OUR_NAMES.iter().any(|known| name.to_string_lossy().starts_with(known)) {
            ours.push(entry.path());
        } else if entry.file_type()?.is_dir() {
            only_ours = false;
        }
    }
    if only_ours {
        ours.push(data.to_owned());
    } else {
        // Somebody who says `--data /var/lib` does not want that folder closed to everybody else.
        tracing::warn!(
            path = %data.display(),
            "the data directory has folders of others in it, so it stays as open as it is: give the server one of its own"
        );
    }
    ours.iter().try_for_each(|path| close_to_others(path))
}

/// Takes the rights of others from what is this user's and still has them.
fn close_to_others(path: &Path) -> anyhow::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let ours = found.uid() == rustix::process::geteuid().as_raw() && found.mode() & STICKY == 0;
    if !(found.is_file() || found.is_dir()) || !ours || found.mode() & FOR_OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(found.mode() & 0o7777 & !FOR_OTHERS))
        .with_context(|| format!("cannot take from others the right to read {}", path.display()))?;
    tracing::info!(path = %path.display(), "others could read this, and now can't");
    Ok(())
}

/// The path with this behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The lock on the data directory. A server holds it for as long as it lives, a command while nothing may change under it. The kernel
/// releases it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock; None where another process has it.
    pub(crate) fn take(data: &Path) -> anyhow::Result<Option<Self>> {
        let path = data.join(LOCK_FILE);
        let failed = || format!("cannot lock {}", path.display());
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        // The number is for the message to whoever is refused; where a full disk does not take it, the lock is no weaker.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Some(Self { _file: file }))
    }

    /// Takes the lock for a server, which waits a little for a command or for the server before it.
    pub(crate) async fn take_for_server(data: &Path) -> anyhow::Result<Self> {
        Self::take_within(data, LOCK_WAIT).await
    }

    async fn take_within(data: &Path, wait: Duration) -> anyhow::Result<Self> {
        let give_up = Instant::now() + wait;
        loop {
            if let Some(lock) = Self::take(data)? {
                return Ok(lock);
            }
            if Instant::now() >= give_up {
                bail!(
                    "another weir{} runs on the data directory {}: stop it, or give this one a directory of its own (--data)",
                    holder(data),
                    data.display()
                );
            }
            sleep(LOCK_RETRY).await;
        }
    }
}

/// The holder in words, ` (process 123)`, as it wrote its number into the file.
pub(crate) fn holder(data: &Path) -> String {
    let mut text = String::new();
    let read = File::open(data.join(LOCK_FILE)).and_then(|file| file.take(20).read_to_string(&mut text));
    match read.ok().and_then(|_| text.parse::<u32>().ok()) {
        Some(pid) => format!(" (process {pid})"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_was_open_to_others_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/data");
        let database = data.join("weir.db");
        prepare(&data, &database).unwrap();
        assert_eq!(mode(&data), 0o700);
        fs::write(&database, "x").unwrap();
        fs::write(data.join("notes"), "x").unwrap();
        fs::create_dir(data.join("recordings")).unwrap();
        let open = || {
            for (name, open) in [("weir.db", 0o644), ("notes", 0o644), ("recordings", 0o755), ("", 0o755)] {
                fs::set_permissions(data.join(name), fs::Permissions::from_mode(open)).unwrap();
            }
        };
        open();
        prepare(&data, &database).unwrap();
        for (name, closed) in [("weir.db", 0o600), ("notes", 0o644), ("recordings", 0o700), ("", 0o700)] {
            assert_eq!(mode(&data.join(name)), closed, "{name:?}");
        }
        // Somebody may well say `--data /var/lib`, where the folders of other programs are.
        fs::create_dir(data.join("postgresql")).unwrap();
        open();
        prepare(&data, &database).unwrap();
        for (name, closed) in [("weir.db", 0o600), ("recordings", 0o700), ("", 0o755)] {
            assert_eq!(mode(&data.join(name)), closed, "{name:?}");
        }
    }

    #[tokio::test]
    async fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DataLock::take_for_server(dir.path()).await.unwrap();
        assert!(DataLock::take(dir.path()).unwrap().is_none());
        let refused = DataLock::take_within(dir.path(), Duration::ZERO).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("another weir (process {}) runs", std::process::id())), "{refused}");
        drop(lock);
        assert!(DataLock::take(dir.path()).unwrap().is_some());
    }
}

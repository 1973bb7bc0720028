//! The schema of a database file: which one it has, and how it becomes ours without losing anything.

use crate::dialect::Connection;
use crate::{Result, StoreError};
use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The files of `migrations/`, sorted, each with its name and text (`build.rs`).
static FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// The migrations are named and numbered as sqlx reads such a folder, so that their checksums are those of every existing database.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let migration = |(name, sql): &(&'static str, &'static str)| {
        let (number, description) = name.trim_end_matches(".sql").split_once('_')?;
        let description = description.replace('_', " ").into();
        let sql = SqlStr::from_static(sql);
        Some(Migration::new(number.parse().ok()?, description, MigrationType::Simple, sql, false))
    };
    Migrator::with_migrations(FILES.iter().filter_map(migration).collect())
});

/// The number of copies from before upgrades that are kept. They let an operator go back from a version that was tried for a while after
/// another.
const BACKUPS_MAX: usize = 3;

/// This stands in the names of copies: `weir.db.before-6-7` was made before schema 6 became 7.
const BACKUP_INFIX: &str = ".before-";

/// The schema that this version works with.
pub(crate) fn known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Refuses a database whose schema is not the one that we know.
pub(crate) async fn check(connection: &mut Connection, path: &Path) -> Result<()> {
    let (found, known) = (found_in(connection).await?, known());
    if found < known {
        return Err(StoreError::OlderSchema { found, known });
    }
    refuse_newer(found, path)
}

/// Migrates a database, after copying what was there.
pub(crate) async fn bring_up_to_date(connection: &mut Connection, path: &Path) -> Result<()> {
    let (found, known) = (found_in(connection).await?, known());
    refuse_newer(found, path)?;
    if 0 < found && found < known {
        let copy = beside(path, &format!("{BACKUP_INFIX}{found}-{known}"));
        back_up(connection, &copy).await.map_err(|source| StoreError::Backup {
            found,
            known,
            path: copy.clone(),
            source: Box::new(source),
        })?;
        forget_old_backups(path);
        tracing::info!(from = found, to = known, backup = %copy.display(), "the database is brought up to date");
    }
    MIGRATIONS.run(connection).await.map_err(Into::into)
}

/// The schema that the database has; 0 if there is nothing yet.
async fn found_in(connection: &mut Connection) -> Result<i64> {
    let table = sqlx::query("select 1 from sqlite_master where type = 'table' and name = '_sqlx_migrations'");
    if table.fetch_optional(&mut *connection).await?.is_none() {
        return Ok(0);
    }
    let version: Option<i64> =
        sqlx::query_scalar("select max(version) from _sqlx_migrations").fetch_one(connection).await?;
    Ok(version.unwrap_or(0))
}

fn refuse_newer(found: i64, path: &Path) -> Result<()> {
    let known = known();
    if found <= known {
        return Ok(());
    }
    let backup = backups_of(path).into_iter().rev().find(|backup| backup.from <= known).map(|backup| backup.path);
    Err(StoreError::NewerSchema { found, known, backup })
}

/// Copies the database into a whole one of its own, and syncs it. It is written beside its name first, so that a name never means half a
/// copy.
async fn back_up(connection: &mut Connection, copy: &Path) -> Result<()> {
    let draft = beside(copy, ".new");
    let disk = StoreError::Disk;
    // The file is made here before SQLite would make it, with the rights of a file that holds everything.
    File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(disk)?;
    let copied = sqlx::query("vacuum into ?").bind(draft.to_string_lossy().into_owned()).execute(connection).await;
    let kept = copied.map_err(StoreError::from).and_then(|_| {
        let sync = |path: &Path| OpenOptions::new().read(true).open(path)?.sync_all();
        sync(&draft).and_then(|()| fs::rename(&draft, copy)).map_err(disk)?;
        sync(copy.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))).map_err(disk)
    });
    if kept.is_err() {
        let _ = fs::remove_file(&draft);
    }
    kept
}

struct Backup {
    path: PathBuf,
    from: i64,
    made: std::time::SystemTime,
}

/// The copies of this database, oldest first.
fn backups_of(path: &Path) -> Vec<Backup> {
    let start = beside(Path::new(path.file_name().unwrap_or_default()), BACKUP_INFIX);
    let start = start.to_string_lossy();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let backup_of = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let name = entry.file_name();
        let (from, to) = name.to_str()?.strip_prefix(&*start)?.split_once('-')?;
        to.parse::<i64>().ok()?;
        Some(Backup { path: entry.path(), from: from.parse().ok()?, made: entry.metadata().ok()?.modified().ok()? })
    };
    let mut backups: Vec<Backup> = fs::read_dir(folder).into_iter().flatten().filter_map(backup_of).collect();
    backups.sort_by_key(|backup| (backup.made, backup.from));
    backups
}

fn forget_old_backups(path: &Path) {
    let backups = backups_of(path);
    for backup in &backups[..backups.len().saturating_sub(BACKUPS_MAX)] {
        if let Err(error) = fs::remove_file(&backup.path) {
            tracing::warn!(%error, path = %backup.path.display(), "an old backup of the database could not be removed");
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

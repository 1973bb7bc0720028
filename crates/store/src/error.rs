//! Everything that can go wrong with a row, or with the file that holds the rows.

use std::path::PathBuf;

pub(crate) const DISK_FULL: &str = "disk full";

/// What went wrong. None of these ever holds a secret: SQL errors carry no bound values.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("not found")]
    NotFound,
    #[error("{field} is already taken")]
    Duplicate { field: &'static str },
    #[error("{field} names nothing that exists")]
    Dangling { field: &'static str },
    #[error("somebody else has changed it meanwhile: read it again")]
    Stale,
    #[error("it is the last admin: nobody could make another")]
    LastAdmin,
    #[error("{made} restreams are made and the quota is {quota}; an admin can raise it")]
    Quota { made: i64, quota: u32 },
    #[error("still in use by {used_by}")]
    InUse { used_by: String },
    #[error("secret.key is not the key that this database was made with")]
    WrongSealingKey,
    #[error("{0} can't be read back")]
    Corrupt(&'static str),
    /// The machine has a fault that people must mend. Nothing of the change has happened.
    #[error("the database cannot be used: {words}")]
    Unusable { words: &'static str, source: sqlx::Error },
    #[error("{0}")]
    Disk(std::io::Error),
    #[error("database: {0}")]
    Io(sqlx::Error),
    #[error("database schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error(
        "this database was written by a newer weir (schema {found}, this one knows {known}): run that version again, or \
         restore {}",
        .backup.as_ref().map_or("a backup from before the upgrade".into(), |path| path.to_string_lossy())
    )]
    NewerSchema { found: i64, known: i64, backup: Option<PathBuf> },
    /// The schema is older. This is an error only if the database must stay as it is.
    #[error("this database has schema {found} and this weir needs {known}")]
    OlderSchema { found: i64, known: i64 },
    #[error(
        "the database has to be brought from schema {found} to {known}, and could not be copied to {} before that: {source}",
        .path.display()
    )]
    Backup { found: i64, known: i64, path: PathBuf, source: Box<StoreError> },
    #[error("{field} {problem}")]
    Limit { field: &'static str, problem: &'static str },
    #[error("the system gives no random numbers")]
    Random,
    #[error("the password can't be hashed: {0}")]
    PasswordHash(argon2::password_hash::Error),
}

impl StoreError {
    /// Turns an error into one that names the field, if the database says that a unique column is taken.
    pub(crate) fn unique(error: sqlx::Error, fields: &[(&str, &'static str)]) -> Self {
        if let sqlx::Error::Database(database) = &error
            && database.is_unique_violation()
        {
            let message = database.message();
            if let Some((_, field)) = fields.iter().find(|(column, _)| message.contains(column)) {
                return Self::Duplicate { field };
            }
        }
        error.into()
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match words_for(&error) {
            Some(words) => Self::Unusable { words, source: error },
            None => Self::Io(error),
        }
    }
}

/// Words for an error by SQLite's result code, whose low byte says what kind of failure it is.
fn words_for(error: &sqlx::Error) -> Option<&'static str> {
    let code = match error {
        sqlx::Error::Database(database) => database.code()?.parse::<u32>().ok()?,
        sqlx::Error::PoolTimedOut => return Some("earlier changes are still being written"),
        _ => return None,
    };
    Some(match code & 0xff {
        5 | 6 => "another process is writing to it",
        8 => "its file or its disk is read-only",
        10 => "its disk reports errors",
        11 | 26 => "its file is damaged; restore a backup",
        13 => DISK_FULL,
        14 => "its file can't be opened",
        _ => return None,
    })
}

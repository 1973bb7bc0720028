//! What can go wrong with a row.

/// None of these ever holds a secret: SQL errors carry no bound values.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("not found")]
    NotFound,
    #[error("{field} is already taken")]
    Duplicate { field: &'static str },
    #[error("{field} names nothing that exists")]
    Dangling { field: &'static str },
    #[error("it was changed meanwhile")]
    Stale,
    #[error("it is the last admin")]
    LastAdmin,
    #[error("{made} of {quota} restreams are made")]
    Quota { made: i64, quota: u32 },
    #[error("still in use by {used_by}")]
    InUse { used_by: String },
    #[error("secret.key is not the key that this database was made with")]
    WrongSealingKey,
    #[error("{0} can't be read back")]
    Corrupt(&'static str),
    #[error("database: {0}")]
    Io(#[from] sqlx::Error),
    #[error("database schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("{field} {problem}")]
    Limit { field: &'static str, problem: &'static str },
    #[error("no random numbers from the system")]
    Random,
    #[error("password hash: {0}")]
    PasswordHash(argon2::password_hash::Error),
}

impl StoreError {
    /// Names the field when the database says that a unique column is taken.
    pub(crate) fn unique(error: sqlx::Error, fields: &[(&str, &'static str)]) -> Self {
        if let sqlx::Error::Database(database) = &error
            && database.is_unique_violation()
        {
            let message = database.message();
            if let Some((_, field)) = fields.iter().find(|(column, _)| message.contains(column)) {
                return Self::Duplicate { field };
            }
        }
        Self::Io(error)
    }
}

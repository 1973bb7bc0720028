//! The database file: it has one writer and several readers, and acknowledges nothing before it is on disk.

use crate::dialect::{Connection, Pool, Row};
use crate::write_health::WriteHealth;
use crate::{Result, SealingKey, StoreError, schema};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Row as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use time::OffsetDateTime;
use weir_model::Secret;

/// How long a write waits for another process that holds the write lock for a moment, such as `weir apikey create` beside a running
/// server.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of readers. API reads are short, so two may run at once before one waits. Each is a thread.
const READERS: u32 = 2;

const PROOF_PLACE: &str = "sealing/proof/1";
const PROOF: &[u8] = b"weir";

/// The database with its key. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    /// The writer is one connection: writes queue here, in order, instead of colliding in the database.
    pub(crate) writer: Pool,
    pub(crate) readers: Pool,
    pub(crate) key: SealingKey,
    pub(crate) path: PathBuf,
    pub(crate) health: WriteHealth,
}

impl Store {
    /// Opens or makes the database and brings it up to date, after copying it as it was. It fails if the database was sealed with another
    /// key, or written by a newer version of us.
    pub async fn open(path: &Path, key: &SealingKey) -> Result<Self> {
        Self::open_with(path, key, schema::bring_up_to_date).await
    }

    /// Opens the database beside a server that runs on it and for which nothing must change. An older schema is the error `OlderSchema`
    /// then.
    pub async fn open_as_it_is(path: &Path, key: &SealingKey) -> Result<Self> {
        Self::open_with(path, key, schema::check).await
    }

    async fn open_with(
        path: &Path,
        key: &SealingKey,
        settle_schema: impl AsyncFn(&mut Connection, &Path) -> Result<()>,
    ) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With NORMAL, WAL would lose the last commits when the machine (not only the process) dies.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // This is in KiB. The default, 2 MB for each connection, would hold our whole database five times.
            .pragma("cache_size", "-64")
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        // A connection to a file does not go away by itself: asking each one whether it is still there would double the way of every
        // short question to its thread and back.
        let pool = || SqlitePoolOptions::new().test_before_acquire(false);
        let writer = pool().max_connections(1).connect_with(options.clone()).await?;
        settle_schema(&mut *writer.acquire().await?, path).await?;
        let readers = pool().max_connections(READERS).connect_with(options).await?;
        let store = Self { writer, readers, key: key.clone(), path: path.to_owned(), health: WriteHealth::default() };
        store.prove_key().await?;
        Ok(store)
    }

    /// Waits for running calls and closes the file, which folds the write-ahead log back into it.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The keyed hash by which a stream key is known in memory and in the database.
    pub fn stream_key_lookup(&self, stream_key: &str) -> [u8; 32] {
        self.key.lookup(stream_key)
    }

    /// The signature that proves that a playback token is ours.
    pub fn sign_play_token(&self, token: &[u8]) -> [u8; 32] {
        self.key.sign_play_token(token)
    }

    async fn prove_key(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        let proof: Option<Vec<u8>> =
            sqlx::query_scalar("select proof from sealing where id = 1").fetch_optional(&mut *tx).await?;
        match proof {
            Some(proof) if self.key.open(PROOF_PLACE, &proof).as_deref() == Some(PROOF) => Ok(()),
            Some(_) => Err(StoreError::WrongSealingKey),
            None => {
                let proof = self.key.seal(PROOF_PLACE, PROOF)?;
                sqlx::query("insert into sealing (id, proof) values (1, $1)").bind(proof).execute(&mut *tx).await?;
                Ok(tx.commit().await?)
            }
        }
    }

    pub(crate) fn seal(&self, place: &str, secret: &Secret) -> Result<Vec<u8>> {
        self.key.seal(place, secret.expose().as_bytes())
    }

    pub(crate) fn seal_opt(&self, place: &str, secret: Option<&Secret>) -> Result<Option<Vec<u8>>> {
        secret.map(|secret| self.seal(place, secret)).transpose()
    }

    pub(crate) fn open_secret(&self, place: &str, sealed: &[u8]) -> Result<Secret> {
        let bytes = self.key.open(place, sealed).ok_or(StoreError::Corrupt("a sealed column"))?;
        Ok(Secret::new(String::from_utf8(bytes).map_err(|_| StoreError::Corrupt("a sealed column"))?))
    }

    pub(crate) fn open_secret_opt(&self, place: &str, sealed: Option<Vec<u8>>) -> Result<Option<Secret>> {
        sealed.map(|sealed| self.open_secret(place, &sealed)).transpose()
    }
}

/// The next id of a table. It is part of the caller's transaction, so that a failed insert gives it back.
pub(crate) async fn next_id(tx: &mut Connection, table: &str) -> Result<i64> {
    let row: Row = sqlx::query("update sequence set last = last + 1 where name = $1 returning last")
        .bind(table.to_owned())
        .fetch_one(tx)
        .await?;
    Ok(row.try_get(0)?)
}

/// The time now, as precisely as it will be read back.
pub(crate) fn now() -> OffsetDateTime {
    from_ms(to_ms(OffsetDateTime::now_utc())).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

pub(crate) fn to_ms(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

pub(crate) fn from_ms(ms: i64) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).map_err(|_| StoreError::Corrupt("a time"))
}

pub(crate) fn time_of(row: &Row, column: &str) -> Result<OffsetDateTime> {
    from_ms(row.try_get(column)?)
}

//! A transaction that is under way. It is committed whole, or its connection is thrown away.

use crate::Store;
use crate::dialect::{Arguments, Connection, Database};
use crate::write_health::WriteHealth;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use std::ops::{Deref, DerefMut};

/// Everything that is written goes through one of these. If it is dropped without `commit`, nothing of it has happened.
///
/// A connection whose change did not end in a commit is never used again. After "disk full" SQLite may have rolled back by itself, after
/// an I/O error its state is anybody's guess, and a caller may have left in the middle. What to do in each case need not be known,
/// because closing a connection rolls back whatever is open on it. A new one costs a millisecond, and only changes that were refused cost
/// it.
#[derive(Debug)]
pub(crate) struct Write {
    connection: PoolConnection<Database>,
    health: WriteHealth,
    committed: bool,
}

impl Write {
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("commit").execute(&mut *self.connection).await?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.committed {
            self.connection.close_on_drop();
            self.health.look();
        }
    }
}

impl Deref for Write {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Store {
    /// Begins a transaction. IMMEDIATE takes the write lock at once: a read that later turns into a write could fail half-way instead.
    pub(crate) async fn begin(&self) -> crate::Result<Write> {
        let connection = self.writer.acquire().await.inspect_err(|_| self.health.look())?;
        // The value is made before the statement runs, because a caller that leaves meanwhile must not leave a connection inside a
        // transaction.
        let mut write = Write { connection, health: self.health.clone(), committed: false };
        sqlx::query("begin immediate").execute(&mut *write).await?;
        Ok(write)
    }

    /// Writes by a single statement, which is a transaction by itself. It costs one way to the database and back in place of three.
    pub(crate) async fn write_one(&self, statement: Query<'_, Database, Arguments>) -> crate::Result<()> {
        let connection = self.writer.acquire().await.inspect_err(|_| self.health.look())?;
        let mut write = Write { connection, health: self.health.clone(), committed: false };
        statement.execute(&mut *write).await?;
        write.committed = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SealingKey, StoreError};
    use std::time::Duration;
    use weir_model::Role;

    /// Makes the next change meet "disk full". SQLite answers a limit of pages with the very same error, and rolls back by itself as it
    /// does then.
    async fn fill_up(store: &Store) -> StoreError {
        let mut write = store.begin().await.unwrap();
        sqlx::query("pragma max_page_count = 1").execute(&mut *write).await.unwrap();
        let huge = "insert into idempotency (caller, idempotency_key, request_hash, created_at) \
                    values ('a', 'b', zeroblob(1000000), 0)";
        sqlx::query(huge).execute(&mut *write).await.unwrap_err().into()
    }

    #[tokio::test]
    async fn a_full_disk_ends_one_change_and_not_those_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(&dir.path().join("weir.db"), &SealingKey::load_or_create(dir.path()).unwrap()).await.unwrap();
        for round in 0..3 {
            let error = fill_up(&store).await;
            assert_eq!(error.to_string(), "the database cannot be used: disk full");
            store.create_api_key(&format!("after {round}"), Role::Viewer).await.unwrap();
        }
        // One caller leaves in the middle, and one statement ends the transaction on its own.
        drop(store.begin().await.unwrap());
        let mut write = store.begin().await.unwrap();
        sqlx::query("rollback").execute(&mut *write).await.unwrap();
        assert!(write.commit().await.is_err());
        // So does a statement that is a transaction by itself: its connection still has the limit, and is not used again.
        let mut write = store.begin().await.unwrap();
        sqlx::query("pragma max_page_count = 1").execute(&mut *write).await.unwrap();
        write.commit().await.unwrap();
        let huge = "insert into idempotency (caller, idempotency_key, request_hash, created_at) \
                    values ('c', 'd', zeroblob(1000000), 0)";
        assert!(store.write_one(sqlx::query(huge)).await.is_err());
        store.write_one(sqlx::query(huge)).await.unwrap();
        store.create_api_key("at last", Role::Viewer).await.unwrap();
        assert_eq!(store.api_keys(0, 10).await.unwrap().items.len(), 4);
    }

    #[tokio::test]
    async fn health_says_when_and_why() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let store = Store::open(&data.join("weir.db"), &SealingKey::load_or_create(dir.path()).unwrap()).await.unwrap();
        let watched = store.clone();
        let watching = tokio::spawn(async move { watched.watch_writes().await });
        let wait = async |failing: bool| {
            let known = async {
                while store.write_health().problem().is_some() != failing {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), known).await.unwrap();
        };
        assert_eq!(store.write_health().problem(), None);
        // There is no room beside the database: its folder is not there any more, while the file itself is still open.
        let away = dir.path().join("away");
        std::fs::rename(&data, &away).unwrap();
        drop(store.begin().await);
        wait(true).await;
        let problem = store.write_health().problem().unwrap();
        assert!(problem.starts_with("the database cannot be written: "), "{problem}");
        std::fs::rename(&away, &data).unwrap();
        wait(false).await;
        watching.abort();
    }
}

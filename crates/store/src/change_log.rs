//! The log of changes, in order. Code that keeps stored things in memory reads again only what changed since it last looked.

use crate::columns::Columns;
use crate::dialect::Connection;
use crate::store::next_id;
use crate::{Result, Store};
use sqlx::Row as _;

/// A row that was made, changed or deleted. Reading the row shows which of these it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The number rises with every change. Writers wait for one another, so that a change is never seen after a later one.
    pub seq: i64,
    /// The table of the noun, such as `stream`.
    pub table: String,
    pub row_id: i64,
}

/// The number of changes that are kept and can be read one by one. A reader that is further behind reads everything. A row is some 30
/// bytes.
const KEPT: i64 = 10_000;

/// Old changes are removed once in this many new ones.
const PRUNE_EVERY: i64 = 256;

/// Notes a change, as a part of its own transaction: without the note the change did not happen.
pub(crate) async fn note(tx: &mut Connection, table: &'static str, row_id: i64) -> Result<()> {
    let seq = next_id(tx, "change").await?;
    let columns = Columns::new().put("seq", seq).put("noun", table).put("row_id", row_id);
    columns.insert(tx, "change", &[]).await?;
    if seq % PRUNE_EVERY == 0 {
        sqlx::query("delete from change where seq <= $1").bind(seq - KEPT).execute(tx).await?;
    }
    Ok(())
}

impl Store {
    /// The number of the newest change, made by whichever process; 0 before the first.
    pub async fn last_change(&self) -> Result<i64> {
        Ok(sqlx::query_scalar("select last from sequence where name = 'change'").fetch_one(&self.readers).await?)
    }

    /// The changes after `seq`, oldest first. `None` means that `seq` is so long ago that everything has to be read.
    pub async fn changes_since(&self, seq: i64) -> Result<Option<Vec<Change>>> {
        // Nearly always there are none, and one question is enough.
        if self.last_change().await? == seq {
            return Ok(Some(Vec::new()));
        }
        let rows = sqlx::query("select seq, noun, row_id from change where seq > $1 order by seq")
            .bind(seq)
            .fetch_all(&self.readers)
            .await?;
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            changes.push(Change {
                seq: row.try_get("seq")?,
                table: row.try_get("noun")?,
                row_id: row.try_get("row_id")?,
            });
        }
        // The numbers have no holes, so the first one tells whether any are missing.
        let is_whole = changes.first().is_some_and(|first| first.seq == seq + 1);
        Ok(is_whole.then_some(changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SealingKey;

    #[tokio::test]
    async fn who_is_too_far_behind_reads_everything() {
        let dir = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(dir.path()).unwrap();
        let store = Store::open(&dir.path().join("weir.db"), &key).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        for id in 0..KEPT + 2 * PRUNE_EVERY {
            note(&mut tx, "stream", id).await.unwrap();
        }
        tx.commit().await.unwrap();
        let last = store.last_change().await.unwrap();
        assert_eq!(last, KEPT + 2 * PRUNE_EVERY);
        assert_eq!(store.changes_since(0).await.unwrap(), None);
        assert_eq!(store.changes_since(last - 3).await.unwrap().unwrap().len(), 3);
        assert_eq!(store.changes_since(last).await.unwrap(), Some(vec![]));
        assert_eq!(store.changes_since(last + 5).await.unwrap(), None, "a copy of the database that is older");
    }
}

//! Who changed or revealed what; never what the secret was.

use crate::page::{Page, rows_wanted};
use crate::store::{next_id, now, time_of, to_ms};
use crate::{Result, Store};
use sqlx::Row;
use time::OffsetDateTime;

#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    pub id: i64,
    pub at: OffsetDateTime,
    /// `apikey:name` or `user:name`.
    pub actor: String,
    /// `reveal`, `create`, ...
    pub action: String,
    /// `restream/7`
    pub subject: String,
}

/// The newest are kept: a year of a change every five minutes, about 10 MB.
pub const AUDIT_ROWS_MAX: i64 = 100_000;

impl Store {
    pub async fn record_audit(&self, actor: &str, action: &str, subject: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let id = next_id(&mut tx, "audit").await?;
        sqlx::query("insert into audit (id, at, actor, action, subject) values (?,?,?,?,?)")
            .bind(id)
            .bind(to_ms(now()))
            .bind(actor.to_owned())
            .bind(action.to_owned())
            .bind(subject.to_owned())
            .execute(&mut *tx)
            .await?;
        // Ids rise by one: at most one row goes for one that comes.
        sqlx::query("delete from audit where id <= ?").bind(id - AUDIT_ROWS_MAX).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// Oldest first, after the id; or newest first, before it (0: from the end).
    pub async fn audit(&self, from: i64, limit: u32, newest_first: bool) -> Result<Page<AuditEntry>> {
        let (limit, rows) = rows_wanted(limit);
        let query = match newest_first {
            false => "select id, at, actor, action, subject from audit where id > ? order by id limit ?",
            true => "select id, at, actor, action, subject from audit where id < ? order by id desc limit ?",
        };
        let rows = sqlx::query(query)
            .bind(if newest_first && from == 0 { i64::MAX } else { from })
            .bind(rows)
            .fetch_all(&self.readers)
            .await?;
        let items = rows
            .iter()
            .map(|row| {
                Ok(AuditEntry {
                    id: row.try_get("id")?,
                    at: time_of(row, "at")?,
                    actor: row.try_get("actor")?,
                    action: row.try_get("action")?,
                    subject: row.try_get("subject")?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Page::new(items, limit, |entry| entry.id))
    }
}

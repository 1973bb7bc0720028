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
        Ok(tx.commit().await?)
    }

    pub async fn audit(&self, after: i64, limit: u32) -> Result<Page<AuditEntry>> {
        let (limit, rows) = rows_wanted(limit);
        let rows = sqlx::query("select id, at, actor, action, subject from audit where id > ? order by id limit ?")
            .bind(after)
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

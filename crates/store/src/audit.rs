//! The audit: who changed or revealed what, from where and with what outcome; never what a secret was.

use crate::columns::Columns;
use crate::dialect::{Connection, Row};
use crate::page::{Page, rows_wanted};
use crate::store::{next_id, now, time_of, to_ms};
use crate::{Result, Store, StoreError};
use sqlx::{AssertSqlSafe, Row as _};
use std::time::Duration;
use time::OffsetDateTime;

/// The outcome of what somebody wanted to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Ok,
    /// The caller may not do it, or is not known.
    Denied,
    /// It failed.
    Failed,
}

impl Outcome {
    pub const ALL: [Self; 3] = [Self::Ok, Self::Denied, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// What one entry of the audit says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuditDraft {
    /// The caller: `apikey:name`, `user:name`, `cli:uid`, or `unknown`.
    pub actor: String,
    /// The action: `reveal`, `create`, ...
    pub action: String,
    /// The thing that it was done to, such as `restream/7`.
    pub subject: String,
    pub outcome: Outcome,
    /// The status of the HTTP answer.
    pub status: Option<u16>,
    /// The address from which the request came.
    pub address: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    pub id: i64,
    /// When it happened first.
    pub at: OffsetDateTime,
    pub what: AuditDraft,
    /// How often it happened within that minute.
    pub count: i64,
}

/// Which entries are asked for. A filter that is `None` lets all pass.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub actor: Option<String>,
    pub outcome: Option<Outcome>,
}

/// The number of entries that are kept, the newest ones: a year of a change every five minutes, about 10 MB.
pub const AUDIT_ROWS_MAX: i64 = 100_000;

/// The number of refused requests that are kept. Strangers can make as many as they like, but these push out one another and nothing
/// else.
pub const AUDIT_REFUSED_ROWS_MAX: i64 = 10_000;

/// Addresses belong to people, so they are kept no longer than somebody may ask for them.
const AUDIT_LIFE: Duration = Duration::from_secs(400 * 24 * 3600);

/// Old entries are looked for once in this many new ones, because the search reads all that stay.
const PRUNE_EVERY: i64 = 256;

impl Store {
    /// Writes an entry. Returns its id, by which more of the same can be added to it.
    pub async fn record_audit(&self, what: AuditDraft) -> Result<i64> {
        let mut tx = self.begin().await?;
        let id = next_id(&mut tx, "audit").await?;
        let AuditDraft { actor, action, subject, outcome, status, address } = what;
        Columns::new()
            .put("id", id)
            .put("at", now())
            .put("actor", Some(actor))
            .put("action", Some(action))
            .put("subject", Some(subject))
            .put("outcome", outcome.as_str())
            .put("status", status.map(i64::from))
            .put("address", address)
            .insert(&mut tx, "audit", &[])
            .await?;
        if id % PRUNE_EVERY == 0 {
            prune(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(id)
    }

    /// Adds to each entry how many more times it happened.
    pub async fn add_to_audit(&self, more: &[(i64, u32)]) -> Result<()> {
        let mut tx = self.begin().await?;
        for (id, times) in more {
            let add = sqlx::query("update audit set count = count + $1 where id = $2").bind(i64::from(*times)).bind(id);
            add.execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// A page of entries. The oldest come first, from the one after the id `from`. With `newest_first` the newest come first, from the
    /// one before that id; 0 then means from the newest of all.
    pub async fn audit(
        &self,
        from: i64,
        limit: u32,
        newest_first: bool,
        filter: &AuditFilter,
    ) -> Result<Page<AuditEntry>> {
        let (limit, rows) = rows_wanted(limit);
        let order = if newest_first { "id < $1 order by id desc" } else { "id > $1 order by id" };
        let query = format!(
            "select * from audit where (cast($2 as text) is null or actor = $2) and (cast($3 as text) is null or outcome = $3) and {order} limit $4"
        );
        let rows = sqlx::query(AssertSqlSafe(query))
            .bind(if newest_first && from == 0 { i64::MAX } else { from })
            .bind(filter.actor.clone())
            .bind(filter.outcome.map(Outcome::as_str))
            .bind(rows)
            .fetch_all(&self.readers)
            .await?;
        let items = rows.iter().map(entry_of).collect::<Result<Vec<_>>>()?;
        Ok(Page::new(items, limit, |entry| entry.id))
    }
}

fn entry_of(row: &Row) -> Result<AuditEntry> {
    let outcome: String = row.try_get("outcome")?;
    let status: Option<i64> = row.try_get("status")?;
    Ok(AuditEntry {
        id: row.try_get("id")?,
        at: time_of(row, "at")?,
        what: AuditDraft {
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            outcome: Outcome::from_name(&outcome).ok_or(StoreError::Corrupt("an outcome"))?,
            status: status.map(u16::try_from).transpose().map_err(|_| StoreError::Corrupt("a status"))?,
            address: row.try_get("address")?,
        },
        count: row.try_get("count")?,
    })
}

async fn prune(tx: &mut Connection) -> Result<()> {
    for (which, rows_max) in [("outcome = 'ok'", AUDIT_ROWS_MAX), ("outcome <> 'ok'", AUDIT_REFUSED_ROWS_MAX)] {
        let delete = format!(
            "delete from audit where {which} and id <= (select id from audit where {which} order by id desc limit 1 offset $1)"
        );
        sqlx::query(AssertSqlSafe(delete)).bind(rows_max).execute(&mut *tx).await?;
    }
    sqlx::query("delete from audit where at < $1").bind(to_ms(now() - AUDIT_LIFE)).execute(tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SealingKey;

    #[tokio::test]
    async fn refusals_push_out_one_another_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(dir.path()).unwrap();
        let store = Store::open(&dir.path().join("weir.db"), &key).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let many = "with recursive n(id) as (select 1 union all select id + 1 from n where id < 11000) \
                    insert into audit (id, at, actor, action, subject, outcome) \
                    select id, $1, 'a', 'post', 's', case when id <= 5 then 'ok' else 'denied' end from n";
        sqlx::query(many).bind(to_ms(now())).execute(&mut *tx).await.unwrap();
        sqlx::query("update audit set at = 0 where id = 5").execute(&mut *tx).await.unwrap();
        prune(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        let oldest = store.audit(0, 5, false, &AuditFilter::default()).await.unwrap().items;
        let ids: Vec<i64> = oldest.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [1, 2, 3, 4, 1_001], "what was done stays, and the newest 10,000 of what was refused");
    }
}

//! Ladder rows.

use crate::page::{Page, rows_wanted};
use crate::store::{next_id, now, time_of, to_ms};
use crate::stream::{from_json, json};
use crate::{Result, Store, StoreError};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use weir_model::{Ladder, LadderId, SavedLadder};

const UNIQUE: &[(&str, &str)] = &[("ladder.name", "name")];

impl Store {
    /// Gives the ladder its id, version and times.
    pub async fn create_ladder(&self, mut ladder: SavedLadder) -> Result<SavedLadder> {
        let mut tx = self.begin().await?;
        ladder.id = LadderId(next_id(&mut tx, "ladder").await?);
        ladder.version = 1;
        ladder.created_at = now();
        ladder.updated_at = ladder.created_at;
        sqlx::query(
            "insert into ladder (id, version, name, title, renditions, created_at, updated_at) values (?,?,?,?,?,?,?)",
        )
        .bind(ladder.id.0)
        .bind(ladder.version)
        .bind(&ladder.name)
        .bind(&ladder.title)
        .bind(json(Some(&ladder.renditions))?)
        .bind(to_ms(ladder.created_at))
        .bind(to_ms(ladder.updated_at))
        .execute(&mut *tx)
        .await
        .map_err(|error| StoreError::unique(error, UNIQUE))?;
        tx.commit().await?;
        Ok(ladder)
    }

    /// Writes everything but id and creation time, if the row still has the version that it was read with. Streams that name
    /// it follow a new name.
    pub async fn update_ladder(&self, mut ladder: SavedLadder) -> Result<SavedLadder> {
        let mut tx = self.begin().await?;
        let old = read(&mut tx, ladder.id, Some(ladder.version)).await?;
        ladder.version += 1;
        ladder.updated_at = now();
        sqlx::query("update ladder set version = ?, name = ?, title = ?, renditions = ?, updated_at = ? where id = ?")
            .bind(ladder.version)
            .bind(&ladder.name)
            .bind(&ladder.title)
            .bind(json(Some(&ladder.renditions))?)
            .bind(to_ms(ladder.updated_at))
            .bind(ladder.id.0)
            .execute(&mut *tx)
            .await
            .map_err(|error| StoreError::unique(error, UNIQUE))?;
        if old.name != ladder.name {
            sqlx::query("update stream set version = version + 1, ladder = ?, updated_at = ? where ladder = ?")
                .bind(as_named(&ladder.name)?)
                .bind(to_ms(ladder.updated_at))
                .bind(as_named(&old.name)?)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(ladder)
    }

    /// Refused while a stream names it. With `version`, only if it still has that one.
    pub async fn delete_ladder(&self, id: LadderId, version: Option<i64>) -> Result<()> {
        let mut tx = self.begin().await?;
        let ladder = read(&mut tx, id, version).await?;
        let users: i64 = sqlx::query_scalar("select count(*) from stream where ladder = ?")
            .bind(as_named(&ladder.name)?)
            .fetch_one(&mut *tx)
            .await?;
        if users > 0 {
            let used_by = if users == 1 { "1 stream".to_owned() } else { format!("{users} streams") };
            return Err(StoreError::InUse { used_by });
        }
        sqlx::query("delete from ladder where id = ?").bind(id.0).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    pub async fn ladder(&self, id: LadderId) -> Result<SavedLadder> {
        let row = sqlx::query("select * from ladder where id = ?").bind(id.0).fetch_optional(&self.readers).await?;
        ladder_of(&row.ok_or(StoreError::NotFound)?)
    }

    pub async fn ladder_named(&self, name: &str) -> Result<Option<SavedLadder>> {
        let row =
            sqlx::query("select * from ladder where name = ?").bind(name.to_owned()).fetch_optional(&self.readers);
        row.await?.as_ref().map(ladder_of).transpose()
    }

    pub async fn ladders(&self, after: i64, limit: u32) -> Result<Page<SavedLadder>> {
        let (limit, rows) = rows_wanted(limit);
        let rows = sqlx::query("select * from ladder where id > ? order by id limit ?")
            .bind(after)
            .bind(rows)
            .fetch_all(&self.readers)
            .await?;
        let items = rows.iter().map(ladder_of).collect::<Result<Vec<_>>>()?;
        Ok(Page::new(items, limit, |ladder| ladder.id.0))
    }

    /// Every ladder of one's own, for the control plane.
    pub async fn all_ladders(&self) -> Result<Vec<SavedLadder>> {
        let rows = sqlx::query("select * from ladder order by id").fetch_all(&self.readers).await?;
        rows.iter().map(ladder_of).collect()
    }
}

/// As the column `stream.ladder` has a ladder by its name.
fn as_named(name: &str) -> Result<Option<String>> {
    json(Some(&Ladder::Named(name.to_owned())))
}

async fn read(tx: &mut SqliteConnection, id: LadderId, version: Option<i64>) -> Result<SavedLadder> {
    let row = sqlx::query("select * from ladder where id = ?").bind(id.0).fetch_optional(tx).await?;
    let ladder = ladder_of(&row.ok_or(StoreError::NotFound)?)?;
    if version.is_some_and(|version| version != ladder.version) {
        return Err(StoreError::Stale);
    }
    Ok(ladder)
}

fn ladder_of(row: &SqliteRow) -> Result<SavedLadder> {
    Ok(SavedLadder {
        id: LadderId(row.try_get("id")?),
        version: row.try_get("version")?,
        name: row.try_get("name")?,
        title: row.try_get("title")?,
        renditions: from_json(row.try_get("renditions")?, "a ladder")?.ok_or(StoreError::Corrupt("a ladder"))?,
        created_at: time_of(row, "created_at")?,
        updated_at: time_of(row, "updated_at")?,
    })
}

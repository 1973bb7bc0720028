//! Destination rows.

use crate::page::{Page, rows_wanted};
use crate::store::{next_id, now, time_of, to_ms};
use crate::{Result, Store, StoreError};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};
use weir_model::{Destination, DestinationId};

const COLUMNS: &str = "id, version, name, platform, url, backup_url, created_at, updated_at";
const UNIQUE: &[(&str, &str)] = &[("destination.name", "name")];

fn place(column: &str, id: DestinationId) -> String {
    format!("destination/{column}/{id}")
}

impl Store {
    /// Gives the destination its id, version and times.
    pub async fn create_destination(&self, mut destination: Destination) -> Result<Destination> {
        let mut tx = self.begin().await?;
        destination.id = DestinationId(next_id(&mut tx, "destination").await?);
        destination.version = 1;
        destination.created_at = now();
        destination.updated_at = destination.created_at;
        sqlx::query(
            "insert into destination (id, version, name, platform, url, backup_url, created_at, updated_at) \
             values (?,?,?,?,?,?,?,?)",
        )
        .bind(destination.id.0)
        .bind(destination.version)
        .bind(&destination.name)
        .bind(&destination.platform)
        .bind(self.seal(&place("url", destination.id), &destination.url)?)
        .bind(self.seal_opt(&place("backup_url", destination.id), destination.backup_url.as_ref())?)
        .bind(to_ms(destination.created_at))
        .bind(to_ms(destination.updated_at))
        .execute(&mut *tx)
        .await
        .map_err(|error| StoreError::unique(error, UNIQUE))?;
        tx.commit().await?;
        Ok(destination)
    }

    /// Writes everything but id and creation time, if the row still has the version that it was read with.
    pub async fn update_destination(&self, mut destination: Destination) -> Result<Destination> {
        let mut tx = self.begin().await?;
        destination.updated_at = now();
        let changed = sqlx::query(
            "update destination set version = version + 1, name = ?, platform = ?, url = ?, backup_url = ?, \
             updated_at = ? where id = ? and version = ?",
        )
        .bind(&destination.name)
        .bind(&destination.platform)
        .bind(self.seal(&place("url", destination.id), &destination.url)?)
        .bind(self.seal_opt(&place("backup_url", destination.id), destination.backup_url.as_ref())?)
        .bind(to_ms(destination.updated_at))
        .bind(destination.id.0)
        .bind(destination.version)
        .execute(&mut *tx)
        .await
        .map_err(|error| StoreError::unique(error, UNIQUE))?;
        if changed.rows_affected() == 0 {
            let exists =
                sqlx::query("select 1 from destination where id = ?").bind(destination.id.0).fetch_optional(&mut *tx);
            return Err(if exists.await?.is_some() { StoreError::Stale } else { StoreError::NotFound });
        }
        tx.commit().await?;
        destination.version += 1;
        Ok(destination)
    }

    /// Refused while a restream uses it. With `version`, only if it still has that one.
    pub async fn delete_destination(&self, id: DestinationId, version: Option<i64>) -> Result<()> {
        let mut tx = self.begin().await?;
        let found: Option<i64> = sqlx::query_scalar("select version from destination where id = ?")
            .bind(id.0)
            .fetch_optional(&mut *tx)
            .await?;
        let found = found.ok_or(StoreError::NotFound)?;
        if version.is_some_and(|version| version != found) {
            return Err(StoreError::Stale);
        }
        let users: i64 = sqlx::query_scalar("select count(*) from restream where destination_id = ?")
            .bind(id.0)
            .fetch_one(&mut *tx)
            .await?;
        if users > 0 {
            let used_by = if users == 1 { "1 restream".to_owned() } else { format!("{users} restreams") };
            return Err(StoreError::InUse { used_by });
        }
        sqlx::query("delete from destination where id = ?").bind(id.0).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    pub async fn destination(&self, id: DestinationId) -> Result<Destination> {
        let query = format!("select {COLUMNS} from destination where id = ?");
        let row = sqlx::query(AssertSqlSafe(query)).bind(id.0).fetch_optional(&self.readers).await?;
        self.destination_of(&row.ok_or(StoreError::NotFound)?)
    }

    pub async fn destinations(&self, after: i64, limit: u32) -> Result<Page<Destination>> {
        let (limit, rows) = rows_wanted(limit);
        let query = format!("select {COLUMNS} from destination where id > ? order by id limit ?");
        let rows = sqlx::query(AssertSqlSafe(query)).bind(after).bind(rows).fetch_all(&self.readers).await?;
        let items = rows.iter().map(|row| self.destination_of(row)).collect::<Result<Vec<_>>>()?;
        Ok(Page::new(items, limit, |destination| destination.id.0))
    }

    /// Every destination there is, for the control plane.
    pub async fn all_destinations(&self) -> Result<Vec<Destination>> {
        let query = format!("select {COLUMNS} from destination order by id");
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&self.readers).await?;
        rows.iter().map(|row| self.destination_of(row)).collect()
    }

    fn destination_of(&self, row: &SqliteRow) -> Result<Destination> {
        let id = DestinationId(row.try_get("id")?);
        Ok(Destination {
            id,
            version: row.try_get("version")?,
            name: row.try_get("name")?,
            platform: row.try_get("platform")?,
            url: self.open_secret(&place("url", id), row.try_get("url")?)?,
            backup_url: self.open_secret_opt(&place("backup_url", id), row.try_get("backup_url")?)?,
            created_at: time_of(row, "created_at")?,
            updated_at: time_of(row, "updated_at")?,
        })
    }
}

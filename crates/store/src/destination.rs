//! The rows of destinations.

use crate::change_log::Noun;
use crate::columns::{Columns, Unique};
use crate::dialect::Row;
use crate::kept::{Kept, Stamp};
use crate::page::Page;
use crate::store::time_of;
use crate::{Result, Store, StoreError};
use sqlx::Row as _;
use weir_model::{Destination, DestinationId};

fn place(column: &str, id: DestinationId) -> String {
    format!("destination/{column}/{id}")
}

impl Kept for Destination {
    const TABLE: &'static str = "destination";
    const NOUN: Noun = Noun::Destination;
    const UNIQUE: Unique = &[("destination.name", "name")];

    fn stamp(&mut self) -> Stamp<'_> {
        let Self { id, version, created_at, updated_at, .. } = self;
        Stamp { id: &mut id.0, version, created_at, updated_at }
    }

    fn columns(&self, store: &Store) -> Result<Columns> {
        let Self { id, version: _, name, platform, url, backup_url, created_at: _, updated_at: _ } = self;
        Ok(Columns::new()
            .put("name", name.as_str())
            .put("platform", platform.as_str())
            .put("url", store.seal(&place("url", *id), url)?)
            .put("backup_url", store.seal_opt(&place("backup_url", *id), backup_url.as_ref())?))
    }

    fn read(store: &Store, row: &Row) -> Result<Self> {
        let id = DestinationId(row.try_get("id")?);
        Ok(Self {
            id,
            version: row.try_get("version")?,
            name: row.try_get("name")?,
            platform: row.try_get("platform")?,
            url: store.open_secret(&place("url", id), row.try_get("url")?)?,
            backup_url: store.open_secret_opt(&place("backup_url", id), row.try_get("backup_url")?)?,
            created_at: time_of(row, "created_at")?,
            updated_at: time_of(row, "updated_at")?,
        })
    }
}

impl Store {
    /// Gives the destination its id, version and times.
    pub async fn create_destination(&self, mut destination: Destination) -> Result<Destination> {
        let mut tx = self.begin().await?;
        self.insert(&mut tx, &mut destination, Columns::new()).await?;
        tx.commit().await?;
        Ok(destination)
    }

    /// Writes everything but id and creation time, if the row still has the version that it was read with.
    pub async fn update_destination(&self, mut destination: Destination) -> Result<Destination> {
        let mut tx = self.begin().await?;
        self.rewrite(&mut tx, &mut destination).await?;
        tx.commit().await?;
        Ok(destination)
    }

    /// Deletes a destination, and returns it as it was. It is refused while a restream uses the destination. With `version`, it is done
    /// only if the destination still has that one.
    pub async fn delete_destination(&self, id: DestinationId, version: Option<i64>) -> Result<Destination> {
        let mut tx = self.begin().await?;
        self.locked::<Destination>(&mut tx, id.0, version).await?;
        let users: i64 = sqlx::query_scalar("select count(*) from restream where destination_id = $1")
            .bind(id.0)
            .fetch_one(&mut *tx)
            .await?;
        if users > 0 {
            let used_by = if users == 1 { "1 restream".to_owned() } else { format!("{users} restreams") };
            return Err(StoreError::InUse { used_by });
        }
        let gone = self.remove(&mut tx, id.0, version).await?;
        tx.commit().await?;
        Ok(gone)
    }

    pub async fn destination(&self, id: DestinationId) -> Result<Destination> {
        self.one(&mut *self.readers.acquire().await?, id.0).await
    }

    pub async fn destinations(&self, after: i64, limit: u32) -> Result<Page<Destination>> {
        self.some(&mut *self.readers.acquire().await?, (after, limit), None).await
    }

    /// Every destination there is, for the control plane.
    pub async fn all_destinations(&self) -> Result<Vec<Destination>> {
        self.every().await
    }
}

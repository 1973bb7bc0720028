//! The rows of destinations.

use crate::columns::{Columns, Unique};
use crate::dialect::{Connection, Row};
use crate::kept::{Kept, Plain, Stamp, counted};
use crate::store::time_of;
use crate::told::{Deeds, Told, about, deeds};
use crate::{Result, Store};
use serde_json::{Map, Value};
use sqlx::Row as _;
use weir_model::{Destination, DestinationId};

fn place(column: &str, id: DestinationId) -> String {
    format!("destination/{column}/{id}")
}

impl Told for Destination {
    const DEEDS: Deeds = deeds!("destination");

    fn about(&self) -> Map<String, Value> {
        about("destination_id", self.id, &self.name)
    }

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        self.changed_fields(before)
    }
}

impl Kept for Destination {
    const TABLE: &'static str = "destination";
    const UNIQUE: Unique = &[("destination.name", "name")];

    type Id = DestinationId;

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

impl Plain for Destination {
    async fn used_by(&self, tx: &mut Connection) -> Result<Option<String>> {
        let users = sqlx::query_scalar("select count(*) from restream where destination_id = $1").bind(self.id.0);
        Ok(counted(users.fetch_one(tx).await?, "restream"))
    }
}

//! The rows of ladders.

use crate::change_log::note;
use crate::columns::{Columns, Unique};
use crate::dialect::{Connection, Row};
use crate::kept::{Kept, Plain, Refused, SelfJudged, Stamp, counted};
use crate::store::{time_of, to_ms};
use crate::stream::{from_json, json};
use crate::told::{Deeds, Told, about, deeds};
use crate::{Result, Store, StoreError};
use serde_json::{Map, Value};
use sqlx::Row as _;
use weir_model::{Ladder, LadderId, SavedLadder, SavedLadderFault, Stream};

impl Told for SavedLadder {
    const DEEDS: Deeds = deeds!("ladder");

    fn about(&self) -> Map<String, Value> {
        about("ladder_id", self.id, &self.name)
    }

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        self.changed_fields(before)
    }
}

impl Kept for SavedLadder {
    const TABLE: &'static str = "ladder";
    const UNIQUE: Unique = &[("ladder.name", "name")];

    type Id = LadderId;

    fn stamp(&mut self) -> Stamp<'_> {
        let Self { id, version, created_at, updated_at, .. } = self;
        Stamp { id: &mut id.0, version, created_at, updated_at }
    }

    fn columns(&self, _store: &Store) -> Result<Columns> {
        let Self { id: _, version: _, name, title, renditions, created_at: _, updated_at: _ } = self;
        Ok(Columns::new()
            .put("name", name.as_str())
            .put("title", title.as_str())
            .put("renditions", json(Some(renditions))?))
    }

    fn read(_store: &Store, row: &Row) -> Result<Self> {
        Ok(Self {
            id: LadderId(row.try_get("id")?),
            version: row.try_get("version")?,
            name: row.try_get("name")?,
            title: row.try_get("title")?,
            renditions: from_json(row.try_get("renditions")?, "a ladder")?.ok_or(StoreError::Corrupt("a ladder"))?,
            created_at: time_of(row, "created_at")?,
            updated_at: time_of(row, "updated_at")?,
        })
    }
}

impl SelfJudged for SavedLadder {
    fn check(&mut self) -> std::result::Result<(), Refused> {
        Self::check(self).map_err(|fault| {
            let (field, message) = match fault {
                SavedLadderFault::Renditions(fault) => fault.at("renditions"),
                SavedLadderFault::Title => ("title".to_owned(), fault.to_string()),
                SavedLadderFault::Name | SavedLadderFault::Builtin => ("name".to_owned(), fault.to_string()),
            };
            Refused { field, message }
        })
    }
}

impl Plain for SavedLadder {
    async fn used_by(&self, tx: &mut Connection) -> Result<Option<String>> {
        let users = sqlx::query_scalar("select count(*) from stream where ladder = $1").bind(as_named(&self.name)?);
        Ok(counted(users.fetch_one(tx).await?, "stream"))
    }

    /// Streams that name it follow a new name.
    async fn followed(&self, tx: &mut Connection, old: &Self) -> Result<()> {
        if old.name == self.name {
            return Ok(());
        }
        let rename =
            "update stream set version = version + 1, ladder = $1, updated_at = $2 where ladder = $3 returning id";
        let renamed: Vec<i64> = sqlx::query_scalar(rename)
            .bind(as_named(&self.name)?)
            .bind(to_ms(self.updated_at))
            .bind(as_named(&old.name)?)
            .fetch_all(&mut *tx)
            .await?;
        for stream in renamed {
            note(tx, Stream::TABLE, stream).await?;
        }
        Ok(())
    }
}

impl Store {
    pub async fn ladder_named(&self, name: &str) -> Result<Option<SavedLadder>> {
        let query = sqlx::query("select * from ladder where name = $1").bind(name.to_owned());
        let row = query.fetch_optional(&self.readers).await?;
        row.as_ref().map(|row| SavedLadder::read(self, row)).transpose()
    }
}

/// The column `stream.ladder` for a ladder by its name.
fn as_named(name: &str) -> Result<Option<String>> {
    json(Some(&Ladder::Named(name.to_owned())))
}

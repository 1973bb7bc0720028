//! The rows of ladders.

use crate::change_log::{Noun, note};
use crate::columns::{Columns, Unique};
use crate::dialect::Row;
use crate::kept::{Kept, Stamp};
use crate::page::Page;
use crate::store::{time_of, to_ms};
use crate::stream::{from_json, json};
use crate::{Result, Store, StoreError};
use sqlx::Row as _;
use weir_model::{Ladder, LadderId, SavedLadder};

impl Kept for SavedLadder {
    const TABLE: &'static str = "ladder";
    const NOUN: Noun = Noun::Ladder;
    const UNIQUE: Unique = &[("ladder.name", "name")];

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

impl Store {
    /// Gives the ladder its id, version and times.
    pub async fn create_ladder(&self, mut ladder: SavedLadder) -> Result<SavedLadder> {
        let mut tx = self.begin().await?;
        self.insert(&mut tx, &mut ladder, Columns::new()).await?;
        tx.commit().await?;
        Ok(ladder)
    }

    /// Writes everything but id and creation time, if the row still has the version that it was read with. Streams that name the ladder
    /// follow a new name.
    pub async fn update_ladder(&self, mut ladder: SavedLadder) -> Result<SavedLadder> {
        let mut tx = self.begin().await?;
        let old = self.locked::<SavedLadder>(&mut tx, ladder.id.0, Some(ladder.version)).await?;
        self.rewrite(&mut tx, &mut ladder).await?;
        if old.name != ladder.name {
            let rename =
                "update stream set version = version + 1, ladder = $1, updated_at = $2 where ladder = $3 returning id";
            let renamed: Vec<i64> = sqlx::query_scalar(rename)
                .bind(as_named(&ladder.name)?)
                .bind(to_ms(ladder.updated_at))
                .bind(as_named(&old.name)?)
                .fetch_all(&mut *tx)
                .await?;
            for stream in renamed {
                note(&mut tx, Noun::Stream, stream).await?;
            }
        }
        tx.commit().await?;
        Ok(ladder)
    }

    /// Deletes a ladder, and returns it as it was. It is refused while a stream names the ladder. With `version`, it is done only if the
    /// ladder still has that one.
    pub async fn delete_ladder(&self, id: LadderId, version: Option<i64>) -> Result<SavedLadder> {
        let mut tx = self.begin().await?;
        let ladder = self.locked::<SavedLadder>(&mut tx, id.0, version).await?;
        let users: i64 = sqlx::query_scalar("select count(*) from stream where ladder = $1")
            .bind(as_named(&ladder.name)?)
            .fetch_one(&mut *tx)
            .await?;
        if users > 0 {
            let used_by = if users == 1 { "1 stream".to_owned() } else { format!("{users} streams") };
            return Err(StoreError::InUse { used_by });
        }
        let gone = self.remove(&mut tx, id.0, version).await?;
        tx.commit().await?;
        Ok(gone)
    }

    pub async fn ladder(&self, id: LadderId) -> Result<SavedLadder> {
        self.one(&mut *self.readers.acquire().await?, id.0).await
    }

    pub async fn ladder_named(&self, name: &str) -> Result<Option<SavedLadder>> {
        let query = sqlx::query("select * from ladder where name = $1").bind(name.to_owned());
        let row = query.fetch_optional(&self.readers).await?;
        row.as_ref().map(|row| SavedLadder::read(self, row)).transpose()
    }

    pub async fn ladders(&self, after: i64, limit: u32) -> Result<Page<SavedLadder>> {
        self.some(&mut *self.readers.acquire().await?, (after, limit), None).await
    }

    /// Every ladder that a user made, for the control plane.
    pub async fn all_ladders(&self) -> Result<Vec<SavedLadder>> {
        self.every().await
    }
}

/// The column `stream.ladder` for a ladder by its name.
fn as_named(name: &str) -> Result<Option<String>> {
    json(Some(&Ladder::Named(name.to_owned())))
}

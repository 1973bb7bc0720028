//! The rows of restreams.

use crate::columns::{Columns, Unique};
use crate::dialect::{Connection, Row};
use crate::kept::{Kept, Plain, Stamp, exists};
use crate::page::Page;
use crate::store::{from_ms, time_of};
use crate::stream::{from_json, json};
use crate::told::{Deeds, Told, about, deeds};
use crate::{Result, Store, StoreError};
use serde_json::{Map, Value};
use sqlx::Row as _;
use std::time::Duration;
use weir_model::{
    Destination, DestinationId, ReasonCode, RenditionDraft, Restream, RestreamId, RestreamRendition, RestreamTarget,
    RetryRules, Schedule, Secret, Stream, StreamId, UserId,
};

fn place(column: &str, id: RestreamId) -> String {
    format!("restream/{column}/{id}")
}

/// The rendition column: null, a JSON string or a JSON object, like the API's field. It does not hold settings that were left out.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum RenditionColumn {
    Named(String),
    Inline(RenditionDraft),
}

impl Told for Restream {
    const DEEDS: Deeds = deeds!("restream");

    fn about(&self) -> Map<String, Value> {
        let mut about = about("restream_id", self.id, &self.name);
        about.insert("stream_id".to_owned(), self.stream_id.0.into());
        about
    }

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        self.changed_fields(before)
    }
}

impl Kept for Restream {
    const TABLE: &'static str = "restream";
    const UNIQUE: Unique = &[("restream.stream_id, restream.name", "name")];

    type Id = RestreamId;

    fn stamp(&mut self) -> Stamp<'_> {
        let Self { id, version, created_at, updated_at, .. } = self;
        Stamp { id: &mut id.0, version, created_at, updated_at }
    }

    fn columns(&self, store: &Store) -> Result<Columns> {
        let Self {
            id,
            version: _,
            stream_id,
            name,
            active,
            client_user_id,
            target,
            backup_uri,
            rendition,
            audio_language,
            schedule,
            retry,
            stop_reason,
            created_at: _,
            updated_at: _,
        } = self;
        let (uri, destination_id, stream_key) = match target {
            RestreamTarget::Uri(uri) => (Some(store.seal(&place("uri", *id), uri)?), None, None),
            RestreamTarget::Destination { destination_id, stream_key } => {
                (None, Some(destination_id.0), Some(store.seal(&place("stream_key", *id), stream_key)?))
            }
        };
        Ok(Columns::new()
            .put("stream_id", stream_id.0)
            .put("name", name.as_str())
            .put("active", *active)
            .put("client_user_id", *client_user_id)
            .put("uri", uri)
            .put("destination_id", destination_id)
            .put("stream_key", stream_key)
            .put("backup_uri", store.seal_opt(&place("backup_uri", *id), backup_uri.as_ref())?)
            .put("rendition", rendition_text(rendition)?)
            .put("audio_language", audio_language.clone())
            .put("start_at", schedule.start_at)
            .put("stop_at", schedule.stop_at)
            .put("source_lost_ms", ms(retry.source_lost))
            .put("give_up_ms", ms(retry.give_up))
            .put("stop_reason", stop_reason.map(ReasonCode::as_str)))
    }

    fn read(store: &Store, row: &Row) -> Result<Self> {
        let id = RestreamId(row.try_get("id")?);
        let secret = |column: &str| -> Result<Option<Secret>> {
            store.open_secret_opt(&place(column, id), row.try_get(column)?)
        };
        let destination_id: Option<i64> = row.try_get("destination_id")?;
        let target = match (secret("uri")?, destination_id) {
            (Some(uri), None) => RestreamTarget::Uri(uri),
            (None, Some(destination_id)) => RestreamTarget::Destination {
                destination_id: DestinationId(destination_id),
                stream_key: secret("stream_key")?.unwrap_or_default(),
            },
            _ => return Err(StoreError::Corrupt("a restream's target")),
        };
        let stop_reason: Option<String> = row.try_get("stop_reason")?;
        Ok(Self {
            id,
            version: row.try_get("version")?,
            stream_id: StreamId(row.try_get("stream_id")?),
            name: row.try_get("name")?,
            active: row.try_get("active")?,
            client_user_id: row.try_get("client_user_id")?,
            target,
            backup_uri: secret("backup_uri")?,
            rendition: match from_json(row.try_get("rendition")?, "a rendition")? {
                None => RestreamRendition::AsIs,
                Some(RenditionColumn::Named(name)) => RestreamRendition::Named(name),
                Some(RenditionColumn::Inline(rendition)) => RestreamRendition::Inline(rendition),
            },
            audio_language: row.try_get("audio_language")?,
            schedule: Schedule {
                start_at: row.try_get::<Option<i64>, _>("start_at")?.map(from_ms).transpose()?,
                stop_at: row.try_get::<Option<i64>, _>("stop_at")?.map(from_ms).transpose()?,
            },
            retry: RetryRules {
                source_lost: duration(row.try_get("source_lost_ms")?)?,
                give_up: duration(row.try_get("give_up_ms")?)?,
            },
            stop_reason: stop_reason
                .map(|name| ReasonCode::from_name(&name).ok_or(StoreError::Corrupt("a stop reason")))
                .transpose()?,
            created_at: time_of(row, "created_at")?,
            updated_at: time_of(row, "updated_at")?,
        })
    }
}

impl Plain for Restream {
    /// Says which reference leads nowhere; the foreign keys alone would not say.
    async fn refers(&self, tx: &mut Connection) -> Result<()> {
        if !exists(tx, Stream::TABLE, self.stream_id.0).await? {
            return Err(StoreError::Dangling { field: "stream_id" });
        }
        if let RestreamTarget::Destination { destination_id, .. } = &self.target
            && !exists(tx, Destination::TABLE, destination_id.0).await?
        {
            return Err(StoreError::Dangling { field: "destination_id" });
        }
        Ok(())
    }
}

impl Store {
    /// Gives the restream its id, version and times.
    pub async fn create_restream(&self, restream: Restream) -> Result<Restream> {
        self.create_restream_of(None, restream).await
    }

    /// The same for a person, whose quota is checked.
    pub async fn create_restream_of(&self, owner: Option<UserId>, restream: Restream) -> Result<Restream> {
        self.insert_restream(restream, owner, true).await
    }

    pub(crate) async fn insert_restream(
        &self,
        mut restream: Restream,
        owner: Option<UserId>,
        within_quota: bool,
    ) -> Result<Restream> {
        let mut tx = self.begin().await?;
        if let Some(owner) = owner.filter(|_| within_quota) {
            check_quota(&mut tx, owner).await?;
        }
        restream.refers(&mut tx).await?;
        let owner = Columns::new().put("owner_id", owner.map(|owner| owner.0));
        self.insert(&mut tx, &mut restream, owner).await?;
        tx.commit().await?;
        Ok(restream)
    }

    /// Of one stream, or of all.
    pub async fn restreams(&self, stream_id: Option<StreamId>, after: i64, limit: u32) -> Result<Page<Restream>> {
        let filter = stream_id.map(|id| ("stream_id", id.0));
        self.some(&mut *self.readers.acquire().await?, (after, limit), filter).await
    }
}

/// Checks the quota within the transaction of the insert, so that two inserts at once can't both be the last one.
async fn check_quota(tx: &mut Connection, owner: UserId) -> Result<()> {
    let quota: Option<i64> = sqlx::query_scalar("select restream_quota from account where id = $1")
        .bind(owner.0)
        .fetch_optional(&mut *tx)
        .await?
        .flatten();
    let Some(quota) = quota.and_then(|quota| u32::try_from(quota).ok()) else { return Ok(()) };
    let made: i64 =
        sqlx::query_scalar("select count(*) from restream where owner_id = $1").bind(owner.0).fetch_one(tx).await?;
    if made >= i64::from(quota) { Err(StoreError::Quota { made, quota }) } else { Ok(()) }
}

fn rendition_text(asked: &RestreamRendition) -> Result<Option<String>> {
    let column = match asked {
        RestreamRendition::AsIs => None,
        RestreamRendition::Named(name) => Some(RenditionColumn::Named(name.clone())),
        RestreamRendition::Inline(rendition) => Some(RenditionColumn::Inline(rendition.clone())),
    };
    json(column.as_ref())
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn duration(ms: i64) -> Result<Duration> {
    u64::try_from(ms).map(Duration::from_millis).map_err(|_| StoreError::Corrupt("a duration"))
}

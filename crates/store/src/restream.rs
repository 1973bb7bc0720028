//! Restream rows.

use crate::page::{Page, rows_wanted};
use crate::store::{from_ms, next_id, now, time_of, to_ms};
use crate::stream::{from_json, json};
use crate::{Result, Store, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use std::time::Duration;
use weir_model::{
    DestinationId, ReasonCode, RenditionDraft, Restream, RestreamId, RestreamRendition, RetryRules, Schedule, Secret,
    StreamId, Target, UserId,
};

const COLUMNS: &str = "id, version, stream_id, name, active, client_user_id, uri, destination_id, stream_key, \
                       backup_uri, rendition, start_at, stop_at, source_lost_ms, give_up_ms, stop_reason, created_at, \
                       updated_at";
const UNIQUE: &[(&str, &str)] = &[("restream.stream_id, restream.name", "name")];

fn place(column: &str, id: RestreamId) -> String {
    format!("restream/{column}/{id}")
}

/// The target as its three columns.
struct TargetColumns {
    uri: Option<Vec<u8>>,
    destination_id: Option<i64>,
    stream_key: Option<Vec<u8>>,
}

/// The rendition column: null, a JSON string or a JSON object, like the API's field; what was left out is not in it.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum RenditionColumn {
    Named(String),
    Inline(RenditionDraft),
}

impl Store {
    /// Gives the restream its id, version and times.
    pub async fn create_restream(&self, restream: Restream) -> Result<Restream> {
        self.create_restream_of(None, restream).await
    }

    /// The same for a person, whose quota is kept.
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
        restream.id = RestreamId(next_id(&mut tx, "restream").await?);
        restream.version = 1;
        restream.created_at = now();
        restream.updated_at = restream.created_at;
        check_references(&mut tx, &restream).await?;
        let target = self.target_columns(&restream)?;
        sqlx::query(
            "insert into restream (id, version, stream_id, name, active, client_user_id, uri, destination_id, stream_key, \
             backup_uri, rendition, start_at, stop_at, source_lost_ms, give_up_ms, stop_reason, created_at, updated_at, \
             owner_id) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        )
        .bind(restream.id.0)
        .bind(restream.version)
        .bind(restream.stream_id.0)
        .bind(&restream.name)
        .bind(restream.active)
        .bind(restream.client_user_id)
        .bind(target.uri)
        .bind(target.destination_id)
        .bind(target.stream_key)
        .bind(self.seal_opt(&place("backup_uri", restream.id), restream.backup_uri.as_ref())?)
        .bind(rendition_text(&restream.rendition)?)
        .bind(restream.schedule.start_at.map(to_ms))
        .bind(restream.schedule.stop_at.map(to_ms))
        .bind(ms(restream.retry.source_lost))
        .bind(ms(restream.retry.give_up))
        .bind(restream.stop_reason.map(ReasonCode::as_str))
        .bind(to_ms(restream.created_at))
        .bind(to_ms(restream.updated_at))
        .bind(owner.map(|owner| owner.0))
        .execute(&mut *tx)
        .await
        .map_err(|error| StoreError::unique(error, UNIQUE))?;
        tx.commit().await?;
        Ok(restream)
    }

    /// Writes everything but id and creation time, if the row still has the version that it was read with.
    pub async fn update_restream(&self, mut restream: Restream) -> Result<Restream> {
        let mut tx = self.begin().await?;
        restream.updated_at = now();
        check_references(&mut tx, &restream).await?;
        let target = self.target_columns(&restream)?;
        let changed = sqlx::query(
            "update restream set version = version + 1, stream_id = ?, name = ?, active = ?, client_user_id = ?, uri = ?, \
             destination_id = ?, stream_key = ?, backup_uri = ?, rendition = ?, start_at = ?, stop_at = ?, \
             source_lost_ms = ?, give_up_ms = ?, stop_reason = ?, updated_at = ? where id = ? and version = ?",
        )
        .bind(restream.stream_id.0)
        .bind(&restream.name)
        .bind(restream.active)
        .bind(restream.client_user_id)
        .bind(target.uri)
        .bind(target.destination_id)
        .bind(target.stream_key)
        .bind(self.seal_opt(&place("backup_uri", restream.id), restream.backup_uri.as_ref())?)
        .bind(rendition_text(&restream.rendition)?)
        .bind(restream.schedule.start_at.map(to_ms))
        .bind(restream.schedule.stop_at.map(to_ms))
        .bind(ms(restream.retry.source_lost))
        .bind(ms(restream.retry.give_up))
        .bind(restream.stop_reason.map(ReasonCode::as_str))
        .bind(to_ms(restream.updated_at))
        .bind(restream.id.0)
        .bind(restream.version)
        .execute(&mut *tx)
        .await
        .map_err(|error| StoreError::unique(error, UNIQUE))?;
        if changed.rows_affected() == 0 {
            let exists =
                sqlx::query("select 1 from restream where id = ?").bind(restream.id.0).fetch_optional(&mut *tx);
            return Err(if exists.await?.is_some() { StoreError::Stale } else { StoreError::NotFound });
        }
        tx.commit().await?;
        restream.version += 1;
        Ok(restream)
    }

    /// With `version`, only if it still has that one.
    pub async fn delete_restream(&self, id: RestreamId, version: Option<i64>) -> Result<()> {
        let mut tx = self.begin().await?;
        let found: Option<i64> =
            sqlx::query_scalar("select version from restream where id = ?").bind(id.0).fetch_optional(&mut *tx).await?;
        let found = found.ok_or(StoreError::NotFound)?;
        if version.is_some_and(|version| version != found) {
            return Err(StoreError::Stale);
        }
        sqlx::query("delete from restream where id = ?").bind(id.0).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    pub async fn restream(&self, id: RestreamId) -> Result<Restream> {
        let query = format!("select {COLUMNS} from restream where id = ?");
        let row = sqlx::query(AssertSqlSafe(query)).bind(id.0).fetch_optional(&self.readers).await?;
        self.restream_of(&row.ok_or(StoreError::NotFound)?)
    }

    /// Of one stream, or of all.
    pub async fn restreams(&self, stream_id: Option<StreamId>, after: i64, limit: u32) -> Result<Page<Restream>> {
        let (limit, rows) = rows_wanted(limit);
        let query =
            format!("select {COLUMNS} from restream where id > ? and (? is null or stream_id = ?) order by id limit ?");
        let stream_id = stream_id.map(|id| id.0);
        let rows = sqlx::query(AssertSqlSafe(query))
            .bind(after)
            .bind(stream_id)
            .bind(stream_id)
            .bind(rows)
            .fetch_all(&self.readers)
            .await?;
        let items = rows.iter().map(|row| self.restream_of(row)).collect::<Result<Vec<_>>>()?;
        Ok(Page::new(items, limit, |restream| restream.id.0))
    }

    /// Every restream there is, for the control plane.
    pub async fn all_restreams(&self) -> Result<Vec<Restream>> {
        let query = format!("select {COLUMNS} from restream order by id");
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&self.readers).await?;
        rows.iter().map(|row| self.restream_of(row)).collect()
    }

    fn target_columns(&self, restream: &Restream) -> Result<TargetColumns> {
        Ok(match &restream.target {
            Target::Uri(uri) => TargetColumns {
                uri: Some(self.seal(&place("uri", restream.id), uri)?),
                destination_id: None,
                stream_key: None,
            },
            Target::Destination { destination_id, stream_key } => TargetColumns {
                uri: None,
                destination_id: Some(destination_id.0),
                stream_key: Some(self.seal(&place("stream_key", restream.id), stream_key)?),
            },
        })
    }

    fn restream_of(&self, row: &SqliteRow) -> Result<Restream> {
        let id = RestreamId(row.try_get("id")?);
        let secret =
            |column: &str| -> Result<Option<Secret>> { self.open_secret_opt(&place(column, id), row.try_get(column)?) };
        let destination_id: Option<i64> = row.try_get("destination_id")?;
        let target = match (secret("uri")?, destination_id) {
            (Some(uri), None) => Target::Uri(uri),
            (None, Some(destination_id)) => Target::Destination {
                destination_id: DestinationId(destination_id),
                stream_key: secret("stream_key")?.unwrap_or_default(),
            },
            _ => return Err(StoreError::Corrupt("a restream's target")),
        };
        let stop_reason: Option<String> = row.try_get("stop_reason")?;
        Ok(Restream {
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

/// Within the transaction of the insert, so that two at once can't both be the last one.
async fn check_quota(tx: &mut SqliteConnection, owner: UserId) -> Result<()> {
    let quota: Option<i64> = sqlx::query_scalar("select restream_quota from account where id = ?")
        .bind(owner.0)
        .fetch_optional(&mut *tx)
        .await?
        .flatten();
    let Some(quota) = quota.and_then(|quota| u32::try_from(quota).ok()) else { return Ok(()) };
    let made: i64 =
        sqlx::query_scalar("select count(*) from restream where owner_id = ?").bind(owner.0).fetch_one(tx).await?;
    if made >= i64::from(quota) { Err(StoreError::Quota { made, quota }) } else { Ok(()) }
}

/// Says which reference leads nowhere; the foreign keys alone would not say.
async fn check_references(tx: &mut SqliteConnection, restream: &Restream) -> Result<()> {
    let stream = sqlx::query("select 1 from stream where id = ?").bind(restream.stream_id.0);
    if stream.fetch_optional(&mut *tx).await?.is_none() {
        return Err(StoreError::Dangling { field: "stream_id" });
    }
    if let Target::Destination { destination_id, .. } = &restream.target {
        let destination = sqlx::query("select 1 from destination where id = ?").bind(destination_id.0);
        if destination.fetch_optional(&mut *tx).await?.is_none() {
            return Err(StoreError::Dangling { field: "destination_id" });
        }
    }
    Ok(())
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

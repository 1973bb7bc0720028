//! What only an export reads and only an import writes: ids, times and hashes as they were.

use crate::change_log::note;
use crate::columns::Columns;
use crate::dialect::{Connection, Database};
use crate::{Account, ApiKey, MAX_PAGE_ROWS, Result, Store};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sqlx::Row;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use weir_model::{Restream, RestreamId, Secret, UserId, Webhook};

/// The kinds of things that are carried from one database to another, by their names in the sequence table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Account,
    ApiKey,
    Ladder,
    Destination,
    Stream,
    Restream,
    Webhook,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::Account, Self::ApiKey, Self::Ladder, Self::Destination, Self::Stream, Self::Restream, Self::Webhook];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::ApiKey => "api_key",
            Self::Ladder => "ladder",
            Self::Destination => "destination",
            Self::Stream => "stream",
            Self::Restream => "restream",
            Self::Webhook => "webhook",
        }
    }

    fn has_updated_at(self) -> bool {
        !matches!(self, Self::ApiKey | Self::Webhook)
    }
}

/// When a thing was made and last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl Store {
    /// Begins reads that should see one state of the database. `SteadyReads::unchanged` tells whether they did.
    pub async fn read_steadily(&self) -> Result<SteadyReads> {
        let mut connection = self.readers.acquire().await?;
        let version = data_version(&mut connection).await?;
        Ok(SteadyReads { connection, version })
    }

    /// The last id of each kind that was given out.
    pub async fn last_ids(&self) -> Result<BTreeMap<&'static str, i64>> {
        let rows = sqlx::query("select name, last from sequence").fetch_all(&self.readers).await?;
        let mut last = BTreeMap::new();
        for row in &rows {
            let name: String = row.try_get("name")?;
            if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == name) {
                last.insert(kind.as_str(), row.try_get("last")?);
            }
        }
        Ok(last)
    }

    /// Makes the next thing of this kind get the id after `last`.
    pub async fn restore_last_id(&self, kind: Kind, last: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("update sequence set last = $1 where name = $2")
            .bind(last)
            .bind(kind.as_str())
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    pub async fn restore_times(&self, things: &[(Kind, i64, Times)]) -> Result<()> {
        let mut tx = self.begin().await?;
        for (kind, id, times) in things {
            let table = kind.as_str();
            let columns = Columns::new().put("created_at", times.created_at);
            let columns = if kind.has_updated_at() { columns.put("updated_at", times.updated_at) } else { columns };
            columns.update(&mut tx, table, &[], Columns::new().put("id", *id)).await?;
            note(&mut tx, table, *id).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Everyone who may log in, with the hash of the password.
    pub async fn all_accounts_with_hashes(&self) -> Result<Vec<(Account, String)>> {
        let rows = sqlx::query("select * from account order by id").fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((crate::account::account_of(row)?, row.try_get("password_hash")?))).collect()
    }

    /// Writes an account by the hash of its password, because the password itself is not known.
    pub async fn restore_account(&self, account: &Account, password_hash: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let account = Account { version: 1, ..account.clone() };
        crate::account::insert(&mut tx, &account, password_hash.to_owned()).await?;
        Ok(tx.commit().await?)
    }

    /// All API keys, with the hashes by which they are found.
    pub async fn all_api_keys_with_hashes(&self) -> Result<Vec<(ApiKey, Vec<u8>)>> {
        let rows = sqlx::query("select * from api_key order by id").fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((crate::api_key::api_key_of(row)?, row.try_get("key_hash")?))).collect()
    }

    /// Writes an API key by its hash, because the key itself is not known.
    pub async fn restore_api_key(&self, key: &ApiKey, key_hash: &[u8]) -> Result<()> {
        let mut tx = self.begin().await?;
        crate::api_key::insert(&mut tx, key, key_hash).await?;
        Ok(tx.commit().await?)
    }

    /// The people who made restreams. Restreams that API keys made are not in it.
    pub async fn restream_owners(&self) -> Result<BTreeMap<RestreamId, UserId>> {
        let query = "select id, owner_id from restream where owner_id is not null";
        let rows = sqlx::query(query).fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((RestreamId(row.try_get("id")?), UserId(row.try_get("owner_id")?)))).collect()
    }

    /// Does what `create_restream` does, for an owner whose quota may be smaller by now than the number of restreams made under it.
    pub async fn restore_restream(&self, restream: Restream, owner: Option<UserId>) -> Result<Restream> {
        self.insert_restream(restream, owner, false).await
    }

    /// Every webhook there is.
    pub async fn all_webhooks(&self) -> Result<Vec<Webhook>> {
        // There are 100 webhooks at most, and a page holds more.
        Ok(self.webhooks(0, MAX_PAGE_ROWS).await?.items)
    }

    /// Seals a secret as text that only the same `secret.key` opens, at the same place. The same secret gives the same text each time, so
    /// that two exports of the same things are equal.
    pub fn seal_for_export(&self, place: &str, secret: &str) -> Result<String> {
        Ok(STANDARD.encode(self.key.seal_repeatably(place, secret.as_bytes())?))
    }

    /// Opens a sealed text. `None` means that it was sealed with another key, or for another place.
    pub fn open_from_export(&self, place: &str, sealed: &str) -> Option<Secret> {
        let opened = self.key.open(place, &STANDARD.decode(sealed).ok()?)?;
        String::from_utf8(opened).ok().map(Secret::new)
    }
}

/// Reads of several tables that belong together, which hold up no writer.
#[derive(Debug)]
pub struct SteadyReads {
    connection: sqlx::pool::PoolConnection<Database>,
    version: i64,
}

impl SteadyReads {
    /// Whether nobody wrote since the reads began. If somebody did, the reads can be tried again a moment later.
    pub async fn unchanged(mut self) -> Result<bool> {
        Ok(data_version(&mut self.connection).await? == self.version)
    }
}

/// The version of the data. Another number on the same connection means that another connection wrote.
async fn data_version(connection: &mut Connection) -> Result<i64> {
    Ok(sqlx::query_scalar("pragma data_version").fetch_one(connection).await?)
}

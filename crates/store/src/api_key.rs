//! API keys, which are kept only as hashes and shown once when they are made.

use crate::columns::{Columns, Unique};
use crate::dialect::{Connection, Row};
use crate::page::{Page, rows_wanted};
use crate::store::{next_id, now, time_of};
use crate::told::{Deeds, Told, about, deeds};
use crate::{Result, Store, StoreError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sqlx::Row as _;
use time::OffsetDateTime;
use weir_model::{ApiKeyId, Role, Secret, changed};

/// The least length of a key that a person chose (`WEIR_ADMIN_APIKEY`): 24 hexadecimal digits are 96 bits, which nobody guesses. Our own
/// keys have 256 bits.
pub const MIN_API_KEY_BYTES: usize = 24;

/// The key that the environment gives is listed under this name.
pub const ENVIRONMENT_KEY_NAME: &str = "WEIR_ADMIN_APIKEY";

const UNIQUE: Unique = &[("api_key.name", "name"), ("api_key.key_hash", "key")];

#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    pub role: Role,
    pub created_at: OffsetDateTime,
}

/// The settings of a key that are to change. Those that are `None` stay.
#[derive(Debug, Clone, Default)]
pub struct ApiKeyChange {
    pub name: Option<String>,
    pub role: Option<Role>,
}

impl Told for ApiKey {
    const DEEDS: Deeds = deeds!("apikey");

    fn about(&self) -> Map<String, Value> {
        about("apikey_id", self.id, &self.name)
    }

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        changed!(ApiKey, before, self; name, role | id, created_at)
    }
}

impl Store {
    /// Makes a key of 256 random bits. This answer is the only place where it can be seen.
    pub async fn create_api_key(&self, name: &str, role: Role) -> Result<(ApiKey, Secret)> {
        check_name(name)?;
        let secret = Secret::new(format!("weir_{}", random_token()?));
        Ok((self.insert_api_key(name, role, &secret).await?, secret))
    }

    /// Makes sure that this very key is an admin's, and that no key which the environment gave before still is one.
    pub async fn set_environment_key(&self, key: Option<&Secret>) -> Result<()> {
        if key.is_some_and(|key| key.expose().len() < MIN_API_KEY_BYTES) {
            return Err(StoreError::Limit { field: "key", problem: "must be at least 24 characters long" });
        }
        let key_hash = key.map(|key| hash(key.expose()));
        let mut tx = self.begin().await?;
        // A key that is known already, under whichever name, stays what it is if it is an admin's.
        sqlx::query(
            "delete from api_key where (name = $1 and key_hash is distinct from $2) or (key_hash = $2 and role <> $3)",
        )
        .bind(ENVIRONMENT_KEY_NAME)
        .bind(&key_hash)
        .bind(Role::Admin.as_str())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        match key {
            Some(key) if self.api_key_of(key).await?.is_none() => {
                self.insert_api_key(ENVIRONMENT_KEY_NAME, Role::Admin, key).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    async fn insert_api_key(&self, name: &str, role: Role, key: &Secret) -> Result<ApiKey> {
        let mut tx = self.begin().await?;
        let id = ApiKeyId(next_id(&mut tx, "api_key").await?);
        let made = ApiKey { id, name: name.to_owned(), role, created_at: now() };
        insert(&mut tx, &made, &hash(key.expose())).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// The entry of this key. It is found by its hash, so the time taken tells nothing about the key.
    pub async fn api_key_of(&self, key: &Secret) -> Result<Option<ApiKey>> {
        let row = sqlx::query("select id, name, role, created_at from api_key where key_hash = $1")
            .bind(hash(key.expose()))
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(api_key_of).transpose()
    }

    pub async fn api_keys(&self, after: i64, limit: u32) -> Result<Page<ApiKey>> {
        let (limit, rows) = rows_wanted(limit);
        let rows = sqlx::query("select id, name, role, created_at from api_key where id > $1 order by id limit $2")
            .bind(after)
            .bind(rows)
            .fetch_all(&self.readers)
            .await?;
        let items = rows.iter().map(api_key_of).collect::<Result<Vec<_>>>()?;
        Ok(Page::new(items, limit, |key| key.id.0))
    }

    /// Changes a key, and returns it as it was and as it is now.
    pub async fn update_api_key(&self, id: ApiKeyId, change: ApiKeyChange) -> Result<(ApiKey, ApiKey)> {
        let mut tx = self.begin().await?;
        let row = sqlx::query("select id, name, role, created_at from api_key where id = $1")
            .bind(id.0)
            .fetch_optional(&mut *tx)
            .await?;
        let before = api_key_of(&row.ok_or(StoreError::NotFound)?)?;
        let ApiKeyChange { name, role } = change;
        name.as_deref().map_or(Ok(()), check_name)?;
        let now =
            ApiKey { name: name.unwrap_or(before.name.clone()), role: role.unwrap_or(before.role), ..before.clone() };
        columns(&now).update(&mut tx, "api_key", UNIQUE, Columns::new().put("id", id.0)).await?;
        tx.commit().await?;
        Ok((before, now))
    }

    /// Deletes a key, and returns it as it was.
    pub async fn delete_api_key(&self, id: ApiKeyId) -> Result<ApiKey> {
        let mut tx = self.begin().await?;
        let deleted = sqlx::query("delete from api_key where id = $1 returning id, name, role, created_at")
            .bind(id.0)
            .fetch_optional(&mut *tx)
            .await?;
        let deleted = api_key_of(&deleted.ok_or(StoreError::NotFound)?)?;
        tx.commit().await?;
        Ok(deleted)
    }
}

/// Checks the name of a key. The key of the environment is replaced and removed by its name, so no other key may have that name.
fn check_name(name: &str) -> Result<()> {
    if name == ENVIRONMENT_KEY_NAME {
        return Err(StoreError::Limit { field: "name", problem: "is kept for the key that the environment gives" });
    }
    Ok(())
}

/// The columns that are written with every change of a key.
fn columns(key: &ApiKey) -> Columns {
    Columns::new().put("name", key.name.as_str()).put("role", key.role.as_str())
}

pub(crate) async fn insert(tx: &mut Connection, key: &ApiKey, key_hash: &[u8]) -> Result<()> {
    let once =
        Columns::new().put("id", key.id.0).put("key_hash", key_hash.to_owned()).put("created_at", key.created_at);
    once.and(columns(key)).insert(tx, "api_key", UNIQUE).await
}

pub(crate) fn api_key_of(row: &Row) -> Result<ApiKey> {
    Ok(ApiKey {
        id: ApiKeyId(row.try_get("id")?),
        name: row.try_get("name")?,
        role: role_of(row)?,
        created_at: time_of(row, "created_at")?,
    })
}

pub(crate) fn role_of(row: &Row) -> Result<Role> {
    Role::from_name(&row.try_get::<String, _>("role")?).ok_or(StoreError::Corrupt("a role"))
}

/// A random text of 256 bits.
pub(crate) fn random_token() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

pub(crate) fn hash(text: impl AsRef<[u8]>) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

//! People who log in with a password, and the browsers in which they did.

use crate::api_key::{hash, random_token, role_of};
use crate::store::{from_ms, next_id, now, to_ms};
use crate::{Result, Store, StoreError};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use sqlx::Row;
use std::time::Duration;
use time::OffsetDateTime;
use weir_model::{Role, Secret};

/// Argon2 reads all of it; more is an attack on our time.
pub const MAX_PASSWORD_BYTES: usize = 1_024;

/// A working week, so that nobody is thrown out in the middle of a day.
const LOGIN_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    pub id: i64,
    pub name: String,
    pub role: Role,
}

/// A browser that has just logged in, and the cookie it proves that with.
#[derive(Debug, Clone)]
pub struct Login {
    pub cookie: Secret,
    pub expires_at: OffsetDateTime,
}

impl Store {
    pub async fn has_accounts(&self) -> Result<bool> {
        Ok(sqlx::query("select 1 from account limit 1").fetch_optional(&self.readers).await?.is_some())
    }

    pub async fn create_account(&self, name: &str, role: Role, password: &Secret) -> Result<Account> {
        if password.is_empty() || password.expose().len() > MAX_PASSWORD_BYTES {
            return Err(StoreError::Limit { field: "password", problem: "must be 1 to 1024 bytes long" });
        }
        let password_hash = password_hash(password).await?;
        let mut tx = self.begin().await?;
        let id = next_id(&mut tx, "account").await?;
        sqlx::query("insert into account (id, name, role, password_hash, created_at) values (?,?,?,?,?)")
            .bind(id)
            .bind(name.to_owned())
            .bind(role.as_str())
            .bind(password_hash)
            .bind(to_ms(now()))
            .execute(&mut *tx)
            .await
            .map_err(|error| StoreError::unique(error, &[("account.name", "name")]))?;
        tx.commit().await?;
        Ok(Account { id, name: name.to_owned(), role })
    }

    /// The account whose name and password these are. An unknown name costs the same time as a wrong password.
    pub async fn check_password(&self, name: &str, password: &Secret) -> Result<Option<Account>> {
        let row = sqlx::query("select id, name, role, password_hash from account where name = ?")
            .bind(name.to_owned())
            .fetch_optional(&self.readers)
            .await?;
        let stored = match &row {
            Some(row) => row.try_get("password_hash")?,
            None => decoy_hash().to_owned(),
        };
        if password.expose().len() > MAX_PASSWORD_BYTES || !password_matches(stored, password.clone()).await? {
            return Ok(None);
        }
        row.map(|row| Ok(Account { id: row.try_get("id")?, name: row.try_get("name")?, role: role_of(&row)? }))
            .transpose()
    }

    pub async fn create_login(&self, account: &Account) -> Result<Login> {
        let login = Login { cookie: random_token()?.into(), expires_at: now() + LOGIN_LIFE };
        let mut tx = self.begin().await?;
        sqlx::query("delete from login where expires_at < ?").bind(to_ms(now())).execute(&mut *tx).await?;
        sqlx::query("insert into login (token_hash, account_id, expires_at) values (?,?,?)")
            .bind(hash(login.cookie.expose()))
            .bind(account.id)
            .bind(to_ms(login.expires_at))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(login)
    }

    /// Whose cookie this is.
    pub async fn account_of(&self, cookie: &Secret) -> Result<Option<Account>> {
        let row = sqlx::query(
            "select account.id, account.name, account.role, login.expires_at from login \
             join account on account.id = login.account_id where login.token_hash = ?",
        )
        .bind(hash(cookie.expose()))
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        if from_ms(row.try_get("expires_at")?)? < now() {
            return Ok(None);
        }
        Ok(Some(Account { id: row.try_get("id")?, name: row.try_get("name")?, role: role_of(&row)? }))
    }

    pub async fn delete_login(&self, cookie: &Secret) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("delete from login where token_hash = ?").bind(hash(cookie.expose())).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
}

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// A hash that no password has, with the parameters of real ones.
fn decoy_hash() -> &'static str {
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
}

async fn password_hash(password: &Secret) -> Result<String> {
    let password = password.clone();
    blocking(move || {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| StoreError::Random)?;
        let salt = SaltString::encode_b64(&salt).map_err(StoreError::PasswordHash)?;
        let hash = argon2().hash_password(password.expose().as_bytes(), &salt).map_err(StoreError::PasswordHash)?;
        Ok(hash.to_string())
    })
    .await
}

async fn password_matches(stored: String, password: Secret) -> Result<bool> {
    blocking(move || {
        let stored = PasswordHash::new(&stored).map_err(StoreError::PasswordHash)?;
        Ok(argon2().verify_password(password.expose().as_bytes(), &stored).is_ok())
    })
    .await
}

/// Tens of milliseconds of computing must not hold up the threads that move media.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Corrupt("a password hash"))?
}

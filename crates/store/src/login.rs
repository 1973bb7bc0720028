//! Logins: browsers in which people logged in. Each has a cookie, which is kept as its hash.

use crate::account::account_of;
use crate::api_key::{hash, random_token};
use crate::password::{MAX_PASSWORD_BYTES, decoy_hash, password_matches};
use crate::store::{from_ms, now, to_ms};
use crate::{Account, Result, Store};
use sqlx::Row;
use std::time::Duration;
use time::OffsetDateTime;
use weir_model::Secret;

/// A login lasts a week, so that nobody is thrown out in the middle of a working day.
const LOGIN_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A login that was just made, and the cookie by which the browser proves it.
#[derive(Debug, Clone)]
pub struct Login {
    pub cookie: Secret,
    pub expires_at: OffsetDateTime,
}

impl Store {
    /// The account whose name and password these are. An unknown name costs the same time as a wrong password.
    pub async fn check_password(&self, name: &str, password: &Secret) -> Result<Option<Account>> {
        let row = sqlx::query("select * from account where name = $1")
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
        row.as_ref().map(account_of).transpose()
    }

    pub async fn create_login(&self, account: &Account) -> Result<Login> {
        let login = Login { cookie: random_token()?.into(), expires_at: now() + LOGIN_LIFE };
        let mut tx = self.begin().await?;
        sqlx::query("delete from login where expires_at < $1").bind(to_ms(now())).execute(&mut *tx).await?;
        sqlx::query("insert into login (token_hash, account_id, expires_at) values ($1,$2,$3)")
            .bind(hash(login.cookie.expose()))
            .bind(account.id.0)
            .bind(to_ms(login.expires_at))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(login)
    }

    /// The account to which this cookie belongs.
    pub async fn account_of(&self, cookie: &Secret) -> Result<Option<Account>> {
        let row = sqlx::query(
            "select account.*, login.expires_at from login \
             join account on account.id = login.account_id where login.token_hash = $1",
        )
        .bind(hash(cookie.expose()))
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        if from_ms(row.try_get("expires_at")?)? < now() {
            return Ok(None);
        }
        account_of(&row).map(Some)
    }

    pub async fn delete_login(&self, cookie: &Secret) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("delete from login where token_hash = $1").bind(hash(cookie.expose())).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
}

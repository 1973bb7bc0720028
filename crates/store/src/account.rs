//! People who log in with a password.

use crate::api_key::{hash, role_of};
use crate::columns::{Columns, Unique};
use crate::dialect::{Connection, Row};
use crate::page::{Page, rows_wanted};
use crate::password::password_hash;
use crate::store::{next_id, now, time_of};
use crate::told::{Deeds, Told, about, deeds};
use crate::{Result, Store, StoreError};
use serde_json::{Map, Value};
use sqlx::Row as _;
use time::OffsetDateTime;
use weir_model::{Role, Secret, UserId, changed};

const UNIQUE: Unique = &[("account.name", "name")];

#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    pub id: UserId,
    /// The version rises by one with every change. `If-Match` is compared with it.
    pub version: i64,
    pub name: String,
    pub role: Role,
    /// The number of restreams that the account may make. `None` means any number.
    pub restream_quota: Option<u32>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// The settings of an account that are to change. Those that are `None` stay.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    pub name: Option<String>,
    pub role: Option<Role>,
    /// A new password. It ends every login but the one with the cookie `keep`.
    pub password: Option<Secret>,
    pub keep: Option<Secret>,
    pub restream_quota: Option<Option<u32>>,
}

impl Told for Account {
    const DEEDS: Deeds = deeds!("user");

    fn about(&self) -> Map<String, Value> {
        about("user_id", self.id, &self.name)
    }

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        changed!(Account, before, self; name, role, restream_quota | id, version, created_at, updated_at)
    }
}

impl Store {
    pub async fn has_accounts(&self) -> Result<bool> {
        Ok(sqlx::query("select 1 from account limit 1").fetch_optional(&self.readers).await?.is_some())
    }

    pub async fn create_account(
        &self,
        name: &str,
        role: Role,
        password: &Secret,
        restream_quota: Option<u32>,
    ) -> Result<Account> {
        let password_hash = password_hash(password).await?;
        let mut tx = self.begin().await?;
        let (id, at) = (UserId(next_id(&mut tx, "account").await?), now());
        let (name, version) = (name.to_owned(), 1);
        let account = Account { id, version, name, role, restream_quota, created_at: at, updated_at: at };
        insert(&mut tx, &account, password_hash).await?;
        tx.commit().await?;
        Ok(account)
    }

    pub async fn account(&self, id: UserId) -> Result<Account> {
        let row = sqlx::query("select * from account where id = $1").bind(id.0).fetch_optional(&self.readers).await?;
        account_of(&row.ok_or(StoreError::NotFound)?)
    }

    pub async fn account_named(&self, name: &str) -> Result<Option<Account>> {
        let row = sqlx::query("select * from account where name = $1").bind(name.to_owned());
        row.fetch_optional(&self.readers).await?.as_ref().map(account_of).transpose()
    }

    pub async fn accounts(&self, after: i64, limit: u32) -> Result<Page<Account>> {
        let (limit, rows) = rows_wanted(limit);
        let rows = sqlx::query("select * from account where id > $1 order by id limit $2")
            .bind(after)
            .bind(rows)
            .fetch_all(&self.readers)
            .await?;
        let items = rows.iter().map(account_of).collect::<Result<Vec<_>>>()?;
        Ok(Page::new(items, limit, |account| account.id.0))
    }

    /// Changes an account, and returns it as it was and as it is now. With `version`, it does so only if the account still has that one.
    /// The last admin stays one, because nobody could make another.
    pub async fn update_account(
        &self,
        id: UserId,
        version: Option<i64>,
        change: AccountChange,
    ) -> Result<(Account, Account)> {
        // The password is hashed before the transaction, because that takes tens of milliseconds.
        let new_hash = match &change.password {
            Some(password) => Some(password_hash(password).await?),
            None => None,
        };
        let mut tx = self.begin().await?;
        let before = read(&mut tx, id, version).await?;
        let mut account = before.clone();
        if change.role.is_some_and(|role| role != Role::Admin) {
            check_not_last_admin(&mut tx, &account).await?;
        }
        account.name = change.name.unwrap_or(account.name);
        account.role = change.role.unwrap_or(account.role);
        account.restream_quota = change.restream_quota.unwrap_or(account.restream_quota);
        account.version += 1;
        account.updated_at = now();
        let columns = columns(&account).put("updated_at", account.updated_at);
        let columns = match &new_hash {
            Some(hash) => columns.put("password_hash", hash.as_str()),
            None => columns,
        };
        columns.update(&mut tx, "account", UNIQUE, Columns::new().put("id", id.0)).await?;
        if new_hash.is_some() {
            // Whoever knew the old password is logged out.
            let keep = change.keep.map(|cookie| hash(cookie.expose())).unwrap_or_default();
            sqlx::query("delete from login where account_id = $1 and token_hash <> $2")
                .bind(id.0)
                .bind(keep)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok((before, account))
    }

    /// Deletes an account, ends its logins, and returns it as it was.
    pub async fn delete_account(&self, id: UserId, version: Option<i64>) -> Result<Account> {
        let mut tx = self.begin().await?;
        let account = read(&mut tx, id, version).await?;
        check_not_last_admin(&mut tx, &account).await?;
        sqlx::query("delete from account where id = $1").bind(id.0).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(account)
    }
}

/// The columns that are written with every change of an account.
fn columns(account: &Account) -> Columns {
    Columns::new()
        .put("version", account.version)
        .put("name", account.name.as_str())
        .put("role", account.role.as_str())
        .put("restream_quota", account.restream_quota.map(i64::from))
}

pub(crate) async fn insert(tx: &mut Connection, account: &Account, password_hash: String) -> Result<()> {
    let once = Columns::new()
        .put("id", account.id.0)
        .put("password_hash", Some(password_hash))
        .put("created_at", account.created_at)
        .put("updated_at", account.updated_at);
    once.and(columns(account)).insert(tx, "account", UNIQUE).await
}

pub(crate) fn account_of(row: &Row) -> Result<Account> {
    let quota: Option<i64> = row.try_get("restream_quota")?;
    Ok(Account {
        id: UserId(row.try_get("id")?),
        version: row.try_get("version")?,
        name: row.try_get("name")?,
        role: role_of(row)?,
        restream_quota: quota.map(u32::try_from).transpose().map_err(|_| StoreError::Corrupt("a quota"))?,
        created_at: time_of(row, "created_at")?,
        updated_at: time_of(row, "updated_at")?,
    })
}

async fn read(tx: &mut Connection, id: UserId, version: Option<i64>) -> Result<Account> {
    let row = sqlx::query("select * from account where id = $1").bind(id.0).fetch_optional(tx).await?;
    let account = account_of(&row.ok_or(StoreError::NotFound)?)?;
    if version.is_some_and(|version| version != account.version) {
        return Err(StoreError::Stale);
    }
    Ok(account)
}

async fn check_not_last_admin(tx: &mut Connection, account: &Account) -> Result<()> {
    if account.role != Role::Admin {
        return Ok(());
    }
    let other = sqlx::query("select 1 from account where role = $1 and id <> $2 limit 1")
        .bind(Role::Admin.as_str())
        .bind(account.id.0)
        .fetch_optional(tx)
        .await?;
    if other.is_some() { Ok(()) } else { Err(StoreError::LastAdmin) }
}

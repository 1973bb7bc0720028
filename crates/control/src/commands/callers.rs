//! Who calls the API, found by key or cookie, and the changes to keys, people and logins.

use super::{Commands, Result};
use tokio::sync::watch;
use weir_model::{ApiKeyId, Role, Secret, UserId};
use weir_store::{Account, AccountChange, ApiKey, ApiKeyChange, StoreError};

/// What a caller shows.
#[derive(Clone, Debug)]
pub enum Credential {
    ApiKey(Secret),
    /// The cookie of a browser in which somebody logged in.
    Cookie(Secret),
}

/// The caller that a credential stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The actor as audit and events name it: `apikey:name` or `user:name`.
    pub actor: String,
    pub name: String,
    pub role: Role,
    /// The account; None for API keys.
    pub user_id: Option<UserId>,
}

impl Commands {
    /// The caller with this credential. None where the key was deleted, the login has ended, or neither ever existed.
    pub async fn who(&self, credential: &Credential) -> std::result::Result<Option<Who>, StoreError> {
        Ok(match credential {
            Credential::ApiKey(key) => self.store().api_key_of(key).await?.map(|key| Who {
                actor: format!("apikey:{}", key.name),
                name: key.name,
                role: key.role,
                user_id: None,
            }),
            Credential::Cookie(cookie) => self.store().account_of(cookie).await?.map(|account| Who {
                actor: format!("user:{}", account.name),
                name: account.name,
                role: account.role,
                user_id: Some(account.id),
            }),
        })
    }

    /// Creates an API key. Only this answer contains the key itself.
    pub async fn create_api_key(&self, name: &str, role: Role) -> Result<(ApiKey, Secret)> {
        let (key, secret) = self.store().create_api_key(name, role).await?;
        self.tell_created(&key);
        Ok((key, secret))
    }

    pub async fn update_api_key(&self, id: ApiKeyId, change: ApiKeyChange) -> Result<ApiKey> {
        let (before, key) = self.store().update_api_key(id, change).await?;
        self.callers_changed();
        self.tell_changed(&before, &key, &[]);
        Ok(key)
    }

    pub async fn delete_api_key(&self, id: ApiKeyId) -> Result<()> {
        let gone = self.store().delete_api_key(id).await?;
        self.callers_changed();
        self.tell_deleted(&gone);
        Ok(())
    }

    pub async fn create_account(
        &self,
        name: &str,
        role: Role,
        password: &Secret,
        restream_quota: Option<u32>,
    ) -> Result<Account> {
        let account = self.store().create_account(name, role, password, restream_quota).await?;
        self.tell_created(&account);
        Ok(account)
    }

    /// Changes an account; see `update_stream` for `version`.
    pub async fn update_account(&self, id: UserId, version: Option<i64>, change: AccountChange) -> Result<Account> {
        let hidden: &[_] = if change.password.is_some() { &["password"] } else { &[] };
        let (before, account) = self.store().update_account(id, version, change).await?;
        self.callers_changed();
        self.tell_changed(&before, &account, hidden);
        Ok(account)
    }

    /// Deletes an account. What the person made stays.
    pub async fn delete_account(&self, id: UserId, version: Option<i64>) -> Result<()> {
        let gone = self.store().delete_account(id, version).await?;
        self.callers_changed();
        self.tell_deleted(&gone);
        Ok(())
    }

    /// Logs somebody out.
    pub async fn end_login(&self, cookie: &Secret) -> Result<()> {
        self.store().delete_login(cookie).await?;
        self.callers_changed();
        Ok(())
    }

    /// Wakes when a caller may have lost access, or may have another role.
    pub(crate) fn caller_changes(&self) -> watch::Receiver<u64> {
        self.shared.callers.subscribe()
    }

    fn callers_changed(&self) {
        self.shared.callers.send_modify(|version| *version += 1);
    }
}

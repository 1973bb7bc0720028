//! The data directory and the first start: database, sealing key, admin account, admin key.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use weir_model::{Role, Secret};
use weir_store::{MIN_API_KEY_BYTES, SealingKey, Store, StoreError};

use crate::config::Config;
use crate::data_folder::{self, DataLock};
use crate::terminal;

const ADMIN: &str = "admin";
const PASSWORD_ENV: &str = "WEIR_ADMIN_PASSWORD";
const API_KEY_ENV: &str = "WEIR_ADMIN_APIKEY";

/// Opens the store for the server, which holds the lock, and makes what is missing.
pub(crate) async fn open_store(config: &Config, data: &Path) -> anyhow::Result<Store> {
    let key = SealingKey::load_or_create(data)?;
    let path = database_path(config, data)?;
    Store::open(&path, &key).await.with_context(|| cannot_open(&path))
}

/// Opens the store for a command, beside a server that may be using it. The schema is only changed where no server is.
pub(crate) async fn open_beside(config: &Config, data: &Path) -> anyhow::Result<Store> {
    let path = database_path(config, data)?;
    data_folder::prepare(data, &path)?;
    let key = SealingKey::load_or_create(data)?;
    let opened = match Store::open_as_it_is(&path, &key).await {
        Err(error @ StoreError::OlderSchema { .. }) => match DataLock::take(data)? {
            Some(_lock) => Store::open(&path, &key).await,
            None => {
                let server = data_folder::holder(data);
                return Err(error).with_context(|| {
                    format!(
                        "a server of another version{server} runs on this database, which this command would have to change \
                         under it: use the weir that the server runs, or restart the server with this one"
                    )
                });
            }
        },
        opened => opened,
    };
    opened.with_context(|| cannot_open(&path))
}

fn cannot_open(path: &Path) -> String {
    format!("cannot open the database {}", path.display())
}

/// Makes the admin account on the first start, and the admin key that the environment gives. A key that it gave before, and gives no
/// more, is not valid from now on.
pub(crate) async fn admit_admin(store: &Store) -> anyhow::Result<()> {
    let key = key_of_environment()?;
    if !store.has_accounts().await? {
        let (password, made) = match std::env::var(PASSWORD_ENV).ok().filter(|password| !password.is_empty()) {
            Some(password) => (password, false),
            None => (random_password()?, true),
        };
        store
            .create_account(ADMIN, Role::Admin, &Secret::new(password.clone()), None)
            .await
            .context("cannot make the admin account")?;
        if made {
            terminal::tell(&format!("first start: log in as {ADMIN:?} with password {password} (shown only now)"));
        }
    }
    store.set_environment_key(key.as_ref()).await.context(API_KEY_ENV)
}

pub(crate) fn database_path(config: &Config, data: &Path) -> anyhow::Result<PathBuf> {
    let Some(url) = &config.database_url else { return Ok(data.join("weir.db")) };
    match url.strip_prefix("sqlite:") {
        Some(path) => Ok(PathBuf::from(path.strip_prefix("//").unwrap_or(path))),
        // The URL is not repeated, since it may hold a password.
        None => bail!("database.url must begin with sqlite: (other databases are not in this version)"),
    }
}

fn key_of_environment() -> anyhow::Result<Option<Secret>> {
    let Some(key) = std::env::var(API_KEY_ENV).ok().filter(|key| !key.is_empty()) else { return Ok(None) };
    let bytes = key.len();
    if bytes < MIN_API_KEY_BYTES {
        bail!(
            "{API_KEY_ENV} has {bytes} characters and needs {MIN_API_KEY_BYTES}: whoever guesses it may do everything; \
             `openssl rand -hex 16` makes a good one"
        );
    }
    Ok(Some(Secret::new(key)))
}

/// 20 letters of 5 bits are 100 bits, in letters that can't be mistaken for one another.
fn random_password() -> anyhow::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0_u8; 20];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

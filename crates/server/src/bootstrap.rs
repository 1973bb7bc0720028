//! The data directory and the first start: database, sealing key, admin account, admin key.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use weir_model::{Role, Secret};
use weir_store::{SealingKey, Store};

use crate::config::Config;

const ADMIN: &str = "admin";
const PASSWORD_ENV: &str = "WEIR_ADMIN_PASSWORD";
const API_KEY_ENV: &str = "WEIR_ADMIN_APIKEY";

/// Opens the store, making what is missing.
pub(crate) async fn open_store(config: &Config, data: &Path) -> anyhow::Result<Store> {
    std::fs::create_dir_all(data).with_context(|| format!("cannot make the data directory {}", data.display()))?;
    let key = SealingKey::load_or_create(data)?;
    let path = database_path(config.database_url.as_deref(), data)?;
    Store::open(&path, &key).await.with_context(|| format!("cannot open the database {}", path.display()))
}

/// Makes the admin account on the first start, and the admin key that the environment gives; one that it gave before and
/// does not give any more is no key from now on.
pub(crate) async fn admit_admin(store: &Store) -> anyhow::Result<()> {
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
            tell_once(&format!("first start: log in as {ADMIN:?} with password {password} (shown only now)"));
        }
    }
    let key = std::env::var(API_KEY_ENV).ok().filter(|key| !key.is_empty()).map(Secret::new);
    store.set_environment_key(key.as_ref()).await.context(API_KEY_ENV)
}

fn database_path(url: Option<&str>, data: &Path) -> anyhow::Result<PathBuf> {
    let Some(url) = url else { return Ok(data.join("weir.db")) };
    match url.strip_prefix("sqlite:") {
        Some(path) => Ok(PathBuf::from(path.strip_prefix("//").unwrap_or(path))),
        // Not repeated: a database URL may hold a password.
        None => bail!("database.url must begin with sqlite: (other databases are not in this version)"),
    }
}

/// 20 x 5 = 100 bits in letters that can't be mistaken for one another.
fn random_password() -> anyhow::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0_u8; 20];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

#[expect(clippy::print_stderr, reason = "for the person at the terminal; logs may be shipped elsewhere")]
fn tell_once(text: &str) {
    eprintln!("{text}");
}

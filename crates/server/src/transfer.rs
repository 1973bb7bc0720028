//! `weir export` and `weir import`: the whole configuration, from one data directory to another.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use weir_api::portable::{self, DOCUMENT_BYTES_MAX, Draft};
use weir_model::Platforms;
use weir_store::{KEY_FILE, SealingKey, Store};

use crate::config::Config;
use crate::data_folder::{self, DataLock, beside};
use crate::{bootstrap, terminal};

pub(crate) async fn export(config: &Config, data: &Path, with_secrets: bool) -> anyhow::Result<()> {
    let path = bootstrap::database_path(config, data)?;
    ensure!(path.is_file(), "there is no database {} to export", path.display());
    let store = bootstrap::open_beside(config, data).await?;
    let document = portable::export(&store, with_secrets).await.context("cannot export")?;
    if with_secrets {
        // The export is audited before it is shown: one that can't be recorded does not happen.
        store.record_audit(terminal::audited("export", "secrets")).await.context("cannot record the export")?;
    }
    store.close().await;
    io::stdout().write_all(document.as_bytes()).context("cannot write the document to standard output")
}

pub(crate) async fn import(config: &Config, data: &Path, file: &Path) -> anyhow::Result<()> {
    let mut draft = read(file)?;
    let path = bootstrap::database_path(config, data)?;
    data_folder::prepare(data, &path)?;
    let Some(_lock) = DataLock::take(data)? else {
        bail!("a server{} runs on {}: stop it before an import", data_folder::holder(data), data.display());
    };
    ensure!(
        !path.exists(),
        "there is a database {} already, and an import makes a new one: name a directory without one (--data), or move that \
         one away",
        path.display()
    );
    ensure!(
        !draft.is_sealed() || data.join(KEY_FILE).exists(),
        "the secrets in {} are sealed: put the {KEY_FILE} of the server that it came from into {} first, or export with \
         --with-secrets",
        file.display(),
        data.display()
    );
    let key = SealingKey::load_or_create(data)?;
    // The new database is built beside its place, so that an import is whole or not at all.
    let scratch = Scratch::new(&path);
    let store = Store::open(&scratch.0, &key).await.context("cannot make the new database")?;
    let imported = portable::import(draft, &store, &Platforms::load()?)
        .await
        .with_context(|| format!("cannot import {}", file.display()))?;
    store.record_audit(terminal::audited("import", "configuration")).await.context("cannot record the import")?;
    store.close().await;
    ensure!(!scratch.log().exists(), "the new database could not be written to its end");
    fs::rename(&scratch.0, &path).with_context(|| format!("cannot put the new database to {}", path.display()))?;
    File::open(path.parent().unwrap_or(data))?.sync_all()?;
    terminal::tell(&format!(
        "imported into {}: {} users, {} API keys, {} ladders, {} destinations, {} streams, {} restreams, {} webhooks",
        data.display(),
        imported.users,
        imported.api_keys,
        imported.ladders,
        imported.destinations,
        imported.streams,
        imported.restreams,
        imported.webhooks
    ));
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Draft> {
    let failed = || format!("cannot read {}", file.display());
    let mut text = Vec::new();
    // One byte more than allowed is read, so that a document that is too large is noticed.
    File::open(file)
        .and_then(|open| open.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut text))
        .with_context(failed)?;
    Draft::parse(&text).with_context(|| format!("cannot import {}", file.display()))
}

/// A database under another name, which is removed at the end unless it was moved.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: &Path) -> Self {
        let scratch = Self(beside(path, ".import"));
        scratch.clear();
        scratch
    }

    /// The write-ahead log, which SQLite folds into the database when that is closed.
    fn log(&self) -> PathBuf {
        beside(&self.0, "-wal")
    }

    fn clear(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(&self.0, suffix));
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.clear();
    }
}

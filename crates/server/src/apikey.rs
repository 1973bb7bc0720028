//! `weir apikey`: keys for programs, made at the terminal.

use std::path::Path;

use anyhow::Context as _;
use weir_model::{Role, checked_label};

use crate::config::Config;
use crate::{bootstrap, terminal};

#[expect(clippy::print_stdout, reason = "the key is what the command is for")]
pub(crate) async fn create(config: &Config, data: &Path, name: &str, role: Role) -> anyhow::Result<()> {
    let store = bootstrap::open_beside(config, data).await?;
    let name = checked_label(name).context("--name")?;
    let (made, key) = store.create_api_key(&name, role).await.context("cannot make the key")?;
    let subject = format!("apikeys/{}", made.id);
    store.record_audit(terminal::audited("create", &subject)).await.context("the key was made, but not recorded")?;
    println!("{}", key.expose());
    store.close().await;
    Ok(())
}

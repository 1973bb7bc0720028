//! What the operator's signals ask for.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// Returns the name of the signal that asks for the end.
pub(crate) async fn wait_for_end() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

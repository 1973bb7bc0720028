//! Finds out whether the database can be written, by writing to it every few seconds, and at once after a change that failed.

use crate::store::{now, to_ms};
use crate::{Result, Store, StoreError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The time between two probes. A row of 4 kB every five seconds is 70 MB a day, all into the same place of the write-ahead log.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// The time between probes while they fail, and between two that were asked for: refused changes must not become a load of their own.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// A disk that takes longer than this for one row does not serve its purpose.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// A probe also asks for more room than one page. The write-ahead log keeps the room that it once had, so a row may find its place in it
/// on a disk that is full, while the next checkpoint, backup or recording would not.
const ROOM_BYTES: usize = 64 * 1024;

/// The result of the last probe. Before the first one all is taken to be well. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct WriteHealth(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    problem: watch::Sender<Option<String>>,
    look: Notify,
}

impl WriteHealth {
    /// Why the database can't be written, in words. `None` while it can.
    pub fn problem(&self) -> Option<String> {
        self.0.problem.borrow().clone()
    }

    /// Asks for a probe, because a change failed: that may have been the caller's mistake or the disk's end.
    pub(crate) fn look(&self) {
        self.0.look.notify_one();
    }

    fn set(&self, problem: Option<String>) {
        let changed = self.0.problem.send_if_modified(|known| {
            let changed = *known != problem;
            known.clone_from(&problem);
            changed
        });
        match problem {
            Some(problem) if changed => tracing::error!("{problem}"),
            None if changed => tracing::info!("the database can be written again"),
            _ => {}
        }
    }
}

impl Store {
    /// Whether the database can be written. This is known while `watch_writes` runs.
    pub fn write_health(&self) -> WriteHealth {
        self.health.clone()
    }

    /// Probes the database until this future is dropped.
    pub async fn watch_writes(&self) {
        loop {
            // A probe that is late is still awaited to its end, because probes that hang must not pile up.
            let mut probe = pin!(self.probe());
            let outcome = match timeout(PROBE_MAX, probe.as_mut()).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    self.health.set(Some(problem_of("one row took longer than 10 s")));
                    probe.await
                }
            };
            let ended = Instant::now();
            let pause = if outcome.is_ok() { PROBE_EVERY } else { PROBE_PAUSE };
            self.health.set(outcome.err().map(|error| problem_of(&words_of(&error))));
            tokio::select! {
                () = sleep(pause) => {}
                () = self.health.0.look.notified() => sleep_until(ended + PROBE_PAUSE).await,
            }
        }
    }

    async fn probe(&self) -> Result<()> {
        let row = "insert into write_probe (id, at) values (1, $1) on conflict (id) do update set at = excluded.at";
        self.write_one(sqlx::query(row).bind(to_ms(now()))).await?;
        let room = self.path.with_extension("probe");
        let found = tokio::task::spawn_blocking(move || look_for_room(&room)).await;
        found.map_err(|_| StoreError::Corrupt("the room on the disk"))?.map_err(StoreError::Disk)
    }
}

fn problem_of(words: &str) -> String {
    format!("the database cannot be written: {words}")
}

fn words_of(error: &StoreError) -> String {
    match error {
        StoreError::Unusable { words, .. } => (*words).to_owned(),
        StoreError::Disk(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            crate::error::DISK_FULL.to_owned()
        }
        other => other.to_string(),
    }
}

/// Takes room and gives it back. The file is not synced: file systems give the room when it is asked for, and the file is gone before it
/// would reach the disk.
fn look_for_room(path: &Path) -> std::io::Result<()> {
    let gone = Gone(path.to_owned());
    let mut file = std::fs::File::create(&gone.0)?;
    file.write_all(&[0; ROOM_BYTES])
}

/// Removes the file, however the probe ended.
struct Gone(PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

//! How everything that has a version is changed: it is read, changed, checked and written, and once more where somebody else was faster.

use std::future::Future;

use weir_store::{Store, StoreError};

use super::telling::Changing;
use super::{CommandError, Commands, Result};

/// A thing is read again at most this often after another process changed it between our read and our write.
const STALE_RETRIES: u32 = 5;

/// A kind of thing that people change.
pub(super) trait Changeable: Changing + Clone + PartialEq + Send + Sync {
    type Id: Copy + Send + Sync;

    fn version(&self) -> i64;

    fn read(store: &Store, id: Self::Id) -> impl Future<Output = std::result::Result<Self, StoreError>> + Send;

    /// Writes it, but only where the stored version is the one that was read.
    fn write(self, store: &Store) -> impl Future<Output = std::result::Result<Self, StoreError>> + Send;

    /// Checks whether it may be as it is now, and puts in what was left out.
    fn settle(&mut self, old: &Self, commands: &Commands) -> impl Future<Output = Result<()>> + Send;
}

impl Commands {
    /// Changes a thing. `change` may run again when another process changed it meanwhile; with `version` that is the error Stale instead.
    pub(super) async fn change<T: Changeable>(
        &self,
        id: T::Id,
        version: Option<i64>,
        change: impl Fn(&mut T) -> Result<()> + Send,
    ) -> Result<T> {
        let (before, now) = self.change_untold(id, version, change).await?;
        if now != before {
            self.tell_changed(&before, &now, &[]);
        }
        Ok(now)
    }

    /// Changes a thing, and gives it as it was and as it is now. The caller tells of the change.
    pub(super) async fn change_untold<T: Changeable>(
        &self,
        id: T::Id,
        version: Option<i64>,
        change: impl Fn(&mut T) -> Result<()> + Send,
    ) -> Result<(T, T)> {
        let _changing = self.shared.changing.lock().await;
        let mut tries = 0;
        loop {
            let old = T::read(self.store(), id).await?;
            if version.is_some_and(|version| version != old.version()) {
                return Err(StoreError::Stale.into());
            }
            let mut new = old.clone();
            change(&mut new)?;
            new.settle(&old, self).await?;
            if new == old {
                return Ok((old, new));
            }
            tries += 1;
            match new.write(self.store()).await.map_err(CommandError::from) {
                Err(error) if error.is_stale() && version.is_none() && tries < STALE_RETRIES => {}
                written => {
                    let written = written?;
                    self.follow().await?;
                    return Ok((old, written));
                }
            }
        }
    }
}

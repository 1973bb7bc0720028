//! How everything that has a version is created, changed and deleted: it is read, changed, checked and written, and once more where
//! somebody else was faster.

use std::future::Future;
use std::marker::PhantomData;

use weir_store::{Kept, Plain, SelfJudged, Store, StoreError};

use super::{CommandError, Commands, Result};

/// A thing is read again at most this often after another process changed it between our read and our write.
const STALE_RETRIES: u32 = 5;

/// How a kind of thing is changed.
pub(super) trait Change {
    type Thing: Kept;

    fn read(
        store: &Store,
        id: <Self::Thing as Kept>::Id,
    ) -> impl Future<Output = std::result::Result<Self::Thing, StoreError>> + Send;

    /// Writes it, but only where the stored version is the one that was read.
    fn write(
        thing: Self::Thing,
        store: &Store,
    ) -> impl Future<Output = std::result::Result<Self::Thing, StoreError>> + Send;

    /// Checks whether it may be as it is now, and puts in what was left out.
    fn settle(
        thing: &mut Self::Thing,
        old: &Self::Thing,
        commands: &Commands,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// The way of things that can be judged by themselves alone.
struct Alone<T>(PhantomData<T>);

impl<T: SelfJudged> Change for Alone<T> {
    type Thing = T;

    async fn read(store: &Store, id: T::Id) -> std::result::Result<T, StoreError> {
        store.get(id).await
    }

    async fn write(thing: T, store: &Store) -> std::result::Result<T, StoreError> {
        store.update(thing).await
    }

    async fn settle(thing: &mut T, _old: &T, _commands: &Commands) -> Result<()> {
        Ok(thing.check()?)
    }
}

impl Commands {
    pub async fn create<T: SelfJudged>(&self, mut thing: T) -> Result<T> {
        thing.check()?;
        self.create_judged(thing).await
    }

    /// Creates a thing that the caller has checked already.
    pub(super) async fn create_judged<T: Plain>(&self, thing: T) -> Result<T> {
        let _changing = self.shared.changing.lock().await;
        let thing = self.store().create(thing).await?;
        self.follow().await?;
        self.tell_created(&thing);
        Ok(thing)
    }

    /// Changes a thing. See `change` for `version`, and for how often `change` may run.
    pub async fn update<T: SelfJudged>(
        &self,
        id: T::Id,
        version: Option<i64>,
        change: impl Fn(&mut T) -> Result<()> + Send,
    ) -> Result<T> {
        self.change::<Alone<T>>(id, version, change).await
    }

    /// Deletes a thing. It is refused while somebody needs the thing.
    pub async fn delete<T: Plain>(&self, id: T::Id, version: Option<i64>) -> Result<()> {
        let _changing = self.shared.changing.lock().await;
        let gone = self.store().delete::<T>(id, version).await?;
        self.follow().await?;
        self.tell_deleted(&gone);
        Ok(())
    }

    /// Changes a thing. `change` may run again when another process changed it meanwhile; with `version` that is the error Stale instead.
    pub(super) async fn change<C: Change>(
        &self,
        id: <C::Thing as Kept>::Id,
        version: Option<i64>,
        change: impl Fn(&mut C::Thing) -> Result<()> + Send,
    ) -> Result<C::Thing> {
        let (before, now) = self.change_untold::<C>(id, version, change).await?;
        if now != before {
            self.tell_changed(&before, &now, &[]);
        }
        Ok(now)
    }

    /// Changes a thing, and gives it as it was and as it is now. The caller tells of the change.
    pub(super) async fn change_untold<C: Change>(
        &self,
        id: <C::Thing as Kept>::Id,
        version: Option<i64>,
        change: impl Fn(&mut C::Thing) -> Result<()> + Send,
    ) -> Result<(C::Thing, C::Thing)> {
        let _changing = self.shared.changing.lock().await;
        let mut tries = 0;
        loop {
            let old = C::read(self.store(), id).await?;
            let mut new = old.clone();
            if version.is_some_and(|version| version != new.stamp().version()) {
                return Err(StoreError::Stale.into());
            }
            change(&mut new)?;
            C::settle(&mut new, &old, self).await?;
            if new == old {
                return Ok((old, new));
            }
            tries += 1;
            match C::write(new, self.store()).await.map_err(CommandError::from) {
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

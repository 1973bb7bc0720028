//! Changes to ladders of one's own. Streams that name one follow it at once.

use super::change::Changeable;
use super::check::check_ladder;
use super::{CommandError, Commands, Result};
use weir_model::{Ladder, LadderFault, LadderId, SavedLadder, Stream, is_builtin_ladder};
use weir_store::{Store, StoreError};

impl Commands {
    pub async fn create_ladder(&self, ladder: SavedLadder) -> Result<SavedLadder> {
        check_ladder(&ladder)?;
        let _changing = self.shared.changing.lock().await;
        let ladder = self.store().create_ladder(ladder).await?;
        self.follow().await?;
        self.tell_created(&ladder);
        Ok(ladder)
    }

    /// Changes a ladder. See `change` for `version`, and for how often `change` may run.
    pub async fn update_ladder(
        &self,
        id: LadderId,
        version: Option<i64>,
        change: impl Fn(&mut SavedLadder) + Send,
    ) -> Result<SavedLadder> {
        let change = move |ladder: &mut SavedLadder| {
            change(ladder);
            Ok(())
        };
        self.change(id, version, change).await
    }

    /// Deletes a ladder, which is refused while a stream names it.
    pub async fn delete_ladder(&self, id: LadderId, version: Option<i64>) -> Result<()> {
        let _changing = self.shared.changing.lock().await;
        let gone = self.store().delete_ladder(id, version).await?;
        self.follow().await?;
        self.tell_deleted(&gone);
        Ok(())
    }

    /// Checks that a ladder which the stream names comes with the server or is stored.
    pub(super) async fn check_named_ladder(&self, stream: &Stream) -> Result<()> {
        let Some(Ladder::Named(name)) = &stream.ladder else { return Ok(()) };
        if is_builtin_ladder(name) || self.store().ladder_named(name).await?.is_some() {
            return Ok(());
        }
        Err(CommandError::invalid("ladder", LadderFault::Unknown(name.clone())))
    }
}

impl Changeable for SavedLadder {
    type Id = LadderId;

    fn version(&self) -> i64 {
        self.version
    }

    async fn read(store: &Store, id: LadderId) -> std::result::Result<Self, StoreError> {
        store.ladder(id).await
    }

    async fn write(self, store: &Store) -> std::result::Result<Self, StoreError> {
        store.update_ladder(self).await
    }

    async fn settle(&mut self, _old: &Self, _commands: &Commands) -> Result<()> {
        check_ladder(self)
    }
}

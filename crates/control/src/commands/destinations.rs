//! Changes to destinations. Restreams that use one follow it.

use super::change::Changeable;
use super::check::{check_destination, check_restream};
use super::{CommandError, Commands, Result};
use weir_model::{Destination, DestinationId, Restream, Target};
use weir_store::{Store, StoreError};

impl Commands {
    pub async fn create_destination(&self, mut destination: Destination) -> Result<Destination> {
        check_destination(&mut destination, &self.shared.platforms)?;
        let _changing = self.shared.changing.lock().await;
        let destination = self.store().create_destination(destination).await?;
        self.follow().await?;
        self.tell_created(&destination);
        Ok(destination)
    }

    /// Changes a destination. It is refused when a restream that uses it would no longer fit. See `change` for `version`.
    pub async fn update_destination(
        &self,
        id: DestinationId,
        version: Option<i64>,
        change: impl Fn(&mut Destination) -> Result<()> + Send,
    ) -> Result<Destination> {
        self.change(id, version, change).await
    }

    /// Deletes a destination, which is refused while a restream uses it.
    pub async fn delete_destination(&self, id: DestinationId, version: Option<i64>) -> Result<()> {
        let _changing = self.shared.changing.lock().await;
        let gone = self.store().delete_destination(id, version).await?;
        self.follow().await?;
        self.tell_deleted(&gone);
        Ok(())
    }

    fn check_users(&self, destination: &Destination) -> Result<()> {
        for restream in self.catalogue().restreams() {
            let uses = matches!(&restream.target,
                Target::Destination { destination_id, .. } if *destination_id == destination.id);
            if !uses {
                continue;
            }
            let mut restream = Restream::clone(restream);
            if let Err(CommandError::Invalid { message, .. }) = check_restream(&mut restream, Some(destination)) {
                let message = format!("does not fit restream {}: {message}", restream.id);
                return Err(CommandError::invalid("url", message));
            }
        }
        Ok(())
    }
}

impl Changeable for Destination {
    type Id = DestinationId;

    fn version(&self) -> i64 {
        self.version
    }

    async fn read(store: &Store, id: DestinationId) -> std::result::Result<Self, StoreError> {
        store.destination(id).await
    }

    async fn write(self, store: &Store) -> std::result::Result<Self, StoreError> {
        store.update_destination(self).await
    }

    async fn settle(&mut self, old: &Self, commands: &Commands) -> Result<()> {
        check_destination(self, commands.platforms())?;
        if self.url == old.url { Ok(()) } else { commands.check_users(self) }
    }
}

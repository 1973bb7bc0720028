//! Changes to destinations. Restreams that use one follow it.

use super::change::Change;
use super::check::{check_destination, check_restream};
use super::{CommandError, Commands, Result};
use weir_model::{Destination, DestinationId, Restream, RestreamTarget};
use weir_store::{Store, StoreError};

impl Commands {
    pub async fn create_destination(&self, mut destination: Destination) -> Result<Destination> {
        check_destination(&mut destination, &self.shared.platforms)?;
        self.create_judged(destination).await
    }

    /// Changes a destination. It is refused when a restream that uses it would no longer fit. See `change` for `version`.
    pub async fn update_destination(
        &self,
        id: DestinationId,
        version: Option<i64>,
        change: impl Fn(&mut Destination) -> Result<()> + Send,
    ) -> Result<Destination> {
        self.change::<Destination>(id, version, change).await
    }

    fn check_users(&self, destination: &Destination) -> Result<()> {
        for restream in self.catalogue().restreams() {
            let uses = matches!(&restream.target,
                RestreamTarget::Destination { destination_id, .. } if *destination_id == destination.id);
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

impl Change for Destination {
    type Thing = Self;

    async fn read(store: &Store, id: DestinationId) -> std::result::Result<Self, StoreError> {
        store.get(id).await
    }

    async fn write(destination: Self, store: &Store) -> std::result::Result<Self, StoreError> {
        store.update(destination).await
    }

    async fn settle(destination: &mut Self, old: &Self, commands: &Commands) -> Result<()> {
        check_destination(destination, commands.platforms())?;
        if destination.url == old.url { Ok(()) } else { commands.check_users(destination) }
    }
}

//! Changes to destinations; restreams that use one follow it.

use super::check::{check_destination, check_restream};
use super::{CommandError, Commands, Result, STALE_RETRIES};
use weir_model::{Destination, DestinationId, Target};
use weir_store::StoreError;

impl Commands {
    pub async fn create_destination(&self, mut destination: Destination) -> Result<Destination> {
        check_destination(&mut destination, &self.shared.platforms)?;
        let _changing = self.shared.changing.lock().await;
        let destination = self.store().create_destination(destination).await?;
        self.note_change();
        self.tell_created(&destination);
        Ok(destination)
    }

    /// Refused when a restream that uses it would no longer fit. See `update_stream` for `version` and `change`.
    pub async fn update_destination(
        &self,
        id: DestinationId,
        version: Option<i64>,
        change: impl Fn(&mut Destination) -> Result<()> + Send,
    ) -> Result<Destination> {
        let _changing = self.shared.changing.lock().await;
        let mut tries = 0;
        loop {
            let old = self.store().destination(id).await?;
            if version.is_some_and(|version| version != old.version) {
                return Err(StoreError::Stale.into());
            }
            let mut destination = old.clone();
            change(&mut destination)?;
            check_destination(&mut destination, &self.shared.platforms)?;
            if destination == old {
                return Ok(old);
            }
            if destination.url != old.url {
                self.check_users(&destination).await?;
            }
            tries += 1;
            match self.store().update_destination(destination).await.map_err(CommandError::from) {
                Err(error) if error.is_stale() && version.is_none() && tries < STALE_RETRIES => {}
                updated => {
                    let updated = updated?;
                    self.kick();
                    self.tell_changed(&old, &updated, &[]);
                    return Ok(updated);
                }
            }
        }
    }

    /// Refused while a restream uses it.
    pub async fn delete_destination(&self, id: DestinationId, version: Option<i64>) -> Result<()> {
        let _changing = self.shared.changing.lock().await;
        let gone = self.store().destination(id).await?;
        self.store().delete_destination(id, version).await?;
        self.note_change();
        self.tell_deleted(&gone);
        Ok(())
    }

    async fn check_users(&self, destination: &Destination) -> Result<()> {
        for mut restream in self.store().all_restreams().await? {
            let uses = matches!(&restream.target,
                Target::Destination { destination_id, .. } if *destination_id == destination.id);
            if uses && let Err(CommandError::Invalid { message, .. }) = check_restream(&mut restream, Some(destination))
            {
                let message = format!("does not fit restream {}: {message}", restream.id);
                return Err(CommandError::invalid("url", message));
            }
        }
        Ok(())
    }
}

//! Changes to restreams: by people, by their schedule, and by the runtime when one gives up.

use super::change::Change;
use super::check::check_restream;
use super::{CommandError, Commands, Result};
use time::OffsetDateTime;
use weir_model::{Destination, ReasonCode, Restream, RestreamId, RestreamTarget, UserId};
use weir_store::{Store, StoreError};

impl Commands {
    pub async fn create_restream(&self, restream: Restream) -> Result<Restream> {
        self.create_restream_of(None, restream).await
    }

    /// Creates a restream for a person, within that person's quota.
    pub async fn create_restream_of(&self, owner: Option<UserId>, mut restream: Restream) -> Result<Restream> {
        let _changing = self.shared.changing.lock().await;
        self.check_with_destination(&mut restream).await?;
        let restream = self.store().create_restream_of(owner, restream).await?;
        self.follow().await?;
        self.tell_created(&restream);
        Ok(restream)
    }

    /// Changes a restream. See `change` for `version`, and for how often `change` may run.
    pub async fn update_restream(
        &self,
        id: RestreamId,
        version: Option<i64>,
        change: impl Fn(&mut Restream) -> Result<()> + Send,
    ) -> Result<Restream> {
        self.change::<Restream>(id, version, change).await
    }

    /// Starts a restream, and forgets why it was stopped.
    pub async fn start_restream(&self, id: RestreamId) -> Result<Restream> {
        self.update_restream(id, None, |restream| {
            restream.active = true;
            restream.stop_reason = None;
            Ok(())
        })
        .await
    }

    pub async fn stop_restream(&self, id: RestreamId) -> Result<Restream> {
        self.update_restream(id, None, |restream| {
            restream.active = false;
            restream.stop_reason = None;
            Ok(())
        })
        .await
    }

    /// Stops it by the server's own decision, and keeps the reason. It stays stopped until somebody starts it.
    pub async fn stop_restream_for(&self, id: RestreamId, reason: ReasonCode) -> Result<Restream> {
        self.update_restream(id, None, move |restream| {
            restream.active = false;
            restream.stop_reason = Some(reason);
            Ok(())
        })
        .await
    }

    /// Tries at once instead of waiting for the back-off; false where it is not waiting for a retry.
    pub async fn retry_restream(&self, id: RestreamId) -> Result<bool> {
        self.store().get::<Restream>(id).await?;
        Ok(self.shared.runtime.retry(id))
    }

    /// Starts and stops what is due, and says when to call again. A time that has
    /// come leaves the schedule, so that a later start or stop by hand holds.
    pub async fn apply_schedules(&self, now: OffsetDateTime) -> Result<Option<OffsetDateTime>> {
        let mut next: Option<OffsetDateTime> = None;
        for restream in self.catalogue().restreams() {
            let due = |at: Option<OffsetDateTime>| at.is_some_and(|at| at <= now);
            let mut schedule = restream.schedule;
            if due(schedule.start_at) || due(schedule.stop_at) {
                let updated = self
                    .update_restream(restream.id, None, move |restream| {
                        let schedule = &mut restream.schedule;
                        if due(schedule.start_at) {
                            schedule.start_at = None;
                            restream.active = true;
                        }
                        if due(schedule.stop_at) {
                            schedule.stop_at = None;
                            restream.active = false;
                        }
                        Ok(())
                    })
                    .await;
                match updated {
                    Ok(restream) => schedule = restream.schedule,
                    // The restream was deleted meanwhile.
                    Err(CommandError::Store(StoreError::NotFound)) => continue,
                    Err(error) => return Err(error),
                }
            }
            for at in [schedule.start_at, schedule.stop_at].into_iter().flatten() {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        Ok(next)
    }

    async fn check_with_destination(&self, restream: &mut Restream) -> Result<()> {
        let destination: Option<Destination> = match &restream.target {
            RestreamTarget::Uri(_) => None,
            RestreamTarget::Destination { destination_id, .. } => {
                match self.store().get::<Destination>(*destination_id).await {
                    Err(StoreError::NotFound) => None,
                    found => Some(found?),
                }
            }
        };
        check_restream(restream, destination.as_ref())
    }
}

impl Change for Restream {
    type Thing = Self;

    async fn read(store: &Store, id: RestreamId) -> std::result::Result<Self, StoreError> {
        store.get(id).await
    }

    async fn write(restream: Self, store: &Store) -> std::result::Result<Self, StoreError> {
        store.update(restream).await
    }

    async fn settle(restream: &mut Self, old: &Self, commands: &Commands) -> Result<()> {
        if restream.active && !old.active {
            restream.stop_reason = None;
        }
        commands.check_with_destination(restream).await
    }
}

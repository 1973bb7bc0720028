//! Changes to ladders of one's own; streams that name one follow it at once.

use super::check::check_ladder;
use super::{CommandError, Commands, Result, STALE_RETRIES};
use weir_model::{Ladder, LadderFault, LadderId, SavedLadder, Stream, is_builtin_ladder};
use weir_store::StoreError;

impl Commands {
    pub async fn create_ladder(&self, ladder: SavedLadder) -> Result<SavedLadder> {
        check_ladder(&ladder)?;
        let _changing = self.shared.changing.lock().await;
        let ladder = self.store().create_ladder(ladder).await?;
        self.note_change();
        self.tell_created(&ladder);
        Ok(ladder)
    }

    /// See `update_stream` for `version` and `change`.
    pub async fn update_ladder(
        &self,
        id: LadderId,
        version: Option<i64>,
        change: impl Fn(&mut SavedLadder) + Send,
    ) -> Result<SavedLadder> {
        let _changing = self.shared.changing.lock().await;
        let mut tries = 0;
        loop {
            let old = self.store().ladder(id).await?;
            if version.is_some_and(|version| version != old.version) {
                return Err(StoreError::Stale.into());
            }
            let mut ladder = old.clone();
            change(&mut ladder);
            check_ladder(&ladder)?;
            if ladder == old {
                return Ok(old);
            }
            tries += 1;
            match self.store().update_ladder(ladder).await.map_err(CommandError::from) {
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

    /// Refused while a stream names it.
    pub async fn delete_ladder(&self, id: LadderId, version: Option<i64>) -> Result<()> {
        let _changing = self.shared.changing.lock().await;
        let gone = self.store().ladder(id).await?;
        self.store().delete_ladder(id, version).await?;
        self.note_change();
        self.tell_deleted(&gone);
        Ok(())
    }

    /// A stream may name a ladder that comes with the server or one that is stored.
    pub(super) async fn check_named_ladder(&self, stream: &Stream) -> Result<()> {
        let Some(Ladder::Named(name)) = &stream.ladder else { return Ok(()) };
        if is_builtin_ladder(name) || self.store().ladder_named(name).await?.is_some() {
            return Ok(());
        }
        Err(CommandError::invalid("ladder", LadderFault::Unknown(name.clone())))
    }
}

/// What runs knows no names but those that come with the server: a stored ladder is put in where it is named, so that its
/// change is a change of the streams that use it.
pub(super) fn put_in(stream: &mut Stream, ladders: &[SavedLadder]) {
    if let Some(Ladder::Named(name)) = &stream.ladder
        && let Some(found) = ladders.iter().find(|ladder| ladder.name == *name)
    {
        stream.ladder = Some(Ladder::Inline(found.renditions.clone()));
    }
}

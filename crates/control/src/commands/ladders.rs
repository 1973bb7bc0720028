//! Ladders of one's own, as streams name them.

use super::{CommandError, Commands, Result};
use weir_model::{Ladder, LadderFault, Stream, is_builtin_ladder};

impl Commands {
    /// A stream may name a ladder that comes with the server or one that is stored.
    pub(super) async fn check_named_ladder(&self, stream: &Stream) -> Result<()> {
        let Some(Ladder::Named(name)) = &stream.ladder else { return Ok(()) };
        if is_builtin_ladder(name) || self.store().ladder_named(name).await?.is_some() {
            return Ok(());
        }
        Err(CommandError::invalid("ladder", LadderFault::Unknown(name.clone())))
    }
}

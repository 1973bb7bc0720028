//! Ladders that are kept under a name: those that come with the server, and one's own.

use crate::ladder::{BuiltinLadder, is_builtin_ladder};
use crate::{Ladder, LadderFault, LadderId, Rendition};
use time::OffsetDateTime;

/// Ladders that come with the server have ids from 1 on in the order in which they are shown; one's own begin above.
pub const BUILTIN_LADDER_ID_MAX: i64 = 1_000;

const NAME_BYTES_MAX: usize = 64;

/// A ladder of one's own.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedLadder {
    pub id: LadderId,
    /// Rises by one with every change; what `If-Match` compares.
    pub version: i64,
    /// How streams name it.
    pub name: String,
    /// What people call it.
    pub title: String,
    pub renditions: Vec<Rendition>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl SavedLadder {
    /// By the names that the API has for them.
    pub fn changed_fields(&self, before: &Self) -> Vec<&'static str> {
        changed!(SavedLadder, before, self; name, title, renditions | id, version, created_at, updated_at)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SavedLadderFault {
    #[error("must be 1 to {NAME_BYTES_MAX} lower-case letters, digits, '-' or '_'")]
    Name,
    #[error("is the name of a ladder that comes with the server")]
    Builtin,
    #[error("must be 1 to 200 characters long, without control characters")]
    Title,
    #[error(transparent)]
    Renditions(LadderFault),
}

impl SavedLadder {
    pub fn draft(name: impl Into<String>, title: impl Into<String>, renditions: Vec<Rendition>) -> Self {
        Self {
            id: LadderId::UNSAVED,
            version: 0,
            name: name.into(),
            title: title.into(),
            renditions,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    pub fn check(&self) -> Result<(), SavedLadderFault> {
        let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(slug) {
            return Err(SavedLadderFault::Name);
        }
        if is_builtin_ladder(&self.name) {
            return Err(SavedLadderFault::Builtin);
        }
        if crate::checked_label(&self.title).is_err() {
            return Err(SavedLadderFault::Title);
        }
        Ladder::Inline(self.renditions.clone()).check().map_err(SavedLadderFault::Renditions)
    }
}

impl BuiltinLadder {
    /// With their ids, in the order in which they are shown.
    pub fn numbered() -> impl Iterator<Item = (LadderId, Self)> {
        (1..).map(LadderId).zip(Self::all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_renditions_are_checked() {
        let source = || vec![Rendition::passthrough("source")];
        assert_eq!(SavedLadder::draft("mine", "Mine", source()).check(), Ok(()));
        for (ladder, fault) in [
            (SavedLadder::draft("", "x", source()), SavedLadderFault::Name),
            (SavedLadder::draft("a/b", "x", source()), SavedLadderFault::Name),
            (SavedLadder::draft("hd", "x", source()), SavedLadderFault::Builtin),
            (SavedLadder::draft("mine", " ", source()), SavedLadderFault::Title),
            (SavedLadder::draft("mine", "x", vec![]), SavedLadderFault::Renditions(LadderFault::Length)),
        ] {
            assert_eq!(ladder.check(), Err(fault));
        }
    }

    #[test]
    fn ids_of_builtin_ones_stay_below_ours() {
        let last = BuiltinLadder::numbered().last().unwrap().0;
        assert!((1..BUILTIN_LADDER_ID_MAX).contains(&last.0));
    }
}

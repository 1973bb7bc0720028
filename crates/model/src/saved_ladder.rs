//! Ladders that have a name: those that come with the server, and those that its users make.

use crate::ladder::{BuiltinLadder, is_builtin_ladder};
use crate::{Ladder, LadderFault, LadderId, Rendition};
use time::OffsetDateTime;

/// Ladders that come with the server have ids from 1 on, in the order in which they are shown. Those that users make begin above this.
pub const BUILTIN_LADDER_ID_MAX: i64 = 1_000;

const NAME_BYTES_MAX: usize = 64;

/// A ladder that a user made.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedLadder {
    pub id: LadderId,
    /// The version rises by one with every change. `If-Match` is compared with it.
    pub version: i64,
    /// The name by which streams refer to it.
    pub name: String,
    /// The name for people.
    pub title: String,
    pub renditions: Vec<Rendition>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl SavedLadder {
    /// The changed fields, by the names that the API has for them.
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
    /// The built-in ladders with their ids, in the order in which they are shown.
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

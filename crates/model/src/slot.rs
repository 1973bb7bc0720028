//! The slot of a source: its name among the sources of one stream.

use std::fmt;
use std::sync::Arc;

/// A stream has at most so many sources.
pub const SOURCES_MAX: usize = 8;

/// The longest name of a slot.
const SLOT_BYTES_MAX: usize = 32;

/// The name of a slot, such as `primary` or `backup`. A clone shares the letters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(Arc<str>);

/// A text that can't be the name of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotFault {
    #[error("must be 1 to {SLOT_BYTES_MAX} letters a-z, digits and '-'")]
    Letters,
    #[error("may not be 'slate', which means the picture that is shown while no source is live")]
    Slate,
}

impl Slot {
    pub fn new(name: &str) -> Result<Self, SlotFault> {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=SLOT_BYTES_MAX).contains(&name.len()) || !name.bytes().all(is_letter) {
            return Err(SlotFault::Letters);
        }
        if name == "slate" { Err(SlotFault::Slate) } else { Ok(Self(name.into())) }
    }

    /// The slot of a stream's only source, where nobody named it.
    pub fn primary() -> Self {
        Self("primary".into())
    }

    pub fn backup() -> Self {
        Self("backup".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        let long = "a".repeat(33);
        for (name, expected) in [
            ("primary", Ok(())),
            ("studio-2", Ok(())),
            (&long[1..], Ok(())),
            ("", Err(SlotFault::Letters)),
            (long.as_str(), Err(SlotFault::Letters)),
            ("Primary", Err(SlotFault::Letters)),
            ("a_b", Err(SlotFault::Letters)),
            ("é", Err(SlotFault::Letters)),
            ("slate", Err(SlotFault::Slate)),
        ] {
            assert_eq!(Slot::new(name).map(drop), expected, "{name}");
        }
    }
}

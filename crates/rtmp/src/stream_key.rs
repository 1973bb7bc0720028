//! The stream key, which lets somebody publish: a secret that is carried but never shown.

use std::fmt;

/// A stream key. `Debug` masks it and there is no `Display`, so it cannot slip into a log line by habit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamKey(String);

impl StreamKey {
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself. It is for looking up the key and for the `publish` command, and must never be shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(***)")
    }
}

impl From<String> for StreamKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl From<&str> for StreamKey {
    fn from(key: &str) -> Self {
        Self(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_masks_the_key() {
        let key = StreamKey::from("ab12-secret");
        assert_eq!(format!("{key:?}"), "StreamKey(***)");
        assert_eq!(key.expose(), "ab12-secret");
    }
}

//! A stream key, passphrase or URL that carries one, which is never printed by accident.

use std::fmt;

/// A string that `Debug` does not show. There is no `Display`: code that needs the text calls `expose()`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. The callers of this function are the list of places where a secret can leave.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first four characters and an ellipsis, which is enough to recognise a key. A short secret shows nothing, because four of eight
    /// characters would be half of it.
    pub fn masked(&self) -> String {
        const SHOWN_CHARS: usize = 4;
        const SHORTEST_SHOWN_CHARS: usize = 9;
        if self.0.chars().count() < SHORTEST_SHOWN_CHARS {
            return "…".to_owned();
        }
        self.0.chars().take(SHOWN_CHARS).chain(['…']).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_little() {
        assert_eq!(format!("{:?}", Secret::new("hunter2-hunter2")), "***");
        assert_eq!(Secret::new("k17a-13s8").masked(), "k17a…");
        assert_eq!(Secret::new("12345678").masked(), "…");
        assert_eq!(Secret::new("ééééééééé").masked(), "éééé…");
    }
}

//! The names users give: a stream's slug, which stands in addresses, and the free labels of everything else.

use std::fmt;

/// The most bytes of a stream's name: enough to say what the stream is, and short enough for a URL and a file name.
pub const MAX_STREAM_NAME_BYTES: usize = 64;

/// The most characters of a label. Labels are shown in tables; longer ones are a mistake or an attack.
pub const MAX_LABEL_CHARS: usize = 200;

/// Why a name can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error("must not be empty")]
    Empty,
    #[error("must be at most {0} characters long")]
    TooLong(usize),
    #[error("may only contain a-z, 0-9, '-' and '_', not {0:?}")]
    BadCharacter(char),
    #[error("must not contain control characters")]
    ControlCharacter,
}

/// The unique slug of a stream: it is part of every playback address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(String);

impl StreamName {
    /// Makes a name. Upper case is refused, not folded: nobody can find an address that silently differs from what was typed.
    pub fn new(name: impl Into<String>) -> Result<Self, NameFault> {
        let name = name.into();
        if name.is_empty() {
            return Err(NameFault::Empty);
        }
        if let Some(bad) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')) {
            return Err(NameFault::BadCharacter(bad));
        }
        if name.len() > MAX_STREAM_NAME_BYTES {
            return Err(NameFault::TooLong(MAX_STREAM_NAME_BYTES));
        }
        Ok(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A free label (of a restream, a destination, an API key), without the blanks around it.
pub fn checked_label(text: &str) -> Result<String, NameFault> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NameFault::Empty);
    }
    if text.chars().count() > MAX_LABEL_CHARS {
        return Err(NameFault::TooLong(MAX_LABEL_CHARS));
    }
    if text.chars().any(char::is_control) {
        return Err(NameFault::ControlCharacter);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names() {
        for good in ["cam1", "a", "0", "main_stage-2", &"x".repeat(64)] {
            assert_eq!(StreamName::new(good).unwrap().as_str(), good);
        }
        for (bad, fault) in [
            ("", NameFault::Empty),
            ("Cam1", NameFault::BadCharacter('C')),
            ("a/b", NameFault::BadCharacter('/')),
            ("a b", NameFault::BadCharacter(' ')),
            ("..", NameFault::BadCharacter('.')),
            (&"x".repeat(65), NameFault::TooLong(64)),
        ] {
            assert_eq!(StreamName::new(bad), Err(fault), "{bad:?}");
        }
    }

    #[test]
    fn labels() {
        assert_eq!(checked_label("  first restream ").unwrap(), "first restream");
        assert_eq!(checked_label(" "), Err(NameFault::Empty));
        assert_eq!(checked_label("a\nb"), Err(NameFault::ControlCharacter));
        assert_eq!(checked_label(&"é".repeat(200)).unwrap().chars().count(), 200);
        assert_eq!(checked_label(&"é".repeat(201)), Err(NameFault::TooLong(200)));
    }
}

//! Why a change was not made.

use weir_store::{Refused, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A value is not possible. The message never repeats a secret.
    #[error("{field} {message}")]
    Invalid { field: String, message: String },
    /// Who asked for it may not set this value.
    #[error("{field} {message}")]
    NotAllowed { field: &'static str, message: &'static str },
    /// The value is fine, but nothing in this version acts on it: only what is also run is accepted.
    #[error("{field} is not available in this version")]
    NotAvailable { field: String },
    /// The command is fine, but what runs now can't do it.
    #[error("{0}")]
    NotNow(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Refused> for CommandError {
    fn from(Refused { field, message }: Refused) -> Self {
        Self::Invalid { field, message }
    }
}

impl CommandError {
    pub fn invalid(field: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self::Invalid { field: field.into(), message: message.to_string() }
    }

    pub(crate) fn not_available(field: impl Into<String>) -> Self {
        Self::NotAvailable { field: field.into() }
    }

    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Store(StoreError::Stale))
    }
}

//! Exports the whole configuration as one JSON document, and imports it into an empty data directory.
//!
//! Each thing stands in the document as the body of the POST that would make it again (`body`), so the very code that answers the API
//! reads, checks and refuses it. Beside the body is what a POST decides by itself: the id, the times, keys.

mod document;
mod export;
mod import;
mod secrets;

pub use document::{DOCUMENT_BYTES_MAX, Draft};
pub use export::export;
pub use import::{Imported, import};

use crate::problem::Problem;
use weir_store::StoreError;

/// Why a document was not written, or not taken.
#[derive(Debug, thiserror::Error)]
pub enum PortableError {
    /// The document is at fault, at the place `path`.
    #[error("{path}: {words}")]
    Document { path: String, words: String },
    #[error("the configuration was changed again and again while it was read; try again in a moment")]
    Restless,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PortableError {
    fn at(path: impl Into<String>, words: impl Into<String>) -> Self {
        Self::Document { path: path.into(), words: words.into() }
    }

    /// What the API would have answered, with the field named as seen from the whole document.
    fn refused(path: &str, problem: Problem) -> Self {
        match problem.field {
            Some(field) => {
                let words = problem.detail.strip_prefix(&field).map_or(problem.detail.as_str(), str::trim_start);
                Self::at(if path.is_empty() { field.clone() } else { format!("{path}.{field}") }, words)
            }
            None => Self::at(if path.is_empty() { "the document" } else { path }, problem.detail),
        }
    }
}

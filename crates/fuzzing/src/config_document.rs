//! Exported configurations: whatever stands in one, it is refused in words or taken, and the words hold none of it.

use weir_api::portable::{DOCUMENT_BYTES_MAX, Draft};

/// Stands in the seeds where values stand.
const PLANTED: &str = "planted";

pub fn fuzz_config_document(data: &[u8]) {
    let checked = Draft::parse(data).and_then(|mut draft| {
        let _ = draft.is_sealed();
        draft.check()
    });
    if data.len() > DOCUMENT_BYTES_MAX {
        assert!(checked.is_err(), "more than may be");
    }
    if let Err(refused) = checked {
        let words = refused.to_string();
        assert!(words.contains(": "), "{words:?} does not say where");
        // Names of fields are repeated, so a mutation that makes one of a value is none of our fault.
        let (_, said) = words.split_once(": ").unwrap_or_default();
        assert!(!said.contains(PLANTED), "{words:?} repeats a value");
    }
}

//! Exported configurations: whatever one holds, it is taken or refused in words, and the words repeat none of its values.

use weir_api::portable::{DOCUMENT_BYTES_MAX, Draft};

/// This text stands in the seeds in the place of values.
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
        // The words repeat names of fields, so a mutation that makes a name of a value is not our fault.
        let (_, said) = words.split_once(": ").unwrap_or_default();
        assert!(!said.contains(PLANTED), "{words:?} repeats a value");
    }
}

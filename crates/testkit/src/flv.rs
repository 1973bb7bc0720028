//! FLV files in memory: what a publisher sends and what a sink recorded.

use std::fs;
use std::path::Path;

use weir_mux::flv::file::{FlvReader, FlvTag};

/// Reads all tags of a file. A file that ends in the middle of a tag, as a killed recorder leaves it, gives the complete ones.
#[track_caller]
pub fn read_flv(path: &Path) -> Vec<FlvTag> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = FlvReader::new();
    reader.feed(&bytes);
    std::iter::from_fn(|| reader.next_tag().unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

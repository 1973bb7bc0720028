//! Where streams keep media on disk: windows and recordings.

use weir_packager::{DvrShelf, Recordings};

/// None: that is not kept. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shelves {
    pub dvr: Option<DvrShelf>,
    pub recordings: Option<Recordings>,
}

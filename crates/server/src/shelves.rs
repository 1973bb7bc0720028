//! Windows and recordings in the data directory: they are opened, and those that belong to no stream any more are removed.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use weir_control::Shelves;
use weir_packager::{DvrShelf, Recordings};
use weir_store::Store;

use crate::config::Config;

const DVR_FOLDER: &str = "dvr";
const RECORDINGS_FOLDER: &str = "recordings";

/// Opens the folders. A limit of 0 megabytes switches one off.
pub(crate) async fn open(config: &Config, data: &Path, store: &Store) -> anyhow::Result<Shelves> {
    let known: BTreeSet<_> = store.all_streams().await?.into_iter().map(|stream| stream.id).collect();
    let (dvr, recording) = (config.dvr, config.recording);
    let (dvr_folder, recordings_folder) = (data.join(DVR_FOLDER), data.join(RECORDINGS_FOLDER));
    let open = move || {
        let (mut windows, mut library) = (None, None);
        if dvr.space.max_bytes > 0 {
            let shelf = DvrShelf::open(dvr_folder, dvr).context("cannot open the folder of DVR windows")?;
            if let Err(error) = shelf.clean(&known) {
                tracing::warn!(%error, "windows of deleted streams could not be removed from disk");
            }
            windows = Some(shelf);
        }
        if recording.space.max_bytes > 0 {
            let opened = Recordings::open(recordings_folder, recording);
            library = Some(opened.context("cannot open the folder of recordings")?);
        }
        anyhow::Ok(Shelves::new(windows, library))
    };
    tokio::task::spawn_blocking(open).await.context("opening media folders failed")?
}

//! What every part of the server builds on: the store and its commands, what is observed, the media threads, the folders, the encoders.

use std::path::Path;

use anyhow::Context as _;
use time::OffsetDateTime;
use weir_control::{Admission, Commands, Lanes, Runtime, Shelves};
use weir_ingest::MediaDirs;
use weir_model::Platforms;
use weir_observe::Observe;
use weir_store::Store;
use weir_transcode::{Cages, EncodingResources};

use crate::config::Config;
use crate::data_folder::{self, DataLock};
use crate::event_ids::EventIds;
use crate::{bootstrap, confinement, shelves};

/// Handles that each part clones as it needs them.
pub(crate) struct Base {
    pub(crate) store: Store,
    pub(crate) observe: Observe,
    pub(crate) event_ids: EventIds,
    pub(crate) lanes: Lanes,
    pub(crate) runtime: Runtime,
    pub(crate) shelves: Shelves,
    pub(crate) media_dirs: MediaDirs,
    pub(crate) commands: Commands,
    pub(crate) admission: Admission,
    pub(crate) encoding: EncodingResources,
    /// The lock on the data directory, held as long as the server lives.
    _lock: DataLock,
}

impl Base {
    pub(crate) async fn open(config: &Config, data: &Path) -> anyhow::Result<Self> {
        data_folder::prepare(data, &bootstrap::database_path(config, data)?)?;
        let lock = DataLock::take_for_server(data).await?;
        let store = bootstrap::open_store(config, data).await?;
        bootstrap::admit_admin(&store).await?;
        let (event_ids, first_event) = EventIds::reserve(&store, OffsetDateTime::now_utc()).await;
        let observe = Observe::with_events_from(first_event);
        let lanes = Lanes::start(config.lanes).context("cannot start the media threads")?;
        let runtime = Runtime::new();
        let shelves = shelves::open(config, data, &store).await?;
        let commands = Commands::new(store.clone(), Platforms::load()?, runtime.clone(), observe.clone()).await?;
        let media_dirs = config.media_dirs.iter().map(|dir| std::path::absolute(data.join(dir)));
        let media_dirs = MediaDirs::new(media_dirs.collect::<std::io::Result<Vec<_>>>()?);
        commands.allow_media(media_dirs.clone());
        let admission = Admission::new(commands.clone(), runtime.clone());
        let cages = Cages::open();
        tracing::info!("{cages}");
        let encoding = EncodingResources::with(config.encoding_options(data.join("abilities.json")), cages)?;
        tokio::spawn(confinement::tell(encoding.clone()));
        Ok(Self {
            store,
            observe,
            event_ids,
            lanes,
            runtime,
            shelves,
            media_dirs,
            commands,
            admission,
            encoding,
            _lock: lock,
        })
    }
}

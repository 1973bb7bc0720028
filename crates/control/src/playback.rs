//! What viewers may watch over HTTP: a stream's packager by the stream's name.

use std::time::Duration;

use weir_packager::Packager;

use crate::commands::Commands;
use crate::runtime::Runtime;

/// A stream that was created a moment ago is waited for this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Clones share it.
#[derive(Clone, Debug)]
pub struct Playback {
    commands: Commands,
    runtime: Runtime,
}

/// Why a stream can't be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaybackRefusal {
    NotFound,
    Protected,
}

impl Playback {
    pub fn new(commands: Commands, runtime: Runtime) -> Self {
        Self { commands, runtime }
    }

    pub async fn packager(&self, name: &str) -> Result<Packager, PlaybackRefusal> {
        let grant = self.commands.find_stream(name).filter(|grant| grant.active).ok_or(PlaybackRefusal::NotFound)?;
        if grant.protected {
            return Err(PlaybackRefusal::Protected);
        }
        let packager = self.runtime.in_stream(grant.stream_id, PATIENCE, |run| run.packager.clone()).await;
        packager.ok_or(PlaybackRefusal::NotFound)
    }
}

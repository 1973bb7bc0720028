//! Where streams keep windows and recordings on disk, and who still writes there.

use std::sync::Arc;

use tokio::sync::watch;
use weir_packager::{DvrShelf, Recordings};

/// The folders of windows and recordings; a missing one means that those are not kept. All clones share them.
#[derive(Clone, Debug, Default)]
pub struct Shelves {
    pub dvr: Option<DvrShelf>,
    pub recordings: Option<Recordings>,
    /// Each recorder that runs holds a receiver; nothing is ever sent.
    recorders: Arc<watch::Sender<()>>,
}

/// A recorder holds this for as long as it may write.
#[derive(Debug)]
pub(crate) struct RecorderHold {
    _held: watch::Receiver<()>,
}

impl Shelves {
    pub fn new(dvr: Option<DvrShelf>, recordings: Option<Recordings>) -> Self {
        Self { dvr, recordings, ..Self::default() }
    }

    pub(crate) fn begin_recording(&self) -> RecorderHold {
        RecorderHold { _held: self.recorders.subscribe() }
    }

    /// Waits until no recorder runs.
    pub(crate) async fn recorders_ended(&self) {
        self.recorders.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn the_last_recorder_is_waited_for() {
        let shelves = Shelves::default();
        let ended = async || timeout(Duration::ZERO, shelves.recorders_ended()).await.is_ok();
        assert!(ended().await, "nobody records");
        let (first, second) = (shelves.begin_recording(), shelves.clone().begin_recording());
        drop(first);
        assert!(!ended().await);
        drop(second);
        assert!(ended().await);
    }
}

//! Subscribers of a rendition ask for a keyframe where they can't go on without one. Whoever encodes the rendition makes one. Of
//! sources, only a publisher by WebRTC can be told; the others make their own when they like.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// How often the subscribers of one rendition have asked. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyframeAsks {
    count: Arc<AtomicU64>,
    /// Rings for all renditions of the stream: one transcoder makes them all, and looks for itself which of them it was.
    bell: KeyframeBell,
}

/// Wakes whoever encodes a stream's renditions. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct KeyframeBell(watch::Sender<()>);

impl Default for KeyframeBell {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl KeyframeBell {
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

impl KeyframeAsks {
    pub(crate) fn ringing(bell: &KeyframeBell) -> Self {
        Self { count: Arc::default(), bell: bell.clone() }
    }

    pub(crate) fn ask(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bell.0.send_replace(());
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

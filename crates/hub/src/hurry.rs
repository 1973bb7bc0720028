//! Counts the subscribers that want frames at once. While there are none, a publisher may gather some frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of subscribers in a hurry. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hurries {
    count: Arc<AtomicUsize>,
}

/// Counts one of them for as long as it lives.
#[derive(Debug)]
pub(crate) struct Hurry {
    count: Arc<AtomicUsize>,
}

impl Hurries {
    pub(crate) fn add(&self) -> Hurry {
        self.count.fetch_add(1, Ordering::Relaxed);
        Hurry { count: Arc::clone(&self.count) }
    }

    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

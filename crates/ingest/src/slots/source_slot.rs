//! One slot: who is in it, its timeline, and the window in which its frames stand by.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use weir_hub::{Publisher, RenditionHub, Tracks, WindowLimits};
use weir_media::Timeline;
use weir_model::Slot;

use crate::intake::Eviction;
use crate::meter::IngestMeter;

/// A publisher that has sent nothing for this long may be replaced. An encoder that lost power comes back long before its old connection
/// times out (30 s), and must not be told that it is already publishing.
pub(crate) const TAKEOVER_AFTER: Duration = Duration::from_secs(5);

/// One slot, with a timeline over all publishers that ever came into it.
#[derive(Debug)]
pub(super) struct SourceSlot {
    /// The slot's place changes when the stream's sources are put into another order, and this never.
    pub(super) id: u64,
    pub(super) name: Slot,
    pub(super) timeline: Timeline,
    pub(super) holder: Option<Holder>,
    pub(super) tracks: Tracks,
    /// Where the stream has other slots, too, the frames of each lie in a window of its own, from which it comes on air.
    pub(super) standby: Option<Standby>,
}

/// A slot's own window, and what writes into it.
#[derive(Debug)]
pub(super) struct Standby {
    pub(super) window: RenditionHub,
    pub(super) publisher: Publisher,
}

/// The publisher that is in a slot.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) session: u64,
    pub(super) meter: Arc<IngestMeter>,
    pub(super) admitted_at: Instant,
    pub(super) evict: oneshot::Sender<Eviction>,
}

impl SourceSlot {
    /// A slot that nobody is in.
    pub(super) fn new(id: u64, name: Slot) -> Self {
        Self { id, name, timeline: Timeline::default(), holder: None, tracks: Tracks::default(), standby: None }
    }
}

impl Standby {
    pub(super) fn new(tracks: &Tracks) -> Self {
        let window = RenditionHub::new(WindowLimits::FRAMES);
        let mut publisher = window.publish();
        publisher.set_tracks(tracks.clone());
        Self { window, publisher }
    }
}

impl Holder {
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        let heard_at = self.meter.last_frame_at().unwrap_or(self.admitted_at);
        now.saturating_duration_since(heard_at) >= TAKEOVER_AFTER
    }
}

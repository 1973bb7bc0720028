//! A stream's door lets one publisher in at a time, and keeps one timeline over all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use weir_hub::{Publisher, StreamHub};
use weir_media::{Timeline, WireClock};
use weir_model::StreamId;
use weir_observe::Observe;

use crate::meter::{IngestMeter, Measured};

/// A publisher that has sent nothing for this long may be replaced. An encoder that lost power comes back long before its old connection
/// times out (30 s), and must not be told that it is already publishing.
const TAKEOVER_AFTER: Duration = Duration::from_secs(5);

/// The door of one stream. A clone is the same door.
#[derive(Clone, Debug)]
pub struct SourceDoor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stream_id: StreamId,
    hub: StreamHub,
    observe: Observe,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    timeline: Timeline,
    holder: Option<Holder>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Holder {
    ticket: u64,
    meter: Arc<IngestMeter>,
    admitted_at: Instant,
    evict: oneshot::Sender<Eviction>,
}

/// Why a publisher is sent away although it did nothing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction(pub String);

/// Another publisher holds the door already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupied;

/// What a publisher gets when it is let in.
#[derive(Debug)]
pub struct Admitted {
    pub ticket: Ticket,
    /// This resolves when the publisher must go.
    pub evicted: oneshot::Receiver<Eviction>,
}

/// The right to publish, which lasts until the ticket is dropped.
#[derive(Debug)]
pub struct Ticket {
    door: SourceDoor,
    number: u64,
    pub(crate) publisher: Publisher,
    pub(crate) meter: Arc<IngestMeter>,
}

impl SourceDoor {
    pub fn new(stream_id: StreamId, hub: StreamHub, observe: Observe) -> Self {
        let shared = Shared { stream_id, hub, observe, state: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Lets a publisher in. If another holds the door and has gone silent, it is replaced.
    pub fn admit(&self, meter: IngestMeter, clock: WireClock, now: Instant) -> Result<Admitted, Occupied> {
        let mut state = self.state();
        if let Some(holder) = state.holder.take() {
            if !holder.is_silent(now) {
                state.holder = Some(holder);
                return Err(Occupied);
            }
            // Sending fails if the old connection is gone already, and that is no fault.
            let _ = holder.evict.send(Eviction("another encoder took over this silent session".to_owned()));
        }
        let number = state.next_ticket;
        state.next_ticket += 1;
        state.timeline.begin_session(clock);
        let meter = Arc::new(meter);
        let (evict, evicted) = oneshot::channel();
        state.holder = Some(Holder { ticket: number, meter: Arc::clone(&meter), admitted_at: now, evict });
        let publisher = self.shared.hub.publish_source(now);
        Ok(Admitted { ticket: Ticket { door: self.clone(), number, publisher, meter }, evicted })
    }

    /// Whether nobody publishes, or only a publisher that has gone silent. Another publisher may still come first.
    pub fn is_free(&self, now: Instant) -> bool {
        self.state().holder.as_ref().is_none_or(|holder| holder.is_silent(now))
    }

    /// Sends the present publisher away, because its key was changed, or its stream was stopped or deleted.
    pub fn evict(&self, why: &str) {
        if let Some(holder) = self.state().holder.take() {
            let _ = holder.evict.send(Eviction(why.to_owned()));
        }
    }

    /// Measures what arrives now, for the stream's status. None if nobody publishes.
    pub fn measure(&self, now: Instant) -> Option<Measured> {
        let meter = Arc::clone(&self.state().holder.as_ref()?.meter);
        Some(meter.measure(now))
    }

    pub fn stream_id(&self) -> StreamId {
        self.shared.stream_id
    }

    pub(crate) fn observe(&self) -> &Observe {
        &self.shared.observe
    }

    /// What the stream's clock says at that moment.
    pub(crate) fn time_at(&self, now: Instant) -> Duration {
        self.shared.hub.clock().time_at(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    fn is_silent(&self, now: Instant) -> bool {
        let heard_at = self.meter.last_frame_at().unwrap_or(self.admitted_at);
        now.saturating_duration_since(heard_at) >= TAKEOVER_AFTER
    }
}

impl Ticket {
    /// Runs `stamp` on the stream's timeline if this ticket still holds the door. A publisher that was replaced must not write beside its
    /// successor.
    pub(crate) fn on_timeline<T>(&self, stamp: impl FnOnce(&mut Timeline) -> T) -> Option<T> {
        let mut state = self.door.state();
        let holds = state.holder.as_ref().is_some_and(|holder| holder.ticket == self.number);
        holds.then(|| stamp(&mut state.timeline))
    }

    pub(crate) fn door(&self) -> &SourceDoor {
        &self.door
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.door.state();
        if state.holder.as_ref().is_some_and(|holder| holder.ticket == self.number) {
            state.holder = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_hub::WindowLimits;
    use weir_model::Slot;

    fn door() -> SourceDoor {
        SourceDoor::new(StreamId(1), StreamHub::new(WindowLimits::FRAMES), Observe::new())
    }

    fn meter() -> IngestMeter {
        IngestMeter::new("rtmp", Slot::Primary, "127.0.0.1:1".to_owned())
    }

    #[test]
    fn one_publisher_at_a_time() {
        let door = door();
        let now = Instant::now();
        let first = door.admit(meter(), WireClock::RTMP, now).unwrap();
        assert_eq!(door.admit(meter(), WireClock::RTMP, now).unwrap_err(), Occupied);
        assert!(!door.is_free(now) && door.is_free(now + TAKEOVER_AFTER));
        drop(first);
        assert!(door.admit(meter(), WireClock::RTMP, now).is_ok());
    }

    #[test]
    fn a_silent_publisher_is_replaced_and_can_write_no_more() {
        let door = door();
        let now = Instant::now();
        let mut silent = door.admit(meter(), WireClock::RTMP, now).unwrap();
        let second = door.admit(meter(), WireClock::RTMP, now + TAKEOVER_AFTER).unwrap();
        assert!(silent.evicted.try_recv().is_ok());
        assert!(silent.ticket.on_timeline(|_| ()).is_none());
        drop(silent);
        assert!(second.ticket.on_timeline(|_| ()).is_some(), "the old ticket's end does not free the new one's place");
    }

    #[test]
    fn eviction_frees_the_place() {
        let door = door();
        let mut admission = door.admit(meter(), WireClock::RTMP, Instant::now()).unwrap();
        door.evict("key rotated");
        assert_eq!(admission.evicted.try_recv().unwrap(), Eviction("key rotated".to_owned()));
        assert!(door.admit(meter(), WireClock::RTMP, Instant::now()).is_ok());
    }
}

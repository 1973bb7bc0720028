//! A stream's intake lets one publisher in at a time, and keeps one timeline over all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use weir_hub::{Publisher, StreamClock, StreamHub};
use weir_media::{Timeline, WireClock};
use weir_model::StreamId;
use weir_observe::Observe;

use crate::meter::{IngestMeter, Measured};

/// A publisher that has sent nothing for this long may be replaced. An encoder that lost power comes back long before its old connection
/// times out (30 s), and must not be told that it is already publishing.
const TAKEOVER_AFTER: Duration = Duration::from_secs(5);

/// The intake of one stream. A clone is the same intake.
#[derive(Clone, Debug)]
pub struct Intake {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stream_id: StreamId,
    hub: StreamHub,
    observe: Observe,
    timeline: Arc<Mutex<Timeline>>,
    /// Who is in. The timeline's lock is taken while this one is held, never the other way round.
    holder: Mutex<Option<Holder>>,
}

#[derive(Debug)]
struct Holder {
    /// The number of its session on the timeline.
    session: u64,
    meter: Arc<IngestMeter>,
    admitted_at: Instant,
    evict: oneshot::Sender<Eviction>,
}

/// Why a publisher is sent away although it did nothing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction(pub String);

/// Another publisher holds the intake already.
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
    intake: Intake,
    pub(crate) session: u64,
    /// The stream's timeline. Its frames are this publisher's only while it has this ticket's session: a publisher that was replaced must
    /// not write beside its successor.
    pub(crate) timeline: Arc<Mutex<Timeline>>,
    pub(crate) clock: StreamClock,
    pub(crate) publisher: Publisher,
    pub(crate) meter: Arc<IngestMeter>,
}

impl Intake {
    pub fn new(stream_id: StreamId, hub: StreamHub, observe: Observe) -> Self {
        let shared = Shared { stream_id, hub, observe, timeline: Arc::default(), holder: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Lets a publisher in. If another holds the intake and has gone silent, it is replaced.
    pub fn admit(&self, meter: IngestMeter, clock: WireClock, now: Instant) -> Result<Admitted, Occupied> {
        let mut place = self.holder();
        if let Some(holder) = place.take() {
            if !holder.is_silent(now) {
                *place = Some(holder);
                return Err(Occupied);
            }
            // Sending fails if the old connection is gone already, and that is no fault.
            let _ = holder.evict.send(Eviction("another encoder took over this silent session".to_owned()));
        }
        let Shared { hub, timeline, .. } = &*self.shared;
        let session = locked(timeline).begin_session(clock);
        let meter = Arc::new(meter);
        let (evict, evicted) = oneshot::channel();
        *place = Some(Holder { session, meter: Arc::clone(&meter), admitted_at: now, evict });
        let (timeline, clock) = (Arc::clone(timeline), hub.clock().clone());
        let publisher = hub.publish_source(now);
        Ok(Admitted { ticket: Ticket { intake: self.clone(), session, timeline, clock, publisher, meter }, evicted })
    }

    /// Whether nobody publishes, or only a publisher that has gone silent. Another publisher may still come first.
    pub fn is_free(&self, now: Instant) -> bool {
        self.holder().as_ref().is_none_or(|holder| holder.is_silent(now))
    }

    /// Sends the present publisher away, because its key was changed, or its stream was stopped or deleted.
    pub fn evict(&self, why: &str) {
        if let Some(holder) = self.holder().take() {
            locked(&self.shared.timeline).end_session();
            let _ = holder.evict.send(Eviction(why.to_owned()));
        }
    }

    /// Measures what arrives now, for the stream's status. None if nobody publishes.
    pub fn measure(&self, now: Instant) -> Option<Measured> {
        let meter = Arc::clone(&self.holder().as_ref()?.meter);
        Some(meter.measure(now))
    }

    pub fn stream_id(&self) -> StreamId {
        self.shared.stream_id
    }

    pub(crate) fn observe(&self) -> &Observe {
        &self.shared.observe
    }

    fn holder(&self) -> MutexGuard<'_, Option<Holder>> {
        locked(&self.shared.holder)
    }
}

/// A poisoned lock is still sound: nothing that is done under it leaves anything half done.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Holder {
    fn is_silent(&self, now: Instant) -> bool {
        let heard_at = self.meter.last_frame_at().unwrap_or(self.admitted_at);
        now.saturating_duration_since(heard_at) >= TAKEOVER_AFTER
    }
}

impl Ticket {
    pub(crate) fn intake(&self) -> &Intake {
        &self.intake
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut place = self.intake.holder();
        if place.as_ref().is_some_and(|holder| holder.session == self.session) {
            *place = None;
            locked(&self.timeline).end_session();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_hub::WindowLimits;
    use weir_model::Slot;

    fn intake() -> Intake {
        Intake::new(StreamId(1), StreamHub::new(WindowLimits::FRAMES), Observe::new())
    }

    fn meter() -> IngestMeter {
        IngestMeter::new("rtmp", Slot::Primary, "127.0.0.1:1".to_owned())
    }

    #[test]
    fn one_publisher_at_a_time() {
        let intake = intake();
        let now = Instant::now();
        let first = intake.admit(meter(), WireClock::RTMP, now).unwrap();
        assert_eq!(intake.admit(meter(), WireClock::RTMP, now).unwrap_err(), Occupied);
        assert!(!intake.is_free(now) && intake.is_free(now + TAKEOVER_AFTER));
        drop(first);
        assert!(intake.admit(meter(), WireClock::RTMP, now).is_ok());
    }

    #[test]
    fn a_silent_publisher_is_replaced_and_can_write_no_more() {
        let intake = intake();
        let now = Instant::now();
        let mut silent = intake.admit(meter(), WireClock::RTMP, now).unwrap();
        let second = intake.admit(meter(), WireClock::RTMP, now + TAKEOVER_AFTER).unwrap();
        assert!(silent.evicted.try_recv().is_ok());
        assert_ne!(locked(&silent.ticket.timeline).session(), Some(silent.ticket.session));
        drop(silent);
        let session = locked(&second.ticket.timeline).session();
        assert_eq!(session, Some(second.ticket.session), "the old ticket's end does not free the new one's place");
    }

    #[test]
    fn eviction_frees_the_place() {
        let intake = intake();
        let mut admission = intake.admit(meter(), WireClock::RTMP, Instant::now()).unwrap();
        intake.evict("key rotated");
        assert_eq!(admission.evicted.try_recv().unwrap(), Eviction("key rotated".to_owned()));
        assert_eq!(locked(&admission.ticket.timeline).session(), None, "what still comes goes nowhere");
        assert!(intake.admit(meter(), WireClock::RTMP, Instant::now()).is_ok());
    }
}

//! A stream's intake lets publishers into the stream's slots, one into each, and puts one of them on air.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;
use weir_hub::{RenditionHub, StreamClock, StreamHub};
use weir_media::WireClock;
use weir_model::{EventKind, Slot, SourceState, StreamId};
use weir_observe::{Counter, Observe, fields};

use crate::meter::{IngestMeter, Measured};
use crate::selector::SelectorRules;
use crate::slots::{CannotSwitch, SlotSession, StreamSlots, Switched};

/// The intake of one stream. A clone is the same intake.
#[derive(Clone, Debug)]
pub struct Intake {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stream_id: StreamId,
    clock: StreamClock,
    /// The source as all that follows the stream sees it, whatever slot is on air.
    program: RenditionHub,
    observe: Observe,
    slots: Mutex<StreamSlots>,
}

/// Why a publisher is sent away although it did nothing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction(pub String);

/// Another publisher is in the slot already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupied;

/// What a publisher gets when it is let in.
#[derive(Debug)]
pub struct Admitted {
    pub ticket: Ticket,
    /// This resolves when the publisher must go.
    pub evicted: oneshot::Receiver<Eviction>,
}

/// The right to publish into a slot, which lasts until the ticket is dropped.
#[derive(Debug)]
pub struct Ticket {
    intake: Intake,
    pub(crate) session: SlotSession,
    pub(crate) meter: Arc<IngestMeter>,
}

/// What one slot does now.
#[derive(Clone, Debug)]
pub struct SlotMeasured {
    pub slot: Slot,
    pub on_air: bool,
    pub state: SourceState,
    /// What arrives. None where nobody publishes.
    pub measured: Option<Measured>,
}

impl Intake {
    /// An intake without any slot yet.
    pub fn new(stream_id: StreamId, hub: StreamHub, observe: Observe) -> Self {
        let (clock, program) = (hub.clock().clone(), hub.source());
        let slots = Mutex::new(StreamSlots::new(hub, SelectorRules::default()));
        Self { shared: Arc::new(Shared { stream_id, clock, program, observe, slots }) }
    }

    /// Takes over the stream's slots, in order of preference, and the rules by which one is put in another's place.
    pub fn arrange(&self, slots: &[Slot], rules: SelectorRules) {
        self.slots().arrange(slots, rules);
    }

    /// Lets a publisher into a slot. If another is in it and has gone silent, it is replaced.
    pub fn admit(&self, slot: &Slot, meter: IngestMeter, clock: WireClock, now: Instant) -> Result<Admitted, Occupied> {
        let meter = Arc::new(meter);
        let (session, evicted) = self.slots().admit(slot, (&meter, clock), now)?;
        Ok(Admitted { ticket: Ticket { intake: self.clone(), session, meter }, evicted })
    }

    /// Whether nobody publishes into the slot, or only a publisher that has gone silent. Another publisher may still come first.
    pub fn is_free(&self, slot: &Slot, now: Instant) -> bool {
        self.slots().is_free(slot, now)
    }

    /// Sends all publishers away, because the stream was stopped or deleted.
    pub fn evict(&self, why: &str) {
        self.slots().evict(why);
    }

    /// Puts a slot on air by hand, and prefers it to all others from then on. None goes back to the stream's order.
    pub fn switch(&self, slot: Option<&Slot>, now: Instant) -> Result<(), CannotSwitch> {
        self.slots().switch(slot, now)
    }

    /// The slot that was put on air by hand, if any was.
    pub fn by_hand(&self) -> Option<Slot> {
        self.slots().by_hand()
    }

    /// Measures what arrives now in each slot, for the stream's status.
    pub fn measure(&self, now: Instant) -> Vec<SlotMeasured> {
        let seen = self.slots().seen(now);
        let measured = seen.into_iter().map(|seen| SlotMeasured {
            slot: seen.slot,
            on_air: seen.on_air,
            state: match (seen.attached, seen.started, seen.live) {
                (false, ..) => SourceState::Absent,
                (true, false, _) => SourceState::Connecting,
                (true, true, true) => SourceState::Live,
                (true, true, false) => SourceState::Failing,
            },
            measured: seen.meter.map(|meter| meter.measure(now)),
        });
        measured.collect()
    }

    pub fn stream_id(&self) -> StreamId {
        self.shared.stream_id
    }

    pub(crate) fn observe(&self) -> &Observe {
        &self.shared.observe
    }

    pub(crate) fn clock(&self) -> &StreamClock {
        &self.shared.clock
    }

    pub(crate) fn program(&self) -> &RenditionHub {
        &self.shared.program
    }

    pub(crate) fn slots(&self) -> MutexGuard<'_, StreamSlots> {
        locked(&self.shared.slots)
    }

    /// Tells that another slot has come on air. It is called without the slots' lock, because telling takes locks of its own.
    pub(crate) fn tell(&self, switched: Switched) {
        let Switched { from, to, cause } = switched;
        let stream_id = self.shared.stream_id;
        tracing::info!(%stream_id, %from, %to, cause = cause.as_str(), "another source is on air");
        let event = [
            ("stream_id", stream_id.0.into()),
            ("from", from.as_str().into()),
            ("to", to.as_str().into()),
            ("cause", cause.as_str().into()),
        ];
        self.observe().counters().add(Counter::SourceSwitches, 1);
        self.observe().events().emit(EventKind::SourceSwitched, fields(event));
    }
}

/// A poisoned lock is still sound: nothing that is done under it leaves anything half done.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ticket {
    pub(crate) fn intake(&self) -> &Intake {
        &self.intake
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let switched = self.intake.slots().leave(self.session, Instant::now());
        if let Some(switched) = switched {
            self.intake.tell(switched);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::TAKEOVER_AFTER;
    use weir_hub::WindowLimits;

    fn intake() -> Intake {
        Intake::new(StreamId(1), StreamHub::new(WindowLimits::FRAMES), Observe::new())
    }

    fn admit(intake: &Intake, now: Instant) -> Result<Admitted, Occupied> {
        let meter = IngestMeter::new("rtmp", Slot::primary(), "127.0.0.1:1".to_owned());
        intake.admit(&Slot::primary(), meter, WireClock::RTMP, now)
    }

    fn may_write(admitted: &Admitted) -> bool {
        admitted.ticket.intake.slots().is_held_by(admitted.ticket.session)
    }

    #[test]
    fn one_publisher_at_a_time() {
        let intake = intake();
        let now = Instant::now();
        let first = admit(&intake, now).unwrap();
        assert_eq!(admit(&intake, now).unwrap_err(), Occupied);
        let slot = Slot::primary();
        assert!(!intake.is_free(&slot, now) && intake.is_free(&slot, now + TAKEOVER_AFTER));
        drop(first);
        assert!(admit(&intake, now).is_ok());
    }

    #[test]
    fn a_silent_publisher_is_replaced_and_can_write_no_more() {
        let intake = intake();
        let now = Instant::now();
        let mut silent = admit(&intake, now).unwrap();
        let second = admit(&intake, now + TAKEOVER_AFTER).unwrap();
        assert!(silent.evicted.try_recv().is_ok());
        assert!(!may_write(&silent));
        drop(silent);
        assert!(may_write(&second), "the old ticket's end does not free the new one's place");
    }

    #[test]
    fn eviction_frees_the_place() {
        let intake = intake();
        let mut admission = admit(&intake, Instant::now()).unwrap();
        intake.evict("the stream was stopped");
        assert_eq!(admission.evicted.try_recv().unwrap(), Eviction("the stream was stopped".to_owned()));
        assert!(!may_write(&admission), "what still comes goes nowhere");
        assert!(admit(&intake, Instant::now()).is_ok());
    }
}

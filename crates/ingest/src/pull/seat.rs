//! A pull's seat at its stream: it takes the intake when the far end consents, and gives it back when the connection ends.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};
use weir_media::WireClock;
use weir_model::{Fault, Reason, ReasonCode, Slot, StreamId};

use crate::intake::{Admitted, Eviction, Intake, Ticket, locked};
use crate::meter::IngestMeter;

pub(crate) struct Seat {
    intake: Intake,
    slot: Slot,
    /// Where the source is, without its secrets.
    remote: String,
    opened: Notify,
    /// The meter of the connection that is open.
    meter: Mutex<Option<Arc<IngestMeter>>>,
}

/// What a connection that takes the seat gets.
pub(crate) struct Seated {
    pub(crate) ticket: Ticket,
    evicted: oneshot::Receiver<Eviction>,
}

impl Seat {
    pub(crate) fn new(intake: Intake, slot: Slot, remote: String) -> Self {
        Self { intake, slot, remote, opened: Notify::new(), meter: Mutex::default() }
    }

    /// Takes the intake. The far end has consented, and stamps its frames by this clock.
    pub(crate) fn take(&self, clock: WireClock) -> Result<Seated, Reason> {
        let meter = IngestMeter::new("pull", self.slot.clone(), self.remote.clone());
        let Ok(Admitted { ticket, evicted }) = self.intake.admit(&self.slot, meter, clock, Instant::now()) else {
            let message = "another publisher holds the slot";
            return Err(Reason::new(ReasonCode::Internal, message).with_fault(Fault::Server));
        };
        *locked(&self.meter) = Some(Arc::clone(&ticket.meter));
        self.opened.notify_one();
        Ok(Seated { ticket, evicted })
    }

    /// Forgets the connection that was open.
    pub(crate) fn leave(&self) {
        *locked(&self.meter) = None;
    }

    /// Waits until the seat is taken.
    pub(crate) async fn opened(&self) {
        self.opened.notified().await;
    }

    pub(crate) fn is_taken(&self) -> bool {
        locked(&self.meter).is_some()
    }

    pub(crate) fn last_frame_at(&self) -> Option<Instant> {
        locked(&self.meter).as_ref()?.last_frame_at()
    }

    pub(crate) fn stream_id(&self) -> StreamId {
        self.intake.stream_id()
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }

    pub(crate) fn remote(&self) -> &str {
        &self.remote
    }
}

impl Seated {
    /// The ticket, and a future that ends with the reason when the source must go.
    pub(crate) fn into_parts(self) -> (Ticket, impl Future<Output = Reason> + Unpin) {
        let evicted = self.evicted;
        let gone = async move {
            match evicted.await {
                Ok(Eviction(why)) => Reason::new(ReasonCode::Ended, why).with_fault(Fault::Config),
                // The intake is dropped with its stream, and this task with it.
                Err(_) => std::future::pending().await,
            }
        };
        (self.ticket, Box::pin(gone))
    }
}

//! What a stage tells of its renditions: events, log lines and statuses.

use std::time::Instant;

use weir_model::{EventKind, RenditionStatus, StreamId};
use weir_observe::{Observe, fields};
use weir_pipeline::WorkerFault;

use crate::lag::LagChange;
use crate::plan::{Refused, RenditionPlan};
use crate::wants::shared_label;
use crate::worker_run::RenditionPublishers;

/// Tells the events of one stream.
#[derive(Debug)]
pub(crate) struct Teller {
    pub(crate) id: StreamId,
    pub(crate) observe: Observe,
}

impl Teller {
    /// The rendition runs from now on, or runs with another encoder.
    pub(crate) fn planned(&self, rendition: &RenditionPlan) {
        let kind = if rendition.degraded { EventKind::RenditionDegraded } else { EventKind::RenditionPlanned };
        self.of_rendition(kind, rendition.name(), Some((&rendition.element, Cause::Encoder)), &rendition.reason);
    }

    pub(crate) fn refused(&self, Refused { name, reason, .. }: &Refused) {
        tracing::warn!(stream_id = %self.id, rendition = name, reason, "a rendition is refused");
        self.of_rendition(EventKind::RenditionRefused, name, None, reason);
    }

    /// The rendition fell behind its source, or is in time again.
    pub(crate) fn delay(&self, rendition: &str, element: &str, change: LagChange) {
        let (kind, reason) = match change {
            LagChange::Late => (EventKind::RenditionDegraded, "it is behind its source"),
            LagChange::InTime => (EventKind::RenditionRecovered, "it is in time again"),
        };
        tracing::warn!(stream_id = %self.id, rendition, reason, "a rendition's delay changed");
        self.of_rendition(kind, rendition, Some((element, Cause::Delay)), reason);
    }

    pub(crate) fn worker_failed(&self, fault: &WorkerFault) {
        let reason = fault.message.as_str();
        tracing::warn!(stream_id = %self.id, reason, "a transcoding worker failed and is started again");
        let said = [("stream_id", self.id.0.into()), ("reason", reason.into())];
        self.observe.events().emit(EventKind::WorkerFailed, fields(said));
    }

    fn of_rendition(&self, kind: EventKind, name: &str, encoded: Option<(&str, Cause)>, reason: &str) {
        let said = [
            ("stream_id", self.id.0.into()),
            ("rendition", name.into()),
            ("label", shared_label(name).into()),
            ("encoder", encoded.map(|(element, _)| element).into()),
            ("cause", encoded.map(|(_, cause)| cause.as_str()).into()),
            ("reason", reason.into()),
        ];
        self.observe.events().emit(kind, fields(said));
    }
}

/// What an event of a rendition is about: the encoder that makes it, or how far it is behind.
#[derive(Clone, Copy)]
enum Cause {
    Encoder,
    Delay,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Delay => "delay",
        }
    }
}

/// The statuses of the renditions that run, and of those that were refused.
pub(crate) fn statuses(
    publishers: &RenditionPublishers,
    refused: &[Refused],
    source_lives: bool,
    now: Instant,
) -> Vec<RenditionStatus> {
    let refused = refused.iter().map(|refused| RenditionStatus::failed(refused.name.clone(), refused.reason.clone()));
    publishers.values().map(|publisher| publisher.status(source_lives, now)).chain(refused).collect()
}

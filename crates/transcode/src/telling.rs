//! What a stage says of its renditions: events, lines of the log, and their status.

use std::time::Instant;

use weir_model::{RenditionState, RenditionStatus, StreamId};
use weir_observe::{Observe, fields};
use weir_pipeline::WorkerFault;

use crate::lag::LagChange;
use crate::plan::{Refused, RenditionPlan};
use crate::session::Outlets;

/// Says it of one stream.
#[derive(Debug)]
pub(crate) struct Teller {
    pub(crate) id: StreamId,
    pub(crate) observe: Observe,
}

impl Teller {
    /// It runs from now on, or by another encoder.
    pub(crate) fn planned(&self, rendition: &RenditionPlan) {
        let kind = if rendition.degraded { "rendition_degraded" } else { "rendition_planned" };
        let encoder = ("encoder", rendition.element.as_str());
        self.emit(kind, [("rendition", rendition.name.as_str()), encoder, ("reason", &rendition.reason)]);
    }

    pub(crate) fn refused(&self, Refused { name, reason, .. }: &Refused) {
        tracing::warn!(stream_id = %self.id, rendition = name, reason, "a rendition is refused");
        self.emit("rendition_refused", [("rendition", name.as_str()), ("reason", reason)]);
    }

    /// It fell behind, or is in time again.
    pub(crate) fn delay(&self, rendition: &str, element: &str, change: LagChange) {
        let (kind, reason) = match change {
            LagChange::Late => ("rendition_degraded", "it is behind its source"),
            LagChange::InTime => ("rendition_recovered", "it is in time again"),
        };
        tracing::warn!(stream_id = %self.id, rendition, reason, "a rendition's delay changed");
        self.emit(kind, [("rendition", rendition), ("encoder", element), ("reason", reason)]);
    }

    pub(crate) fn worker_failed(&self, fault: &WorkerFault) {
        let reason = fault.message.as_str();
        tracing::warn!(stream_id = %self.id, reason, "a transcoding worker failed and is started again");
        self.emit("worker_failed", [("reason", reason)]);
    }

    fn emit<const COUNT: usize>(&self, kind: &'static str, said: [(&'static str, &str); COUNT]) {
        let mut all = fields([("stream_id", self.id.0.into())]);
        all.extend(said.map(|(name, value)| (name.to_owned(), value.into())));
        self.observe.events().emit(kind, all);
    }
}

/// Of what runs, and of what was refused.
pub(crate) fn statuses(
    outlets: &Outlets,
    refused: &[Refused],
    source_lives: bool,
    now: Instant,
) -> Vec<RenditionStatus> {
    let refused = refused.iter().map(|refused| RenditionStatus {
        name: refused.name.clone(),
        encoder: String::new(),
        device: None,
        width: None,
        height: None,
        bitrate_bps: 0,
        target_bps: None,
        fps: None,
        latency_ms: None,
        state: RenditionState::Failed,
        reason: Some(refused.reason.clone()),
    });
    outlets.values().map(|outlet| outlet.status(source_lives, now)).chain(refused).collect()
}

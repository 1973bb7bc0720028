//! What a stage tells of its renditions: events, log lines and statuses.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_model::{EventKind, RenditionStatus, StreamId};
use weir_observe::{Observe, fields};
use weir_pipeline::WorkerFault;

use crate::lag::LagChange;
use crate::plan::{Refused, RenditionPlan};
use crate::wants::shared_label;
use crate::worker_run::RenditionPublishers;

/// A rendition that comes again as it was is told again only after so long. What is made for those who watch comes and goes with them, and
/// would fill the stream's events.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

/// So many renditions are remembered, which is twice what a ladder and those who watch can have at once.
const TOLD_MAX: usize = 64;

/// Tells the events of one stream.
#[derive(Debug)]
pub(crate) struct Teller {
    id: StreamId,
    observe: Observe,
    told: Told,
}

impl Teller {
    pub(crate) fn new(id: StreamId, observe: Observe) -> Self {
        Self { id, observe, told: Told::default() }
    }

    /// The rendition runs from now on, or runs with another encoder.
    pub(crate) fn planned(&mut self, rendition: &RenditionPlan, now: Instant) {
        if !self.told.is_news(rendition.name(), (&rendition.element, &rendition.reason), now) {
            return;
        }
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

/// What was told of renditions of late, and when: with which encoder each is made, and why with that one.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, (String, String, Instant)>);

impl Told {
    /// Whether this is to be told now; then it is taken as told.
    fn is_news(&mut self, name: &str, (element, reason): (&str, &str), now: Instant) -> bool {
        self.0.retain(|_, (.., at)| now.saturating_duration_since(*at) < TOLD_AGAIN_AFTER);
        if self.0.get(name).is_some_and(|(of, why, _)| of == element && why == reason) {
            return false;
        }
        if self.0.len() >= TOLD_MAX && !self.0.contains_key(name) {
            self.0.clear();
        }
        self.0.insert(name.to_owned(), (element.to_owned(), reason.to_owned(), now));
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_as_it_was_is_told_once_an_hour() {
        let (mut told, began) = (Told::default(), Instant::now());
        let at = |minutes: u64| began + Duration::from_secs(60 * minutes);
        for (name, element, reason, minutes, expected) in [
            ("~opus", "opusenc", "", 0, true),
            ("~opus", "opusenc", "", 1, false),
            ("720p", "nvh264enc", "", 1, true),
            ("720p", "x264enc", "the device is full", 2, true),
            ("720p", "nvh264enc", "", 3, true),
            ("720p", "nvh264enc", "", 4, false),
            ("~opus", "opusenc", "", 59, false),
            ("~opus", "opusenc", "", 60, true),
            ("~opus", "opusenc", "", 61, false),
        ] {
            assert_eq!(told.is_news(name, (element, reason), at(minutes)), expected, "{name} {element} at {minutes}");
        }
        for number in 0..1_000 {
            assert!(told.is_news(&format!("~{number}"), ("x264enc", ""), at(62)));
            assert!(told.0.len() <= TOLD_MAX);
        }
    }
}

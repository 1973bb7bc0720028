//! Reports a stream's status: what its source does, twice a second and whenever that changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::timeout;
use weir_hub::{SOURCE_RENDITION, SourcePulse, StreamHub};
use weir_ingest::pull::PullStatus;
use weir_ingest::{Intake, Measured, SlotMeasured};
use weir_model::{
    EventKind, IngestStatus, RenditionState, RenditionStatus, Slot, SourceState, SourceStatus, StreamState,
    StreamStatus, Viewers, WebrtcStatus,
};
use weir_observe::{Observe, fields};

use crate::bitrate_watch::BitrateWatch;
use crate::demand::Demands;

/// How often the figures are renewed.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// A connected source that gave nothing for so long is stalled.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// What the status is made from.
pub(crate) struct From {
    pub(crate) hub: StreamHub,
    pub(crate) intake: Intake,
    pub(crate) renditions: watch::Receiver<Vec<RenditionStatus>>,
    pub(crate) demands: Demands,
    /// How the sources go that are fetched.
    pub(crate) pulled: watch::Receiver<BTreeMap<Slot, PullStatus>>,
}

/// Reports for as long as the stream runs.
pub(crate) async fn tell((name, sources): (String, Vec<(Slot, &'static str)>), from: From, observe: Observe) {
    let From { hub, intake, renditions, demands, mut pulled } = from;
    let id = intake.stream_id();
    let mut pulse = hub.watch_pulse();
    let mut shown = StreamStatus::offline(OffsetDateTime::now_utc());
    let mut bitrate = BitrateWatch::default();
    let mut seen = (0, None);
    loop {
        let now = Instant::now();
        let beat = *pulse.borrow_and_update();
        let slots = intake.measure(now);
        let on_air = slots.iter().find(|slot| slot.on_air).map(|slot| slot.slot.clone());
        // What was measured of one source says nothing of another one.
        let sees = (beat.sessions, on_air);
        if sees != seen {
            seen = sees;
            bitrate = BitrateWatch::default();
        }
        let pulls = pulled.borrow_and_update().clone();
        let mut next = status((&beat, &pulls), (slots, &sources), &mut bitrate, &shown, now);
        next.by_hand = intake.by_hand();
        next.renditions.extend(renditions.borrow().iter().cloned());
        next.webrtc.made = demands.told(id, &shown.webrtc.made, &next.renditions);
        for warning in next.warnings.iter().filter(|new| shown.warnings.iter().all(|old| old.code != new.code)) {
            let event = [
                ("stream_id", id.0.into()),
                ("code", warning.code.clone().into()),
                ("message", warning.message.clone().into()),
            ];
            observe.events().emit(EventKind::StreamWarning, fields(event));
        }
        let changed = next.state != shown.state;
        let from = shown.state;
        shown = next;
        let reason = shown.reason.as_ref().map(|reason| reason.code.as_str());
        observe.board().set_stream(id, &name, shown.clone());
        if changed {
            let event = [
                ("stream_id", id.0.into()),
                ("stream", name.clone().into()),
                ("from", from.as_str().into()),
                ("to", shown.state.as_str().into()),
                ("reason", reason.into()),
            ];
            observe.events().emit(EventKind::StreamState, fields(event));
        }
        // It goes on at once when a publisher comes, starts or goes.
        let _ = timeout(TELL_EVERY, async {
            tokio::select! {
                _ = pulse.changed() => {}
                Ok(()) = pulled.changed() => {}
            }
        })
        .await;
    }
}

fn status(
    (pulse, pulls): (&SourcePulse, &BTreeMap<Slot, PullStatus>),
    (slots, kinds): (Vec<SlotMeasured>, &[(Slot, &'static str)]),
    bitrate: &mut BitrateWatch,
    before: &StreamStatus,
    now: Instant,
) -> StreamStatus {
    let pull = speaks_for_the_stream(pulls);
    let state = state(pulse, pull, now);
    let wall = OffsetDateTime::now_utc();
    let (mut on_air, mut measured, mut sources) = (None, None, Vec::with_capacity(slots.len()));
    for slot in slots {
        let kind = kinds.iter().find(|(name, _)| *name == slot.slot).map_or("push", |(_, kind)| *kind);
        sources.push(told_source(&slot, kind, pulls.get(&slot.slot), &before.sources));
        if slot.on_air {
            on_air = Some(slot.slot);
            measured = slot.measured;
        }
    }
    let (ingest, tracks, mut warnings) = match measured {
        Some(Measured { ingest, tracks, warnings }) => (Some(ingest), tracks, warnings),
        None => (None, Vec::new(), Vec::new()),
    };
    if let Some(ingest) = ingest.as_ref().filter(|_| state == StreamState::Live) {
        warnings.extend(bitrate.look(ingest.bitrate_bps, ingest.gop_seconds, now, wall));
    }
    StreamStatus {
        state,
        since: if state == before.state { before.since } else { wall },
        reason: pull.filter(|_| state == StreamState::Failed).and_then(|pull| pull.reason.clone()),
        renditions: ingest.as_ref().filter(|_| state == StreamState::Live).map(source_rendition).into_iter().collect(),
        ingest,
        on_air,
        by_hand: None,
        sources,
        tracks,
        viewers: Viewers::default(),
        webrtc: WebrtcStatus::default(),
        warnings,
    }
}

fn state(pulse: &SourcePulse, pull: Option<&PullStatus>, now: Instant) -> StreamState {
    if !pulse.attached {
        match pull.map(|pull| pull.state) {
            // A source that is fetched has failed, not gone: somebody should look.
            Some(SourceState::Failing) => StreamState::Failed,
            Some(SourceState::Connecting) => StreamState::Starting,
            _ => StreamState::Offline,
        }
    } else if !pulse.started {
        StreamState::Starting
    } else if pulse.is_live(now, STALLED_AFTER) {
        StreamState::Live
    } else {
        StreamState::Stalled
    }
}

/// The pull whose state is the stream's while nobody is there: one that is under way, or else one that failed.
fn speaks_for_the_stream(pulls: &BTreeMap<Slot, PullStatus>) -> Option<&PullStatus> {
    let under_way = |pull: &&PullStatus| pull.state == SourceState::Connecting;
    pulls.values().find(under_way).or_else(|| pulls.values().find(|pull| pull.state == SourceState::Failing))
}

/// One source as it is now. One that is fetched tells for itself how that goes.
fn told_source(
    seen: &SlotMeasured,
    kind: &'static str,
    pull: Option<&PullStatus>,
    before: &[SourceStatus],
) -> SourceStatus {
    let (slot, on_air) = (seen.slot.clone(), seen.on_air);
    let ingest = seen.measured.as_ref().map(|measured| measured.ingest.clone());
    if let Some(pull) = pull {
        let PullStatus { state, since, reason, attempt, next_retry_at } = pull.clone();
        return SourceStatus { slot, kind, state, on_air, since, reason, attempt, next_retry_at, ingest };
    }
    let state = seen.state;
    let known = before.iter().find(|known| known.slot == slot && known.state == state);
    let since = known.map_or_else(OffsetDateTime::now_utc, |known| known.since);
    SourceStatus { slot, kind, state, on_air, since, reason: None, attempt: 0, next_retry_at: None, ingest }
}

fn source_rendition(ingest: &IngestStatus) -> RenditionStatus {
    RenditionStatus {
        name: SOURCE_RENDITION.to_owned(),
        encoder: "passthrough".to_owned(),
        device: None,
        width: ingest.width,
        height: ingest.height,
        bitrate_bps: ingest.bitrate_bps,
        target_bps: None,
        fps: ingest.fps,
        latency_ms: None,
        state: RenditionState::Live,
        reason: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_follows_the_pulse() {
        let now = Instant::now();
        let pulse = |attached, started, quiet: u64| SourcePulse {
            attached,
            started,
            last_frame_at: Some(now - Duration::from_millis(quiet)),
            sessions: 1,
            ..SourcePulse::default()
        };
        let pull = |state| {
            let since = OffsetDateTime::UNIX_EPOCH;
            Some(PullStatus { state, since, reason: None, attempt: 1, next_retry_at: None })
        };
        for (pulse, pull, expected) in [
            (SourcePulse::default(), None, StreamState::Offline),
            (pulse(true, false, 0), None, StreamState::Starting),
            (pulse(true, true, 100), None, StreamState::Live),
            (pulse(true, true, 2_100), None, StreamState::Stalled),
            (pulse(false, false, 0), None, StreamState::Offline),
            (pulse(false, false, 0), pull(SourceState::Connecting), StreamState::Starting),
            (pulse(false, false, 0), pull(SourceState::Failing), StreamState::Failed),
            (pulse(true, true, 100), pull(SourceState::Failing), StreamState::Live),
        ] {
            assert_eq!(state(&pulse, pull.as_ref(), now), expected, "{pulse:?} {pull:?}");
        }
    }
}

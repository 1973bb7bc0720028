//! Reports a stream's status: what its source does, twice a second and whenever that changes.

use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::timeout;
use weir_hub::{SOURCE_RENDITION, SourcePulse, StreamHub};
use weir_ingest::{Intake, Measured};
use weir_model::{
    EventKind, IngestStatus, RenditionState, RenditionStatus, StreamState, StreamStatus, Viewers, WebrtcStatus,
};
use weir_observe::{Observe, fields};

use crate::bitrate_watch::BitrateWatch;
use crate::demand::Demands;

/// How often the figures are renewed.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// A connected source that gave nothing for so long is stalled.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// Reports for as long as the stream runs.
pub(crate) async fn tell(
    name: String,
    (hub, intake, renditions, demands): (StreamHub, Intake, watch::Receiver<Vec<RenditionStatus>>, Demands),
    observe: Observe,
) {
    let id = intake.stream_id();
    let mut pulse = hub.watch_pulse();
    let mut shown = StreamStatus::offline(OffsetDateTime::now_utc());
    let mut bitrate = BitrateWatch::default();
    let mut sessions = 0;
    loop {
        let now = Instant::now();
        let beat = *pulse.borrow_and_update();
        if beat.sessions != sessions {
            sessions = beat.sessions;
            bitrate = BitrateWatch::default();
        }
        let mut next = status(&beat, intake.measure(now), &mut bitrate, &shown, now);
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
        observe.board().set_stream(id, &name, shown.clone());
        if changed {
            let event = [
                ("stream_id", id.0.into()),
                ("stream", name.clone().into()),
                ("from", from.as_str().into()),
                ("to", shown.state.as_str().into()),
            ];
            observe.events().emit(EventKind::StreamState, fields(event));
        }
        // It goes on at once when a publisher comes, starts or goes.
        let _ = timeout(TELL_EVERY, pulse.changed()).await;
    }
}

fn status(
    pulse: &SourcePulse,
    measured: Option<Measured>,
    bitrate: &mut BitrateWatch,
    before: &StreamStatus,
    now: Instant,
) -> StreamStatus {
    let state = state(pulse, now);
    let wall = OffsetDateTime::now_utc();
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
        reason: None,
        renditions: ingest.as_ref().filter(|_| state == StreamState::Live).map(source_rendition).into_iter().collect(),
        ingest,
        tracks,
        viewers: Viewers::default(),
        webrtc: WebrtcStatus::default(),
        warnings,
    }
}

fn state(pulse: &SourcePulse, now: Instant) -> StreamState {
    if !pulse.attached {
        StreamState::Offline
    } else if !pulse.started {
        StreamState::Starting
    } else if pulse.is_live(now, STALLED_AFTER) {
        StreamState::Live
    } else {
        StreamState::Stalled
    }
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
        for (pulse, expected) in [
            (SourcePulse::default(), StreamState::Offline),
            (pulse(true, false, 0), StreamState::Starting),
            (pulse(true, true, 100), StreamState::Live),
            (pulse(true, true, 2_100), StreamState::Stalled),
            (pulse(false, false, 0), StreamState::Offline),
        ] {
            assert_eq!(state(&pulse, now), expected, "{pulse:?}");
        }
    }
}

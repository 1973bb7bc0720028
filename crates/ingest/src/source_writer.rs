//! Puts one publisher's frames on the stream's timeline and into the hub, whatever protocol they came by.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use weir_hub::Tracks;
use weir_media::{Frame, FrameFlags, TimelineEvent, TrackId, TrackInfo};
use weir_observe::Counter;

use crate::intake::Ticket;
use crate::meter::IngestMeter;
use crate::slots::Stamp;

/// Writes the frames of one publisher. When the writer is dropped, its slot is free again.
#[derive(Debug)]
pub(crate) struct SourceWriter {
    ticket: Ticket,
    tracks: Tracks,
}

/// A frame whose times are on the publisher's own clock, which the intake was told when it admitted the ticket.
#[derive(Debug)]
pub(crate) struct RawFrame {
    pub(crate) track: TrackId,
    pub(crate) keyframe: bool,
    pub(crate) dts_ticks: u64,
    pub(crate) cts_ticks: i64,
    pub(crate) payload: Bytes,
}

impl SourceWriter {
    pub(crate) fn new(ticket: Ticket) -> Self {
        Self { ticket, tracks: Tracks::default() }
    }

    pub(crate) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    pub(crate) fn meter(&self) -> &IngestMeter {
        &self.ticket.meter
    }

    pub(crate) fn is_hurried(&self) -> bool {
        self.ticket.intake().program().is_hurried()
    }

    /// How often subscribers of the source have asked for a keyframe so far.
    pub(crate) fn keyframes_asked(&self) -> u64 {
        self.ticket.intake().program().keyframes_asked()
    }

    pub(crate) fn track(&mut self, info: TrackInfo) {
        self.tracks([info]);
    }

    /// Takes tracks that are new or have changed, and tells the hub of all of them at once.
    pub(crate) fn tracks(&mut self, infos: impl IntoIterator<Item = TrackInfo>) {
        infos.into_iter().for_each(|info| self.take(info));
        self.ticket.intake().slots().set_tracks(self.ticket.session, &self.tracks);
    }

    fn take(&mut self, info: TrackInfo) {
        self.ticket.meter.track(&info);
        tracing::info!(
            stream_id = %self.ticket.intake().stream_id(),
            slot = %self.ticket.meter.slot(),
            track = info.id.0,
            codec = %info.codec,
            language = ?info.language,
            video = ?info.video.as_ref().map(|video| (video.width, video.height, &video.profile)),
            audio = ?info.audio.as_ref().map(|audio| (audio.sample_rate_hz, audio.channels)),
            "the source has a track"
        );
        self.tracks.put(Arc::new(info));
    }

    pub(crate) fn track_ended(&mut self, id: TrackId) {
        self.ticket.meter.track_ended(id);
        self.tracks.remove(id);
        self.ticket.intake().slots().set_tracks(self.ticket.session, &self.tracks);
    }

    pub(crate) fn frame(&mut self, frame: RawFrame, now: Instant) {
        let RawFrame { track, keyframe, dts_ticks, cts_ticks, payload } = frame;
        let Some(kind) = self.tracks.by_id(track).map(|info| info.kind()) else { return };
        let Ticket { session, ref meter, .. } = self.ticket;
        let intake = self.ticket.intake();
        let stamp = Stamp { track, kind, dts_ticks, cts_ticks, came_at: intake.clock().time_at(now) };
        let (event, switched) = {
            let mut slots = intake.slots();
            // A publisher that was replaced, or may not publish any more, has no place. What it still sends goes nowhere.
            let Some((stamped, event)) = slots.stamp(session, &stamp) else { return };
            let flags = FrameFlags { keyframe, discontinuity: stamped.discontinuity };
            let frame = Frame { track, dts: stamped.dts, pts: stamped.pts, flags, payload };
            meter.frame(&frame, kind, now);
            (event, slots.frame(session, frame, kind, now))
        };
        if let Some(switched) = switched {
            intake.tell(switched);
        }
        if let Some(event) = event {
            self.repaired(&event);
        }
    }

    fn repaired(&self, event: &TimelineEvent) {
        let intake = self.ticket.intake();
        intake.observe().counters().add(Counter::TimelineRepairs, 1);
        // Duplicates and single steps backward are too many to tell. Each other repair is worth a line.
        if !matches!(event, TimelineEvent::Duplicate | TimelineEvent::Backward { .. }) {
            tracing::info!(stream_id = %intake.stream_id(), ?event, "the source's clock was repaired");
        }
    }
}

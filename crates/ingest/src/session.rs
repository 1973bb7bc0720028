//! One RTMP publisher's session: messages in, frames on the stream's timeline out.

use std::sync::Arc;
use std::time::Instant;

use weir_hub::Tracks;
use weir_media::{Frame, FrameFlags, MediaKind, TimelineEvent, TrackId, TrackInfo};
use weir_observe::Counter;
use weir_rtmp::net::{MediaMessage, PublishSession, Refusal, RefusalCode};
use weir_rtmp::to_frames::{ToFrames, Unpacked, Unusable, WireFrame};

use crate::door::Ticket;

/// Broken messages are logged singly up to here, then only counted.
const BROKEN_LOGGED_MAX: u64 = 5;

/// So many broken messages in a row, and the publisher speaks something else than it says: it is told, instead of fed to a void.
const BROKEN_IN_A_ROW_MAX: u64 = 300;

/// Takes what a publisher sends; dropping it frees the stream's door.
#[derive(Debug)]
pub struct RtmpSession {
    ticket: Ticket,
    unpacker: ToFrames,
    tracks: Tracks,
    broken: u64,
    broken_in_a_row: u64,
}

impl RtmpSession {
    pub fn new(ticket: Ticket) -> Self {
        Self { ticket, unpacker: ToFrames::new(), tracks: Tracks::default(), broken: 0, broken_in_a_row: 0 }
    }

    fn track(&mut self, info: TrackInfo) {
        self.ticket.meter.track(&info);
        tracing::info!(
            stream_id = %self.ticket.door().stream_id(),
            codec = %info.codec,
            video = ?info.video.as_ref().map(|video| (video.width, video.height, &video.profile)),
            audio = ?info.audio.as_ref().map(|audio| (audio.sample_rate_hz, audio.channels)),
            "the source has a track"
        );
        match info.kind() {
            MediaKind::Video => self.tracks.video = Some(Arc::new(info)),
            MediaKind::Audio => self.tracks.audio = Some(Arc::new(info)),
        }
        self.ticket.publisher.set_tracks(self.tracks.clone());
    }

    fn frame(&mut self, frame: WireFrame, now: Instant) {
        let track = match frame.kind {
            MediaKind::Video => TrackId::SOURCE_VIDEO,
            MediaKind::Audio => TrackId::SOURCE_AUDIO,
        };
        let elapsed = self.ticket.door().elapsed(now);
        let stamped = self.ticket.on_timeline(|timeline| {
            timeline.stamp(track, frame.kind, u64::from(frame.dts_ms), i64::from(frame.cts_ms), elapsed)
        });
        // None: another publisher took over; what this one still sends goes nowhere.
        let Some((stamped, event)) = stamped else { return };
        if let Some(event) = event {
            self.repaired(&event);
        }
        let frame = Frame {
            track,
            dts: stamped.dts,
            pts: stamped.pts,
            flags: FrameFlags { keyframe: frame.keyframe, discontinuity: stamped.discontinuity },
            payload: frame.payload,
        };
        let kind = if track == TrackId::SOURCE_VIDEO { MediaKind::Video } else { MediaKind::Audio };
        self.ticket.meter.frame(&frame, kind, now);
        self.ticket.publisher.write(frame, kind, now);
    }

    fn repaired(&self, event: &TimelineEvent) {
        let door = self.ticket.door();
        door.observe().counters().add(Counter::TimelineRepairs, 1);
        // Single nudges are too many to tell; leaps are worth a line each.
        if !matches!(event, TimelineEvent::Duplicate | TimelineEvent::Backward { .. }) {
            tracing::info!(stream_id = %door.stream_id(), ?event, "the source's clock was repaired");
        }
    }

    fn broken(&mut self, why: &Unusable) -> Result<(), Refusal> {
        self.ticket.meter.dropped();
        self.broken += 1;
        self.broken_in_a_row += 1;
        let stream_id = self.ticket.door().stream_id();
        if self.broken <= BROKEN_LOGGED_MAX {
            tracing::warn!(%stream_id, %why, "a message of the source could not be used");
        }
        if why.is_unsupported() {
            return Err(Refusal::new(RefusalCode::Unsupported, why.to_string()));
        }
        if self.broken_in_a_row >= BROKEN_IN_A_ROW_MAX {
            return Err(Refusal::new(RefusalCode::Unsupported, format!("nothing usable arrives: {why}")));
        }
        Ok(())
    }
}

impl PublishSession for RtmpSession {
    fn media(&mut self, message: MediaMessage) -> Result<(), Refusal> {
        match self.unpacker.unpack(&message) {
            Ok(Unpacked::Track(info)) => self.track(info),
            Ok(Unpacked::Frame(frame)) => {
                self.broken_in_a_row = 0;
                self.frame(frame, Instant::now());
            }
            Ok(Unpacked::Nothing) => {}
            Err(why) => return self.broken(&why),
        }
        Ok(())
    }

    fn is_hurried(&self) -> bool {
        self.ticket.publisher.is_hurried()
    }
}

//! The session of one RTMP publisher: it takes messages, and puts their frames on the stream's timeline.

use std::time::Instant;

use weir_rtmp::net::{MediaMessage, PublishSession, Refusal, RefusalCode};
use weir_rtmp::to_frames::{ToFrames, Unpacked, Unusable};

use crate::intake::Ticket;
use crate::source_writer::{RawFrame, SourceWriter};

/// So many broken messages are logged one by one, and further ones are only counted.
const BROKEN_LOGGED_MAX: u64 = 5;

/// After so many broken messages in a row, the publisher speaks something else than it says. It is told so and sent away, so that it does
/// not send to nobody.
const BROKEN_IN_A_ROW_MAX: u64 = 300;

/// Takes what a publisher sends. When the session is dropped, the stream's intake is free again.
#[derive(Debug)]
pub struct RtmpSession {
    writer: SourceWriter,
    unpacker: ToFrames,
    /// What one message was unpacked to. The vector is kept so that it is not made anew for each message.
    unpacked: Vec<Unpacked>,
    broken: u64,
    broken_in_a_row: u64,
}

impl RtmpSession {
    pub fn new(ticket: Ticket) -> Self {
        Self {
            writer: SourceWriter::new(ticket),
            unpacker: ToFrames::new(),
            unpacked: Vec::new(),
            broken: 0,
            broken_in_a_row: 0,
        }
    }

    fn broken(&mut self, why: &Unusable) -> Result<(), Refusal> {
        self.writer.meter().dropped();
        self.broken += 1;
        self.broken_in_a_row += 1;
        let stream_id = self.writer.ticket().intake().stream_id();
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
        let unpacked = self.unpacker.unpack(&message, &mut self.unpacked);
        for unpacked in self.unpacked.drain(..) {
            match unpacked {
                Unpacked::Track(info) => self.writer.track(info),
                Unpacked::Frame(frame) => {
                    self.broken_in_a_row = 0;
                    let frame = RawFrame {
                        track: frame.track,
                        keyframe: frame.keyframe,
                        dts_ticks: u64::from(frame.dts_ms),
                        cts_ticks: i64::from(frame.cts_ms),
                        payload: frame.payload,
                    };
                    self.writer.frame(frame, Instant::now());
                }
            }
        }
        unpacked.or_else(|why| self.broken(&why))
    }

    fn is_hurried(&self) -> bool {
        self.writer.is_hurried()
    }
}

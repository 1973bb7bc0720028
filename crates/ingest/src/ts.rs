//! The session of a publisher of MPEG-TS, whatever protocol brings it. It takes bytes, puts their frames on the stream's timeline, and says
//! in words what is not carried.

use std::time::{Duration, Instant};

use weir_model::{EventKind, PathFigures};
use weir_mux::ts::{NotCarried, SOUNDS_MAX, Splice, SpliceCommand, TsEvent, TsReader};
use weir_observe::fields;

use crate::intake::Ticket;
use crate::meter::TransportFigures;
use crate::opening::Opening;
use crate::pace::Pace;
use crate::source_writer::{RawFrame, SourceWriter};

/// Bytes that bring no frame for so long are not media that we know. The publisher is sent away, so that it does not send to nobody.
const FRAMES_WITHIN: Duration = Duration::from_secs(15);

/// In this time `SPLICES_MAX` splices are told at most: a break has a handful, and whoever sends a thousand means no good.
const SPLICES_OVER: Duration = Duration::from_secs(10);
const SPLICES_MAX: u32 = 20;

/// Takes what a publisher sends. When the session is dropped, the stream's intake is free again.
#[derive(Debug)]
pub(crate) struct TsSession {
    writer: SourceWriter,
    reader: TsReader,
    /// What is held until the source has begun; None after that.
    opening: Option<Opening>,
    /// Since when bytes have come without a frame.
    fruitless_since: Option<Instant>,
    splices_since: Option<Instant>,
    splices: u32,
    /// Holds frames back until they are due; None for what comes as fast as it plays.
    pace: Option<Pace>,
    /// The frame that is held back, and when it is due.
    held_back: Option<(TsEvent, Instant)>,
}

/// The publisher sends nothing that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no picture or sound that can be used came in {} s of MPEG-TS", FRAMES_WITHIN.as_secs())]
pub(crate) struct Useless;

impl TsSession {
    /// Begins a session that reads the programme of that number, or the first one if there is no number.
    pub(crate) fn new(ticket: Ticket, program: Option<u16>) -> Self {
        Self {
            writer: SourceWriter::new(ticket),
            reader: TsReader::new(program),
            opening: Some(Opening::new()),
            fruitless_since: None,
            splices_since: None,
            splices: 0,
            pace: None,
            held_back: None,
        }
    }

    /// Begins a session of what comes faster than it plays: its frames go on when they are due.
    pub(crate) fn paced(ticket: Ticket, program: Option<u16>) -> Self {
        Self { pace: Some(Pace::default()), ..Self::new(ticket, program) }
    }

    /// When [`Self::bytes`] must be called again, without more bytes: the next frame is due then.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.held_back.as_ref().map(|(_, at)| *at)
    }

    /// Ends a segment: the next one may come from another muxer. Frames that are held back stay so.
    pub(crate) fn cut(&mut self, now: Instant) {
        self.reader.cut();
        self.take_events(now);
    }

    /// Takes bytes as they came. An error means that the publisher is to be sent away.
    pub(crate) fn bytes(&mut self, bytes: &[u8], now: Instant) -> Result<(), Useless> {
        self.reader.feed(bytes);
        self.fruitless_since.get_or_insert(now);
        self.take_events(now);
        if self.opening.as_ref().is_some_and(|opening| opening.is_over(self.reader.awaits_sound(), now)) {
            self.open();
        }
        let fruitless = self.fruitless_since.is_some_and(|at| now.saturating_duration_since(at) >= FRAMES_WITHIN);
        if fruitless { Err(Useless) } else { Ok(()) }
    }

    /// Ends the session. Nothing more comes, so the last picture is whole now.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.pace = None;
        self.reader.finish();
        self.take_events(now);
        self.open();
        self.tell_counts();
    }

    /// Takes the figures of the path from the publisher to us, which the caller tells about once a second.
    pub(crate) fn path(&self, figures: PathFigures) {
        self.writer.meter().path(figures);
        self.tell_counts();
    }

    /// Whether each picture is wanted as soon as it comes.
    pub(crate) fn is_hurried(&self) -> bool {
        self.writer.is_hurried()
    }

    /// Passes on what was held, with the times at which it came.
    fn open(&mut self) {
        let Some((tracks, held)) = self.opening.take().map(Opening::into_parts) else { return };
        self.writer.tracks(tracks);
        for (frame, came_at) in held {
            self.writer.frame(frame, came_at);
        }
    }

    /// Takes the share of packets that the network lost lately.
    pub(crate) fn loss_percent(&self, percent: f64) {
        self.writer.meter().loss_percent(percent);
    }

    /// Tells the meter what the reader has counted.
    pub(crate) fn tell_counts(&self) {
        let counts = self.reader.counts();
        self.writer.meter().transport(TransportFigures {
            continuity_errors: counts.continuity_errors,
            broken_frames: counts.broken_frames,
        });
    }

    fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.next_event(now) {
            let stream_id = self.writer.ticket().intake().stream_id();
            match event {
                TsEvent::Frame(frame) => {
                    self.fruitless_since = None;
                    let frame = RawFrame {
                        track: frame.track,
                        keyframe: frame.keyframe,
                        // The timeline counts modulo 2^33, as the sender does.
                        dts_ticks: frame.dts_ticks.cast_unsigned(),
                        cts_ticks: frame.cts_ticks,
                        payload: frame.payload,
                    };
                    match &mut self.opening {
                        Some(opening) => opening.hold(frame, now),
                        None => self.writer.frame(frame, now),
                    }
                }
                TsEvent::Track(info) => {
                    // The frames that are held of this track belong to the track as it was before.
                    if self.opening.as_ref().is_some_and(|opening| opening.holds(info.id)) {
                        self.open();
                    }
                    match &mut self.opening {
                        Some(opening) => opening.tell(info),
                        None => self.writer.track(info),
                    }
                }
                TsEvent::TrackEnded(id) => {
                    self.open();
                    self.writer.track_ended(id);
                }
                TsEvent::Program(program) => {
                    self.writer.meter().forget_not_carried();
                    let streams: Vec<String> = program.streams.iter().map(|it| it.stream.to_string()).collect();
                    tracing::info!(%stream_id, program = program.number, ?streams, "the source has a programme");
                }
                TsEvent::ProgramMissing { wanted, available } => {
                    tracing::warn!(%stream_id, wanted, ?available, "the programme that was asked for is not there");
                }
                TsEvent::NotCarried { pid, stream, why } => {
                    let message = match why {
                        NotCarried::Unsupported if stream.kind().is_some() => format!(
                            "the source's {stream} (PID {pid}) is not carried: send H.264, HEVC or MPEG-2 pictures and AAC, AC-3, E-AC-3, MP2, MP3 or Opus sound"
                        ),
                        NotCarried::Another if stream.kind().is_some() => {
                            format!(
                                "the source's {stream} (PID {pid}) is not carried: a stream carries one picture and {SOUNDS_MAX} sounds"
                            )
                        }
                        // Nobody here misses subtitles and other data.
                        _ => continue,
                    };
                    tracing::warn!(%stream_id, message);
                    self.writer.meter().not_carried(pid, message);
                }
                TsEvent::Scte35 { pid, section } => self.splice(pid, &section, now),
            }
        }
    }

    /// The next event that is due.
    fn next_event(&mut self, now: Instant) -> Option<TsEvent> {
        let (event, due_at) = match self.held_back.take() {
            Some(held_back) => held_back,
            None => {
                let event = self.reader.next_event()?;
                let due_at = match (&mut self.pace, &event) {
                    (Some(pace), TsEvent::Frame(frame)) => pace.due_at(frame.dts_ticks, now),
                    _ => now,
                };
                (event, due_at)
            }
        };
        if due_at > now && self.pace.is_some() {
            self.held_back = Some((event, due_at));
            return None;
        }
        Some(event)
    }

    fn splice(&mut self, pid: u16, section: &[u8], now: Instant) {
        let Some(splice) = Splice::parse(section) else { return };
        let command = match splice.command {
            // A null command is sent all the time, only to say that the sender is there.
            SpliceCommand::Null => return,
            SpliceCommand::Insert { out: true, .. } => "out",
            SpliceCommand::Insert { .. } => "in",
            SpliceCommand::TimeSignal if splice.segmentations.iter().any(weir_mux::ts::Segmentation::is_out) => "out",
            SpliceCommand::TimeSignal if splice.segmentations.iter().any(weir_mux::ts::Segmentation::is_in) => "in",
            SpliceCommand::TimeSignal => "time_signal",
            SpliceCommand::Other { .. } => "other",
        };
        if self.splices_since.is_none_or(|at| now.saturating_duration_since(at) >= SPLICES_OVER) {
            self.splices_since = Some(now);
            self.splices = 0;
        }
        self.splices += 1;
        if self.splices > SPLICES_MAX {
            return;
        }
        let intake = self.writer.ticket().intake();
        let event = [
            ("stream_id", intake.stream_id().0.into()),
            ("slot", self.writer.meter().slot().as_str().into()),
            ("pid", pid.into()),
            ("command", command.into()),
            ("pts_ticks", splice.pts_ticks.into()),
        ];
        intake.observe().events().emit(EventKind::Scte35, fields(event));
    }
}

#[cfg(test)]
#[path = "ts_tests.rs"]
mod tests;

//! The session of one publisher by WebRTC: frames off its connection, onto the stream's timeline, until either side has had enough.

use std::time::{Duration, Instant};

use weir_model::WebrtcFigures;
use weir_webrtc::{CertificateFault, Incoming, IncomingEnd, IncomingEvent, IncomingFigures, RtpFrame, RtpUnpacked};

use crate::intake::Ticket;
use crate::meter::WebrtcPath;
use crate::opening::Opening;
use crate::source_writer::{RawFrame, SourceWriter};

/// After so long without a single frame the publisher is sent away: what it sends is nothing that can be used.
const FRAMES_WITHIN: Duration = Duration::from_secs(15);

/// Why a publisher's session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhipEnd {
    Connection(IncomingEnd),
    /// Packets came for 15 s, and no frame came of them.
    NoFrames,
}

impl WhipEnd {
    /// The reason in words, for the log.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Connection(end) => end.words(),
            Self::NoFrames => "no picture or sound that can be used came in 15 s",
        }
    }

    /// What is wrong with the publisher's certificate, if the session ended because of that.
    pub const fn certificate_fault(self) -> Option<CertificateFault> {
        match self {
            Self::Connection(IncomingEnd::Certificate(fault)) => Some(fault),
            _ => None,
        }
    }
}

/// Reads one publisher's connection. When it is dropped, the stream's intake is free again, and the connection is closed.
#[derive(Debug)]
pub struct WhipPublisher {
    incoming: Incoming,
    writer: SourceWriter,
    /// What is held until the source has begun.
    opening: Option<Opening>,
    /// The kinds of media that were agreed on and have not shown yet.
    awaits_video: bool,
    awaits_audio: bool,
    framed_at: Instant,
    /// How often the source's subscribers had asked for a keyframe when that was passed on last.
    keyframes_asked: u64,
}

impl WhipPublisher {
    pub fn new(incoming: Incoming, ticket: Ticket) -> Self {
        let writer = SourceWriter::new(ticket);
        Self {
            keyframes_asked: writer.keyframes_asked(),
            awaits_video: incoming.has_video(),
            awaits_audio: incoming.has_audio(),
            incoming,
            writer,
            opening: Some(Opening::new()),
            framed_at: Instant::now(),
        }
    }

    /// Reads until either side has had enough.
    pub async fn run(&mut self) -> WhipEnd {
        loop {
            let received = self.incoming.next().await;
            let now = Instant::now();
            match received {
                IncomingEvent::Media(unpacked) => self.media(unpacked, now),
                IncomingEvent::Figures(figures) => {
                    self.tell(&figures);
                    if figures.connected && now.saturating_duration_since(self.framed_at) >= FRAMES_WITHIN {
                        return WhipEnd::NoFrames;
                    }
                }
                IncomingEvent::Ended(end) => {
                    self.open();
                    self.tell(&self.incoming.figures());
                    return WhipEnd::Connection(end);
                }
            }
            let asked = self.writer.keyframes_asked();
            if std::mem::replace(&mut self.keyframes_asked, asked) != asked {
                self.incoming.want_keyframe();
            }
            let awaits = self.awaits_video || self.awaits_audio;
            if self.opening.as_ref().is_some_and(|opening| opening.is_over(awaits, now)) {
                self.open();
            }
        }
    }

    /// Tells the publisher that it is over.
    pub fn close(&mut self) {
        self.incoming.close();
    }

    fn media(&mut self, unpacked: RtpUnpacked, now: Instant) {
        match unpacked {
            RtpUnpacked::Track(info) => match &mut self.opening {
                // What is held of this track belongs to the track as it was before.
                Some(opening) if !opening.holds(info.id) => opening.tell(info),
                _ => {
                    self.open();
                    self.writer.track(info);
                }
            },
            RtpUnpacked::Frame(RtpFrame { track, keyframe, ticks, payload }) => {
                self.framed_at = now;
                if track == weir_media::TrackId::SOURCE_VIDEO {
                    self.awaits_video = false;
                } else {
                    self.awaits_audio = false;
                }
                // The timeline counts modulo 2^33, and the ticks begin far above zero.
                let frame = RawFrame { track, keyframe, dts_ticks: ticks.cast_unsigned(), cts_ticks: 0, payload };
                match &mut self.opening {
                    Some(opening) => opening.hold(frame, now),
                    None => self.writer.frame(frame, now),
                }
            }
        }
    }

    /// Lets what was held go on, each frame as of when it came.
    fn open(&mut self) {
        let Some((tracks, held)) = self.opening.take().map(Opening::into_parts) else { return };
        self.writer.tracks(tracks);
        for (frame, came_at) in held {
            self.writer.frame(frame, came_at);
        }
    }

    fn tell(&self, figures: &IncomingFigures) {
        if !figures.connected {
            return;
        }
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        self.writer.meter().webrtc(WebrtcPath {
            rtt_ms: figures.rtt.map(milliseconds),
            loss_percent: figures.loss_percent,
            left_out: figures.left_out,
            b_frames: figures.reordered > 0,
            figures: WebrtcFigures {
                lost_packets: figures.missed_packets,
                dropped_packets: figures.lost_packets,
                repeat_requests: figures.nacks,
                keyframe_requests: figures.keyframes_asked,
                jitter_ms: milliseconds(figures.jitter),
            },
        });
    }
}

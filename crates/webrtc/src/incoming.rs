//! Drives one publisher's connection: datagrams go in and frames come out, until either side ends it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use weir_media::Codec;

use crate::channel::Over;
use crate::crypto::CertificateFault;
use crate::engine::Shared;
use crate::outbox::Burst;
use crate::publishing::{PacketKind, RecentLoss, RtpUnpacked, ToFrames};
use crate::receiver::{Arrival, Feedback, Receiver};
use crate::routes::Route;

/// The handshake must be over so long after the answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// A publisher that is connected and sends no packet of media for so long is sent away: it holds the stream for nothing.
const SILENT_MAX: Duration = Duration::from_secs(15);

/// The figures are told this often.
const FIGURES_EVERY: Duration = Duration::from_secs(1);

/// What comes of a publisher's connection.
#[derive(Clone, Debug)]
pub enum IncomingEvent {
    Media(RtpUnpacked),
    /// The figures, which come once a second.
    Figures(IncomingFigures),
    Ended(IncomingEnd),
}

/// Why a publisher's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncomingEnd {
    /// Nobody came for the answer, or nobody got through. Mostly a port is not open to the outside.
    NeverConnected,
    Left,
    /// The publisher was connected and sent no media for 15 s.
    Silent,
    /// The publisher is not who its offer says, or speaks DTLS wrongly.
    Fault,
    /// The publisher's certificate is none that we take.
    Certificate(CertificateFault),
}

impl IncomingEnd {
    /// The reason in words, for the log.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NeverConnected => {
                "nobody connected within 15 s: is the port open to the outside, and the address right?"
            }
            Self::Left => "the publisher left",
            Self::Silent => "the publisher sent nothing for 15 s",
            Self::Fault => "the publisher is not who its offer says, or its DTLS failed",
            Self::Certificate(fault) => fault.words(),
        }
    }
}

/// How the way from the publisher to us is. Counts are since the connection was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IncomingFigures {
    pub connected: bool,
    /// The round trip, which is unknown if the publisher does not answer to reports of the receiver (RTCP XR).
    pub rtt: Option<Duration>,
    pub jitter: Duration,
    /// The loss of the last ten seconds, repaired or not.
    pub loss_percent: f64,
    pub missed_packets: u64,
    /// The missed packets that were never repaired in time.
    pub lost_packets: u64,
    /// How often the publisher was asked to repeat packets.
    pub nacks: u64,
    /// How often the publisher was asked for a keyframe because something was missing.
    pub keyframes_asked: u64,
    /// The pictures that were left out, because something that they need is missing.
    pub left_out: u64,
    /// The left-out pictures that came in another order than they are shown in, which are B-frames.
    pub reordered: u64,
}

/// One publisher's connection. Dropped, it is closed without a goodbye; [`Incoming::close`] says one.
#[derive(Debug)]
pub struct Incoming {
    shared: Arc<Shared>,
    /// The receiver is some kilobytes large, and futures that hold it are moved, so it is boxed.
    receiver: Box<Receiver>,
    route: Route,
    frames: Box<ToFrames>,
    has_video: bool,
    has_audio: bool,
    began: Instant,
    heard_at: Instant,
    told_at: Instant,
    loss: RecentLoss,
    figures: IncomingFigures,
}

impl Incoming {
    /// `pictures` are their codec, and how many layers they have, if there are any.
    pub(crate) fn new(
        shared: Arc<Shared>,
        receiver: Receiver,
        route: Route,
        pictures: Option<(Codec, usize)>,
        has_audio: bool,
    ) -> Self {
        let now = Instant::now();
        let (codec, layers) = pictures.unwrap_or((Codec::H264, 1));
        Self {
            shared,
            receiver: Box::new(receiver),
            route,
            frames: Box::new(ToFrames::new(now, codec, layers)),
            has_video: pictures.is_some(),
            has_audio,
            began: now,
            heard_at: now,
            told_at: now,
            loss: RecentLoss::default(),
            figures: IncomingFigures::default(),
        }
    }

    /// Makes the connection that much older.
    #[cfg(test)]
    pub(crate) fn came_earlier(&mut self, by: Duration) {
        self.began -= by;
    }

    pub fn has_video(&self) -> bool {
        self.has_video
    }

    pub fn has_audio(&self) -> bool {
        self.has_audio
    }

    pub fn figures(&self) -> IncomingFigures {
        self.figures
    }

    /// Asks the publisher for a keyframe, as soon as it may be asked again: somebody who watches can't go on without one.
    pub fn want_keyframe(&mut self) {
        self.frames.want_keyframe();
    }

    /// Waits for the next thing that comes. Nothing is lost if the future is dropped before it has finished.
    pub async fn next(&mut self) -> IncomingEvent {
        loop {
            let now = Instant::now();
            let wake = match self.poll(now) {
                Ok(wake) => wake,
                Err(ended) => return IncomingEvent::Ended(ended),
            };
            self.frames.due(now);
            if let Some(unpacked) = self.frames.next() {
                return IncomingEvent::Media(unpacked);
            }
            if let Some(source) = self.frames.keyframe_wanted(now) {
                self.receiver.ask_for_keyframe(source, now);
                continue;
            }
            if now.saturating_duration_since(self.told_at) >= FIGURES_EVERY {
                self.told_at = now;
                return IncomingEvent::Figures(self.look());
            }
            let wake =
                self.frames.deadline().map_or(wake, |deadline| wake.min(deadline)).min(self.told_at + FIGURES_EVERY);
            match timeout_at(wake.into(), self.route.inbox.recv()).await {
                Ok(Some(datagram)) => self.receiver.receive(&datagram, Instant::now()),
                // The route holds a sender of its own, so the inbox does not end.
                Ok(None) => return IncomingEvent::Ended(IncomingEnd::Left),
                Err(_) => self.receiver.tick(Instant::now()),
            }
        }
    }

    /// Tells the far end that it is over.
    pub fn close(&mut self) {
        self.receiver.close();
        let _ = self.poll(Instant::now());
    }

    /// Sends what there is to send, takes what came, and returns when to come again.
    fn poll(&mut self, now: Instant) -> Result<Instant, IncomingEnd> {
        let Self { shared, receiver, route, frames, figures, heard_at, .. } = self;
        let send = |burst: Burst<'_>| {
            route.answered(burst.way.transport, burst.way.destination);
            shared.send(burst);
        };
        let tell = |arrival| match arrival {
            Arrival::Connected => {
                figures.connected = true;
                *heard_at = now;
            }
            Arrival::Packet(kind, packet) => {
                *heard_at = now;
                frames.packet(kind, packet);
            }
            Arrival::Feedback(kind, feedback) => figures.take(kind, feedback),
        };
        let wake = receiver.poll(shared.segments_max(), send, tell);
        let connected = self.figures.connected;
        let wake = wake.map_err(|over| match over {
            Over::Left if connected => IncomingEnd::Left,
            Over::Left => IncomingEnd::NeverConnected,
            Over::Fault => IncomingEnd::Fault,
            Over::Certificate(fault) => IncomingEnd::Certificate(fault),
        })?;
        let patience = if connected { self.heard_at + SILENT_MAX } else { self.began + CONNECT_WITHIN };
        match patience <= now {
            true if connected => Err(IncomingEnd::Silent),
            true => Err(IncomingEnd::NeverConnected),
            false => Ok(wake.min(patience)),
        }
    }

    fn look(&mut self) -> IncomingFigures {
        let [video, audio] = self.frames.counts();
        let (missed, received) = (video.missed + audio.missed, video.received + audio.received);
        let figures = &mut self.figures;
        figures.missed_packets = missed;
        figures.lost_packets = video.lost + audio.lost;
        figures.loss_percent = self.loss.look(missed, received);
        figures.keyframes_asked = self.frames.asked_for_loss();
        figures.left_out = self.frames.left_out();
        figures.reordered = self.frames.reordered();
        *figures
    }
}

impl IncomingFigures {
    fn take(&mut self, kind: PacketKind, feedback: Feedback) {
        self.rtt = feedback.rtt.or(self.rtt);
        if kind == PacketKind::Video {
            self.nacks = feedback.nacks;
            self.jitter = feedback.jitter;
        } else if self.jitter.is_zero() {
            self.jitter = feedback.jitter;
        }
    }
}

#[cfg(test)]
mod tests;

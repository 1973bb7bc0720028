//! Runs one viewer's connection: datagrams come in and a rendition's batches go out, until one side ends it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;
use weir_hub::{Cursor, Item, Next};

use crate::channel::Over;
use crate::engine::Shared;
use crate::from_frames::RtpBatch;
use crate::pace::{BETWEEN, PACKETS_AT_ONCE, Pace};
use crate::peer::{Fact, Peer};
use crate::routes::Route;

/// The time that a viewer has from our answer to the end of its handshake.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// A browser reports how media arrives about once a second. One that is gone without a goodbye just stops.
const REPORT_WITHIN: Duration = Duration::from_secs(15);

/// A viewer's wishes for keyframes are passed on so often at most, however often it says them.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The viewer never connected: it did not want to, or it could not get through, mostly because a port is not open to the outside.
    NeverConnected,
    Left,
    /// The viewer sent no report for 15 s.
    Silent,
    /// The far end is not who its offer says, or speaks DTLS wrongly.
    Fault,
    /// The stream's feed ended.
    FeedEnded,
    /// The source now sends pictures in an order that browsers can't show.
    Reordered,
}

impl Ended {
    /// The reason in words, for the log.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NeverConnected => {
                "nobody connected within 15 s: is the port open to the outside, and the address right?"
            }
            Self::Left => "the viewer left",
            Self::Silent => "the viewer is gone: no report for 15 s",
            Self::Fault => "the viewer is not who its offer says, or its DTLS failed",
            Self::FeedEnded => "the stream ended",
            Self::Reordered => "the source sends B-frames now, which no browser shows by WebRTC",
        }
    }
}

/// What has become of a connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub connected: bool,
    pub pictures: u64,
    /// How many batches were passed over because the connection or this machine was too slow.
    pub dropped: u64,
    pub keyframes_wanted: u64,
    pub loss_permille: Option<u16>,
    pub rtt: Option<Duration>,
}

#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    /// The peer is boxed because it is some kilobytes large, and futures that hold it are moved.
    peer: Box<Peer>,
    route: Route,
    began: Instant,
    reported: Instant,
    figures: Figures,
}

/// The wishes for keyframes that were passed on.
#[derive(Default)]
struct PassedOn {
    wishes: u64,
    at: Option<Instant>,
}

impl PassedOn {
    /// How many wishes are to be passed on now, of so many that there have been.
    fn due(&mut self, wishes: u64, now: Instant) -> u64 {
        if wishes == self.wishes || self.at.is_some_and(|at| now.saturating_duration_since(at) < ASK_EVERY) {
            return 0;
        }
        self.at = Some(now);
        wishes - std::mem::replace(&mut self.wishes, wishes)
    }
}

/// A batch on its way out: how many of its payloads are sent, and when the next ones are due.
struct Going {
    batch: RtpBatch,
    sent: usize,
    due: Instant,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, peer: Peer, route: Route) -> Self {
        let now = Instant::now();
        Self { shared, peer: Box::new(peer), route, began: now, reported: now, figures: Figures::default() }
    }

    /// Makes the connection older by so much.
    #[cfg(test)]
    pub(crate) fn came_earlier(&mut self, by: Duration) {
        self.began -= by;
    }

    /// Makes the viewer's last report older by so much.
    #[cfg(test)]
    pub(crate) fn reported_earlier(&mut self, by: Duration) {
        self.reported -= by;
    }

    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Runs the connection to its end. If this future is dropped before, the connection ends without a goodbye; [`Connection::close`] says
    /// one. `ask` is called when the viewer wants a keyframe, with how often it has said so since the last call.
    pub async fn serve(&mut self, batches: &mut Cursor<RtpBatch>, mut ask: impl FnMut(u64)) -> Ended {
        let mut timer = pin!(sleep_until(Instant::now().into()));
        let mut pace = Pace::default();
        let mut going: Option<Going> = None;
        let mut passed_on = PassedOn::default();
        loop {
            let now = Instant::now();
            let mut polled = self.poll(now);
            // `str0m` insists that its output is polled after each change and before the next one.
            if let Some(sent) = going.take_if(|going| polled.is_ok() && going.due <= now) {
                going = self.send_some(sent, batches, now);
                polled = self.poll(now);
            }
            let wake = match polled {
                Ok(wake) => wake,
                Err(ended) => return ended,
            };
            match passed_on.due(self.figures.keyframes_wanted, now) {
                0 => {}
                wishes => ask(wishes),
            }
            let wake = going.as_ref().map_or(wake, |going| wake.min(going.due));
            timer.as_mut().reset(wake.into());
            let wants_more = self.figures.connected && going.is_none();
            tokio::select! {
                biased;
                datagram = self.route.inbox.recv() => {
                    if let Some(datagram) = datagram {
                        self.peer.receive(&datagram, Instant::now());
                    }
                }
                next = batches.next(), if wants_more => match next {
                    Next::Item(batch) if batch.is_reordered() => return Ended::Reordered,
                    Next::Item(batch) => {
                        let due = pace.due(batch.time(), Instant::now());
                        going = Some(Going { batch, sent: 0, due });
                    }
                    Next::Skipped { items } => {
                        self.figures.dropped += items;
                        pace.restart();
                    }
                    Next::Closed => return Ended::FeedEnded,
                },
                () = timer.as_mut() => self.peer.tick(Instant::now()),
            }
        }
    }

    /// Says goodbye to the far end.
    pub fn close(&mut self) {
        self.peer.close();
        let _ = self.poll(Instant::now());
    }

    /// Sends the next packets of a batch, and returns the batch if some of it is left.
    fn send_some(&mut self, going: Going, batches: &Cursor<RtpBatch>, now: Instant) -> Option<Going> {
        let Going { batch, sent, .. } = going;
        let payloads = batch.payloads();
        let end = payloads.len().min(sent + PACKETS_AT_ONCE);
        let newest = batches.newest_time().unwrap_or(batch.time());
        self.peer.write(payloads.get(sent..end).unwrap_or_default(), newest, now);
        if end < payloads.len() {
            return Some(Going { batch, sent: end, due: now + BETWEEN });
        }
        self.figures.pictures += u64::from(payloads.last().is_some_and(|payload| payload.marker));
        None
    }

    /// Sends what the peer has to send, notes what it tells, and returns when to poll again.
    fn poll(&mut self, now: Instant) -> Result<Instant, Ended> {
        let Self { shared, peer, route, figures, reported, .. } = self;
        let send = |burst: crate::outbox::Burst| {
            route.answered(burst.transport, burst.destination);
            shared.send(burst);
        };
        let tell = |fact| match fact {
            Fact::Connected => {
                figures.connected = true;
                *reported = now;
            }
            Fact::WantsKeyframe => figures.keyframes_wanted += 1,
            Fact::Report { loss_permille, rtt } => {
                *reported = now;
                figures.loss_permille = loss_permille;
                figures.rtt = rtt.or(figures.rtt);
            }
        };
        let wake = peer.poll(shared.segments_max(), send, tell);
        let connected = self.figures.connected;
        let wake = wake.map_err(|over| match over {
            Over::Left if connected => Ended::Left,
            Over::Left => Ended::NeverConnected,
            Over::Fault => Ended::Fault,
        })?;
        let patience = if connected { self.reported + REPORT_WITHIN } else { self.began + CONNECT_WITHIN };
        match patience <= now {
            true if connected => Err(Ended::Silent),
            true => Err(Ended::NeverConnected),
            false => Ok(wake.min(patience)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_for_keyframes_are_passed_on_at_a_bounded_rate_and_none_is_forgotten() {
        let (start, mut passed_on) = (Instant::now(), PassedOn::default());
        let due = [(0, 0), (10, 1), (20, 5), (150, 5), (210, 5), (220, 5), (900, 6)]
            .map(|(ms, wishes)| passed_on.due(wishes, start + Duration::from_millis(ms)));
        assert_eq!(due, [0, 1, 0, 0, 4, 0, 1]);
    }
}

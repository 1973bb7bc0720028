//! Runs one viewer's connection: datagrams come in and a rendition's batches go out, until one side ends it.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;
use weir_hub::{Cursor, Item, Next};
use weir_media::MediaTime;

use crate::carrier::{Carrier, Cut};
use crate::channel::Over;
use crate::crypto::CertificateFault;
use crate::from_frames::{RtpBatch, RtpKind};
use crate::pace::{BETWEEN, PACKETS_AT_ONCE, Pace};
use crate::peer::{Fact, Part, Written};
use crate::pictures::{Elsewhere, Move, Pictures, begins_well};

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
    /// The viewer's certificate is none that we take.
    Certificate(CertificateFault),
    /// The process that ran the viewer is gone.
    EngineEnded,
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
            Self::Certificate(fault) => fault.words(),
            Self::EngineEnded => "the process of webrtcbin ended, and its viewers with it",
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
    carrier: Carrier,
    began: Instant,
    reported: Instant,
    figures: Figures,
    /// What the far end said of the path, for whoever steers. It is a few reports at most, as they are taken after each poll.
    heard: Vec<Heard>,
}

/// What a viewer says of the path to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// How much of the picture was lost since the last report, and how many bytes were sent of it so far, repetitions included.
    Report { loss_permille: u16, sent_bytes: u64 },
    /// How much the viewer believes that the path carries.
    Estimate { bits_per_second: u64 },
}

/// Whoever decides what a viewer is sent.
pub trait Steer {
    /// The viewer wants a keyframe, and has said so this often since the last call.
    fn keyframes_wanted(&mut self, count: u64);

    /// Hears of the path, and may send the viewer to another rendition. Its pictures follow from its next keyframe on; until then, the viewer
    /// stays where it is.
    fn heard(&mut self, heard: &Heard, now: Instant) -> Option<Move>;

    /// The viewer has arrived at the rendition that it was sent to last, or at the first one, to which it also goes back where the other ends.
    fn arrived(&mut self, at_first: bool);
}

/// Viewers that nobody steers stay where they began.
impl Steer for () {
    fn keyframes_wanted(&mut self, _: u64) {}

    fn heard(&mut self, _: &Heard, _: Instant) -> Option<Move> {
        None
    }

    fn arrived(&mut self, _: bool) {}
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
    part: Part,
    sent: usize,
    due: Instant,
}

impl Connection {
    pub(crate) fn new(carrier: Carrier) -> Self {
        let now = Instant::now();
        Self { carrier, began: now, reported: now, figures: Figures::default(), heard: Vec::new() }
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
    /// one. The sound is always that of `first`; the pictures are, too, until `steer` says otherwise.
    pub async fn serve(&mut self, first: &mut Cursor<RtpBatch>, steer: &mut impl Steer) -> Ended {
        let mut timer = pin!(sleep_until(Instant::now().into()));
        let mut pace = Pace::default();
        let mut going: Option<Going> = None;
        let mut passed_on = PassedOn::default();
        let mut pictures = Pictures::default();
        loop {
            let now = Instant::now();
            let wake = match self.poll(now) {
                Ok(wake) => wake,
                Err(ended) => return ended,
            };
            if let Some(sent) = going.take_if(|going| going.due <= now) {
                let newest = first.newest_time().unwrap_or(sent.batch.time());
                going = self.send_some(sent, newest, now);
            }
            match passed_on.due(self.figures.keyframes_wanted, now) {
                0 => {}
                wishes => steer.keyframes_wanted(wishes),
            }
            for report in std::mem::take(&mut self.heard) {
                pictures.next = steer.heard(&report, now).or(pictures.next.take());
            }
            let wake = going.as_ref().map_or(wake, |going| wake.min(going.due));
            timer.as_mut().reset(wake.into());
            let wants_more = self.figures.connected && going.is_none();
            tokio::select! {
                biased;
                () = self.carrier.hear() => {}
                came = pictures.elsewhere(), if wants_more => match came {
                    Elsewhere::Coming(Next::Item(batch), newest) if begins_well(&batch, newest) => {
                        pictures.go_over();
                        going = Some(self.splice(batch, Part::Pictures, steer));
                    }
                    Elsewhere::Coming(Next::Closed, _) => pictures.next = None,
                    Elsewhere::Coming(..) => {}
                    Elsewhere::There(Next::Item(batch)) if batch.is_reordered() => return Ended::Reordered,
                    Elsewhere::There(Next::Item(batch)) => {
                        going = Some(Going { batch, part: Part::Pictures, sent: 0, due: Instant::now() });
                    }
                    Elsewhere::There(Next::Skipped { items }) => self.figures.dropped += items,
                    // What made the other rendition is gone. The first one is there as long as the viewer is.
                    Elsewhere::There(Next::Closed) => {
                        pictures = Pictures { other: None, next: None, waits_for_first: true };
                    }
                },
                next = first.next(), if wants_more => match next {
                    Next::Item(batch) if batch.is_start() && pictures.goes_to_first() => {
                        pictures = Pictures::default();
                        going = Some(self.splice(batch, Part::Whole, steer));
                    }
                    Next::Item(batch) if pictures.are_elsewhere() => {
                        going = Some(Going { batch, part: Part::Sound, sent: 0, due: Instant::now() });
                    }
                    Next::Item(batch) if batch.is_reordered() => return Ended::Reordered,
                    Next::Item(batch) => {
                        let due = pace.due(batch.time(), Instant::now());
                        let newest = first.newest_time().unwrap_or(batch.time());
                        let part = if pace.sounds(batch.time(), newest) { Part::Whole } else { Part::Pictures };
                        going = Some(Going { batch, part, sent: 0, due });
                    }
                    Next::Skipped { items } => {
                        self.figures.dropped += items;
                        pace.restart();
                    }
                    Next::Closed => return Ended::FeedEnded,
                },
                () = timer.as_mut() => self.carrier.tick(Instant::now()),
            }
        }
    }

    /// Lets the pictures of another rendition follow, beginning with this batch.
    fn splice(&mut self, batch: RtpBatch, part: Part, steer: &mut impl Steer) -> Going {
        let now = Instant::now();
        let picture = batch.payloads().iter().find(|payload| payload.kind == RtpKind::Video);
        self.carrier.splice(picture.map_or(batch.time(), |payload| payload.time), now);
        steer.arrived(part == Part::Whole);
        Going { batch, part, sent: 0, due: now }
    }

    /// Says goodbye to the far end.
    pub fn close(&mut self) {
        self.carrier.close();
        let _ = self.poll(Instant::now());
    }

    /// Sends the next packets of a batch, and returns the batch if some of it is left.
    fn send_some(&mut self, going: Going, newest: MediaTime, now: Instant) -> Option<Going> {
        let Going { batch, part, sent, .. } = going;
        let payloads = batch.payloads();
        let end = payloads.len().min(sent + PACKETS_AT_ONCE);
        self.carrier.write(&Written { batch: &batch, payloads: sent..end, part, newest, now });
        if end < payloads.len() {
            // Sound alone is a packet or two, whatever stands beside it in the batch.
            let due = if part == Part::Sound { now } else { now + BETWEEN };
            return Some(Going { batch, part, sent: end, due });
        }
        let has_picture = part != Part::Sound && payloads.last().is_some_and(|payload| payload.marker);
        self.figures.pictures += u64::from(has_picture);
        None
    }

    /// Sends what the peer has to send, notes what it tells, and returns when to poll again.
    fn poll(&mut self, now: Instant) -> Result<Instant, Ended> {
        let Self { carrier, figures, reported, heard, .. } = self;
        let tell = |fact| match fact {
            Fact::Connected => {
                figures.connected = true;
                *reported = now;
            }
            Fact::WantsKeyframe => figures.keyframes_wanted += 1,
            Fact::Estimate { bits_per_second } => heard.push(Heard::Estimate { bits_per_second }),
            Fact::Report { picture, loss_permille, rtt, bytes } => {
                *reported = now;
                let report = loss_permille.map(|loss_permille| Heard::Report { loss_permille, sent_bytes: bytes });
                heard.extend(report.filter(|_| picture));
                figures.loss_permille = loss_permille.or(figures.loss_permille);
                figures.rtt = rtt.or(figures.rtt);
            }
        };
        let wake = carrier.poll(now, tell);
        let connected = self.figures.connected;
        let wake = wake.map_err(|cut| match cut {
            Cut::Over(Over::Left) if connected => Ended::Left,
            Cut::Over(Over::Left) => Ended::NeverConnected,
            Cut::Over(Over::Fault) => Ended::Fault,
            Cut::Over(Over::Certificate(fault)) => Ended::Certificate(fault),
            Cut::EngineEnded => Ended::EngineEnded,
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

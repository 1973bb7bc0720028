//! The connection of one SRT publisher: it passes MPEG-TS from the socket to the session, until either side ends it.

use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use weir_srt::connection::PAYLOAD_BYTES_MAX;
use weir_srt::path::{Direction, PathMeter};
use weir_srt::{Received, SrtConnection};

use crate::intake::Ticket;
use crate::ts::TsSession;

/// A publisher that is connected and sends no byte of media for so long is sent away.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Packets come due one by one. They are gathered for so long before the next look, which spares most of the wakes. They are gathered
/// for longer if nobody wants each picture as soon as it comes.
const GATHER: Duration = Duration::from_millis(5);
const GATHER_UNHURRIED: Duration = Duration::from_millis(40);

/// So many messages, which are 130 kB, are taken in one go before others on this lane get their turn.
const MESSAGES_AT_ONCE: usize = 100;

/// The connection's figures are told this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Why the connection of a publisher ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtEnd {
    NothingUsable,
    Left,
    Silent,
}

impl SrtEnd {
    pub fn words(self) -> &'static str {
        match self {
            Self::NothingUsable => "nothing usable came",
            Self::Left => "the publisher left",
            Self::Silent => "the publisher sent nothing",
        }
    }
}

/// One publisher by SRT. When it is dropped, the stream's intake is free again, and the connection is closed.
#[derive(Debug)]
pub struct SrtPublisher {
    connection: SrtConnection,
    session: TsSession,
    meter: PathMeter,
    tell: Interval,
    heard_at: Instant,
}

impl SrtPublisher {
    /// A publisher of which the programme of that number is read, or the first one if there is no number.
    pub fn new(connection: SrtConnection, ticket: Ticket, program: Option<u16>) -> Self {
        let mut tell = interval(TELL_EVERY);
        tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            connection,
            session: TsSession::new(ticket, program),
            meter: PathMeter::new(Direction::Receive),
            tell,
            heard_at: Instant::now(),
        }
    }

    /// Reads until either side ends it. Returns why it ended.
    pub async fn run(mut self) -> SrtEnd {
        let mut buffer = [0; PAYLOAD_BYTES_MAX];
        loop {
            let now = Instant::now();
            let mut messages = 0;
            let nothing_more = loop {
                match self.connection.try_receive(&mut buffer) {
                    Received::Message(bytes) => {
                        messages += 1;
                        self.heard_at = now;
                        let bytes = buffer.get(..bytes).unwrap_or_default();
                        if self.session.bytes(bytes, now).is_err() {
                            return SrtEnd::NothingUsable;
                        }
                    }
                    Received::Nothing => break true,
                    Received::End => {
                        self.session.finish(now);
                        return SrtEnd::Left;
                    }
                }
                if messages == MESSAGES_AT_ONCE {
                    break false;
                }
            };
            if now.saturating_duration_since(self.heard_at) >= IDLE_TIMEOUT {
                return SrtEnd::Silent;
            }
            if !nothing_more {
                tokio::task::yield_now().await;
                continue;
            }
            let gather = if self.session.is_hurried() { GATHER } else { GATHER_UNHURRIED };
            tokio::select! {
                biased;
                _ = self.tell.tick() => {
                    let figures = self.meter.look(&self.connection.stats(), now);
                    self.session.path(figures);
                }
                () = sleep(gather), if messages > 0 => {}
                () = self.connection.readable(), if messages == 0 => {}
            }
        }
    }
}

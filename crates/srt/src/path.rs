//! Measures a path over time: its present loss, the part of it that was not repaired, and advice in words.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use weir_model::{PathAdvice, PathFigures, SrtFigures};

use crate::stats::SrtStats;

/// Loss is measured over this time: a figure since the beginning would hide a path that went bad, and one of a second would flicker.
const LOSS_OVER: Duration = Duration::from_secs(10);

/// A lost packet is asked for again after a round trip, and may be lost again. With a latency below four round trips there is no time for
/// that.
const LATENCY_PER_RTT_MIN: f64 = 4.0;

/// The round trip of a near destination is measured as 0.1 ms, which means nothing.
const RTT_MS_MIN: f64 = 1.0;

/// The round trip that the library reports before it has measured. The first measurement replaces it.
const RTT_MS_UNMEASURED: f64 = 100.0;

/// The direction in which the media goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Send,
    Receive,
}

#[derive(Debug)]
pub struct PathMeter {
    direction: Direction,
    samples: VecDeque<(Instant, Sample)>,
}

/// Counts since the beginning of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sample {
    packets: u64,
    lost: u64,
    dropped: u64,
}

impl PathMeter {
    pub fn new(direction: Direction) -> Self {
        Self { direction, samples: VecDeque::new() }
    }

    /// Takes a sample and returns the figures. It should be called about once a second.
    pub fn look(&mut self, stats: &SrtStats, now: Instant) -> PathFigures {
        let (sample, latency_ms) = match self.direction {
            Direction::Send => (
                Sample {
                    packets: stats.sent_packets,
                    lost: stats.send_lost_packets,
                    dropped: stats.send_dropped_packets,
                },
                stats.send_latency_ms,
            ),
            Direction::Receive => (
                Sample {
                    packets: stats.received_packets + stats.receive_dropped_packets,
                    lost: stats.receive_lost_packets,
                    dropped: stats.receive_dropped_packets,
                },
                stats.receive_latency_ms,
            ),
        };
        self.samples.push_back((now, sample));
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= LOSS_OVER) {
            self.samples.pop_front();
        }
        let first = self.samples.front().map_or(Sample::default(), |(_, first)| *first);
        let percent = |part: u64, before: u64| {
            let whole = sample.packets.saturating_sub(first.packets);
            let part = part.saturating_sub(before);
            // A packet can be lost several times over, so the share is limited to 100 %.
            if whole == 0 { 0.0 } else { (part as f64 * 100.0 / whole as f64).min(100.0) }
        };
        let loss_percent = percent(sample.lost, first.lost);
        let dropped_percent = percent(sample.dropped, first.dropped);
        PathFigures {
            rtt_ms: stats.rtt_ms,
            latency_ms: f64::from(latency_ms),
            loss_percent,
            srt: self.figures(stats, sample),
            advice: self.advice(stats.rtt_ms, f64::from(latency_ms), loss_percent, dropped_percent),
        }
    }

    fn figures(&self, stats: &SrtStats, sample: Sample) -> SrtFigures {
        let (buffer_ms, rate_bps) = match self.direction {
            Direction::Send => (stats.send_buffer_ms, stats.send_rate_bps),
            Direction::Receive => (stats.receive_buffer_ms, stats.receive_rate_bps),
        };
        SrtFigures {
            lost_packets: sample.lost,
            retransmitted_packets: stats.retransmitted_packets,
            dropped_packets: sample.dropped,
            undecryptable_packets: stats.undecryptable_packets,
            buffer_ms,
            rate_bps,
            bandwidth_bps: stats.bandwidth_bps,
        }
    }

    fn advice(&self, rtt_ms: f64, latency_ms: f64, loss_percent: f64, dropped_percent: f64) -> Vec<PathAdvice> {
        let mut advice = Vec::new();
        let mut advise = |code, message| advice.push(PathAdvice { code, message });
        let measured = (rtt_ms - RTT_MS_UNMEASURED).abs() > f64::EPSILON;
        if measured && rtt_ms >= RTT_MS_MIN && latency_ms < rtt_ms * LATENCY_PER_RTT_MIN {
            let enough = (rtt_ms * LATENCY_PER_RTT_MIN / 10.0).ceil() * 10.0;
            advise(
                "srt_latency_below_rtt",
                format!(
                    "the SRT latency of {latency_ms:.0} ms is less than four round trips of {rtt_ms:.0} ms: lost packets \
                     come too late when they are sent again; set latency={enough:.0}ms or more"
                ),
            );
        }
        if dropped_percent > 0.0 {
            let message = match self.direction {
                Direction::Send => format!(
                    "{dropped_percent:.1} % of the packets could not be delivered in time: the path carries less than the \
                     stream's bitrate; send a smaller rendition or raise the latency"
                ),
                Direction::Receive => format!(
                    "{dropped_percent:.1} % of the packets were lost for good: retransmission no longer repairs the path; \
                     raise the encoder's SRT latency or lower its bitrate"
                ),
            };
            let code = match self.direction {
                Direction::Send => "bandwidth_below_source",
                Direction::Receive => "srt_loss_not_repaired",
            };
            advise(code, message);
        } else if self.direction == Direction::Send && loss_percent > 0.0 && latency_ms < rtt_ms {
            // The far end does not tell what it gave up. With a latency below one round trip it can only be all of it.
            advise(
                "srt_loss_not_repaired",
                format!(
                    "{loss_percent:.1} % of the packets are lost, and the latency leaves no time to send them again"
                ),
            );
        }
        advice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_of_the_last_ten_seconds() {
        let mut meter = PathMeter::new(Direction::Send);
        let start = Instant::now();
        let look = |meter: &mut PathMeter, second: u64, lost| {
            let stats = SrtStats { sent_packets: second * 1_000, send_lost_packets: lost, ..SrtStats::default() };
            meter.look(&stats, start + Duration::from_secs(second)).loss_percent
        };
        assert_eq!(look(&mut meter, 0, 0), 0.0);
        assert_eq!(look(&mut meter, 1, 50), 5.0);
        for second in 2..30 {
            let percent = look(&mut meter, second, 50);
            assert_eq!(percent > 0.0, second <= 10, "second {second}: {percent}");
        }
        assert_eq!(look(&mut meter, 30, 1_000_000), 100.0);
    }

    #[test]
    fn advice_fits_the_path() {
        let fine = SrtStats {
            rtt_ms: 40.0,
            send_latency_ms: 500,
            receive_latency_ms: 500,
            sent_packets: 1_000,
            received_packets: 1_000,
            ..SrtStats::default()
        };
        let short = SrtStats { send_latency_ms: 100, receive_latency_ms: 100, ..fine };
        for (direction, stats, expected) in [
            (Direction::Send, fine, &[][..]),
            (Direction::Receive, fine, &[]),
            (Direction::Send, SrtStats { send_lost_packets: 50, ..fine }, &[]),
            (Direction::Send, SrtStats { rtt_ms: 0.3, send_latency_ms: 0, ..fine }, &[]),
            (Direction::Send, SrtStats { rtt_ms: RTT_MS_UNMEASURED, ..short }, &[]),
            (Direction::Send, short, &["srt_latency_below_rtt"]),
            (Direction::Receive, short, &["srt_latency_below_rtt"]),
            (Direction::Send, SrtStats { send_dropped_packets: 5, ..fine }, &["bandwidth_below_source"]),
            (Direction::Receive, SrtStats { receive_dropped_packets: 5, ..fine }, &["srt_loss_not_repaired"]),
            (
                Direction::Send,
                SrtStats { send_latency_ms: 20, send_lost_packets: 50, ..fine },
                &["srt_latency_below_rtt", "srt_loss_not_repaired"],
            ),
        ] {
            let mut meter = PathMeter::new(direction);
            let now = Instant::now();
            meter.look(&SrtStats { send_latency_ms: 500, receive_latency_ms: 500, ..SrtStats::default() }, now);
            let advice = meter.look(&stats, now + Duration::from_secs(1)).advice;
            let codes: Vec<&str> = advice.iter().map(|advice| advice.code).collect();
            assert_eq!(codes, expected, "{direction:?} {stats:?}");
        }
        let advice = PathMeter::new(Direction::Send).look(&short, Instant::now()).advice;
        assert!(advice[0].message.contains("latency=160ms"), "{advice:?}");
    }
}

//! Keeps a push's figures: the bitrate that was acknowledged, the totals over all connections, and the status that is made of them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use weir_model::{Advice, PushStatus, Warning};

use crate::machine::View;
use crate::target::FlowProgress;

/// The bitrate is measured over this long. Keyframes, which are large, come every second or two, so 4 s hold at least two.
const BITRATE_OVER: Duration = Duration::from_secs(4);

/// From this loss on a push by RTMP is warned of. TCP halves its rate at each loss: with 1 % of loss and 50 ms of round trip it carries
/// about 3 Mbps.
const TCP_LOSS_PERCENT_MIN: f64 = 1.0;

/// Up to this bitrate RTMP gets through most paths, so no loss is warned of.
const RTMP_ON_LOSSY_PATH_BPS_MAX: u64 = 5_000_000;

#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// The bytes that were written to connections that have ended. `acked_before` counts those that such connections acknowledged.
    sent_before: u64,
    acked_before: u64,
    now: FlowProgress,
    dropped_frames: u64,
    /// How many bytes had been acknowledged in all at past moments, oldest first.
    samples: VecDeque<(Instant, u64)>,
    /// The moments that were told before, with the wall time that was told. The same moment is told the same way every time, although two
    /// clocks never quite agree.
    told: VecDeque<(Instant, OffsetDateTime)>,
    /// The code of each warning that is shown, and since when.
    warned: Vec<(&'static str, OffsetDateTime)>,
}

/// A status tells four moments: since, failing since, connected since and next retry. There is room for each of them and the one before.
const TOLD_MAX: usize = 8;

impl Gauge {
    pub(crate) fn progress(&mut self, progress: FlowProgress, dropped_frames: u64, now: Instant) {
        self.now = progress;
        self.dropped_frames += dropped_frames;
        let acked = self.acked_bytes();
        self.samples.push_back((now, acked));
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= BITRATE_OVER) {
            self.samples.pop_front();
        }
    }

    pub(crate) fn disconnected(&mut self) {
        self.sent_before += self.now.written_bytes;
        self.acked_before += self.now.acked_bytes;
        self.now = FlowProgress::default();
        self.samples.clear();
    }

    /// The status as it is now. `advice` holds what is known without measuring.
    pub(crate) fn status(
        &mut self,
        view: &View,
        target_bps: Option<u64>,
        advice: &[Advice],
        clock: Clock,
    ) -> PushStatus {
        PushStatus {
            state: view.state,
            since: self.tell(view.since, clock),
            failing_since: view.failing_since.map(|at| self.tell(at, clock)),
            reason: view.reason.clone(),
            attempt: view.attempt,
            next_retry_at: view.next_retry_at.map(|at| self.tell(at, clock)),
            bitrate_bps: self.bitrate_bps(clock.now),
            target_bps,
            sent_bytes: self.sent_before + self.now.written_bytes,
            acked_bytes: self.acked_bytes(),
            dropped_frames: self.dropped_frames,
            rtt_ms: self.now.rtt_ms,
            loss_percent: self.now.path.as_ref().map(|path| path.loss_percent).or(self.now.tcp_loss_percent),
            latency_ms: self.now.path.as_ref().map(|path| path.latency_ms),
            srt: self.now.path.as_ref().map(|path| path.srt),
            connected_since: view.connected_since.map(|at| self.tell(at, clock)),
            sounds: Vec::new(),
            warnings: self.warnings(advice, target_bps, clock),
        }
    }

    /// The warnings that are true now. Each keeps the time at which it first became true.
    fn warnings(&mut self, advice: &[Advice], target_bps: Option<u64>, clock: Clock) -> Vec<Warning> {
        let measured = self.now.path.iter().flat_map(|path| &path.advice);
        let measured = measured.map(|advice| (advice.code, advice.message.clone()));
        let known = advice.iter().map(|advice| (advice.code, advice.message.to_owned()));
        let lossy_tcp = self.now.tcp_loss_percent.filter(|percent| {
            *percent >= TCP_LOSS_PERCENT_MIN && target_bps.is_some_and(|bps| bps > RTMP_ON_LOSSY_PATH_BPS_MAX)
        });
        let lossy_tcp = lossy_tcp.map(|percent| {
            let message = format!(
                "{percent:.1} % of what is sent is lost on the way; above 5 Mbps RTMP stumbles over that: use SRT, or send less"
            );
            ("rtmp_on_lossy_path", message)
        });
        let warning = |(code, message): (&'static str, String)| {
            let before = self.warned.iter().find(|(warned, _)| *warned == code);
            let since = before.map_or(clock.wall, |(_, since)| *since);
            Warning { code: code.to_owned(), message, since }
        };
        let warnings: Vec<(&'static str, Warning)> =
            known.chain(measured).chain(lossy_tcp).map(|advice| (advice.0, warning(advice))).collect();
        self.warned = warnings.iter().map(|(code, warning)| (*code, warning.since)).collect();
        warnings.into_iter().map(|(_, warning)| warning).collect()
    }

    fn tell(&mut self, at: Instant, clock: Clock) -> OffsetDateTime {
        if let Some(known) = self.told.iter().position(|(told, _)| *told == at) {
            // A moment that is asked for again moves to the end, so that it stays: the begin of an outage is older than the moments that
            // come and go meanwhile.
            let (_, wall) = self.told[known];
            self.told.make_contiguous()[known..].rotate_left(1);
            return wall;
        }
        let wall = clock.wall(at);
        self.told.push_back((at, wall));
        if self.told.len() > TOLD_MAX {
            self.told.pop_front();
        }
        wall
    }

    fn acked_bytes(&self) -> u64 {
        self.acked_before + self.now.acked_bytes
    }

    fn bitrate_bps(&self, now: Instant) -> u64 {
        let Some((first_at, first)) = self.samples.front() else { return 0 };
        let millis = u64::try_from(now.saturating_duration_since(*first_at).as_millis()).unwrap_or(u64::MAX);
        // A rate over less than half a second means nothing.
        if millis < 500 { 0 } else { (self.acked_bytes() - first).saturating_mul(8_000) / millis }
    }
}

/// One moment on both clocks, by which monotonic times are turned into wall times for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) now: Instant,
    pub(crate) wall: OffsetDateTime,
}

impl Clock {
    pub(crate) fn read() -> Self {
        Self { now: tokio::time::Instant::now().into_std(), wall: OffsetDateTime::now_utc() }
    }

    fn wall(&self, at: Instant) -> OffsetDateTime {
        if at >= self.now { self.wall + (at - self.now) } else { self.wall - (self.now - at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::RestreamState;

    fn view(at: Instant) -> View {
        View {
            state: RestreamState::Streaming,
            since: at,
            failing_since: None,
            reason: None,
            attempt: 1,
            next_retry_at: None,
            connected_since: Some(at),
        }
    }

    #[test]
    fn a_lossy_path_is_warned_of_where_rtmp_can_not_bear_it() {
        let clock = Clock::read();
        for (loss, target_bps, expected) in [
            (Some(2.0), Some(8_000_000), Some("rtmp_on_lossy_path")),
            (Some(2.0), Some(4_000_000), None),
            (Some(0.5), Some(8_000_000), None),
            (None, Some(8_000_000), None),
            (Some(2.0), None, None),
        ] {
            let mut gauge = Gauge::default();
            gauge.progress(FlowProgress { tcp_loss_percent: loss, ..FlowProgress::default() }, 0, clock.now);
            let status = gauge.status(&view(clock.now), target_bps, &[], clock);
            assert_eq!(
                status.warnings.first().map(|warning| warning.code.as_str()),
                expected,
                "{loss:?} {target_bps:?}"
            );
        }
    }

    #[test]
    fn a_warning_keeps_its_time() {
        let mut gauge = Gauge::default();
        let advice = [Advice { code: "srt_latency_missing", message: "say it" }];
        let first = Clock::read();
        let later = Clock { now: first.now, wall: first.wall + Duration::from_secs(5) };
        let since = |status: PushStatus| status.warnings[0].since;
        assert_eq!(since(gauge.status(&view(first.now), None, &advice, first)), first.wall);
        assert_eq!(since(gauge.status(&view(first.now), None, &advice, later)), first.wall);
        assert!(gauge.status(&view(first.now), None, &[], later).warnings.is_empty());
        assert_eq!(since(gauge.status(&view(first.now), None, &advice, later)), later.wall);
    }

    #[test]
    fn totals_survive_reconnection_and_bitrate_is_of_acknowledged_bytes() {
        let mut gauge = Gauge::default();
        let start = Instant::now();
        for second in 0..10 {
            let progress = FlowProgress {
                written_bytes: second * 1_000_000,
                acked_bytes: second * 125_000,
                ..FlowProgress::default()
            };
            gauge.progress(progress, 1, start + Duration::from_secs(second));
        }
        assert_eq!(gauge.bitrate_bps(start + Duration::from_secs(9)), 1_000_000);
        gauge.disconnected();
        assert_eq!((gauge.acked_bytes(), gauge.bitrate_bps(start)), (1_125_000, 0));
        assert_eq!((gauge.sent_before, gauge.dropped_frames), (9_000_000, 10));
    }
}

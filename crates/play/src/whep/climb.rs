//! Decides when a viewer moves to another rung: down where its path can't carry what is sent, up again where it could for a while. The
//! decision is pure: what the viewer reported and the time go in, a step comes out.

use std::time::{Duration, Instant};

/// With so much loss in one report the way is too narrow for certain. Repetitions would only fill it more.
const LOSS_AT_ONCE_PERMILLE: u16 = 200;

/// So much loss in two reports that follow on one another is no chance. Of a hundred packets on a path that loses 5 %, 8 are lost now and then,
/// but not twice.
const LOSS_PERMILLE: u16 = 80;

/// Less than this does not count as loss: Wi-Fi does that.
const CLEAN_PERMILLE: u16 = 20;

/// A viewer's estimate that falls by a tenth, and below what is sent, means that packets queue on the way. An estimate that is merely low means
/// nothing: it grows by a tenth a second at most, and only with what is sent.
const ESTIMATE_FALLS_TO: f64 = 0.9;

/// Two signs that are further apart have nothing to do with one another. Reports come once a second.
const SIGNS_WITHIN: Duration = Duration::from_millis(2_500);

/// What is reported so soon after a step is still about the rung before.
const OF_THE_RUNG_BEFORE: Duration = Duration::from_millis(1_500);

/// The path must have been clean for so long before the next rung is tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// Each attempt that fails doubles the patience, up to this.
const PATIENCE_MAX: Duration = Duration::from_secs(160);

/// An attempt has failed when the path is too narrow within so long. Later, it is the path that has changed.
const ATTEMPT: Duration = Duration::from_secs(20);

/// What is known of a viewer's path at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sign {
    /// How much of the picture was lost since the last report, before it was repeated. There is none where this is only an estimate.
    pub(super) loss_permille: Option<u16>,
    /// What the viewer believes that its path carries.
    pub(super) estimate_bps: Option<u64>,
    pub(super) sent_bps: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    Down,
    Up,
}

#[derive(Debug)]
pub(super) struct Climb {
    stepped: Instant,
    /// Since when nothing has been bad.
    clean: Instant,
    /// The last sign that the path is too narrow, where one alone is not enough.
    sign: Option<Instant>,
    estimate_bps: Option<u64>,
    patience: Duration,
    /// The last step was up, and may yet turn out to be an attempt that failed.
    is_attempt: bool,
}

impl Climb {
    pub(super) fn new(now: Instant) -> Self {
        Self { stepped: now, clean: now, sign: None, estimate_bps: None, patience: PATIENCE, is_attempt: false }
    }

    /// Takes in what was heard, and says what to do, given whether there is a rung above and one below. A step that is returned counts as done.
    pub(super) fn judge(&mut self, heard: &Sign, above: bool, below: impl FnOnce() -> bool, now: Instant) -> Step {
        let since_step = now.saturating_duration_since(self.stepped);
        let before = self.estimate_bps;
        self.estimate_bps = heard.estimate_bps.or(before);
        let fell = before.zip(heard.estimate_bps).is_some_and(|(before, estimate)| {
            (estimate as f64) < before as f64 * ESTIMATE_FALLS_TO && estimate < heard.sent_bps
        });
        let loss = heard.loss_permille.unwrap_or_default();
        if loss >= CLEAN_PERMILLE || fell {
            self.clean = now;
        }
        if since_step < OF_THE_RUNG_BEFORE {
            return Step::Stay;
        }
        if self.is_attempt && since_step >= ATTEMPT {
            (self.is_attempt, self.patience) = (false, PATIENCE);
        }
        if self.is_narrow(loss, fell, now) && below() {
            if self.is_attempt {
                self.patience = (self.patience * 2).min(PATIENCE_MAX);
            }
            return self.step(Step::Down, now);
        }
        let calm = now.saturating_duration_since(self.clean.max(self.stepped));
        if above && heard.loss_permille.is_some() && calm >= self.patience {
            return self.step(Step::Up, now);
        }
        Step::Stay
    }

    fn is_narrow(&mut self, loss: u16, fell: bool, now: Instant) -> bool {
        if loss >= LOSS_AT_ONCE_PERMILLE {
            return true;
        }
        if loss < LOSS_PERMILLE && !fell {
            return false;
        }
        let before = self.sign.replace(now);
        before.is_some_and(|before| now.saturating_duration_since(before) <= SIGNS_WITHIN)
    }

    fn step(&mut self, step: Step, now: Instant) -> Step {
        (self.stepped, self.clean, self.sign, self.is_attempt) = (now, now, None, step == Step::Up);
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether there is a rung above, and one below.
    type Rungs = (bool, bool);
    const MIDDLE: Rungs = (true, true);
    const TOP: Rungs = (false, true);
    const BOTTOM: Rungs = (true, false);

    fn loss(permille: u16) -> Sign {
        Sign { loss_permille: Some(permille), estimate_bps: None, sent_bps: 3_000_000 }
    }

    fn estimate(kbps: u64) -> Sign {
        Sign { loss_permille: None, estimate_bps: Some(kbps * 1_000), sent_bps: 3_000_000 }
    }

    /// Hears these, each at its second, and returns the steps with their seconds.
    fn steps(rungs: Rungs, heard: impl IntoIterator<Item = (f64, Sign)>) -> Vec<(f64, Step)> {
        let start = Instant::now();
        let mut climb = Climb::new(start);
        let judged = heard.into_iter().map(|(at, heard)| {
            let now = start + Duration::from_secs_f64(at);
            (at, climb.judge(&heard, rungs.0, || rungs.1, now))
        });
        judged.filter(|(_, step)| *step != Step::Stay).collect()
    }

    #[test]
    fn a_narrow_path_is_left_within_two_seconds() {
        use Step::Down;
        for (heard, expected) in [
            (&[(5.0, loss(300))][..], &[(5.0, Down)][..]),
            (&[(5.0, loss(100)), (6.0, loss(100))], &[(6.0, Down)]),
            // Two signs that nothing connects, and one of them alone.
            (&[(5.0, loss(100)), (6.0, loss(0)), (9.0, loss(100))], &[]),
            // What a path with 5 % of loss shows is repaired, and stays on its rung.
            (&[(5.0, loss(50)), (6.0, loss(79)), (7.0, loss(60)), (8.0, loss(30))], &[]),
            // The start is faster than the stream, and what it lost is no sign.
            (&[(1.0, loss(500))], &[]),
            (&[(5.0, estimate(3_400)), (6.0, estimate(2_800)), (7.0, estimate(2_300))], &[(7.0, Down)]),
            (&[(5.0, estimate(3_400)), (6.0, estimate(2_800)), (6.5, loss(90))], &[(6.5, Down)]),
            // An estimate that is low and grows, and one that falls and is still enough.
            (&[(5.0, estimate(300)), (6.0, estimate(320)), (7.0, estimate(340))], &[]),
            (&[(5.0, estimate(9_000)), (6.0, estimate(7_000)), (7.0, estimate(5_000))], &[]),
            // One step at a time: the reports of the rung before do not count.
            (&[(5.0, loss(300)), (6.0, loss(300)), (6.6, loss(300))], &[(5.0, Down), (6.6, Down)]),
        ] {
            assert_eq!(steps(TOP, heard.iter().copied()), expected, "{heard:?}");
        }
        assert_eq!(steps(BOTTOM, [(5.0, loss(900)), (6.0, loss(900))]), [], "there is nothing below");
    }

    #[test]
    fn ten_clean_seconds_are_a_reason_to_try_the_next_rung() {
        use Step::Up;
        let each_second = |permille: fn(u32) -> u16| (1..=25).map(move |at| (f64::from(at), loss(permille(at))));
        assert_eq!(steps(BOTTOM, each_second(|_| 0)), [(10.0, Up), (20.0, Up)]);
        assert_eq!(steps(BOTTOM, each_second(|at| if at == 4 { 25 } else { 10 })), [(14.0, Up), (24.0, Up)]);
        assert_eq!(steps(BOTTOM, each_second(|_| 30)), []);
        assert_eq!(steps(TOP, each_second(|_| 0)), []);
        assert_eq!(steps(BOTTOM, (1..=25).map(|at| (f64::from(at), estimate(9_000)))), [], "silence is not clean");
    }

    #[test]
    fn an_attempt_that_fails_is_repeated_after_twice_the_time() {
        use Step::{Down, Up};
        let start = Instant::now();
        let mut climb = Climb::new(start);
        let (mut high, mut steps) = (false, Vec::new());
        // The upper rung loses a third of its packets until the path is wide again, after ten minutes.
        for second in 1..=800_u64 {
            let heard = loss(if high && second < 600 { 330 } else { 0 });
            let step = climb.judge(&heard, MIDDLE.0, || MIDDLE.1, start + Duration::from_secs(second));
            match step {
                Step::Stay => {}
                Up if high => {}
                step => {
                    high = step == Up;
                    steps.push((second, step));
                }
            }
        }
        let ups: Vec<u64> = steps.iter().filter(|(_, step)| *step == Up).map(|(second, _)| *second).collect();
        assert_eq!(ups, [10, 32, 74, 156, 318, 480, 642]);
        assert!(steps.iter().filter(|(_, step)| *step == Down).all(|(second, _)| ups.contains(&(second - 2))));
        assert!(climb.patience <= PATIENCE * 2, "a path that has been wide for long is trusted anew");
    }
}

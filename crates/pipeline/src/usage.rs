//! What a worker takes of the machine, read from /proc.

use std::fs;
use std::time::{Duration, Instant};

/// What a process takes at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub pid: u32,
    pub rss_bytes: u64,
    /// The user and system time since it was started.
    pub cpu: Duration,
}

/// USER_HZ, the unit of CPU times in /proc, is 100 on every Linux (`getconf CLK_TCK`).
const TICKS_PER_SECOND: u64 = 100;

impl Usage {
    /// The usage of a process; None where there is no such process any more.
    pub fn of(pid: u32) -> Option<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let status = read("status")?;
        // A process that has ended and was not waited for yet has no memory.
        let kib: u64 =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse().ok())?;
        let stat = read("stat")?;
        // The second field, the name, may contain anything, so counting starts
        // behind its parenthesis. utime and stime follow as the 12th and 13th.
        let (_, rest) = stat.rsplit_once(')')?;
        let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Some(Self { pid, rss_bytes: kib * 1024, cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND) })
    }
}

/// The CPU times of a process have steps of 10 ms, which over a second are one percent.
const SHARE_OVER: Duration = Duration::from_secs(1);

/// How much of a core a process takes, from what it has taken so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuShare {
    since: Option<(u32, Instant, Duration)>,
    percent: f64,
}

impl CpuShare {
    /// The share in percent. It may be asked for as often as one likes; another process begins anew.
    pub fn look(&mut self, usage: Usage, now: Instant) -> f64 {
        match self.since {
            Some((pid, at, cpu)) if pid == usage.pid => {
                let elapsed = now.saturating_duration_since(at);
                if elapsed >= SHARE_OVER {
                    self.percent = usage.cpu.saturating_sub(cpu).as_secs_f64() / elapsed.as_secs_f64() * 100.0;
                    self.since = Some((pid, now, usage.cpu));
                }
            }
            _ => *self = Self { since: Some((usage.pid, now, usage.cpu)), percent: 0.0 },
        }
        self.percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.rss_bytes > 500_000, "{usage:?}");
        assert_eq!(Usage::of(0), None);
    }

    #[test]
    fn a_share_is_of_the_time_between() {
        let (start, mut share) = (Instant::now(), CpuShare::default());
        for (pid, ms, cpu_ms, expected) in [
            (1, 0, 5_000, 0.0),
            (1, 250, 5_200, 0.0),
            (1, 1_000, 5_500, 50.0),
            (1, 1_250, 5_500, 50.0),
            (1, 3_000, 8_500, 150.0),
            (2, 3_250, 100, 0.0),
            (2, 4_250, 100, 0.0),
        ] {
            let usage = Usage { pid, rss_bytes: 0, cpu: Duration::from_millis(cpu_ms) };
            assert_eq!(share.look(usage, start + Duration::from_millis(ms)).round(), expected, "{pid} at {ms} ms");
        }
    }
}

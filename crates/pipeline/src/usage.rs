//! What a worker takes of the machine, read from /proc.

use std::fs;
use std::time::Duration;

/// Of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub pid: u32,
    pub rss_bytes: u64,
    /// User and system time since it was started.
    pub cpu: Duration,
}

/// USER_HZ: the unit of CPU times in /proc, 100 on every Linux (`getconf CLK_TCK`).
const TICKS_PER_SECOND: u64 = 100;

impl Usage {
    /// None where there is no such process any more.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let status = read("status")?;
        // One that has ended and was not waited for yet has no memory.
        let kib: u64 =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse().ok())?;
        let stat = read("stat")?;
        // The second field, the name, may contain anything: the count starts behind its parenthesis. utime and stime follow as
        // the 12th and 13th.
        let (_, rest) = stat.rsplit_once(')')?;
        let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Some(Self { pid, rss_bytes: kib * 1024, cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND) })
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
}

//! What a process costs, read from /proc: memory, open files, CPU time.

use std::fs;
use std::time::Duration;

/// USER_HZ, the unit of CPU times in /proc, is 100 on every Linux that Weir runs on (`getconf CLK_TCK`).
const TICKS_PER_SECOND: u64 = 100;

/// The figures of a process at one moment.
#[derive(Clone, Copy, Debug)]
pub struct ProcessStats {
    pub rss_bytes: u64,
    /// Open file descriptors.
    pub fds: usize,
    pub threads: usize,
    /// The user and system time, threads that have ended included.
    pub cpu: Duration,
}

impl ProcessStats {
    /// Reads the figures. It fails the test where there is no such process: a server that has crashed must not pass for a cheap one.
    #[track_caller]
    pub fn of(pid: u32) -> Self {
        let status = read(pid, "status");
        let rss_kib: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
            .unwrap_or_else(|| panic!("process {pid} has no memory: it has ended"));
        Self {
            rss_bytes: rss_kib * 1024,
            threads: fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count),
            fds: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
            cpu: cpu(pid),
        }
    }

    /// The CPU time of the process by the scheduler's own count, which is exact where ticks are a hundredth of a second. It lacks the time of
    /// threads that have ended.
    pub fn cpu_by_scheduler(pid: u32) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let nanoseconds = tasks.filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// The CPU time of the process and of every process below it.
    pub fn cpu_of_tree(pid: u32) -> Duration {
        let children = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
            .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>());
        cpu(pid) + children.map(Self::cpu_of_tree).sum::<Duration>()
    }
}

fn cpu(pid: u32) -> Duration {
    let stat = read(pid, "stat");
    // The second field, the name, may contain anything, so counting starts behind its closing parenthesis. From there utime, stime,
    // cutime and cstime (of children that were waited for) are the 12th to 15th.
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        behind_name.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

#[track_caller]
fn read(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_else(|error| panic!("process {pid}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_process() {
        let stats = ProcessStats::of(std::process::id());
        assert!(stats.rss_bytes > 500_000 && stats.fds >= 3, "{stats:?}");
        assert!(ProcessStats::cpu_of_tree(std::process::id()) >= stats.cpu);
        assert!(ProcessStats::cpu_by_scheduler(std::process::id()) > Duration::ZERO);
    }
}

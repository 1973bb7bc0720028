//! How busy this machine and this process are, as the kernel counts it.

use std::fs;
use std::sync::{Mutex, PoisonError};

/// The kernel counts CPU time in hundredths of a second on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// How busy the machine is; a figure that the kernel does not give is None.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// The share of all cores together over the last second.
    pub cpu_percent: Option<f64>,
    /// The share of one core that the server takes, without its workers.
    pub process_cpu_percent: Option<f64>,
    pub memory_total_bytes: Option<u64>,
    pub memory_available_bytes: Option<u64>,
    pub process_memory_bytes: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct LoadMeter {
    shared: Mutex<(Counts, Load)>,
}

/// The kernel's counts at the last look.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    total: u64,
    idle: u64,
    process: u64,
}

impl LoadMeter {
    /// Reads the counts; called once a second.
    pub(crate) fn look(&self) {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let memory = read("/proc/meminfo");
        let counts = Counts::read(&read("/proc/stat"), &read("/proc/self/stat"));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (cpu_percent, process_cpu_percent) = shared.0.until(counts, cores);
        *shared = (
            counts,
            Load {
                cpu_percent,
                process_cpu_percent,
                memory_total_bytes: kilobytes(&memory, "MemTotal:"),
                memory_available_bytes: kilobytes(&memory, "MemAvailable:"),
                process_memory_bytes: kilobytes(&read("/proc/self/status"), "VmRSS:"),
            },
        );
    }

    pub(crate) fn read(&self) -> Load {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

impl Counts {
    fn read(stat: &str, own: &str) -> Self {
        let numbers =
            |text: &str| -> Vec<u64> { text.split_whitespace().map_while(|word| word.parse().ok()).collect() };
        let cpu = numbers(stat.lines().next().unwrap_or_default().trim_start_matches("cpu"));
        // The program's name may hold blanks and parentheses; the fields that matter come after the last one.
        let after_name = own.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        // The fields are user, nice, system, idle, iowait, irq, softirq and steal; guests are in user already.
        let at = |index: usize| cpu.get(index).copied().unwrap_or(0);
        Self { total: (0..8).map(at).sum(), idle: at(3) + at(4), process: ticks(11) + ticks(12) }
    }

    /// The percentage of the machine, and of one core that this process takes, between two looks.
    fn until(self, later: Self, cores: usize) -> (Option<f64>, Option<f64>) {
        let total = later.total.saturating_sub(self.total);
        if self.total == 0 || total == 0 {
            return (None, None);
        }
        let idle = later.idle.saturating_sub(self.idle).min(total);
        let seconds = total as f64 / TICKS_PER_SECOND / cores as f64;
        let own = later.process.saturating_sub(self.process) as f64 / TICKS_PER_SECOND;
        (Some(100.0 * (total - idle) as f64 / total as f64), Some(100.0 * own / seconds))
    }
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_time() {
        let before =
            Counts::read("cpu  100 0 100 700 100 0 0 0 9 9\ncpu0 1", "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 30 20 0");
        let after = Counts::read("cpu  150 0 150 750 150 0 0 0\n", "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 60 40 0");
        assert_eq!((before.total, before.idle, before.process), (1_000, 800, 50));
        // 200 ticks of two cores are one second; the process had half of a second.
        assert_eq!(before.until(after, 2), (Some(50.0), Some(50.0)));
        assert_eq!(Counts::default().until(after, 2), (None, None));
        assert_eq!(kilobytes("MemTotal:  16 kB\nMemFree: 1 kB", "MemTotal:"), Some(16_384));
        assert_eq!(kilobytes("", "MemTotal:"), None);
    }

    #[test]
    fn this_machine_has_memory() {
        let meter = LoadMeter::default();
        meter.look();
        assert!(meter.read().memory_total_bytes.unwrap() > meter.read().process_memory_bytes.unwrap());
    }
}

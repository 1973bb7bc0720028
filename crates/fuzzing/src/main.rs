//! The long fuzzing run on the stable compiler: `weir-fuzzing <target>|all <seconds> [seed]`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use weir_fuzzing::{Run, TARGETS, Target, hex, seeds};

/// A target's run ends after this many panics, because they are the same few places over and over.
const FAILURES_MAX: usize = 10;

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (targets, seconds) = match arguments.get(..2) {
        Some([name, seconds]) => (named(name), seconds.parse().ok()),
        _ => (Vec::new(), None),
    };
    let Some(seconds) = seconds.filter(|_| !targets.is_empty()) else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        writeln!(io::stderr(), "usage: weir-fuzzing <target>|all <seconds> [seed]\ntargets: {}", names.join(" "))?;
        return Ok(ExitCode::from(2));
    };
    let seed = arguments.get(2).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut failures = 0;
    for target in targets {
        failures += long_run(target, Duration::from_secs(seconds), seed)?;
    }
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn named(name: &str) -> Vec<Target> {
    if name == "all" { TARGETS.to_vec() } else { Target::named(name).into_iter().collect() }
}

/// Runs one target for `time` and prints the result. Returns the number of panics.
fn long_run(target: Target, time: Duration, seed: u64) -> io::Result<usize> {
    let mut out = io::stdout().lock();
    let mut run = Run::new(target, seeds(target.name)?, seed);
    let (mut inputs, mut bytes, mut failures) = (0_u64, 0_u64, 0);
    let mut slowest = (Duration::ZERO, Vec::new());
    let start = Instant::now();
    // The memory is measured after the seeds and the first allocations, so that growth seen later is growth.
    let mut rss_at_start_kb = None;
    while start.elapsed() < time && failures < FAILURES_MAX {
        let input = run.next_input();
        let began = Instant::now();
        let outcome = run.try_input(&input);
        let mut took = began.elapsed();
        if let Err(failure) = outcome {
            failures += 1;
            writeln!(out, "{} panics on {}", target.name, hex(&failure.input))?;
        } else if took > slowest.0 {
            // The input is tried again, because the machine may have been busy elsewhere; a slow input stays slow.
            let again = Instant::now();
            let _ = run.try_input(&input);
            took = took.min(again.elapsed());
        }
        inputs += 1;
        bytes += input.len() as u64;
        if took > slowest.0 {
            slowest = (took, input);
        }
        if inputs == 1000 {
            rss_at_start_kb = Some(rss_kb()?);
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    writeln!(
        out,
        "{}: {inputs} inputs, {bytes} bytes in {elapsed:.0} s ({:.0} inputs/s), {failures} panics, RSS {} kB at start, {} kB at end",
        target.name,
        inputs as f64 / elapsed,
        rss_at_start_kb.unwrap_or_default(),
        rss_kb()?,
    )?;
    let shown = &slowest.1[..slowest.1.len().min(64)];
    writeln!(out, "  slowest: {:?} for {} bytes, beginning {}", slowest.0, slowest.1.len(), hex(shown))?;
    Ok(failures)
}

/// The resident memory of this process.
fn rss_kb() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or_default())
}

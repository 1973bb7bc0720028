//! Sends one 4 Mbps stream to N destinations on loopback: what a pushed second costs, how late it comes, how much memory it takes, and
//! what gets lost.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::{Value, json};
use weir_testkit::ffmpeg::Clip;

use crate::report::{median, print_table, write};
use crate::system::{Role, Running, System};

#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// The numbers of destinations.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 100, 200])]
    sizes: Vec<usize>,
    /// How often each system is run, in turn with the others. The figures are medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The length of each measured window.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Measures only systems whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// The longest wait for the last of the destinations to have video.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The time between the start and the window, in which caches, buffers and congestion windows settle.
const SETTLE: Duration = Duration::from_secs(3);

/// One run of one system.
#[derive(Clone, Debug)]
struct Run {
    cpu_ms_per_destination_second: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    first_video_at_last_s: f64,
    /// The number of the frame with which the last of the destinations began; 0 is the first that was published.
    first_frame_number: f64,
    rss_before_bytes: f64,
    rss_per_destination_bytes: f64,
    frames_lost: f64,
    delivered: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let clip = bench_clip()?;
    let systems: Vec<System> = System::ALL.into_iter().filter(|system| system.name().contains(&options.only)).collect();
    let mut runs = Vec::new();
    for round in 1..=options.rounds {
        for &size in &options.sizes {
            // The systems run in turn, so that a busy neighbour of the machine hits all of them alike.
            for &system in &systems {
                eprintln!("round {round} of {}: {} to {size} destinations", options.rounds, system.name());
                let run = one_run(system, size, options.seconds, &clip)
                    .with_context(|| format!("{} to {size} destinations", system.name()))?;
                runs.push((system, size, run));
            }
        }
    }

    let mut figures = Vec::new();
    for &size in &options.sizes {
        let of = |system: System| -> Vec<Run> {
            runs.iter().filter(|(ran, to, _)| (*ran, *to) == (system, size)).map(|(_, _, run)| run.clone()).collect()
        };
        let cpu = |system: System| median(of(system).iter().map(|run| run.cpu_ms_per_destination_second).collect());
        for &system in &systems {
            figures.push(json!({
                "system": system.name(), "destinations": size, "runs": of(system).len(),
                "cpu_to_floor_per_message": ratio(cpu(system), cpu(System::FloorPerMessage)),
                "cpu_to_floor_per_frame": ratio(cpu(system), cpu(System::FloorCoalesced)),
                "cpu_to_nginx": ratio(cpu(system), cpu(System::Nginx)),
                "medians": medians(&of(system)),
                "cpu_ms_per_destination_second_of_each_run":
                    of(system).iter().map(|run| run.cpu_ms_per_destination_second).collect::<Vec<_>>(),
            }));
        }
    }
    print(&figures);
    write("fanout", &Value::Array(figures))
}

fn one_run(system: System, destinations: usize, seconds: u64, clip: &Path) -> anyhow::Result<Run> {
    let mut sink = Role::start(&["sink"])?;
    let address = sink.line()?.parse()?;
    let mut started = Running::start(system, address, destinations, clip)?;
    let (running, start) = (&mut started.running, Instant::now());
    let first = loop {
        let report = sink.ask("report")?;
        if report["pushes"] == destinations {
            break report;
        }
        running.check_live()?;
        ensure!(start.elapsed() < START_LIMIT, "only {} destinations have video", report["pushes"]);
        thread::sleep(Duration::from_millis(50));
    };
    thread::sleep(SETTLE);

    sink.say("reset")?;
    let (window, cpu_before_ms) = (Instant::now(), running.cpu_ms());
    thread::sleep(Duration::from_secs(seconds));
    let (window, cpu_ms) = (window.elapsed().as_secs_f64(), running.cpu_ms() - cpu_before_ms);
    let report = sink.ask("report")?;
    running.check_live()?;
    let rss_bytes = running.rss_bytes()?;

    let number = |report: &Value, name: &str| report[name].as_f64().with_context(|| format!("no {name} in {report}"));
    let count = destinations as f64;
    Ok(Run {
        cpu_ms_per_destination_second: cpu_ms / count / window,
        latency_p50_ms: number(&report, "latency_p50_ms")?,
        latency_p99_ms: number(&report, "latency_p99_ms")?,
        first_video_at_last_s: (number(&first, "last_first_video_at_ns")? - started.published_at_ns as f64) / 1e9,
        first_frame_number: number(&first, "first_frame_number_max")?,
        rss_before_bytes: started.rss_before_bytes as f64,
        rss_per_destination_bytes: rss_bytes.saturating_sub(started.rss_before_bytes) as f64 / count,
        frames_lost: number(&report, "frames_lost")?,
        delivered: number(&report, "frames")? / (count * window * 30.0),
    })
}

/// The clip on which the figures of the peers were taken.
pub(crate) fn bench_clip() -> anyhow::Result<PathBuf> {
    made_clip("720p30-4mbps.flv", &Clip::of_the_bench())
}

/// A clip, which is made once.
pub(crate) fn made_clip(name: &str, of: &Clip) -> anyhow::Result<PathBuf> {
    let folder = std::env::current_exe()?.with_file_name("bench-clips");
    std::fs::create_dir_all(&folder)?;
    let clip = folder.join(name);
    if !clip.exists() {
        // A clip that is half made must not be taken for the clip next time.
        let part = folder.join("part.flv");
        of.make(&part);
        std::fs::rename(part, &clip)?;
    }
    Ok(clip)
}

fn medians(runs: &[Run]) -> Value {
    let of = |field: fn(&Run) -> f64| median(runs.iter().map(field).collect());
    json!({
        "cpu_ms_per_destination_second": of(|run| run.cpu_ms_per_destination_second),
        "latency_p50_ms": of(|run| run.latency_p50_ms),
        "latency_p99_ms": of(|run| run.latency_p99_ms),
        "publish_to_first_video_at_last_s": of(|run| run.first_video_at_last_s),
        "first_frame_number": of(|run| run.first_frame_number),
        "rss_before_bytes": of(|run| run.rss_before_bytes),
        "rss_per_destination_bytes": of(|run| run.rss_per_destination_bytes),
        "frames_lost": of(|run| run.frames_lost),
        "delivered": of(|run| run.delivered),
    })
}

fn ratio(of: f64, to: f64) -> Option<f64> {
    (to > 0.0).then(|| of / to)
}

fn print(figures: &[Value]) {
    let head = [
        "system",
        "N",
        "CPU ms/dest-s",
        "/floor msg",
        "/floor frame",
        "/nginx",
        "p50 ms",
        "p99 ms",
        "first video s",
        "first frame",
        "RSS MB",
        "kB/dest",
        "lost",
        "delivered",
    ];
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|row| {
            let number = |value: &Value, digits: usize, unit: f64| {
                value.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{:.*}", digits, number / unit))
            };
            let medians = &row["medians"];
            vec![
                row["system"].as_str().unwrap_or_default().to_owned(),
                row["destinations"].to_string(),
                number(&medians["cpu_ms_per_destination_second"], 3, 1.0),
                number(&row["cpu_to_floor_per_message"], 2, 1.0),
                number(&row["cpu_to_floor_per_frame"], 2, 1.0),
                number(&row["cpu_to_nginx"], 2, 1.0),
                number(&medians["latency_p50_ms"], 1, 1.0),
                number(&medians["latency_p99_ms"], 1, 1.0),
                number(&medians["publish_to_first_video_at_last_s"], 2, 1.0),
                number(&medians["first_frame_number"], 0, 1.0),
                number(&medians["rss_before_bytes"], 1, 1e6),
                number(&medians["rss_per_destination_bytes"], 1, 1e3),
                number(&medians["frames_lost"], 0, 1.0),
                number(&medians["delivered"], 3, 1.0),
            ]
        })
        .collect();
    print_table("One 4 Mbps stream to N destinations (ingest included; medians)", &head, &rows);
}

//! One stream to N viewers by WebRTC on loopback, beside the floor of the machine: one thread that sends the same bytes with as few system
//! calls (UDP GSO), and neither encrypts nor listens.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use weir_testkit::ffmpeg::Clip;
use weir_testkit::{ProcessStats, Weir, wait_until};

use crate::fanout::{bench_clip, made_clip};
use crate::report::{median, print_table, write};
use crate::system::{Role, grown, publish, weir_binary};

#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// What is run: the number of viewers, and the rate of the stream in Mbit/s (1 or 4).
    #[arg(long, value_delimiter = ',', default_values = ["50x4", "25x1", "50x1", "100x1", "200x1"])]
    loads: Vec<Load>,
    /// How often each system is run, in turn with the other. The figures are medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The engines that are run: "str0m", "webrtcbin".
    #[arg(long = "engine", value_delimiter = ',', default_values = ["str0m"])]
    engines: Vec<Engine>,
    /// The length of each measured window.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    #[value(name = "str0m")]
    Str0m,
    #[value(name = "webrtcbin")]
    Webrtcbin,
}

impl Engine {
    const fn name(self) -> &'static str {
        match self {
            Self::Str0m => "str0m",
            Self::Webrtcbin => "webrtcbin",
        }
    }
}

/// So many viewers of a stream of that rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    viewers: usize,
    mbps: u32,
}

impl std::str::FromStr for Load {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let load = text.split_once('x').and_then(|(viewers, mbps)| Some((viewers.parse().ok()?, mbps.parse().ok()?)));
        let (viewers, mbps) = load.filter(|(_, mbps)| [1, 4].contains(mbps)).ok_or("a load is like 50x4 or 200x1")?;
        Ok(Self { viewers, mbps })
    }
}

impl Load {
    fn clip(self) -> anyhow::Result<std::path::PathBuf> {
        match self.mbps {
            1 => made_clip("720p30-1mbps.flv", &Clip { video_kbps: 1_000, ..Clip::of_the_bench() }),
            _ => bench_clip(),
        }
    }
}

const START_LIMIT: Duration = Duration::from_secs(60);
/// The time between the last viewer's connection and the window: each begins with a cached GOP, faster than it was made.
const SETTLE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Floor,
    Weir(Engine),
}

impl System {
    fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor, UDP GSO",
            Self::Weir(Engine::Str0m) => "weir",
            Self::Weir(Engine::Webrtcbin) => "weir, webrtcbin",
        }
    }
}

#[derive(Clone, Debug)]
struct Run {
    cpu_ms_per_viewer_second: f64,
    mbps_per_viewer: f64,
    frames_per_viewer_second: f64,
    /// Of the packets that were sent in the window, how many came. The floor's are not numbered.
    packets_percent: f64,
    rss_bytes_per_viewer: f64,
    threads: f64,
    threads_more: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let weirs = options.engines.iter().map(|engine| System::Weir(*engine));
    let systems: Vec<System> = std::iter::once(System::Floor).chain(weirs).collect();
    let mut runs = Vec::new();
    for round in 1..=options.rounds {
        for &load in &options.loads {
            let clip = load.clip()?;
            for &system in &systems {
                let Load { viewers, mbps } = load;
                let name = system.name();
                eprintln!("round {round} of {}: {name} to {viewers} viewers at {mbps} Mbit/s", options.rounds);
                let run = match system {
                    System::Floor => floor_run(load, options.seconds),
                    System::Weir(engine) => weir_run(engine, load, options.seconds, &clip),
                };
                runs.push((system, load, run.with_context(|| format!("{name} to {viewers}"))?));
            }
        }
    }
    let mut figures = Vec::new();
    for &load in &options.loads {
        let of = |system: System, field: fn(&Run) -> f64| {
            let runs = runs.iter().filter(|(ran, at, _)| (*ran, *at) == (system, load));
            median(runs.map(|(_, _, run)| field(run)).collect())
        };
        for &system in &systems {
            let cpu = |system| of(system, |run| run.cpu_ms_per_viewer_second);
            figures.push(json!({
                "system": system.name(), "viewers": load.viewers, "stream_mbps": load.mbps, "runs": options.rounds,
                "cpu_to_floor": cpu(system) / cpu(System::Floor),
                "medians": {
                    "cpu_ms_per_viewer_second": cpu(system),
                    "mbps_per_viewer": of(system, |run| run.mbps_per_viewer),
                    "frames_per_viewer_second": of(system, |run| run.frames_per_viewer_second),
                    "packets_percent": of(system, |run| run.packets_percent),
                    "rss_bytes_per_viewer": of(system, |run| run.rss_bytes_per_viewer),
                    "threads": of(system, |run| run.threads),
                    "threads_more_than_without_viewers": of(system, |run| run.threads_more),
                },
            }));
        }
    }
    print(&figures);
    let weirs = systems.iter().filter(|system| **system != System::Floor);
    let growth: Vec<Value> = weirs.flat_map(|system| growth(&figures, &options.loads, *system)).collect();
    for line in &growth {
        println!("  {}", line["words"].as_str().unwrap_or_default());
    }
    figures.extend(growth);
    write("webrtc", &Value::Array(figures))
}

/// How Weir's CPU grows with the number of viewers, for each rate that was run with several: with its `exponent`-th power. 1 means that a viewer
/// costs the same however many there are.
fn growth(figures: &[Value], loads: &[Load], system: System) -> Vec<Value> {
    let name = system.name();
    let mut rates: Vec<u32> = loads.iter().map(|load| load.mbps).collect();
    rates.sort_unstable();
    rates.dedup();
    let of_rate = |mbps: u32| {
        let weirs = figures.iter().filter(move |row| row["system"] == name && row["stream_mbps"] == mbps);
        let points: Vec<(f64, f64)> = weirs
            .filter_map(|row| {
                let (viewers, cpu) = (row["viewers"].as_f64()?, row["medians"]["cpu_ms_per_viewer_second"].as_f64()?);
                Some((viewers, cpu * viewers))
            })
            .collect();
        let exponent = exponent(&points)?;
        let words =
            format!("{name} at {mbps} Mbit/s: CPU grows with the number of viewers to the power of {exponent:.3}");
        Some(json!({ "system": name, "stream_mbps": mbps, "exponent": exponent, "words": words }))
    };
    rates.into_iter().filter_map(of_rate).collect()
}

/// The slope of the line that fits the points best where both axes are logarithmic; none without two different places on the first.
fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) =
        (logs.iter().map(|(x, _)| x).sum::<f64>() / count, logs.iter().map(|(_, y)| y).sum::<f64>() / count);
    let spread: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    (logs.len() > 1 && spread > 0.0).then_some(slope)
}

/// The memory, threads and files of some processes together.
fn together(pids: &[u32]) -> ProcessStats {
    let all = pids.iter().map(|pid| ProcessStats::of(*pid));
    let none = ProcessStats { rss_bytes: 0, fds: 0, threads: 0, cpu: Duration::ZERO };
    all.fold(none, |sum, one| ProcessStats {
        rss_bytes: sum.rss_bytes + one.rss_bytes,
        fds: sum.fds + one.fds,
        threads: sum.threads + one.threads,
        cpu: sum.cpu + one.cpu,
    })
}

/// What the processes at work and their viewers did in a window.
fn window(pids: &[u32], viewers: &mut Role, load: Load, seconds: u64, before: ProcessStats) -> anyhow::Result<Run> {
    let cpu_ms = || pids.iter().map(|pid| ProcessStats::cpu_by_scheduler(*pid).as_secs_f64() * 1_000.0).sum::<f64>();
    thread::sleep(SETTLE);
    let (first, began, cpu_before_ms) = (viewers.ask("report")?, Instant::now(), cpu_ms());
    thread::sleep(Duration::from_secs(seconds));
    let (length, cpu_ms) = (began.elapsed().as_secs_f64(), cpu_ms() - cpu_before_ms);
    let (last, after) = (viewers.ask("report")?, together(pids));
    let grown = |name: &str| grown(&first, &last, name);
    let count = load.viewers as f64;
    Ok(Run {
        cpu_ms_per_viewer_second: cpu_ms / count / length,
        mbps_per_viewer: grown("bytes")? * 8.0 / 1e6 / count / length,
        frames_per_viewer_second: grown("frames")? / count / length,
        packets_percent: 100.0 * grown("packets")? / grown("packets_sent")?,
        rss_bytes_per_viewer: after.rss_bytes.saturating_sub(before.rss_bytes) as f64 / count,
        threads: after.threads as f64,
        threads_more: after.threads as f64 - before.threads as f64,
    })
}

fn weir_run(engine: Engine, load: Load, seconds: u64, clip: &Path) -> anyhow::Result<Run> {
    let server = Weir::options(weir_binary()?);
    let server = server.set("webrtc.udp_listen", "127.0.0.1:0").set("webrtc.tcp_listen", "");
    let server = server.set("webrtc.engine", engine.name()).set("webrtc.udp_ports", "20000-40000").start();
    let api = server.api();
    let serves = || api.get("/system").expect(200)["webrtc"]["engine"] == engine.name();
    wait_until("the engine serves", START_LIMIT, serves);
    let of_engine = Command::new("pgrep").args(["-x", "weir-webrtc", "-P", &server.pid().to_string()]).output()?;
    let of_engine = String::from_utf8(of_engine.stdout)?.lines().map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let pids = [vec![server.pid()], of_engine].concat();
    let stream = api.create_stream_with("bench", &json!({ "hls": false, "dash": false }));
    let (_publisher, _) = publish(&server.rtmp_address(), "live", &stream.stream_key, clip)?;
    api.wait_stream(&stream, "live", START_LIMIT);
    // Two GOPs are cached then, and what start-up took is given back.
    thread::sleep(Duration::from_secs(8));
    let before = together(&pids);
    let address = server.http().replace("http://", "");
    let mut viewers = Role::start(&["webrtc-view", &address, "/whep/bench", &load.viewers.to_string()])?;
    all_watch(&mut viewers, load.viewers)?;
    window(&pids, &mut viewers, load, seconds, before)
}

fn all_watch(viewers: &mut Role, count: usize) -> anyhow::Result<()> {
    let holds = |report: &Value| report["watching"] == count;
    viewers.report_when(START_LIMIT, holds, |report| format!("only {} of {count} watch", report["watching"]))
}

fn floor_run(load: Load, seconds: u64) -> anyhow::Result<Run> {
    let mut viewers = Role::start(&["webrtc-sink", &load.viewers.to_string()])?;
    let ports: Vec<u16> = serde_json::from_str(&viewers.line()?)?;
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let bits = u64::from(load.mbps) * 1_000_000;
    let mut floor = Role::start(&["webrtc-floor", &bits.to_string(), &ports.join(",")])?;
    floor.line()?;
    let before = ProcessStats::of(floor.pid());
    window(&[floor.pid()], &mut viewers, load, seconds, before)
}

fn print(figures: &[Value]) {
    let head = [
        "system",
        "viewers",
        "Mbit/s",
        "CPU ms/viewer-s",
        "/floor",
        "came Mbit/s",
        "frames/s",
        "packets %",
        "RSS MiB/viewer",
        "threads",
        "more",
    ];
    let number = |value: &Value, digits: usize, unit: f64| {
        value.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{:.*}", digits, number / unit))
    };
    let row = |row: &Value| {
        let medians = &row["medians"];
        vec![
            row["system"].as_str().unwrap_or_default().to_owned(),
            row["viewers"].to_string(),
            row["stream_mbps"].to_string(),
            number(&medians["cpu_ms_per_viewer_second"], 2, 1.0),
            number(&row["cpu_to_floor"], 2, 1.0),
            number(&medians["mbps_per_viewer"], 2, 1.0),
            number(&medians["frames_per_viewer_second"], 2, 1.0),
            number(&medians["packets_percent"], 2, 1.0),
            number(&medians["rss_bytes_per_viewer"], 2, f64::from(1 << 20)),
            number(&medians["threads"], 0, 1.0),
            number(&medians["threads_more_than_without_viewers"], 0, 1.0),
        ]
    };
    let rows: Vec<Vec<String>> = figures.iter().map(row).collect();
    print_table("One stream to N viewers by WebRTC (ingest included; medians)", &head, &rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_is_that_of_the_power_that_fits() {
        let points = |power: f64| [25.0, 50.0, 100.0, 200.0].map(|x: f64| (x, 3.0 * x.powf(power)));
        for power in [0.9, 1.0, 1.5] {
            assert!((exponent(&points(power)).unwrap() - power).abs() < 1e-9);
        }
        assert_eq!((exponent(&[]), exponent(&[(5.0, 1.0)]), exponent(&[(5.0, 1.0), (5.0, 2.0)])), (None, None, None));
    }
}

//! Sends one 4 Mbps RTMP stream to N SRT destinations on loopback, beside N srt-live-transmit that relay the same from SRT and from UDP.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use serde_json::{Value, json};
use weir_testkit::srt::free_udp_port;
use weir_testkit::{ProcessStats, Weir};

use crate::fanout::bench_clip;
use crate::report::{median, print_table, write};
use crate::system::{Role, grown, publish, weir_binary};

#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// The numbers of destinations.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 50])]
    sizes: Vec<usize>,
    /// How often each system is run, in turn with the others. The figures are medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The length of each measured window.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

const START_LIMIT: Duration = Duration::from_secs(60);
/// The time between the start and the window.
const SETTLE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Weir,
    RelayFromSrt,
    RelayFromUdp,
}

impl System {
    const ALL: [Self; 3] = [Self::RelayFromSrt, Self::RelayFromUdp, Self::Weir];

    fn name(self) -> &'static str {
        match self {
            Self::Weir => "weir, RTMP to SRT",
            Self::RelayFromSrt => "srt-live-transmit, SRT to SRT",
            Self::RelayFromUdp => "srt-live-transmit, UDP to SRT",
        }
    }
}

/// The systems that send to the sink, and those that feed them.
struct Running {
    weir: Option<Box<Weir>>,
    relays: Vec<Child>,
    _feeds: Role,
}

impl Running {
    fn start(system: System, ports: &[u16], clip: &Path) -> anyhow::Result<Self> {
        // The sink asks for a stream id, as every gate of ours does.
        let far = |port: &u16| format!("srt://127.0.0.1:{port}?mode=caller&streamid=publish:bench");
        if system == System::Weir {
            let weir = Weir::options(weir_binary()?).start();
            let api = weir.api();
            // The relays package nothing either.
            let stream = api.create_stream_with("bench", &json!({ "hls": false, "dash": false }));
            for (number, port) in ports.iter().enumerate() {
                api.create_restream(&stream, &format!("d{number}"), &format!("{}&latency=200ms", far(port)));
            }
            let (publisher, _) = publish(&weir.rtmp_address(), "live", &stream.stream_key, clip)?;
            return Ok(Self { weir: Some(Box::new(weir)), relays: Vec::new(), _feeds: publisher });
        }
        let (mut relays, mut sources) = (Vec::new(), Vec::new());
        for port in ports {
            let near = free_udp_port();
            let (from, source) = match system {
                System::RelayFromUdp => (format!("udp://127.0.0.1:{near}"), format!("udp://127.0.0.1:{near}")),
                _ => (format!("srt://127.0.0.1:{near}?mode=listener&latency=20"), format!("srt://127.0.0.1:{near}")),
            };
            let mut relay = Command::new("srt-live-transmit");
            // The latency of srt-live-transmit is in milliseconds.
            relay.args(["-q", "-chunk:1316", &from, &format!("{}&latency=200", far(port))]);
            relay.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            relays.push(relay.spawn().context("srt-live-transmit is not there: `make bench` installs it")?);
            sources.push(source);
        }
        // The relays listen within milliseconds and say nothing of it; a call is repeated for three seconds.
        let clip = clip.to_string_lossy();
        let mut arguments = vec!["srt-source", &*clip];
        arguments.extend(sources.iter().map(String::as_str));
        let mut feeds = Role::start(&arguments)?;
        feeds.line()?;
        Ok(Self { weir: None, relays, _feeds: feeds })
    }

    fn pids(&self) -> Vec<u32> {
        self.weir.iter().map(|weir| weir.pid()).chain(self.relays.iter().map(Child::id)).collect()
    }

    fn cpu_ms(&self) -> f64 {
        self.pids().into_iter().map(|pid| ProcessStats::cpu_of_tree(pid).as_secs_f64() * 1_000.0).sum()
    }

    fn rss_bytes(&self) -> u64 {
        self.pids().into_iter().map(|pid| ProcessStats::of(pid).rss_bytes).sum()
    }

    fn threads(&self) -> usize {
        self.pids().into_iter().map(|pid| ProcessStats::of(pid).threads).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for relay in &mut self.relays {
            // The process may have ended by itself.
            let _ = relay.kill();
            let _ = relay.wait();
        }
    }
}

#[derive(Clone, Debug)]
struct Run {
    cpu_ms_per_destination_second: f64,
    mbps_per_destination: f64,
    rss_bytes: f64,
    threads: f64,
    continuity_errors: f64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let clip = bench_clip()?;
    let mut runs = Vec::new();
    for round in 1..=options.rounds {
        for &size in &options.sizes {
            // The systems run in turn, so that a busy neighbour of the machine hits all of them alike.
            for system in System::ALL {
                eprintln!("round {round} of {}: {} to {size} destinations", options.rounds, system.name());
                let run = one_run(system, size, options.seconds, &clip);
                runs.push((system, size, run.with_context(|| format!("{} to {size}", system.name()))?));
            }
        }
    }
    let mut figures = Vec::new();
    for &size in &options.sizes {
        let of = |system: System, field: fn(&Run) -> f64| {
            let runs = runs.iter().filter(|(ran, to, _)| (*ran, *to) == (system, size));
            median(runs.map(|(_, _, run)| field(run)).collect())
        };
        let cpu = |system| of(system, |run| run.cpu_ms_per_destination_second);
        for system in System::ALL {
            figures.push(json!({
                "system": system.name(), "destinations": size, "runs": options.rounds,
                "cpu_to_relay_from_srt": cpu(system) / cpu(System::RelayFromSrt),
                "cpu_to_relay_from_udp": cpu(system) / cpu(System::RelayFromUdp),
                "medians": {
                    "cpu_ms_per_destination_second": cpu(system),
                    "mbps_per_destination": of(system, |run| run.mbps_per_destination),
                    "rss_bytes": of(system, |run| run.rss_bytes),
                    "threads": of(system, |run| run.threads),
                    "continuity_errors": of(system, |run| run.continuity_errors),
                },
            }));
        }
    }
    print(&figures);
    write("srt", &Value::Array(figures))
}

fn one_run(system: System, destinations: usize, seconds: u64, clip: &Path) -> anyhow::Result<Run> {
    let mut sink = Role::start(&["srt-sink", &destinations.to_string()])?;
    let ports: Vec<u16> = serde_json::from_str(&sink.line()?)?;
    let running = Running::start(system, &ports, clip)?;
    // All destinations must be connected, and something must have come through.
    let bytes_min = 100_000 * destinations as u64;
    let holds = |report: &Value| report["connections"] == destinations && report["bytes"].as_u64() > Some(bytes_min);
    sink.report_when(START_LIMIT, holds, |report| {
        format!("only {} destinations are connected", report["connections"])
    })?;
    thread::sleep(SETTLE);
    let (before, window, cpu_before_ms) = (sink.ask("report")?, Instant::now(), running.cpu_ms());
    thread::sleep(Duration::from_secs(seconds));
    let (window, cpu_ms) = (window.elapsed().as_secs_f64(), running.cpu_ms() - cpu_before_ms);
    let after = sink.ask("report")?;
    let grown = |name: &str| grown(&before, &after, name);
    let count = destinations as f64;
    Ok(Run {
        cpu_ms_per_destination_second: cpu_ms / count / window,
        mbps_per_destination: grown("bytes")? * 8.0 / 1e6 / count / window,
        rss_bytes: running.rss_bytes() as f64,
        threads: running.threads() as f64,
        continuity_errors: grown("continuity_errors")?,
    })
}

fn print(figures: &[Value]) {
    let head =
        ["system", "N", "CPU ms/dest-s", "/SRT relay", "/UDP relay", "Mbps/dest", "RSS MB", "threads", "CC errors"];
    let number = |value: &Value, digits: usize, unit: f64| {
        value.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{:.*}", digits, number / unit))
    };
    let row = |row: &Value| {
        let medians = &row["medians"];
        vec![
            row["system"].as_str().unwrap_or_default().to_owned(),
            row["destinations"].to_string(),
            number(&medians["cpu_ms_per_destination_second"], 2, 1.0),
            number(&row["cpu_to_relay_from_srt"], 2, 1.0),
            number(&row["cpu_to_relay_from_udp"], 2, 1.0),
            number(&medians["mbps_per_destination"], 2, 1.0),
            number(&medians["rss_bytes"], 1, 1e6),
            number(&medians["threads"], 0, 1.0),
            number(&medians["continuity_errors"], 0, 1.0),
        ]
    };
    let rows: Vec<Vec<String>> = figures.iter().map(row).collect();
    print_table("One 4 Mbps stream to N SRT destinations (ingest included; medians)", &head, &rows);
}

//! What packaging costs: CPU of the server per second of media, ingest included, with nobody watching.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use serde_json::{Value, json};
use weir_testkit::Weir;
use weir_testkit::ffmpeg::Clip;

use crate::fanout::made_clip;
use crate::origin::{cpu_ms, fetch};
use crate::report::{median, print_table, write};
use crate::system::{publish, weir_binary};

#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// The number of streams that are packaged at once.
    #[arg(long, default_value_t = 10)]
    pub(crate) streams: usize,
    /// The number of windows that are measured one after the other. The figure is their median.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// The length of each measured window.
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Only receives the streams, for comparison.
    #[arg(long)]
    pub(crate) unpackaged: bool,
}

/// The time between the start and the first measurement.
const SETTLE: Duration = Duration::from_secs(5);
/// A stream keeps 60 s in memory (`dvr_seconds`). Until they are full, all that comes lies in pages that the kernel has to clear first,
/// which is a quarter of the whole cost. A channel that runs day and night fills them once, so that is a figure of its own.
const FILLING: Duration = Duration::from_secs(60);

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let figures = measure(options)?;
    print(&figures);
    if options.unpackaged { Ok(()) } else { write("packaging", &figures) }
}

pub(crate) fn measure(options: &Options) -> anyhow::Result<Value> {
    eprintln!("packaging {} streams", options.streams);
    let clip = made_clip("720p30-4mbps.flv", &Clip::of_the_bench())?;
    let server = Weir::options(weir_binary()?).start();
    let packaged = !options.unpackaged;
    let mut publishers = Vec::new();
    for number in 0..options.streams {
        let wish = json!({ "hls": packaged, "dash": packaged });
        let stream = server.api().create_stream_with(&format!("s{number}"), &wish);
        publishers.push(publish(&server.rtmp_address(), "live", &stream.stream_key, &clip)?.0);
    }
    thread::sleep(SETTLE);
    let cost_over = |window: Duration| {
        let (start, before) = (Instant::now(), cpu_ms(server.pid()));
        thread::sleep(window);
        (cpu_ms(server.pid()) - before) / (start.elapsed().as_secs_f64() * options.streams as f64)
    };
    let filling = cost_over(FILLING);
    let runs: Vec<f64> = (0..options.rounds).map(|_| cost_over(Duration::from_secs(options.seconds))).collect();
    let address: SocketAddr = server.http().replace("http://", "").parse()?;
    for number in (0..options.streams).filter(|_| packaged) {
        ensure!(fetch(address, &format!("/play/s{number}/master.m3u8")).is_some(), "stream {number} is not packaged");
    }
    Ok(json!({
        "streams": options.streams, "rounds": options.rounds, "seconds": options.seconds,
        "cpu_ms_per_media_second": median(runs.clone()), "runs": runs,
        "while_the_window_fills": filling,
    }))
}

pub(crate) fn print(figures: &Value) {
    let cost = figures["cpu_ms_per_media_second"].as_f64().unwrap_or(f64::NAN);
    let filling = figures["while_the_window_fills"].as_f64().unwrap_or(f64::NAN);
    let cells = vec![figures["streams"].to_string(), format!("{cost:.2}"), format!("{filling:.2}")];
    let head = ["streams", "CPU ms per media second", "while the window fills"];
    print_table("Packaging 4 Mbps streams, ingest included", &head, &[cells]);
}

//! The playback origin: 2,000 viewers at once, CPU per gigabyte and per playlist beside nginx with the same files, and what
//! packaging costs.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use serde_json::{Value, json};
use weir_testkit::ffmpeg::Clip;
use weir_testkit::{ProcessStats, Weir, WeirOptions, wait_until_some};

use crate::fanout::made_clip;
use crate::packaging;
use crate::report::{median, print_table, write};
use crate::system::{Role, publish, weir_binary};

#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// How often each server is measured, in turn with the other. The figures are medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The length of each measured window.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    #[arg(long, default_value_t = 2_000)]
    viewers: usize,
    /// The number of connections that ask as fast as they are answered.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// The number of streams that are packaged at once.
    #[arg(long, default_value_t = 10)]
    streams: usize,
}

const SOON: Duration = Duration::from_secs(30);
const MEDIA: &str = "/play/bench/source/video.m3u8";

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let large = made_clip("720p30-4mbps.flv", &Clip::of_the_bench())?;
    let small = Clip { size: "640x360", gop_frames: 60, video_kbps: 300, audio: false, ..Clip::default() };
    let small = made_clip("360p30-300kbps.flv", &small)?;
    let packaging =
        packaging::measure(&packaging::Options { streams: options.streams, ..packaging::Options::parse_from([""]) })?;
    let serving = serving(options, &large)?;
    let viewers = viewers(options, &small)?;
    print(&serving, &viewers);
    packaging::print(&packaging);
    write("origin", &json!({ "serving": serving, "viewers": viewers, "packaging": packaging }))
}

/// A server with one live stream, `bench`.
fn live(clip: &Path) -> anyhow::Result<(Weir, Role, SocketAddr)> {
    let server = options()?.start();
    let stream = server.api().create_stream("bench");
    let (publisher, _) = publish(&server.rtmp_address(), "live", &stream.stream_key, clip)?;
    let address = server.http().replace("http://", "").parse()?;
    Ok((server, publisher, address))
}

fn options() -> anyhow::Result<WeirOptions> {
    Ok(Weir::options(weir_binary()?))
}

pub(crate) fn fetch(address: SocketAddr, path: &str) -> Option<Vec<u8>> {
    let output = Command::new("curl").args(["--silent", "--fail", &format!("http://{address}{path}")]).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// The newest whole segment with at least this many bytes, and its path.
fn segment(address: SocketAddr, bytes_min: usize) -> (String, Vec<u8>) {
    wait_until_some("a whole segment is there", SOON, || {
        let text = String::from_utf8(fetch(address, MEDIA)?).ok()?;
        let name = text.lines().rfind(|line| line.ends_with(".m4s") && !line.starts_with('#'))?;
        let path = format!("/play/bench/source/{name}");
        let body = fetch(address, &path)?;
        (body.len() >= bytes_min).then_some((path, body))
    })
}

/// The CPU time of both servers for the same two files. The cost of Weir's live stream itself is measured before, and subtracted.
fn serving(options: &Options, clip: &Path) -> anyhow::Result<Value> {
    let (server, _publisher, address) = live(clip)?;
    // The wait lets the playlists become as long as they are when a stream has run for a while.
    std::thread::sleep(Duration::from_secs(15));
    let (_, file) = segment(address, 900_000);
    let playlist = fetch(address, MEDIA).context("the playlist")?;
    let threads = http_threads(server.pid())?;
    let nginx = StaticNginx::start(&[("segment.m4s", &file), ("playlist.m3u8", &playlist)], threads)?;
    let idle = cpu_ms(server.pid());
    std::thread::sleep(Duration::from_secs(5));
    let idle_ms_per_second = (cpu_ms(server.pid()) - idle) / 5.0;

    let (mut gigabyte, mut request) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 1..=options.rounds {
        eprintln!("serving, round {round} of {}", options.rounds);
        // A segment is in the window for a minute, so each round takes a new one.
        let (segment, _) = segment(address, 900_000);
        let weir = (server.pid(), address, segment.as_str(), MEDIA, idle_ms_per_second);
        let peer = (nginx.pid(), nginx.address, "/segment.m4s", "/playlist.m3u8", 0.0);
        for (index, (pid, address, segment, playlist, idle)) in [weir, peer].into_iter().enumerate() {
            let (cpu, report) = blast(options, pid, address, segment, idle)?;
            gigabyte[index].push(cpu / 1000.0 / (report["bytes"].as_f64().unwrap_or_default() / 1e9));
            let (cpu, report) = blast(options, pid, address, playlist, idle)?;
            request[index].push(cpu * 1000.0 / report["answers"].as_f64().unwrap_or_default());
        }
    }
    let medians = |values: &[Vec<f64>; 2]| (median(values[0].clone()), median(values[1].clone()));
    let ((gb, nginx_gb), (us, nginx_us)) = (medians(&gigabyte), medians(&request));
    Ok(json!({
        "rounds": options.rounds, "connections": options.connections, "worker_threads_each": threads,
        "both": "keep-alive HTTP/1.1 without end, the same client, no gzip, the same rules for caches and other sites in the headers",
        "segment_bytes": file.len(), "playlist_bytes": playlist.len(), "idle_cpu_ms_per_second": idle_ms_per_second,
        "cpu_s_per_gb": { "weir": gb, "nginx": nginx_gb, "ratio": gb / nginx_gb, "weir_runs": gigabyte[0], "nginx_runs": gigabyte[1] },
        "cpu_us_per_playlist": { "weir": us, "nginx": nginx_us, "ratio": us / nginx_us, "weir_runs": request[0], "nginx_runs": request[1] },
    }))
}

/// The CPU milliseconds that a server spent on one kind of request, and the report of the load program.
fn blast(options: &Options, pid: u32, address: SocketAddr, path: &str, idle: f64) -> anyhow::Result<(f64, Value)> {
    let (connections, seconds) = (options.connections.to_string(), options.seconds.to_string());
    let (start, before) = (Instant::now(), cpu_ms(pid));
    let mut load = Role::start(&["origin-blast", &address.to_string(), path, &connections, &seconds])?;
    let report: Value = serde_json::from_str(&load.line()?)?;
    let cpu = cpu_ms(pid) - before - idle * start.elapsed().as_secs_f64();
    Ok((cpu, report))
}

fn viewers(options: &Options, clip: &Path) -> anyhow::Result<Value> {
    eprintln!("{} viewers", options.viewers);
    let (server, _publisher, address) = live(clip)?;
    segment(address, 1_000);
    let idle_rss = server.stats().rss_bytes;
    let (start, before) = (Instant::now(), cpu_ms(server.pid()));
    let seconds = 20;
    let count = options.viewers.to_string();
    let mut load = Role::start(&["origin-view", &address.to_string(), MEDIA, &count, &seconds.to_string()])?;
    std::thread::sleep(Duration::from_secs(seconds / 2));
    let rss = server.stats().rss_bytes;
    let mut report: Value = serde_json::from_str(&load.line()?)?;
    report["viewers"] = options.viewers.into();
    report["cpu_percent_of_a_core"] = ((cpu_ms(server.pid()) - before) / start.elapsed().as_secs_f64() / 10.0).into();
    report["rss_bytes_per_viewer"] = (rss.saturating_sub(idle_rss) as f64 / options.viewers as f64).into();
    Ok(report)
}

/// The number of threads that answer viewers. nginx gets as many workers.
fn http_threads(pid: u32) -> anyhow::Result<usize> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))?;
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let count = names.filter(|name| name.starts_with("http-")).count();
    anyhow::ensure!(count > 0, "no thread of the server is called http-N");
    Ok(count)
}

pub(crate) fn cpu_ms(pid: u32) -> f64 {
    ProcessStats::cpu_of_tree(pid).as_secs_f64() * 1000.0
}

/// nginx as it is best at files: with `sendfile`, without a log, and with the headers that an origin must send. It has no cache of open
/// files, because playlists change under their name.
struct StaticNginx {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl StaticNginx {
    fn start(files: &[(&str, &[u8])], workers: usize) -> anyhow::Result<Self> {
        let folder = tempfile::TempDir::with_prefix("weir-bench-nginx-")?;
        for (name, body) in files {
            std::fs::write(folder.path().join(name), body)?;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], weir_testkit::nginx::free_port()));
        let path = folder.path().display();
        let configuration = format!(
            "user root; daemon off; worker_processes {workers}; pid {path}/pid; error_log {path}/error.log warn;
             events {{ worker_connections 4096; }}
             http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000;
               types {{ application/vnd.apple.mpegurl m3u8; video/mp4 m4s; }}
               add_header Access-Control-Allow-Origin *;
               add_header Access-Control-Expose-Headers 'Content-Length, Content-Range, ETag, Date';
               add_header X-Content-Type-Options nosniff; add_header Cache-Control $cache_rule;
               map $uri $cache_rule {{ ~m3u8$ no-cache; default 'public, max-age=3600, immutable'; }}
               server {{ listen {address}; root {path}; }} }}"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration)?;
        let search = std::env::var("PATH").unwrap_or_default();
        let child = Command::new("nginx")
            .env("PATH", format!("{search}:/usr/sbin"))
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"])
            .stdout(Stdio::null())
            .spawn()
            .context("nginx did not start; `make bench` installs it")?;
        let nginx = Self { child, address, _folder: folder };
        wait_until_some("nginx serves", SOON, || fetch(address, "/playlist.m3u8"));
        Ok(nginx)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for StaticNginx {
    fn drop(&mut self) {
        // SIGTERM has the master take its worker along.
        let _ = Command::new("kill").arg(self.pid().to_string()).status();
        let _ = self.child.wait();
    }
}

fn print(serving: &Value, viewers: &Value) {
    let number = |value: &Value, digits: usize| format!("{:.*}", digits, value.as_f64().unwrap_or(f64::NAN));
    let row = |name: &str, value: &Value, digits: usize| {
        let cells = [&value["weir"], &value["nginx"]].map(|value| number(value, digits));
        [vec![name.to_owned()], cells.to_vec(), vec![number(&value["ratio"], 2)]].concat()
    };
    let rows = [
        row("CPU s per GB", &serving["cpu_s_per_gb"], 3),
        row("CPU us per playlist", &serving["cpu_us_per_playlist"], 1),
    ];
    print_table("The same files by Weir and nginx (medians)", &["", "weir", "nginx", "ratio"], &rows);
    println!(
        "  each with {} thread(s) for {} connections: {}",
        serving["worker_threads_each"],
        serving["connections"],
        serving["both"].as_str().unwrap_or_default()
    );
    let head = ["viewers", "segments", "errors", "p50 ms", "p99 ms", "max ms", "CPU %", "kB/viewer"];
    let cells = vec![
        viewers["viewers"].to_string(),
        viewers["segments"].to_string(),
        viewers["errors"].to_string(),
        number(&viewers["segment_p50_ms"], 1),
        number(&viewers["segment_p99_ms"], 1),
        number(&viewers["segment_max_ms"], 1),
        number(&viewers["cpu_percent_of_a_core"], 1),
        format!("{:.1}", viewers["rss_bytes_per_viewer"].as_f64().unwrap_or_default() / 1e3),
    ];
    print_table("Viewers of a 300 kbps stream, each with one connection", &head, &[cells]);
}

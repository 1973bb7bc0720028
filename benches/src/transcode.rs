//! Runs the transcoder beside one ffmpeg with the same x264 settings on the same input: CPU, quality, added delay, memory, and growth.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::{Value, json};
use weir_mux::flv::file::FlvTag;
use weir_testkit::destination::is_video_frame;
use weir_testkit::flv::read_flv;
use weir_testkit::{Destination, ProcessStats, Publisher, Weir, wait_until};

use crate::report::{median, print_table, write};
use crate::system::weir_binary;

#[derive(Debug, Parser)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Also measures how the cost grows from 1 to 6 rungs and from 1 to 4 streams.
    #[arg(long)]
    growth: bool,
}

const LIMIT: Duration = Duration::from_secs(30);

/// Name, size and kbps of a rung.
type Rung = (&'static str, &'static str, u32);

/// The ladder of the comparison is the first four rungs.
const RUNGS: [Rung; 6] = [
    ("720p", "1280x720", 2500),
    ("480p", "854x480", 1200),
    ("360p", "640x360", 700),
    ("240p", "426x240", 350),
    ("180p", "320x180", 250),
    ("90p", "160x90", 100),
];
const LADDER: usize = 4;

/// The figures of one run of one system.
struct Run {
    cpu_s: f64,
    memory_bytes: u64,
    /// The worker's share of our server's memory.
    worker_bytes: u64,
    /// The output of each rung.
    files: Vec<PathBuf>,
    /// How many milliseconds each rung is behind the source as it is.
    added_ms: Vec<Vec<f64>>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("weir-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = compare(options, &folder);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn compare(options: &Options, folder: &Path) -> anyhow::Result<()> {
    let source = make_source(folder, options.seconds)?;
    let clip = read_flv(&source);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}: weir, then ffmpeg", options.rounds);
        ours.push(run_weir(&clip, &RUNGS[..LADDER], 1, folder)?);
        theirs.push(run_ffmpeg(&source, LADDER, folder)?);
    }
    let cpu = |runs: &[Run]| median(runs.iter().map(|run| run.cpu_s).collect());
    let ratio = cpu(&ours) / cpu(&theirs);
    let rounds: Vec<Value> = ours.iter().zip(&theirs).map(|(ours, theirs)| json!([ours.cpu_s, theirs.cpu_s])).collect();
    let (last, their_last) = (ours.last().context("a round")?, theirs.last().context("a round")?);
    let (mut rows, mut rungs) = (Vec::new(), Vec::new());
    for (number, (name, size, _)) in RUNGS[..LADDER].iter().enumerate() {
        let (our_ssim, their_ssim) =
            (ssim(&source, &last.files[number], size)?, ssim(&source, &their_last.files[number], size)?);
        let mut added: Vec<f64> = ours.iter().flat_map(|run| run.added_ms[number].clone()).collect();
        added.sort_by(f64::total_cmp);
        let at = |share: f64| added.get(((added.len() - 1) as f64 * share) as usize).copied().unwrap_or_default();
        let (p50, p95, p99) = (at(0.50), at(0.95), at(0.99));
        rows.push(vec![
            (*name).to_owned(),
            format!("{our_ssim:.4}"),
            format!("{their_ssim:.4}"),
            format!("{p50:.1}"),
            format!("{p95:.1}"),
            format!("{p99:.1}"),
        ]);
        rungs.push(json!({
            "rung": name, "ssim_weir": our_ssim, "ssim_ffmpeg": their_ssim,
            "added_ms": {"p50": p50, "p95": p95, "p99": p99, "pictures": added.len()},
        }));
    }
    print_table(
        "Quality and delay behind the source as it is",
        &["rung", "SSIM weir", "SSIM ffmpeg", "added p50 ms", "p95 ms", "p99 ms"],
        &rows,
    );
    let megabytes = |bytes: u64| format!("{:.0}", bytes as f64 / 1e6);
    print_table(
        &format!("{} s of 720p30 into {LADDER} rungs; CPU ratio {ratio:.3}", options.seconds),
        &["system", "CPU s", "cores", "memory MB", "of it worker MB"],
        &[("weir", &ours, last), ("ffmpeg", &theirs, their_last)].map(|(name, runs, last)| {
            vec![
                name.to_owned(),
                format!("{:.2}", cpu(runs)),
                format!("{:.2}", cpu(runs) / f64::from(options.seconds)),
                megabytes(last.memory_bytes),
                megabytes(last.worker_bytes),
            ]
        }),
    );
    let growth = if options.growth { grow(&clip, options.seconds, folder)? } else { Vec::new() };
    write(
        "transcode",
        &json!({
            "seconds": options.seconds, "cpu_ratio": ratio, "cpu_s_weir_ffmpeg_by_round": rounds, "rungs": rungs,
            "memory_bytes": {"weir": last.memory_bytes, "worker": last.worker_bytes, "ffmpeg": their_last.memory_bytes},
            "growth": growth,
        }),
    )
}

/// Grows from 1 to 6 rungs, and from 1 to 4 streams of two small rungs: four streams of large ones are more than two cores carry.
fn grow(clip: &[FlvTag], seconds: u32, folder: &Path) -> anyhow::Result<Vec<Value>> {
    let (mut rows, mut figures) = (Vec::new(), Vec::new());
    let small = &RUNGS[2..LADDER];
    for (rungs, streams) in
        [(&RUNGS[..1], 1), (&RUNGS[..2], 1), (&RUNGS[..4], 1), (&RUNGS[..], 1), (small, 1), (small, 2), (small, 4)]
    {
        let names = rungs.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(" ");
        eprintln!("{streams} streams of {names}");
        let run = run_weir(clip, rungs, streams, folder)?;
        let cores = run.cpu_s / f64::from(seconds);
        let mut added = run.added_ms.concat();
        added.sort_by(f64::total_cmp);
        let p95 = added.get(added.len() * 95 / 100).copied().unwrap_or_default();
        rows.push(vec![names.clone(), streams.to_string(), format!("{cores:.2}"), format!("{p95:.0}")]);
        figures.push(json!({
            "streams": streams, "rungs": names, "cores": cores, "added_ms_p95": p95, "worker_bytes": run.worker_bytes,
        }));
    }
    print_table("Growth", &["rungs", "streams", "cores", "added p95 ms"], &rows);
    Ok(figures)
}

/// Makes a picture with motion, detail and noise, so that the rate is used.
fn make_source(folder: &Path, seconds: u32) -> anyhow::Result<PathBuf> {
    let file = folder.join("source.flv");
    let picture = "testsrc2=size=1280x720:rate=30[a];mandelbrot=size=640x360:rate=30[b];[a][b]overlay=320:180,noise=alls=8:allf=t";
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-filter_complex", &format!("{picture}[v]")])
        .args(["-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000", "-map", "[v]", "-map", "0:a"])
        .args(["-t", &seconds.to_string(), "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast"])
        .args(["-profile:v", "high", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"])
        .args(["-b:v", "5M", "-maxrate", "5M", "-bufsize", "5M", "-g", "60", "-bf", "0", "-sc_threshold", "0"])
        .args(["-c:a", "aac", "-b:a", "128k", "-ac", "2", "-y"])
        .arg(&file)
        .status()?;
    ensure!(status.success(), "ffmpeg can't make the source");
    Ok(file)
}

fn run_weir(clip: &[FlvTag], rungs: &[Rung], streams: usize, folder: &Path) -> anyhow::Result<Run> {
    let server = Weir::options(weir_binary()?).start();
    let api = server.api();
    // Encoders are tried once, before anything is measured.
    api.get("/system").expect(200);
    let ladder: Vec<Value> = rungs
        .iter()
        .map(|(name, size, kbps)| {
            let (width, height) = size.split_once('x').unwrap_or_default();
            let number = |text: &str| text.parse::<u32>().unwrap_or_default();
            json!({
                "name": name, "width": number(width), "height": number(height), "video_bitrate_kbps": kbps,
                "audio_bitrate_kbps": 128, "rate_control": "vbr",
            })
        })
        .collect();
    let pictures = clip.iter().filter(|tag| is_video_frame(tag)).count();
    let mut all = Vec::new();
    for number in 0..streams {
        let body = json!({"ladder": ladder, "hls": false, "dash": false});
        let stream = api.create_stream_with(&format!("bench{number}"), &body);
        let as_is = Destination::new();
        api.create_restream(&stream, "as it is", &as_is.url("k"));
        let named: Vec<Destination> = rungs
            .iter()
            .map(|(name, ..)| {
                let target = Destination::new();
                let body = json!({"uri": target.url(name), "rendition": name, "active": true});
                api.create_restream_with(&stream, name, &body);
                target
            })
            .collect();
        all.push((stream, as_is, named));
    }
    let before = ProcessStats::cpu_of_tree(server.pid());
    let publishers: Vec<_> = all
        .iter()
        .map(|(stream, ..)| {
            let publisher = Publisher::publish(&server.rtmp_address(), "live", &stream.stream_key);
            let publisher = publisher.map_err(|status| anyhow::anyhow!("the publish was refused: {status:?}"))?;
            let clip = clip.to_vec();
            Ok(thread::spawn(move || publish(publisher, &clip)))
        })
        .collect::<anyhow::Result<_>>()?;
    thread::sleep(Duration::from_secs(5).min(length(clip) / 2));
    let workers = workers(server.pid());
    let worker_bytes = workers.iter().map(|pid| ProcessStats::of(*pid).rss_bytes).sum();
    let memory_bytes = worker_bytes + server.stats().rss_bytes;
    for publisher in publishers {
        publisher.join().map_err(|_| anyhow::anyhow!("a publisher failed"))??;
    }
    // Some pictures may be lost on a busy machine. Those that encoders hold come at the source's end.
    wait_until("the workers ended", LIMIT, || self::workers(server.pid()).is_empty());
    let cpu = ProcessStats::cpu_of_tree(server.pid()) - before;
    let (_, as_is, named) = all.first().context("a stream")?;
    let mut files = Vec::new();
    let mut added_ms = Vec::new();
    for ((name, ..), target) in rungs.iter().zip(named) {
        wait_until("its last pictures came", LIMIT, || target.video_frames() + 2 >= pictures);
        let file = folder.join(format!("weir-{name}.flv"));
        target.save_flv(0, &file);
        files.push(file);
        added_ms.push(behind(as_is, target));
    }
    Ok(Run { cpu_s: cpu.as_secs_f64(), memory_bytes, worker_bytes, files, added_ms })
}

fn length(clip: &[FlvTag]) -> Duration {
    Duration::from_millis(clip.iter().map(|tag| u64::from(tag.timestamp_ms)).max().unwrap_or_default())
}

fn publish(mut publisher: Publisher, clip: &[FlvTag]) -> std::io::Result<()> {
    let start = Instant::now();
    for tag in clip {
        let due = start + Duration::from_millis(u64::from(tag.timestamp_ms));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        publisher.send(tag)?;
    }
    publisher.unpublish();
    Ok(())
}

/// How much later each picture of a rendition came than the same picture of the source. Both begin with the same picture, and the times
/// on both wires count from there.
fn behind(as_is: &Destination, rendition: &Destination) -> Vec<f64> {
    let arrivals = |destination: &Destination| {
        let received = destination.received();
        let frames: Vec<_> = received.into_iter().filter(|received| is_video_frame(&received.tag)).collect();
        let zero = frames.first().map_or(0, |frame| frame.tag.timestamp_ms);
        frames.into_iter().map(move |frame| (frame.tag.timestamp_ms - zero, frame.at)).collect::<Vec<_>>()
    };
    let source: std::collections::HashMap<u32, Instant> = arrivals(as_is).into_iter().collect();
    let late = |(time, at): (u32, Instant)| {
        let came = [0, 1, u32::MAX].into_iter().find_map(|off| source.get(&time.wrapping_add(off)))?;
        Some(at.saturating_duration_since(*came).as_secs_f64() * 1000.0)
    };
    // The first pictures wait for the worker's start.
    let settled = 30;
    arrivals(rendition).into_iter().skip(settled).filter_map(late).collect()
}

pub(crate) fn workers(server: u32) -> Vec<u32> {
    let output = Command::new("pgrep").args(["-x", "weir-worker", "-P", &server.to_string()]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Makes the same ladder by one ffmpeg, in real time. Both systems encode the sound once.
fn run_ffmpeg(source: &Path, rungs: usize, folder: &Path) -> anyhow::Result<Run> {
    let split: String = (0..rungs).map(|number| format!("[s{number}]")).collect();
    let scales: String = RUNGS[..rungs]
        .iter()
        .enumerate()
        .map(|(number, (_, size, _))| format!(";[s{number}]scale={}:flags=bilinear[v{number}]", size.replace('x', ":")))
        .collect();
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-re", "-i"]).arg(source);
    command.args(["-filter_complex", &format!("[0:v]split={rungs}{split}{scales}")]);
    let mut files = Vec::new();
    for (number, (name, _, kbps)) in RUNGS[..rungs].iter().enumerate() {
        let file = folder.join(format!("ffmpeg-{name}.flv"));
        command.args(["-map", &format!("[v{number}]")]);
        if number == 0 {
            command.args(["-map", "0:a", "-c:a", "aac", "-b:a", "128k"]);
        }
        command.args(["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-profile:v", "high"]);
        let (rate, buffer) = (format!("{kbps}k"), format!("{}k", kbps * 6 / 10));
        command.args(["-b:v", &rate, "-maxrate", &rate, "-bufsize", &buffer, "-g", "240", "-sc_threshold", "0"]);
        command.args(["-force_key_frames", "expr:gte(t,n_forced*2)", "-x264-params", "aud=1:open-gop=0", "-y"]);
        command.arg(&file);
        files.push(file);
    }
    let child = command.stdout(Stdio::null()).spawn().context("ffmpeg can't be started")?;
    let (cpu_s, memory_bytes) = watch(child)?;
    Ok(Run { cpu_s, memory_bytes, worker_bytes: 0, files, added_ms: Vec::new() })
}

/// Waits for a process to end. Returns its CPU time, and its memory in the middle.
fn watch(mut child: Child) -> anyhow::Result<(f64, u64)> {
    let pid = child.id();
    let mut memory = Vec::new();
    let is_zombie = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
    };
    // The figures of a process stay readable until it is waited for.
    while !is_zombie() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse().ok());
        memory.extend(kib.map(|kib: u64| (kib * 1024) as f64));
        thread::sleep(Duration::from_millis(100));
    }
    let cpu = ProcessStats::cpu_of_tree(pid).as_secs_f64();
    ensure!(child.wait()?.success(), "ffmpeg failed");
    Ok((cpu, median(memory) as u64))
}

/// The SSIM of the first ten seconds against the source scaled by lanczos.
fn ssim(source: &Path, file: &Path, size: &str) -> anyhow::Result<f64> {
    let graph = format!(
        "[0:v]setpts=PTS-STARTPTS[a];[1:v]scale={}:flags=lanczos,setpts=PTS-STARTPTS[b];[a][b]ssim",
        size.replace('x', ":")
    );
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "info", "-i"])
        .arg(file)
        .arg("-i")
        .arg(source)
        .args(["-frames:v", "300", "-filter_complex", &graph, "-f", "null", "-"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let all = text.rsplit_once("All:").and_then(|(_, rest)| rest.split([' ', '(']).next()?.parse().ok());
    all.with_context(|| format!("ffmpeg tells no SSIM:\n{text}"))
}

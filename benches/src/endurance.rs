//! Kills the transcoder's worker, and starts and stops it, again and again: how soon renditions are back, and what leaks.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use serde_json::json;
use weir_mux::flv::file::FlvTag;
use weir_testkit::ffmpeg::Clip;
use weir_testkit::flv::read_flv;
use weir_testkit::publisher::Feed;
use weir_testkit::{Destination, Publisher, Weir, wait_until};

use crate::report::{print_table, write};
use crate::system::weir_binary;
use crate::transcode::workers;

#[derive(Debug, Parser)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 20)]
    kills: usize,
    #[arg(long, default_value_t = 200)]
    cycles: usize,
}

const LIMIT: Duration = Duration::from_secs(30);
/// The time between kills. A worker that dies young is restarted only after a longer wait.
const HEALTHY: Duration = Duration::from_secs(3);

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("weir-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let clip = read_flv(&Clip { size: "640x360", gop_frames: 60, ..Clip::default() }.make(&folder.join("clip.flv")));
    std::fs::remove_dir_all(&folder)?;
    let mut back_ms = kills(&clip, options.kills)?;
    back_ms.sort_by(f64::total_cmp);
    let at =
        |share: f64| back_ms.get(((back_ms.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or_default();
    let row = vec![
        back_ms.len().to_string(),
        format!("{:.0}", at(0.5)),
        format!("{:.0}", at(0.95)),
        format!("{:.0}", at(1.0)),
    ];
    print_table("A worker is killed (kill -9)", &["kills", "renditions back p50 ms", "p95 ms", "max ms"], &[row]);
    let cycles = cycles(&clip, options.cycles)?;
    let rows: Vec<_> = cycles
        .iter()
        .map(|(cycle, rss, fds)| vec![cycle.to_string(), format!("{:.1}", *rss as f64 / 1e6), fds.to_string()])
        .collect();
    print_table("Published and stopped again and again", &["cycle", "server MB", "open files"], &rows);
    let cycles: Vec<_> =
        cycles.iter().map(|(cycle, rss, fds)| json!({"cycle": cycle, "rss_bytes": rss, "fds": fds})).collect();
    write("endurance", &json!({"killed_to_back_ms": back_ms, "cycles": cycles}))
}

fn ladder() -> serde_json::Value {
    let rung = |name: &str, width: u32, height: u32, kbps: u32| json!({"name": name, "width": width, "height": height, "video_bitrate_kbps": kbps});
    json!({"ladder": [rung("big", 640, 360, 500), rung("small", 320, 180, 200)]})
}

/// Milliseconds from each kill to the next new picture of the rendition. The push of the source as it is must not lose a picture.
fn kills(clip: &[FlvTag], count: usize) -> anyhow::Result<Vec<f64>> {
    let server = Weir::options(weir_binary()?).start();
    let api = server.api();
    api.get("/system").expect(200);
    let stream = api.create_stream_with("bench", &ladder());
    let (as_is, small) = (Destination::new(), Destination::new());
    api.create_restream(&stream, "as it is", &as_is.url("a"));
    api.create_restream_with(&stream, "small", &json!({"uri": small.url("b"), "rendition": "small", "active": true}));
    let feed = Feed::live(&server.rtmp_address(), &stream.stream_key, clip);
    small.wait_video_frames(30, LIMIT);
    let mut back = Vec::new();
    for number in 1..=count {
        eprintln!("kill {number} of {count}");
        thread::sleep(HEALTHY);
        let victims = workers(server.pid());
        ensure!(victims.len() == 1, "one worker, not {victims:?}");
        let (killed, before) = (Instant::now(), small.video_frames());
        Command::new("kill").args(["-9", &victims[0].to_string()]).status()?;
        // Pictures that were under way still come, so a new picture is one that a new worker made.
        wait_until("another worker is there", LIMIT, || workers(server.pid()).iter().any(|pid| !victims.contains(pid)));
        let under_way = small.video_frames();
        wait_until("renditions are back", LIMIT, || small.video_frames() > under_way.max(before));
        back.push(killed.elapsed().as_secs_f64() * 1000.0);
    }
    ensure!(workers(server.pid()).len() == 1, "no worker is left over");
    let sent = feed.stop() as usize;
    // That push began with the first picture, and loses none.
    wait_until("every picture as it is came", LIMIT, || as_is.video_frames() == sent);
    Ok(back)
}

/// Memory and open files of the server after this many publishes.
fn cycles(clip: &[FlvTag], count: usize) -> anyhow::Result<Vec<(usize, u64, usize)>> {
    let server = Weir::options(weir_binary()?).start();
    let api = server.api();
    api.get("/system").expect(200);
    let stream = api.create_stream_with("bench", &ladder());
    let mut seen = Vec::new();
    // Each publish sends two thirds of a second of media, at once.
    let media: Vec<&FlvTag> = clip.iter().filter(|tag| tag.timestamp_ms < 660).collect();
    for cycle in 1..=count {
        let mut publisher = Publisher::publish(&server.rtmp_address(), "live", &stream.stream_key)
            .map_err(|status| anyhow::anyhow!("the publish was refused: {status:?}"))?;
        for tag in &media {
            publisher.send(tag)?;
        }
        wait_until("a worker is there", LIMIT, || !workers(server.pid()).is_empty());
        publisher.unpublish();
        wait_until("the worker has ended", LIMIT, || workers(server.pid()).is_empty());
        wait_until("the stream is offline", LIMIT, || api.stream_status(&stream)["state"] == "offline");
        if cycle % (count / 10).max(1) == 0 {
            let stats = server.stats();
            eprintln!("cycle {cycle} of {count}: {} MB, {} files", stats.rss_bytes / 1_000_000, stats.fds);
            seen.push((cycle, stats.rss_bytes, stats.fds));
        }
    }
    Ok(seen)
}

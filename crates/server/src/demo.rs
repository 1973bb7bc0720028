//! `--demo` publishes a test picture into this server by a real RTMP publish, and pushes it to a sink in this server, so that a newcomer
//! sees a live stream and a live push at once.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use weir_api::{PublicUrls, PublishUrl};
use weir_control::Commands;
use weir_model::{Restream, RestreamTarget, Secret, SourceKind, Stream, StreamName};
use weir_observe::Heartbeat;
use weir_store::Store;

/// The demo's streams. The sink is a stream of this same server, so what is pushed to it can be watched.
const SOURCE: &str = "demo";
const SINK: &str = "demo-sink";
const RESTREAM: &str = "demo push";

/// ffmpeg is started again after this time when it ends.
const RESTART_AFTER: Duration = Duration::from_secs(2);

/// Runs until told to stop. A demo that can't be shown is no failure of the server.
pub(crate) async fn run(
    commands: Commands,
    store: Store,
    urls: PublicUrls,
    stop: CancellationToken,
    heartbeat: Heartbeat,
) {
    if let Err(error) = heartbeat.idle(show(&commands, &store, &urls, &stop)).await {
        tracing::error!("the demo ended: {error:#}");
    }
    heartbeat.idle(stop.cancelled()).await;
}

async fn show(commands: &Commands, store: &Store, urls: &PublicUrls, stop: &CancellationToken) -> anyhow::Result<()> {
    // This is our own listener, whatever name it has outside.
    let rtmp = urls.publish.get("rtmp").and_then(Option::as_ref).context("--demo needs rtmp.listen")?;
    let source = demo_stream(commands, store, SOURCE).await?;
    let sink = demo_stream(commands, store, SINK).await?;
    let source_url = publish_url(rtmp, &source)?;
    let sink_url = publish_url(rtmp, &sink)?;
    demo_restream(commands, store, &source, &sink_url).await?;
    tell(urls.playback.as_deref(), &rtmp.base);
    while !stop.is_cancelled() {
        let mut ffmpeg = test_picture(&source_url).spawn().context("cannot start ffmpeg (apt install ffmpeg)")?;
        tokio::select! {
            () = stop.cancelled() => {
                let _ = ffmpeg.kill().await;
            }
            ended = ffmpeg.wait() => {
                tracing::warn!(status = ?ended.ok(), "the demo's ffmpeg ended; it is started again");
                tokio::time::sleep(RESTART_AFTER).await;
            }
        }
    }
    Ok(())
}

async fn demo_stream(commands: &Commands, store: &Store, name: &str) -> anyhow::Result<Stream> {
    let name = StreamName::new(name)?;
    match store.all_streams().await?.into_iter().find(|stream| stream.name == name) {
        Some(stream) => Ok(stream),
        None => Ok(commands.create_stream(Stream::draft(name)).await?),
    }
}

/// The sink may have other ports than last time, so the demo's push of an earlier run gets the new URL.
async fn demo_restream(commands: &Commands, store: &Store, source: &Stream, sink_url: &str) -> anyhow::Result<()> {
    let target = RestreamTarget::Uri(Secret::new(sink_url));
    let is_ours = |restream: &Restream| restream.stream_id == source.id && restream.name == RESTREAM;
    match store.all::<Restream>().await?.into_iter().find(is_ours) {
        None => {
            let restream = Restream { active: true, ..Restream::draft(source.id, RESTREAM, target) };
            commands.create_restream(restream).await?;
        }
        Some(old) => {
            let change = move |restream: &mut Restream| {
                (restream.target, restream.active, restream.stop_reason) = (target.clone(), true, None);
                Ok(())
            };
            commands.update_restream(old.id, None, change).await?;
        }
    }
    Ok(())
}

fn publish_url(rtmp: &PublishUrl, stream: &Stream) -> anyhow::Result<String> {
    let key = stream.sources.iter().find_map(|source| match &source.kind {
        SourceKind::Push { stream_key } => Some(stream_key),
        SourceKind::Pull { .. } | SourceKind::Playlist { .. } => None,
    });
    Ok(rtmp.with_key(key.context("the demo stream has no push source any more")?.expose()))
}

/// Makes 720p30 with a running clock and a beep each second, GOPs of 2 s and no B-frames, as a well-configured encoder does.
fn test_picture(url: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-re"])
        .args(["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=48000"])
        .args(["-vf", "drawtext=text='%{localtime\\:%X}  %{pts\\:hms}':fontsize=56:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=12:x=(w-tw)/2:y=h-th-40"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"])
        .args(["-g", "60", "-b:v", "2M", "-maxrate", "2M", "-bufsize", "2M", "-c:a", "aac", "-b:a", "128k"])
        .args(["-f", "flv", url])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Its errors would repeat the URL, key and all.
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

#[expect(clippy::print_stderr, reason = "for the person at the terminal")]
fn tell(http: Option<&str>, rtmp: &str) {
    let http = http.unwrap_or("(http is off)");
    eprintln!(
        "\nWeir runs with a demo: a live test picture, and a push of it to a sink.\n\
         \n  dashboard     {http}/   (the admin's name and password: above, at the first start)\
         \n  API           {http}/api/v1/streams\
         \n  health        {http}/readyz   metrics {http}/metrics\
         \n  play          ffplay {rtmp}/play/{SOURCE}\
         \n  play the sink ffplay {rtmp}/play/{SINK}\
         \n  publish       server {rtmp}/live, stream key: of a new stream in the dashboard\
         \n\nCtrl-C stops it.\n"
    );
}

//! GStreamer as a publisher: `rtmp2sink` (its own RTMP) and `rtmpsink` (librtmp), two clients that are not ffmpeg.

use std::path::Path;
use std::process::Command;

use crate::Child;

/// Sends an FLV file in real time with this sink element, `rtmp2sink` or `rtmpsink`.
pub fn publish(element: &str, file: &Path, url: &str) -> Child {
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(["filesrc"]).arg(format!("location={}", file.display()));
    command.args(["!", "flvdemux", "name=d", "d.video", "!", "queue", "!", "h264parse", "!", "mux."]);
    command.args(["d.audio", "!", "queue", "!", "aacparse", "!", "mux."]);
    command.args(["flvmux", "name=mux", "streamable=true", "!", element, "sync=true"]);
    match element {
        // The certificate of a test server is self-signed.
        "rtmp2sink" => command.arg("tls-validation-flags=0").arg(format!("location={url}")),
        // librtmp reads its options behind the URL; `live=1` stops it from waiting for a recorded file.
        _ => command.arg(format!("location={url} live=1")),
    };
    Child::start(command)
}

/// Plays DASH by the clock until it is stopped; [`played`] counts what it has played.
///
/// `playbin` takes `dashdemux`. The newer `dashdemux2` of GStreamer 1.22 (`playbin3`) plays live DASH, too, but only when it has 30 s of
/// it, whatever the manifest says, and it waits at the live edge until they have come.
pub fn play_dash(url: &str) -> Child {
    let sink = |kind: &str| format!("{kind}-sink=fakesink name={kind}s sync=true silent=false");
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-v", "playbin", &format!("uri={url}"), &sink("video"), &sink("audio")]);
    Child::start(command)
}

/// How many buffers of "video" or "audio" a player has shown.
pub fn played(player: &Child, kind: &str) -> usize {
    let shown = format!("{kind}s: last-message = chain");
    player.output().iter().filter(|line| line.contains(&shown)).count()
}

/// Plays HLS for so many pictures and as long of sound, by the clock, and drops what it decoded. The pipeline ends by itself when both
/// have come; an error of any element ends it with a status other than 0.
pub fn play(url: &str, pictures: u32) -> Child {
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "uridecodebin3", &format!("uri={url}"), "name=d"]);
    let sink = |buffers: u32| format!("num-buffers={buffers}");
    command.args(["d.", "!", "queue", "!", "videoconvert", "!", "fakesink", "sync=true", &sink(pictures)]);
    // AAC has 47 frames a second at 48 kHz, and there are 30 pictures.
    command.args(["d.", "!", "queue", "!", "audioconvert", "!", "fakesink", "sync=true", &sink(pictures * 3 / 2)]);
    Child::start(command)
}

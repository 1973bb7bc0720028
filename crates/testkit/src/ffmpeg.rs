//! ffmpeg and ffprobe: makes clips, publishes, receives, and judges what was received.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::Child;
use crate::nginx::free_port;

/// What a clip looks like.
#[derive(Clone, Debug)]
pub struct Clip {
    pub seconds: u32,
    pub size: &'static str,
    pub fps: u32,
    pub gop_frames: u32,
    pub b_frames: u32,
    pub video_kbps: u32,
    pub audio: bool,
    pub video_codec: &'static str,
}

impl Default for Clip {
    /// A clip that is small and quick to make: 640x360, 30 fps, a keyframe a second, 500 kbps, AAC.
    fn default() -> Self {
        let (video_codec, size) = ("libx264", "640x360");
        Self { seconds: 10, size, fps: 30, gop_frames: 30, b_frames: 0, video_kbps: 500, audio: true, video_codec }
    }
}

impl Clip {
    /// The media of the figures in the comparison with other servers: 720p30 H.264
    /// at a constant 3.87 Mbps and AAC at 128 kbps, with a keyframe each 2 s.
    pub fn of_the_bench() -> Self {
        Self { size: "1280x720", gop_frames: 60, video_kbps: 3872, ..Self::default() }
    }

    /// Makes the clip as a file in the format of the name's ending.
    #[track_caller]
    pub fn make(&self, path: &Path) -> PathBuf {
        let video = format!("testsrc2=size={}:rate={}", self.size, self.fps);
        let rate = format!("{}k", self.video_kbps);
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", &video]);
        if self.audio {
            command.args(["-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000"]);
        }
        command.args(["-t", &self.seconds.to_string(), "-pix_fmt", "yuv420p", "-c:v", self.video_codec]);
        if self.video_codec == "libx264" {
            // nal-hrd=cbr fills up to the wanted rate, so that a test pattern costs what a camera costs.
            command.args(["-preset", "ultrafast", "-profile:v", "main", "-x264-params", "nal-hrd=cbr:scenecut=0"]);
            command.args(["-b:v", &rate, "-minrate", &rate, "-maxrate", &rate, "-bufsize", &rate]);
        } else {
            command.args(["-b:v", &rate]);
        }
        command.args(["-g", &self.gop_frames.to_string(), "-bf", &self.b_frames.to_string()]);
        command.args(["-c:a", "aac", "-b:a", "128k", "-ac", "2"]);
        command.arg("-y").arg(path);
        run(command);
        path.to_owned()
    }
}

/// Publishes a file as it is, in real time.
pub fn publish(file: &Path, url: &str) -> Child {
    publish_with(file, url, &[])
}

/// Publishes a file with further output options (`-output_ts_offset 20000`).
pub fn publish_with(file: &Path, url: &str, options: &[&str]) -> Child {
    let mut command = ffmpeg();
    command.arg("-re").arg("-i").arg(file).args(["-c", "copy"]).args(options).args(["-f", "flv", url]);
    Child::start(command)
}

/// Publishes a file over and over.
pub fn publish_looped(file: &Path, url: &str) -> Child {
    let mut command = ffmpeg();
    command.args(["-re", "-stream_loop", "-1"]).arg("-i").arg(file).args(["-c", "copy", "-f", "flv", url]);
    Child::start(command)
}

/// Sends a file over and over, as it is and in real time, by these output options, of which the last is the address.
pub fn serve(file: &Path, output: &[&str]) -> Child {
    let mut command = ffmpeg();
    command.args(["-re", "-stream_loop", "-1"]).arg("-i").arg(file).args(["-c", "copy"]).args(output);
    Child::start(command)
}

/// Writes a file once, as it is and as fast as it goes, by these output options, of which the last is the place.
pub fn serve_once(file: &Path, output: &[&str]) -> Child {
    let mut command = ffmpeg();
    command.arg("-i").arg(file).args(["-c", "copy"]).args(output);
    Child::start(command)
}

/// Starts `ffmpeg -listen 1`, which takes one push and writes it to a file as it is. Returns the URL to push to.
pub fn listen(file: &Path) -> (String, Child) {
    let url = format!("rtmp://127.0.0.1:{}/app/key", free_port());
    let mut command = ffmpeg();
    command.args(["-f", "flv", "-listen", "1", "-i", &url, "-c", "copy", "-y"]).arg(file);
    (url, Child::start(command))
}

/// Plays a URL into a file for so many seconds of media.
pub fn play(url: &str, seconds: u32, file: &Path) -> Child {
    let mut command = ffmpeg();
    command.args(["-i", url, "-t", &seconds.to_string(), "-c", "copy", "-y"]).arg(file);
    Child::start(command)
}

/// The format and streams that ffprobe finds.
#[track_caller]
pub fn probe(file: &Path) -> Value {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_format", "-show_streams", "-of", "json"]).arg(file);
    serde_json::from_slice(&run(command).stdout).expect("ffprobe prints JSON")
}

/// The SHA-256 of the H.264 payload as Annex B, parameter sets included. It is equal in and out where nothing was touched.
#[track_caller]
pub fn h264_sha256(file: &Path) -> String {
    payload_sha256(file, &["-map", "0:v:0", "-c:v", "copy", "-bsf:v", "h264_mp4toannexb", "-f", "h264"])
}

/// The SHA-256 of the audio's coded packets.
#[track_caller]
pub fn audio_sha256(file: &Path) -> String {
    payload_sha256(file, &["-map", "0:a:0", "-c:a", "copy", "-f", "adts"])
}

/// The pictures alone, slice by slice, each as the beginning of its SHA-256. Parameter sets, delimiters and messages may be repeated or
/// left out on the way through another container; pictures may not.
#[track_caller]
pub fn slices(file: &Path) -> Vec<u64> {
    let probed = probe(file);
    let hevc = probed["streams"].as_array().is_some_and(|all| all.iter().any(|one| one["codec_name"] == "hevc"));
    let (filter, format) = if hevc { ("hevc_mp4toannexb", "hevc") } else { ("h264_mp4toannexb", "h264") };
    let stream = payload(file, &["-map", "0:v:0", "-c:v", "copy", "-bsf:v", filter, "-f", format]);
    let is_slice = |unit: &[u8]| {
        unit.first().is_some_and(|first| if hevc { first >> 1 & 0x3F < 32 } else { (1..=5).contains(&(first & 0x1F)) })
    };
    annex_b(&stream).filter(|unit| is_slice(unit)).map(digest).collect()
}

fn digest(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(*Sha256::digest(bytes).first_chunk().expect("32 bytes"))
}

/// The coded AAC frames of a file, each as a number that identifies it.
#[track_caller]
pub fn aac_frames(file: &Path) -> Vec<u64> {
    let stream = payload(file, &["-map", "0:a:0", "-c:a", "copy", "-f", "adts"]);
    let mut frames = Vec::new();
    let mut rest = &stream[..];
    while let &[0xFF, flags, _, high, middle, low, _, ..] = rest {
        let length = usize::from(high & 3) << 11 | usize::from(middle) << 3 | usize::from(low >> 5);
        let header = if flags & 1 == 1 { 7 } else { 9 };
        let Some(body) = rest.get(header..length) else { break };
        frames.push(digest(body));
        rest = &rest[length..];
    }
    frames
}

/// The units between start codes, without the zeros before a start code.
fn annex_b(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, code)| code == &[0, 0, 1]).map(|(at, _)| at + 3).collect();
    let ends = starts.iter().skip(1).map(|start| start - 3).chain([stream.len()]).collect::<Vec<_>>();
    starts.into_iter().zip(ends).map(|(start, end)| {
        let unit = &stream[start..end.max(start)];
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        &unit[..unit.len() - zeros]
    })
}

/// The decode times in milliseconds of one kind of packet (`v` or `a`), in file order.
#[track_caller]
pub fn packet_times_ms(file: &Path, kind: &str) -> Vec<i64> {
    let (video, audio) = times_ms(file);
    if kind == "v" { video } else { audio }
}

/// The decode times in milliseconds of the first picture track and of the first sound track, each in file order.
#[track_caller]
pub fn times_ms(file: &Path) -> (Vec<i64>, Vec<i64>) {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "packet=codec_type,stream_index,dts_time", "-of", "csv=p=0"]);
    command.arg(file);
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stdout);
    // A line reads "video,0,1.000000", with more fields where a packet has side data.
    let packet = |line: &'_ str| {
        let mut fields = line.split(',');
        let kind = fields.next()?.to_owned();
        let (track, seconds) = (fields.next()?.parse::<u32>().ok()?, fields.next()?.parse::<f64>().ok()?);
        Some((kind, track, (seconds * 1000.0).round() as i64))
    };
    let packets: Vec<(String, u32, i64)> = text.lines().filter_map(packet).collect();
    let first_track = |kind: &str| {
        let of_kind = || packets.iter().filter(|packet| packet.0 == kind);
        let first = of_kind().map(|packet| packet.1).min();
        of_kind().filter(|packet| Some(packet.1) == first).map(|packet| packet.2).collect()
    };
    (first_track("video"), first_track("audio"))
}

/// All that tells whether two FLV files carry the same media.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media {
    /// The SHA-256 of H.264 as Annex B with its parameter sets, and of the sound's packets, in a line for each track.
    pub sha256: String,
    pub video_ms: Vec<i64>,
    pub audio_ms: Vec<i64>,
    /// What a decoder complained about; "" when it did not.
    pub decode_errors: String,
}

impl Media {
    /// Two processes find out everything: each takes a seventh of a second of CPU to start, whatever it is asked.
    #[track_caller]
    pub fn of(file: &Path) -> Self {
        let mut command = ffmpeg();
        command.arg("-i").arg(file).args(["-map", "0:v:0", "-map", "0:a:0", "-c", "copy"]);
        command.args(["-bsf:v", "h264_mp4toannexb", "-f", "streamhash", "-hash", "sha256", "-"]);
        command.args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"]);
        let told = run(command);
        let (video_ms, audio_ms) = times_ms(file);
        Self {
            sha256: String::from_utf8_lossy(&told.stdout).into_owned(),
            video_ms,
            audio_ms,
            decode_errors: String::from_utf8_lossy(&told.stderr).into_owned(),
        }
    }
}

/// Decodes every frame; returns what the decoder complained about, or "".
#[track_caller]
pub fn decode_errors(file: &Path) -> String {
    let mut command = ffmpeg();
    // Pictures are taken as they come: at a fixed rate, ffmpeg would complain about those of a source that changes its rate.
    command.arg("-i").arg(file).args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"]);
    String::from_utf8_lossy(&output(command).stderr).into_owned()
}

/// Pictures of high dynamic range: ten-bit HEVC in BT.2020.
#[derive(Clone, Copy, Debug)]
pub struct Hdr {
    /// The transfer function's name in FFmpeg.
    pub transfer: &'static str,
    pub pixels: &'static str,
    pub range: &'static str,
    /// The codes of 203 nits, which is a screen's white, and of 24 nits.
    pub luma: (u32, u32),
}

impl Hdr {
    pub const PQ: Self = Self { transfer: "smpte2084", pixels: "yuv420p10le", range: "limited", luma: (573, 390) };
    pub const PQ_FULL_RANGE: Self = Self { range: "full", luma: (594, 381), ..Self::PQ };
    /// HLG as cameras and contribution encoders give it.
    pub const HLG_422: Self = Self { transfer: "arib-std-b67", pixels: "yuv422p10le", luma: (721, 385), ..Self::PQ };

    /// Makes the clip as MPEG-TS. Its left half is grey of 203 nits, its right half of 24.
    #[track_caller]
    pub fn make(self, seconds: u32, size: &str, path: &Path) -> PathBuf {
        let Self { transfer, pixels, range, luma: (left, right) } = self;
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", &format!("color=gray:size={size}:rate=30")]);
        command.args(["-t", &seconds.to_string()]);
        // Codes are written as they are. Without a stated range the filter's picture would be converted.
        let levels = if range == "full" { "pc" } else { "tv" };
        let draw = format!("geq=lum='if(lt(X,W/2),{left},{right})':cb=512:cr=512");
        command.args(["-vf", &format!("format={pixels},setrange={levels},{draw}"), "-color_range", levels]);
        command.args(["-c:v", "libx265", "-preset", "ultrafast", "-g", "30", "-bf", "0", "-x265-params"]);
        let params = "log-level=error:colorprim=bt2020:colormatrix=bt2020nc:bframes=0";
        command.arg(format!("{params}:transfer={transfer}:range={range}"));
        command.args(["-f", "mpegts", "-y"]).arg(path);
        run(command);
        path.to_owned()
    }
}

/// A part of each picture ("WIDTH:HEIGHT:X:Y") reduced to one colour: red, green and blue.
pub fn colours(file: &Path, part: &str) -> Vec<[u8; 3]> {
    let filter = format!("crop={part},scale=1:1:flags=area");
    let bytes = payload(file, &["-vf", &filter, "-pix_fmt", "rgb24", "-fps_mode", "passthrough", "-f", "rawvideo"]);
    bytes.as_chunks().0.to_vec()
}

/// Makes a picture of one colour.
#[track_caller]
pub fn make_png(colour: &str, size: &str, path: &Path) -> PathBuf {
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", &format!("color={colour}:size={size}"), "-frames:v", "1", "-y"]).arg(path);
    run(command);
    path.to_owned()
}

#[track_caller]
fn payload(file: &Path, options: &[&str]) -> Vec<u8> {
    let mut command = ffmpeg();
    command.arg("-i").arg(file).args(options).arg("-");
    let payload = run(command).stdout;
    assert!(!payload.is_empty(), "{} has no such payload", file.display());
    payload
}

fn payload_sha256(file: &Path, options: &[&str]) -> String {
    let payload = payload(file, options);
    Sha256::digest(&payload).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error"]);
    command
}

#[track_caller]
fn run(command: Command) -> Output {
    let shown = format!("{command:?}");
    let output = output(command);
    assert!(output.status.success(), "{shown}:\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[track_caller]
fn output(mut command: Command) -> Output {
    let shown = format!("{command:?}");
    command.output().unwrap_or_else(|error| panic!("{shown}: {error}; `make test` installs what tests need"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip { seconds: 1, size: "320x180", ..Clip::default() }.make(&folder.path().join("clip.flv"));
        let probed = probe(&clip);
        assert_eq!(probed["streams"][0]["codec_name"], "h264");
        assert_eq!(probed["streams"][1]["codec_name"], "aac");
        assert_eq!(packet_times_ms(&clip, "v").len(), 30);
        assert_eq!(decode_errors(&clip), "");
        assert_eq!(h264_sha256(&clip), h264_sha256(&clip));
        assert_eq!(audio_sha256(&clip).len(), 64);
    }
}

//! Tests the synthetic media with our own parsers, and with ffmpeg where it is installed.

use std::io::Write;
use std::process::{Command, Stdio};

use weir_media::codec::h264;

use super::*;

fn config(width: u32, height: u32, fps: (u32, u32), video_bitrate_bps: Option<u32>) -> SyntheticConfig {
    SyntheticConfig { width, height, fps, gop_frames: 30, video_bitrate_bps, ..SyntheticConfig::default() }
}

#[test]
fn tracks_say_what_was_asked() {
    let source = SyntheticSource::new(config(1920, 1080, (30_000, 1_001), None));
    let [video, audio] = &source.tracks()[..] else { panic!() };
    let format = video.video.as_ref().unwrap();
    assert_eq!((format.width, format.height, format.fps), (1920, 1080, Some((30_000, 1_001))));
    assert_eq!((format.profile.as_str(), format.reorder_frames), ("Constrained Baseline", Some(0)));
    assert_eq!(audio.audio.as_ref().unwrap().codec_string, "mp4a.40.2");
}

#[test]
fn frames_are_in_order_numbered_and_keyed() {
    let mut source = SyntheticSource::new(config(320, 180, (30, 1), None));
    let frames = source.frames_until(MediaTime::from_millis(3_000));
    assert!(frames.windows(2).all(|pair| pair[0].dts <= pair[1].dts));
    let video: Vec<_> = frames.iter().filter(|frame| frame.track == TrackId::SOURCE_VIDEO).collect();
    assert_eq!((video.len(), frames.len() - video.len()), (90, 141));
    for (number, frame) in video.iter().enumerate() {
        assert_eq!(frame_number(&frame.payload), Some(number as u64));
        assert_eq!(frame.is_keyframe(), number % 30 == 0);
        assert_eq!(h264::is_keyframe(&frame.payload), frame.is_keyframe());
    }
    assert_eq!(frame_number(b"anything else"), None);
}

#[test]
fn the_rate_is_as_asked() {
    for rate in [500_000, 4_000_000, 20_000_000] {
        let mut source = SyntheticSource::new(config(640, 360, (25, 1), Some(rate)));
        let frames = source.frames_until(MediaTime::from_millis(6_000));
        let bytes: usize =
            frames.iter().filter(|frame| frame.track == TrackId::SOURCE_VIDEO).map(|frame| frame.payload.len()).sum();
        let measured = bytes as f64 * 8.0 / 6.0;
        assert!((measured / f64::from(rate) - 1.0).abs() < 0.01, "{measured} of {rate}");
    }
}

/// What ffmpeg reports of a file while it decodes every frame; empty when it has no complaint.
fn complaints_of_ffmpeg(file: &[u8]) -> Option<String> {
    let mut child = Command::new("ffmpeg")
        .args(["-v", "warning", "-xerror", "-err_detect", "explode", "-f", "flv", "-i", "-", "-f", "null", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    // A decoder that stops early closes its input; its exit status says why.
    let _ = stdin.write_all(file);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() { text } else { format!("{text}\n{}", output.status) })
}

#[test]
fn ffmpeg_decodes_it_without_a_complaint() {
    for (width, height, fps, rate, audio) in [
        (320, 180, (30, 1), None, Some((48_000, 2))),
        (1920, 1080, (30_000, 1_001), Some(4_000_000), Some((44_100, 2))),
        (64, 64, (60, 1), Some(500_000), Some((48_000, 1))),
        (640, 360, (25, 1), None, None),
    ] {
        let audio = audio.map(|(sample_rate_hz, channels)| SyntheticAudio { sample_rate_hz, channels });
        let mut source =
            SyntheticSource::new(SyntheticConfig { audio, gop_frames: 300, ..config(width, height, fps, rate) });
        let file = source.flv_file(MediaTime::from_millis(12_000));
        match complaints_of_ffmpeg(&file) {
            Some(text) => assert_eq!(text, "", "{width}x{height} at {fps:?}"),
            None => eprintln!("ffmpeg is not installed: not checked"),
        }
    }
}

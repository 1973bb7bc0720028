//! Clips in codecs that need a real encoder, as FLV tags of Enhanced RTMP: HEVC, AV1, Opus.

use std::path::Path;
use std::process::Command;

use bytes::{Bytes, BytesMut};
use weir_media::codec::{self, opus};
use weir_media::{Codec, TrackId};
use weir_mux::flv;
use weir_mux::flv::file::{FlvTag, FlvTagKind};

use crate::conformance::{Init, fragments};

/// Six seconds of HEVC or AV1, 320x180 at 30 fps with a keyframe a second, and sound where it is given (Opus).
pub fn coded_clip(video: Codec, audio: Option<Codec>) -> Vec<FlvTag> {
    let folder = tempfile::tempdir().unwrap();
    let picture: &[&str] = match video {
        Codec::H265 => &[
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-tag:v",
            "hvc1",
            "-x265-params",
            "log-level=none:bframes=0:keyint=30:min-keyint=30:scenecut=0:open-gop=0",
        ],
        Codec::Av1 => &[
            "-c:v",
            "libaom-av1",
            "-usage",
            "realtime",
            "-cpu-used",
            "8",
            "-lag-in-frames",
            "0",
            "-b:v",
            "150k",
            "-g",
            "30",
        ],
        other => panic!("{other} is made without an encoder"),
    };
    let input = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-pix_fmt", "yuv420p"];
    let mut tags = track(&folder.path().join("video.mp4"), &[&input, picture].concat(), video);
    if let Some(audio) = audio {
        assert_eq!(audio, Codec::Opus, "the others are made without an encoder");
        let input = ["-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000", "-ac", "2", "-c:a", "libopus"];
        tags.extend(track(&folder.path().join("audio.mp4"), &input, audio));
    }
    // Configurations have time 0 and come first. The sort keeps the order of tags with the same time.
    tags.sort_by_key(|tag| tag.timestamp_ms);
    tags
}

/// Encodes one track and reads it back.
fn track(file: &Path, input: &[&str], codec: Codec) -> Vec<FlvTag> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error"]).args(input).args(["-t", "6"]);
    command.args(["-movflags", "delay_moov+default_base_moof+frag_keyframe", "-f", "mp4", "-y"]).arg(file);
    let output = command.output().expect("ffmpeg runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let data = std::fs::read(file).unwrap();
    let init = Init::parse(&data).expect("ffmpeg writes one track");
    let (kind, id, config) = match codec {
        Codec::Opus => (FlvTagKind::Audio, TrackId::SOURCE_AUDIO, opus::opus_head(2, 312).unwrap()),
        _ => (FlvTagKind::Video, TrackId::SOURCE_VIDEO, Bytes::from(init.config.clone())),
    };
    let info = codec::parse(codec, id, config).unwrap();
    let body = match kind {
        FlvTagKind::Audio => flv::write_audio_config(&info).unwrap().unwrap(),
        _ => flv::write_video_config(&info, true).unwrap(),
    };
    let mut tags = vec![FlvTag { kind, timestamp_ms: 0, body }];
    for fragment in fragments(&data).expect("ffmpeg writes whole boxes") {
        let mut at = fragment.decode_ticks;
        for sample in fragment.samples {
            let mut body = BytesMut::new();
            let payload = Bytes::copy_from_slice(&data[sample.bytes]);
            let millis = |ticks: i64| ticks * 1000 / i64::from(init.timescale);
            let cts = millis(sample.composition_ticks) as i32;
            match kind {
                FlvTagKind::Audio => flv::write_audio_frame(codec, &payload, &mut body).unwrap(),
                _ => flv::write_video_frame(codec, sample.is_sync, cts, &payload, &mut body).unwrap(),
            }
            tags.push(FlvTag { kind, timestamp_ms: millis(at.cast_signed()) as u32, body: body.freeze() });
            at += sample.duration_ticks;
        }
    }
    tags
}

//! Real decoders take what the packager makes, and it holds together in time.

use crate::support;

use std::path::Path;

use support::{Rig, add, checker, publish, write};
use weir_hub::Tracks;
use weir_media::{Codec, Frame, FrameFlags, MediaTime, TrackId, codec};
use weir_mux::flv::file::FlvTagKind;
use weir_mux::flv::{AudioTag, VideoTag, parse_audio, parse_video};
use weir_packager::PackagerConfig;
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::flv::read_flv;
use weir_testkit::frames::SyntheticConfig;

/// Reads what an encoder made, in the form in which the hub would carry it.
fn read_clip(file: &Path) -> (Tracks, Vec<Frame>) {
    let (mut tracks, mut frames) = (Tracks::default(), Vec::new());
    for tag in read_flv(file) {
        let dts = MediaTime::from_millis(i64::from(tag.timestamp_ms));
        let mut frame = |track, cts_ms: i32, keyframe, payload| {
            let flags = FrameFlags { keyframe, discontinuity: false };
            frames.push(Frame { track, dts, pts: dts + MediaTime::from_millis(cts_ms.into()), flags, payload });
        };
        match tag.kind {
            FlvTagKind::Video => match parse_video(&tag.body).unwrap() {
                VideoTag::Config { codec, config } => {
                    add(&mut tracks, codec::parse(codec, TrackId::SOURCE_VIDEO, config).unwrap());
                }
                VideoTag::Frame { cts_ms, keyframe, payload, .. } => {
                    frame(TrackId::SOURCE_VIDEO, cts_ms, keyframe, payload);
                }
                _ => {}
            },
            FlvTagKind::Audio => match parse_audio(&tag.body).unwrap() {
                AudioTag::Config { config, .. } => {
                    add(&mut tracks, codec::parse(Codec::Aac, TrackId::SOURCE_AUDIO, config).unwrap());
                }
                AudioTag::Frame { payload, .. } => frame(TrackId::SOURCE_AUDIO, 0, true, payload),
                _ => {}
            },
            FlvTagKind::Script => {}
        }
    }
    (tracks, frames)
}

#[tokio::test]
async fn what_an_encoder_made_comes_out_bit_for_bit() {
    for b_frames in [0, 2] {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip { seconds: 6, size: "320x180", gop_frames: 60, b_frames, audio: true, ..Clip::default() };
        let clip = clip.make(&folder.path().join("clip.flv"));
        let (tracks, frames) = read_clip(&clip);
        let mut rig = Rig::new(PackagerConfig::default()).await;
        let mut publisher = rig.publisher();
        publisher.set_tracks(tracks);
        write(&mut publisher, frames, MediaTime::ZERO).await;
        rig.finish().await;
        let [video, audio] = ["source/video.m3u8", "source/audio.m3u8"];
        rig.dump(folder.path(), &[video, audio]).await;
        let [video_file, audio_file] = [video, audio].map(|path| folder.path().join(path));
        assert_eq!(ffmpeg::h264_sha256(&video_file), ffmpeg::h264_sha256(&clip), "{b_frames} B-frames");
        assert_eq!(ffmpeg::decode_errors(&video_file), "", "{b_frames} B-frames");
        assert_eq!(ffmpeg::decode_errors(&audio_file), "");
        let lengths: Vec<f64> = rig.checked(video).await.complete().map(|segment| segment.duration).collect();
        assert!(lengths.len() == 3 && lengths.iter().all(|length| (length - 2.0).abs() < 0.005), "{lengths:?}");
        assert_continuous(&rig, video).await;
        assert_continuous(&rig, audio).await;
    }
}

#[tokio::test]
async fn picture_and_sound_decode_without_an_error() {
    let mut rig = Rig::new(PackagerConfig::default()).await;
    publish(&mut rig.publisher(), SyntheticConfig::default(), 0.0, 9.0).await;
    rig.finish().await;
    let folder = tempfile::tempdir().unwrap();
    rig.dump(folder.path(), &["source/video.m3u8", "source/audio.m3u8"]).await;

    for (path, codec, packets) in [("source/video.m3u8", "h264", 270), ("source/audio.m3u8", "aac", 422)] {
        let file = folder.path().join(path);
        assert_eq!(ffmpeg::decode_errors(&file), "", "{path}");
        let probed = ffmpeg::probe(&file);
        assert_eq!(probed["streams"][0]["codec_name"], codec);
        let kind = if codec == "h264" { "v" } else { "a" };
        let times = ffmpeg::packet_times_ms(&file, kind);
        assert_eq!(times.len(), packets, "{path}");
        assert!(times.windows(2).all(|pair| (10..=40).contains(&(pair[1] - pair[0]))), "{path}: {times:?}");
        assert_continuous(&rig, path).await;
    }
    let video = rig.checked("source/video.m3u8").await;
    let lengths: Vec<f64> = video.complete().map(|segment| segment.duration).collect();
    assert_eq!(lengths, [2.0, 2.0, 2.0, 2.0, 1.001], "milliseconds, and a guess at the last frame");
    assert_eq!((video.target, video.discontinuities), (2, 0));
}

#[tokio::test]
async fn dash_plays_the_same_files() {
    let rig = Rig::new(PackagerConfig::default()).await;
    publish(&mut rig.publisher(), SyntheticConfig::default(), 0.0, 8.5).await;
    let folder = tempfile::tempdir().unwrap();
    rig.dump(folder.path(), &["source/video.m3u8", "source/audio.m3u8"]).await;
    // A live manifest makes a player wait for more, so this one says that there is no more.
    let manifest = rig.text("manifest.mpd").await;
    let ended = manifest.replace("type=\"dynamic\"", "type=\"static\" mediaPresentationDuration=\"PT8S\"");
    let file = folder.path().join("manifest.mpd");
    std::fs::write(&file, ended).unwrap();
    let probed = ffmpeg::probe(&file);
    let codecs: Vec<_> = (0..2).map(|index| probed["streams"][index]["codec_name"].clone()).collect();
    assert_eq!(codecs, ["h264", "aac"]);
    assert_eq!(ffmpeg::packet_times_ms(&file, "v").len(), 240);
    assert_eq!(ffmpeg::decode_errors(&file), "");
}

/// Checks that every chunk of every listed segment begins where the one before it ended, and that segments are the sum of their parts.
async fn assert_continuous(rig: &Rig, path: &str) {
    let playlist = rig.checked(path).await;
    let mut end = None;
    for segment in playlist.complete() {
        let body = rig.get(&format!("source/{}", segment.uri.as_ref().unwrap())).await;
        let chunks = checker::chunks(&body);
        assert!(chunks[0].2, "segment {} begins with a keyframe", segment.number);
        for (decode, duration, _) in chunks {
            assert!(end.is_none_or(|end| end == decode), "{path}, segment {}: {end:?}, {decode}", segment.number);
            end = Some(decode + duration);
        }
        let mut parts = Vec::new();
        for part in &segment.parts {
            parts.extend_from_slice(&rig.get(&format!("source/{}", part.uri)).await);
        }
        assert!(segment.parts.is_empty() || parts == body, "segment {} is its parts", segment.number);
    }
}

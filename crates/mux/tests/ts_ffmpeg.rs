//! MPEG-TS with ffmpeg at the other end: we read what it muxes, and it decodes what we mux.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic in a test is its report")]

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::BytesMut;
use weir_media::{Codec, Frame, FrameFlags, MediaKind, MediaTime, TrackId, TrackInfo};
use weir_mux::ts::{self, TsCounts, TsEvent, TsReader, TsWriter};
use weir_testkit::ffmpeg;

/// Runs ffmpeg over two seconds of test picture and two seconds of tone, and writes the file.
fn make(options: &[&str], file: &Path) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=700:sample_rate=48000", "-t", "2", "-pix_fmt", "yuv420p"]);
    command.args(["-preset", "ultrafast", "-g", "25", "-bf", "2", "-x265-params", "log-level=error", "-ac", "2"]);
    let output = command.args(options).arg("-y").arg(file).output().expect("ffmpeg runs");
    assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A checksum of what a decoder makes of all pictures, or of all sound.
fn decoded_md5(file: &Path, stream: &str) -> String {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-map", stream, "-f", "md5", "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(output.stderr.is_empty(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

struct Read {
    events: Vec<TsEvent>,
    counts: TsCounts,
}

impl Read {
    fn file(file: &Path, program: Option<u16>) -> Self {
        let (mut reader, mut events) = (TsReader::new(program), Vec::new());
        for piece in std::fs::read(file).unwrap().chunks(1316) {
            reader.feed(piece);
            events.extend(std::iter::from_fn(|| reader.next_event()));
        }
        reader.finish();
        events.extend(std::iter::from_fn(|| reader.next_event()));
        Self { events, counts: reader.counts() }
    }

    fn track(&self, kind: MediaKind) -> Option<&TrackInfo> {
        let mut of_kind = self.events.iter().filter_map(|event| match event {
            TsEvent::Track(info) if info.kind() == kind => Some(info),
            _ => None,
        });
        let first = of_kind.next();
        assert!(of_kind.next().is_none(), "the configuration did not change");
        first
    }

    fn samples(&self) -> Vec<Frame> {
        let of = |event: &TsEvent| match event {
            TsEvent::Frame(frame) => {
                let time = |ticks| MediaTime::from_ticks(ticks, ts::CLOCK_HZ);
                let (dts, pts) = (time(frame.dts_ticks), time(frame.dts_ticks + frame.cts_ticks));
                let flags = FrameFlags { keyframe: frame.keyframe, discontinuity: false };
                Some(Frame { track: frame.track, dts, pts, flags, payload: frame.payload.clone() })
            }
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }

    fn dts(&self, kind: MediaKind) -> Vec<i64> {
        let track = if kind == MediaKind::Video { TrackId::SOURCE_VIDEO } else { TrackId::SOURCE_AUDIO };
        let frames = self.samples();
        frames.iter().filter(|frame| frame.track == track).map(|frame| frame.dts.as_ticks(ts::CLOCK_HZ)).collect()
    }

    fn tracks(&self) -> Vec<&TrackInfo> {
        [MediaKind::Video, MediaKind::Audio].into_iter().filter_map(|kind| self.track(kind)).collect()
    }

    fn keyframes(&self) -> Vec<MediaTime> {
        let frames = self.samples();
        let keyframes = frames.iter().filter(|frame| frame.track == TrackId::SOURCE_VIDEO && frame.is_keyframe());
        keyframes.map(|frame| frame.dts).collect()
    }

    /// Writes the frames as one stream with our muxer.
    fn write(&self, file: &Path) -> PathBuf {
        let mut writer = TsWriter::new(self.tracks()).unwrap();
        let mut out = BytesMut::new();
        for frame in self.samples() {
            writer.write(&frame, &mut out).unwrap();
        }
        std::fs::write(file, &out).unwrap();
        file.to_owned()
    }
}

const X264: [&str; 2] = ["-c:v", "libx264"];
const X265: [&str; 2] = ["-c:v", "libx265"];
const AAC: [&str; 2] = ["-c:a", "aac"];

#[test]
fn what_ffmpeg_muxes_is_read_and_what_we_mux_it_decodes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, options, video, audio, frames) in [
        ("h264 aac", [&X264[..], &AAC].concat(), Codec::H264, Codec::Aac, 94),
        ("hevc aac", [&X265[..], &AAC].concat(), Codec::H265, Codec::Aac, 94),
        ("h264 opus", [&X264[..], &["-c:a", "libopus"]].concat(), Codec::H264, Codec::Opus, 100),
        ("h264 mp3", [&X264[..], &["-c:a", "libmp3lame"]].concat(), Codec::H264, Codec::Mp3, 83),
        ("h264 ac3", [&X264[..], &["-c:a", "ac3"]].concat(), Codec::H264, Codec::Ac3, 63),
        ("h264 eac3", [&X264[..], &["-c:a", "eac3"]].concat(), Codec::H264, Codec::Eac3, 63),
        ("mpeg2 mp2", vec!["-c:v", "mpeg2video", "-c:a", "mp2"], Codec::Mpeg2, Codec::Mp2, 84),
        ("h264 latm", [&X264[..], &AAC, &["-mpegts_flags", "latm"]].concat(), Codec::H264, Codec::Aac, 94),
    ] {
        let theirs = folder.path().join("theirs.ts");
        make(&options, &theirs);
        let read = Read::file(&theirs, None);
        let codec = |kind| read.track(kind).map(|info| info.codec);
        assert_eq!((codec(MediaKind::Video), codec(MediaKind::Audio)), (Some(video), Some(audio)), "{name}");
        let expected =
            TsCounts { packets: read.counts.packets, null_packets: read.counts.null_packets, ..Default::default() };
        assert_eq!(read.counts, expected, "{name}");
        let pictures = read.dts(MediaKind::Video);
        assert!(
            pictures.len() == 50 && pictures.windows(2).all(|pair| pair[1] - pair[0] == 3600),
            "{name}: {pictures:?}"
        );
        let sound = read.dts(MediaKind::Audio);
        assert!(sound.len().abs_diff(frames) <= 3, "{name}: {}", sound.len());
        assert_eq!(read.keyframes().len(), 2, "{name}");

        let ours = read.write(&folder.path().join("ours.ts"));
        assert_eq!(ffmpeg::decode_errors(&ours), "", "{name}");
        for stream in ["0:v:0", "0:a:0"] {
            assert_eq!(decoded_md5(&ours, stream), decoded_md5(&theirs, stream), "{name} {stream}");
        }
        assert_eq!(ffmpeg::packet_times_ms(&ours, "v").len(), 50, "{name}");
    }
}

#[test]
fn segments_made_apart_decode_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("theirs.ts");
    make(&[&X264[..], &AAC].concat(), &theirs);
    let read = Read::file(&theirs, None);
    let second = read.keyframes()[1];
    let (before, after): (Vec<_>, Vec<_>) = read.samples().into_iter().partition(|frame| frame.dts < second);
    let tracks = read.tracks();
    // The later segment is made first.
    let made = [&after, &before].map(|samples| ts::segment(&tracks, 0, samples).unwrap());
    let ours = folder.path().join("ours.ts");
    std::fs::write(&ours, [&made[1][..], &made[0]].concat()).unwrap();
    assert_eq!(ffmpeg::decode_errors(&ours), "");
    for stream in ["0:v:0", "0:a:0"] {
        assert_eq!(decoded_md5(&ours, stream), decoded_md5(&theirs, stream), "{stream}");
    }
    for (number, segment) in made.iter().enumerate() {
        let file = folder.path().join(format!("{number}.ts"));
        std::fs::write(&file, segment).unwrap();
        assert_eq!(ffmpeg::decode_errors(&file), "", "each alone");
    }
}

#[test]
fn every_sound_of_a_broadcast_keeps_its_language() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("theirs.ts");
    let maps = ["-map", "0:v", "-map", "1:a", "-map", "1:a", "-map", "1:a"];
    let codecs = ["-c:v", "libx264", "-c:a:0", "aac", "-c:a:1", "ac3", "-c:a:2", "mp2"];
    let languages =
        ["-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=eng", "-metadata:s:a:2", "language=fra"];
    make(&[&maps[..], &codecs, &languages].concat(), &theirs);
    let read = Read::file(&theirs, None);
    let mut tracks: Vec<&TrackInfo> = read
        .events
        .iter()
        .filter_map(|event| if let TsEvent::Track(info) = event { Some(info) } else { None })
        .collect();
    tracks.sort_by_key(|info| info.id);
    let said: Vec<(Codec, Option<String>)> =
        tracks.iter().map(|info| (info.codec, info.language.map(|language| language.to_string()))).collect();
    let spoken = |codec, language: &str| (codec, Some(language.to_owned()));
    let expected =
        [(Codec::H264, None), spoken(Codec::Aac, "deu"), spoken(Codec::Ac3, "eng"), spoken(Codec::Mp2, "fra")];
    assert_eq!(said, expected);

    let ours = folder.path().join("ours.ts");
    let mut writer = TsWriter::new(tracks).unwrap();
    let mut out = BytesMut::new();
    for frame in read.samples() {
        writer.write(&frame, &mut out).unwrap();
    }
    std::fs::write(&ours, &out).unwrap();
    let probe = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "a",
            "-show_entries",
            "stream=codec_name:stream_tags=language",
            "-of",
            "csv=p=0",
        ])
        .arg(&ours)
        .output()
        .expect("ffprobe runs");
    let found = String::from_utf8_lossy(&probe.stdout).into_owned();
    for line in ["aac,deu", "ac3,eng", "mp2,fra"] {
        assert!(found.lines().any(|known| known == line), "{line}: {found}");
    }
    for stream in ["0:a:0", "0:a:1", "0:a:2"] {
        assert_eq!(decoded_md5(&ours, stream), decoded_md5(&theirs, stream), "{stream}");
    }
}

#[test]
fn one_of_several_programmes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.ts");
    let programs = ["-map", "0:v", "-map", "1:a", "-map", "0:v", "-program", "program_num=5:st=0:st=1"];
    make(&[&X264[..], &AAC, &programs, &["-program", "program_num=6:st=2", "-f", "mpegts"]].concat(), &file);
    for (wanted, number, sound) in [(None, 5, true), (Some(5), 5, true), (Some(6), 6, false)] {
        let read = Read::file(&file, wanted);
        let found = read.events.iter().find_map(|event| match event {
            TsEvent::Program(program) => Some(program.number),
            _ => None,
        });
        assert_eq!((found, read.track(MediaKind::Audio).is_some()), (Some(number), sound), "{wanted:?}");
        assert_eq!(read.dts(MediaKind::Video).len(), 50);
    }
}

#[test]
fn times_go_on_over_the_wrap() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.ts");
    // The wrap, 2^33 / 90,000, is at 95,443.7 s.
    make(&[&X264[..], &AAC, &["-output_ts_offset", "95441.5"]].concat(), &file);
    let read = Read::file(&file, None);
    for (kind, most) in [(MediaKind::Video, 3600), (MediaKind::Audio, 1921)] {
        let times = read.dts(kind);
        assert!(times.windows(2).all(|pair| (1..=most).contains(&(pair[1] - pair[0]))), "{kind:?}: {times:?}");
        assert!(times[0] < 1 << 33 && *times.last().unwrap() > 1 << 33);
    }
    let ours = read.write(&folder.path().join("ours.ts"));
    assert_eq!(ffmpeg::decode_errors(&ours), "");
}

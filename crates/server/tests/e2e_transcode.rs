//! One decode makes many renditions: a ladder, a rendition for one push, and the source as it is, all at once. ffprobe judges them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test: its panics are its report"
)]

mod common;

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::{SOON, weir};
use serde_json::json;
use weir_media::MediaTime;
use weir_mux::flv::file::{FlvTag, FlvTagKind};
use weir_testkit::api::id_of;
use weir_testkit::conformance::{Watcher, player};
use weir_testkit::destination::is_video_frame;
use weir_testkit::ffmpeg::{self, Clip, Hdr};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource, flv_tag};
use weir_testkit::srt;
use weir_testkit::{Destination, Publisher, Weir, wait_until, wait_until_some};

const FRAME_MS: i64 = 34;

/// What a worker and encoders take to start on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// The process ids of a server's workers.
fn workers(weir: &Weir) -> Vec<u32> {
    let output = Command::new("pgrep").args(["-x", "weir-worker", "-P", &weir.pid().to_string()]).output();
    let output = output.expect("pgrep runs");
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect()
}

/// The worker is a program of another package: `cargo test --workspace` builds it, `cargo test -p weir-server` alone does not.
fn assert_worker_is_built() {
    let worker = Path::new(env!("CARGO_BIN_EXE_weir")).with_file_name("weir-worker");
    assert!(worker.exists(), "{} is missing: cargo build -p weir-worker", worker.display());
}

/// Downloads a rendition's segments as one file.
fn download(base: &str, name: &str, folder: &Path) -> std::path::PathBuf {
    let mut get = player(base);
    let playlist = get(&format!("{name}/video.m3u8")).expect("a playlist");
    let playlist = String::from_utf8(playlist).unwrap();
    let quoted = |line: &str| line.split("URI=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    let map = playlist.lines().find(|line| line.starts_with("#EXT-X-MAP")).and_then(quoted).expect("a map");
    let mut media = get(&format!("{name}/{map}")).expect("an init segment");
    for line in playlist.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        media.extend(get(&format!("{name}/{line}")).expect("a segment"));
    }
    let file = folder.join(format!("{name}.mp4"));
    std::fs::write(&file, media).unwrap();
    file
}

struct Packet {
    pts_ms: i64,
    bytes: i64,
    key: bool,
}

fn video_packets(file: &Path) -> Vec<Packet> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,size,flags", "-of", "csv=p=0"])
        .arg(file)
        .output()
        .expect("ffprobe runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let packets = text.lines().filter_map(|line| {
        let mut parts = line.split(',');
        let pts: f64 = parts.next()?.parse().ok()?;
        let bytes = parts.next()?.parse().ok()?;
        Some(Packet { pts_ms: (pts * 1000.0).round() as i64, bytes, key: parts.next()?.contains('K') })
    });
    packets.collect()
}

fn keyframes_ms(packets: &[Packet]) -> Vec<i64> {
    packets.iter().filter(|packet| packet.key).map(|packet| packet.pts_ms).collect()
}

/// Whether the rendition flows, in time or late. On a busy machine its state says that it is late.
fn flows(rendition: &serde_json::Value) -> bool {
    matches!(rendition["state"].as_str(), Some("live" | "degraded"))
}

/// Checks that keyframes are two seconds apart. The first one is left out, because it is where somebody began.
fn assert_every_two_seconds(name: &str, keyframes: &[i64]) {
    assert!(keyframes.len() >= 3, "{name}: {keyframes:?}");
    let steady = keyframes[1..].windows(2).all(|pair| (pair[1] - pair[0] - 2000).abs() <= FRAME_MS);
    assert!(steady, "{name}: {keyframes:?}");
}

#[test]
fn a_ladder_a_push_of_its_own_and_the_source_from_one_decode() {
    assert_worker_is_built();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // The clip is small, so that a busy machine can keep up: one that can't leaves holes. If WEIR_TEST_720P is set, it is 720p with a
    // ladder of that size.
    let full = std::env::var_os("WEIR_TEST_720P").is_some();
    let clip = if full {
        Clip { seconds: 30, ..Clip::of_the_bench() }
    } else {
        Clip { seconds: 16, video_kbps: 800, ..Clip::default() }
    };
    // The clip's keyframes are not where those of the renditions are.
    let clip = Clip { gop_frames: 75, b_frames: 2, ..clip };
    let source = clip.make(&path("source.flv"));
    let weir = weir().start();
    let api = weir.api();
    let rungs = if full {
        [("p720", (1280, 720), 2500), ("p480", (854, 480), 1200), ("p360", (640, 360), 700), ("p240", (426, 240), 350)]
    } else {
        [("p360", (640, 360), 700), ("p240", (426, 240), 400), ("p180", (320, 180), 250), ("av1", (160, 90), 100)]
    };
    let ladder = rungs.map(|(name, (width, height), kbps)| {
        let codec = if name == "av1" { "av1" } else { "h264" };
        json!({
            "name": name, "width": width, "height": height, "video_bitrate_kbps": kbps, "rate_control": "vbr", "codec": codec,
        })
    });
    let stream = api.create_stream_with("cam1", &json!({"ladder": ladder}));
    let (as_is, own) = (Destination::new(), Destination::new());
    let (width, height) = if full { (640, 360) } else { (480, 270) };
    let rendition = json!({
        "name": "small", "width": width, "height": height, "video_bitrate_kbps": 600, "audio_bitrate_kbps": 64,
        "rate_control": "cbr",
    });
    let restreams = [
        api.create_restream(&stream, "as it is", &as_is.url("a")),
        api.create_restream_with(
            &stream,
            "small",
            &json!({"uri": own.url("b"), "rendition": rendition, "active": true}),
        ),
    ];
    let mut publisher = ffmpeg::publish(&source, &weir.push_url(&stream.stream_key));
    api.wait_stream(&stream, "live", SOON);
    // AV1 goes by Enhanced RTMP to a platform that knows it. Here that is this server itself.
    let second = api.create_stream("cam2");
    let again = (!full).then(|| {
        let knows = json!({"name": "knows AV1", "platform": "youtube", "url": format!("{}/live", weir.rtmp())});
        let destination = id_of(&api.post("/destinations", &knows).expect(201));
        let to = json!({
            "destination_id": destination, "stream_key": second.stream_key, "rendition": "av1", "active": true,
        });
        api.create_restream_with(&stream, "to cam2", &to)
    });
    for id in restreams.into_iter().chain(again) {
        api.wait_restream(id, "streaming", SOON);
    }
    let base = format!("{}/play/cam1", weir.http());
    wait_until_some("the master playlist has four renditions", SOON, || {
        let text = String::from_utf8(player(&base)("master.m3u8")?).ok()?;
        (text.matches("#EXT-X-STREAM-INF").count() == rungs.len()).then_some(())
    });
    assert_eq!(workers(&weir).len(), 1, "one worker");
    let master = |path: &str| String::from_utf8(player(&base)(path).unwrap_or_default()).unwrap();
    // MPEG-TS has no place for AV1, so it is left out there.
    for (path, with_av1) in [("master.m3u8", !full), ("ts/master.m3u8", false)] {
        let text = master(path);
        assert_eq!((text.contains("av01.0."), text.contains("avc1.")), (with_av1, true), "{path}: {text}");
    }

    // The watcher judges HLS and DASH by their rules as they grow.
    let mut watcher = Watcher::new(player(&base));
    watcher.look_for(Duration::from_secs(5));
    let status = api.stream_status(&stream);
    let renditions = status["renditions"].as_array().unwrap();
    assert_eq!(renditions.len(), 1 + rungs.len() + 1, "the source, the ladder and the push: {renditions:?}");
    let ours = |rendition: &serde_json::Value| {
        matches!(rendition["encoder"].as_str(), Some("x264enc" | "av1enc" | "svtav1enc"))
    };
    let encoded = renditions.iter().filter(|rendition| ours(rendition) && flows(rendition));
    assert_eq!(encoded.count(), rungs.len() + 1, "{renditions:?}");
    assert_eq!(workers(&weir).len(), 1, "still one worker");
    assert!(publisher.wait_ended(3 * SOON).success());
    watcher.look();
    watcher.assert_valid();

    let mut longest: Vec<i64> = Vec::new();
    for (name, size, _) in rungs {
        let file = download(&base, name, folder.path());
        let video = ffmpeg::probe(&file)["streams"][0].clone();
        assert_eq!((video["width"].as_i64(), video["height"].as_i64()), (Some(size.0), Some(size.1)), "{name}");
        let keyframes = keyframes_ms(&video_packets(&file));
        println!("{name}: keyframes at {keyframes:?} ms");
        assert_every_two_seconds(name, &keyframes);
        // On a busy machine the last segment may come after it was asked for, which does not change where the keyframes are.
        assert!(keyframes.len() >= 5, "{name}: {keyframes:?}");
        let both = keyframes.len().min(longest.len());
        assert_eq!(longest[..both], keyframes[..both], "{name} has its keyframes where others do");
        longest = if keyframes.len() > longest.len() { keyframes } else { longest };
        assert_eq!(ffmpeg::decode_errors(&file), "", "{name}");
    }

    if !full {
        let file = download(&format!("{}/play/cam2", weir.http()), "source", folder.path());
        assert_eq!(ffmpeg::probe(&file)["streams"][0]["codec_name"], "av1");
        assert_eq!(ffmpeg::decode_errors(&file), "");
    }
    for id in restreams {
        api.post(&format!("/restreams/{id}/stop"), &serde_json::Value::Null).expect(200);
    }
    as_is.save_flv(0, &path("as-is.flv"));
    let pictures = |file: &Path| video_packets(file).len();
    println!("{} of {} pictures of the source pushed", pictures(&path("as-is.flv")), pictures(&source));
    assert_eq!(ffmpeg::h264_sha256(&path("as-is.flv")), ffmpeg::h264_sha256(&source), "bit for bit as published");
    assert_eq!(ffmpeg::audio_sha256(&path("as-is.flv")), ffmpeg::audio_sha256(&source));
    own.save_flv(0, &path("own.flv"));
    let packets = video_packets(&path("own.flv"));
    assert_every_two_seconds("the push", &keyframes_ms(&packets));
    let probe = ffmpeg::probe(&path("own.flv"));
    let sound = probe["streams"].as_array().unwrap().iter().any(|stream| stream["codec_name"] == "aac");
    assert!(sound, "{probe}");
    // The rate is measured in whole seconds, from the second GOP on.
    let start = keyframes_ms(&packets)[1];
    let seconds = (packets.last().unwrap().pts_ms - start) / 1000;
    assert!(seconds >= 6, "{seconds} s");
    for second in 0..seconds {
        let range = start + second * 1000..start + (second + 1) * 1000;
        let bytes: i64 =
            packets.iter().filter(|packet| range.contains(&packet.pts_ms)).map(|packet| packet.bytes).sum();
        let kbps = bytes * 8 / 1000;
        println!("second {second}: {kbps} kbps");
        assert!((540..=660).contains(&kbps), "second {second}: {kbps} kbps");
    }
    let bytes: i64 = packets.iter().filter(|packet| packet.pts_ms >= start).map(|packet| packet.bytes).sum();
    let kbps = bytes * 8 / (packets.last().unwrap().pts_ms - start);
    assert!((540..=660).contains(&kbps), "{kbps} kbps");
    drop(weir);
}

#[test]
fn a_worker_that_is_killed_costs_its_renditions_two_seconds_and_the_source_nothing() {
    assert_worker_is_built();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let clip = Clip { seconds: 16, size: "320x180", audio: false, video_kbps: 300, ..Clip::default() };
    let source = clip.make(&path("source.flv"));
    let weir = weir().start();
    let api = weir.api();
    let ladder = |kbps: u32| {
        json!([
            {"name": "small", "width": 160, "height": 90, "video_bitrate_kbps": 100},
            {"name": "other", "width": 128, "height": 72, "video_bitrate_kbps": kbps, "audio_bitrate_kbps": 64},
        ])
    };
    let stream = api.create_stream_with("cam1", &json!({"ladder": ladder(100)}));
    let (as_is, named) = (Destination::new(), Destination::new());
    let restreams = [
        api.create_restream(&stream, "as it is", &as_is.url("a")),
        api.create_restream_with(
            &stream,
            "small",
            &json!({"uri": named.url("b"), "rendition": "small", "active": true}),
        ),
    ];
    let mut publisher = ffmpeg::publish(&source, &weir.push_url(&stream.stream_key));
    named.wait_video_frames(30, SOON);

    // A rendition that is edited begins anew. The other one, in the same worker, does not notice.
    let before = workers(&weir);
    api.patch(&format!("/streams/{}", stream.id), &json!({"ladder": ladder(200)})).expect(200);
    wait_until("the edited rendition has its new rate", SOON, || {
        let status = api.stream_status(&stream);
        let renditions = status["renditions"].as_array().unwrap();
        renditions.iter().any(|it| it["name"] == "other" && it["target_bps"] == 264_000 && flows(it))
    });
    assert_eq!(workers(&weir), before, "in the same worker");
    named.wait_video_frames(named.video_frames() + 15, SOON);
    let pushed: Vec<FlvTag> =
        named.received().into_iter().map(|received| received.tag).filter(is_video_frame).collect();
    let steps = pushed.windows(2).map(|pair| pair[1].timestamp_ms - pair[0].timestamp_ms);
    assert_eq!(steps.filter(|step| *step > 40).count(), 0, "nothing is missing in the other rendition");

    // A logo comes while the stream is live, in the same worker. The worker that comes after a kill has it, too.
    let logo = std::fs::read(ffmpeg::make_png("blue", "64x64", &path("logo.png"))).unwrap();
    let place = json!({"position": "bottom_left", "width_percent": 20, "margin_percent": 5});
    api.patch(&format!("/streams/{}", stream.id), &json!({"logo": place})).expect(200);
    let pictures_before_logo = named.video_frames();
    api.put_png(&format!("/streams/{}/logo", stream.id), &logo).expect(200);
    named.wait_video_frames(named.video_frames() + 30, SOON);
    assert_eq!(workers(&weir), before, "in the same worker");
    let pictures_with_logo = named.video_frames();

    for signal in ["-KILL", "-KILL", "-KILL", "-STOP"] {
        let [victim] = workers(&weir)[..] else { panic!("{:?}", workers(&weir)) };
        let before = named.video_frames();
        let killed = Command::new("kill").args([signal, &victim.to_string()]).status().unwrap();
        assert!(killed.success());
        let back = wait_until("another worker is at work", SOON, || {
            matches!(workers(&weir)[..], [worker] if worker != victim) && named.video_frames() > before + 10
        });
        println!("{signal}: renditions were back after {} ms", back.as_millis());
    }
    // Whichever worker made them, segments begin where the slots of the stream's clock do, and their numbers have no hole.
    let mut watcher = Watcher::new(player(&format!("{}/play/cam1", weir.http())));
    wait_until("it can be watched", SOON, || watcher.look());
    let zero = watcher.manifest().unwrap().availability_start_millis;
    let playlist = watcher.playlist("small/video.m3u8").unwrap();
    let begins: Vec<i64> = playlist.complete().map(|segment| (segment.wall_millis.unwrap() - zero) % 2000).collect();
    // Behind a discontinuity a segment may begin anywhere, and the oldest segment may be the first of all.
    let elsewhere = begins.iter().filter(|begin| (50..1990).contains(*begin)).count() as u64;
    assert!(elsewhere <= playlist.discontinuities() + 1, "{begins:?}");
    assert!(playlist.complete().zip(playlist.complete().skip(1)).all(|(one, next)| one.number + 1 == next.number));
    assert!(publisher.wait_ended(SOON).success());
    for id in restreams {
        api.post(&format!("/restreams/{id}/stop"), &serde_json::Value::Null).expect(200);
    }
    as_is.save_flv(0, &path("as-is.flv"));
    assert_eq!(ffmpeg::h264_sha256(&path("as-is.flv")), ffmpeg::h264_sha256(&source), "bit for bit as published");
    named.save_flv(0, &path("small.flv"));
    assert_eq!(ffmpeg::decode_errors(&path("small.flv")), "", "what is left can be decoded");
    // The logo is 32x32 at (8, 50) of 160x90, and this is its middle.
    let corner = ffmpeg::colours(&path("small.flv"), "16:16:16:58");
    let is_blue = |[red, green, blue]: &[u8; 3]| *red < 40 && *green < 40 && *blue > 200;
    assert!(!corner[..pictures_before_logo].iter().any(is_blue), "no logo before there was one");
    assert!(corner[pictures_with_logo..].iter().all(is_blue), "from then on it stays");
    let times = ffmpeg::packet_times_ms(&path("small.flv"), "v");
    assert!(times.is_sorted_by(|a, b| a < b), "times go forward");
    let hole = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    println!("{} of 480 pictures, the largest hole {hole} ms", times.len());
    // A worker that is stopped is noticed after two seconds of silence, and the newest GOP is then made again.
    assert!(hole <= 3500, "{hole} ms");
    // The source has no sound, so its renditions carry silence: destinations refuse streams without sound.
    let sound = ffmpeg::packet_times_ms(&path("small.flv"), "a");
    assert!(sound.len() > 300, "{}", sound.len());
    let status = api.stream_status(&stream);
    println!("{status}");
}

/// Ten bits of PQ or HLG come out as an ordinary picture that is as bright as it should be. Passed through, they stay what they are.
#[test]
fn a_source_of_high_dynamic_range_is_mapped_for_everyone_s_screen() {
    assert_worker_is_built();
    let folder = tempfile::tempdir().unwrap();
    let weir = weir().set("srt.listen", "127.0.0.1:0").start();
    let api = weir.api();
    let ladder = json!([
        {"name": "asis", "passthrough": true},
        {"name": "sdr", "width": 160, "height": 90, "video_bitrate_kbps": 300, "gop_seconds": 1},
    ]);
    wait_until("encoders were tried", SOON, || api.get("/system").expect(200)["encoders"].is_array());
    let mut sources = Vec::new();
    for (name, hdr) in [("pq", Hdr::PQ), ("full", Hdr::PQ_FULL_RANGE), ("hlg", Hdr::HLG_422)] {
        let source = hdr.make(6, "320x180", &folder.path().join(format!("{name}.ts")));
        let stream = api.create_stream_with(name, &json!({"ladder": ladder}));
        sources.push((name, hdr, srt::publish(&source, &weir.srt_push_url(&stream.stream_key))));
    }
    for (name, hdr, mut publisher) in sources {
        assert!(publisher.wait_ended(SOON).success(), "{name}: {:?}", publisher.output());
        let (base, parts) = (format!("{}/play/{name}", weir.http()), folder.path().join(name));
        std::fs::create_dir(&parts).unwrap();
        let [mapped, as_is] = ["sdr", "asis"].map(|name| {
            let segments = |list: Vec<u8>| String::from_utf8_lossy(&list).matches("#EXTINF").count();
            let list = || player(&base)(&format!("{name}/video.m3u8"));
            wait_until(name, SOON, || list().is_some_and(|list| segments(list) >= 2));
            download(&base, name, &parts)
        });
        let format = |file: &Path| {
            let video = ffmpeg::probe(file)["streams"][0].clone();
            ["pix_fmt", "color_transfer", "color_primaries", "color_range"]
                .map(|name| video[name].as_str().unwrap_or_default().to_owned())
        };
        let range = if hdr.range == "full" { "pc" } else { "tv" };
        assert_eq!(format(&mapped), ["yuv420p", "bt709", "bt709", "tv"], "{name}");
        assert_eq!(format(&as_is), [hdr.pixels, hdr.transfer, "bt2020", range], "{name}");
        assert_eq!(ffmpeg::decode_errors(&mapped), "", "{name}");
        // The left half is white, which comes out at nine tenths of the signal. The right half has 12 % of white's light, and comes out
        // where that is on a screen.
        for (part, expected) in [("40:40:20:25", 228_u8), ("40:40:100:25", 107)] {
            let colours = ffmpeg::colours(&mapped, part);
            let off = colours.iter().flatten().map(|value| value.abs_diff(expected)).max();
            println!("{name}: {:?} for {expected}", colours[colours.len() / 2]);
            assert!(off <= Some(4), "{name}, {expected}: {:?}", colours[colours.len() / 2]);
        }
    }
}

/// A part of a publishing: what the source is like, and whether its messages are spoilt.
struct Phase {
    seconds: i64,
    size: (u32, u32),
    fps: u32,
    audio: bool,
    corrupt: bool,
    /// The time that is missing before this phase.
    jump_ms: i64,
}

const STEADY: Phase = Phase { seconds: 2, size: (1280, 720), fps: 30, audio: true, corrupt: false, jump_ms: 0 };

/// Spoils every tenth picture: it gets a few wrong bits, in its length prefixes as well. The first pictures of the session are spared.
fn spoil(tag: FlvTag, number: usize) -> FlvTag {
    const FLV_HEADER_BYTES: usize = 5;
    if tag.kind != FlvTagKind::Video || !number.is_multiple_of(10) {
        return tag;
    }
    let mut body = tag.body.to_vec();
    let length = body.len() - FLV_HEADER_BYTES;
    for step in [3, 7, 11] {
        body[FLV_HEADER_BYTES + number * step % length] ^= 1 << (number % 8);
    }
    FlvTag { body: body.into(), ..tag }
}

/// Publishes the phases on one connection in real time, and returns how many pictures it sent.
fn publish_phases(publisher: &mut Publisher, phases: &[Phase]) -> usize {
    let (start, mut zero, mut pictures) = (Instant::now(), MediaTime::ZERO, 0);
    let mut jumped = MediaTime::ZERO;
    for phase in phases {
        let (width, height) = phase.size;
        let config = SyntheticConfig {
            width,
            height,
            fps: (phase.fps, 1),
            gop_frames: phase.fps,
            video_bitrate_bps: Some(300_000),
            audio: SyntheticConfig::default().audio.filter(|_| phase.audio),
        };
        jumped = jumped + MediaTime::from_millis(phase.jump_ms);
        let mut source = SyntheticSource::new(config);
        let frames = source.frames_until(MediaTime::from_millis(phase.seconds * 1000));
        for tag in source.config_tags().into_iter().chain(frames.iter().map(flv_tag)) {
            let at = zero + MediaTime::from_millis(i64::from(tag.timestamp_ms));
            thread::sleep(
                (start + Duration::from_millis(at.as_millis() as u64)).saturating_duration_since(Instant::now()),
            );
            pictures += usize::from(is_video_frame(&tag));
            let tag = if phase.corrupt { spoil(tag, pictures) } else { tag };
            publisher.send(&FlvTag { timestamp_ms: (at + jumped).as_millis() as u32, ..tag }).unwrap();
        }
        zero = zero + MediaTime::from_millis(phase.seconds * 1000);
    }
    pictures
}

#[test]
fn whatever_the_source_does_renditions_keep_canvas_alignment_and_time() {
    assert_worker_is_built();
    let folder = tempfile::tempdir().unwrap();
    let weir = weir().start();
    let api = weir.api();
    // The tall rendition is cut out of the middle of the source, whatever the source's shape.
    let rungs = [("p180", (320, 180), "pad"), ("v160", (90, 160), "crop")];
    let ladder: Vec<_> = rungs
        .iter()
        .map(|(name, (width, height), fit)| {
            json!({
                "name": name, "width": width, "height": height, "video_bitrate_kbps": 150, "gop_seconds": 1, "fit": fit,
            })
        })
        .chain([json!({"name": "asis", "passthrough": true})])
        .collect();
    let stream = api.create_stream_with("cam1", &json!({"ladder": ladder}));
    let pushed = Destination::new();
    api.create_restream_with(&stream, "small", &json!({"uri": pushed.url("b"), "rendition": "v160", "active": true}));
    // The encoders are tried before the first worker starts, and what comes meanwhile is not encoded. So the publisher waits for that.
    wait_until("encoders were tried", SOON, || api.get("/system").expect(200)["encoders"].is_array());
    let mut publisher = Publisher::publish(&weir.rtmp_address(), "live", &stream.stream_key).unwrap();
    let pictures = publish_phases(
        &mut publisher,
        &[
            STEADY,
            Phase { size: (1920, 1080), ..STEADY },
            Phase { size: (640, 480), fps: 60, ..STEADY },
            Phase { audio: false, ..STEADY },
            Phase { seconds: 3, corrupt: true, ..STEADY },
            Phase { jump_ms: 10_000, ..STEADY },
        ],
    );
    publisher.unpublish();
    api.wait_stream(&stream, "offline", SOON);
    let base = format!("{}/play/cam1", weir.http());
    let last_ms = |name: &str| video_packets(&download(&base, name, folder.path())).last().map(|packet| packet.pts_ms);
    wait_until("the source's last picture is in every rendition", SOON, || {
        let ends = ["asis", "p180", "v160"].map(last_ms);
        ends[0].is_some() && ends.iter().all(|end| *end == ends[0])
    });

    let keyframes = rungs.map(|(name, size, _)| {
        let file = download(&base, name, folder.path());
        let video = ffmpeg::probe(&file)["streams"][0].clone();
        assert_eq!((video["width"].as_i64(), video["height"].as_i64()), (Some(size.0), Some(size.1)), "{name}");
        assert_eq!(ffmpeg::decode_errors(&file), "", "{name}");
        let packets = video_packets(&file);
        assert!(packets.is_sorted_by(|a, b| a.pts_ms < b.pts_ms), "{name}: times go forward");
        println!("{name}: {} of {pictures} pictures", packets.len());
        // Pictures may be lost from a spoilt one up to the next keyframe, and a busy machine begins late.
        assert!(packets.len() * 10 > pictures * 6, "{name}: {} of {pictures} pictures", packets.len());
        keyframes_ms(&packets)
    });
    println!("keyframes at {:?}", keyframes[0]);
    assert_eq!(keyframes[0], keyframes[1], "aligned");
    assert!(keyframes[0].len() >= 8, "{:?}", keyframes[0]);
    pushed.save_flv(0, &folder.path().join("pushed.flv"));
    let configs = pushed.received().iter().filter(|received| is_video_config(&received.tag)).count();
    // The source goes from 30 to 60 to 30 fps, and an encoder writes the rate into its parameter sets. A new size alone changes nothing.
    assert!((1..=3).contains(&configs), "{configs} configurations");
    assert_eq!(pushed.connections(), 1, "nothing begins anew");
    for kind in ["v", "a"] {
        let times = ffmpeg::packet_times_ms(&folder.path().join("pushed.flv"), kind);
        assert!(times.is_sorted_by(|a, b| a < b), "{kind}: times go forward");
        // The renditions have silence where the source has no sound. The jump in time is one hole.
        let holes: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).filter(|hole| *hole > 700).collect();
        println!("{kind}: {} frames, holes of {holes:?} ms", times.len());
    }
    assert_eq!(workers(&weir).len(), 0, "without a source there is no worker");
}

fn is_video_config(tag: &FlvTag) -> bool {
    tag.kind == FlvTagKind::Video && tag.body.get(1) == Some(&0)
}

/// Two sources of other shapes, rates and keyframes take turns. The rendition has one canvas, one rate and one clock, so that a push of it
/// hears nothing of that, and the worker goes on.
#[test]
fn sources_of_other_sizes_take_turns_in_one_ladder() {
    assert_worker_is_built();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let clip = Clip { seconds: 4, size: "480x270", video_kbps: 300, ..Clip::default() };
    let other = Clip { size: "320x240", fps: 25, gop_frames: 25, b_frames: 2, ..clip.clone() };
    let (clip, other) = (clip.make(&path("primary.flv")), other.make(&path("backup.flv")));
    let weir = weir().start();
    let api = weir.api();
    let rung = json!([{"name": "p180", "width": 320, "height": 180, "fps": 30, "video_bitrate_kbps": 300}]);
    let sources = json!([{"slot": "primary", "kind": "push"}, {"slot": "backup", "kind": "push"}]);
    let stream =
        api.create_stream_with("cam1", &json!({"sources": sources, "ladder": rung, "failover": {"return": false}}));
    let shown = api.get(&format!("/streams/{}?reveal=true", stream.id)).expect(200);
    let backup = shown["push_urls"]["backup"]["rtmp"].as_str().unwrap().to_owned();
    let sink = Destination::new();
    api.create_restream_with(&stream, "tube", &json!({"uri": sink.url("key"), "rendition": "p180"}));
    let _primary = ffmpeg::publish_looped(&clip, &weir.push_url(&stream.stream_key));
    sink.wait_video_frames(60, LONG);
    let worker = workers(&weir);
    assert_eq!(worker.len(), 1);
    let _backup = ffmpeg::publish_looped(&other, &backup);
    let on_air = |slot: &str| {
        wait_until(&format!("{slot} is on air"), LONG, || api.stream_status(&stream)["on_air"] == slot);
        sink.wait_video_frames(sink.video_frames() + 60, LONG);
    };
    wait_until("the backup is live", LONG, || api.stream_status(&stream)["sources"][1]["state"] == "live");
    for slot in ["backup", "primary", "backup", "primary"] {
        api.post(&format!("/streams/{}/switch", stream.id), &json!({ "slot": slot })).expect(200);
        on_air(slot);
    }
    assert_eq!(workers(&weir), worker, "it is the worker of the beginning");
    assert_eq!(sink.connections(), 1);
    let received = sink.received();
    let configs =
        received.iter().filter(|it| it.tag.kind == FlvTagKind::Video && it.tag.body.get(1) == Some(&0)).count();
    assert_eq!(configs, 1, "the canvas stays");
    for kind in [FlvTagKind::Video, FlvTagKind::Audio] {
        let media = received.iter().filter(|it| it.tag.kind == kind && it.tag.body.get(1) == Some(&1));
        let times: Vec<u32> = media.map(|it| it.tag.timestamp_ms).collect();
        let bad = times.windows(2).find(|pair| pair[1] < pair[0] || pair[1] - pair[0] > 1_000);
        assert_eq!(bad, None, "{kind:?}: time goes on, and nothing is missing");
    }
}

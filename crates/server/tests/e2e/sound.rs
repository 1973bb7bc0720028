//! The sound of renditions: alone, as Opus, at its loudness, in time with the picture; made from 44.1 kHz in six channels.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::{SOON, weir};
use serde_json::{Value, json};
use weir_mux::flv::file::FlvTagKind;
use weir_testkit::api::id_of;
use weir_testkit::conformance::{Watcher, player};
use weir_testkit::ffmpeg::Clip;
use weir_testkit::{Destination, Weir, ffmpeg, srt, wait_until, wait_until_some};

const SECONDS: u32 = 18;
/// The limit that was set; people notice 80 ms.
const SKEW_MAX_MS: f64 = 80.0;

fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    [output.stdout, output.stderr].concat()
}

/// Makes a flash of 100 ms on black each second, and with it a tone that is otherwise quieter, at 44.1 kHz in six channels.
fn make_source(path: &Path) {
    let flash = "color=c=black:s=320x180:r=30,drawbox=c=white:t=fill:enable='lt(mod(t,1),0.1)'";
    let tone = "sin(2*PI*997*t)*(0.03+0.09*lt(mod(t\\,1)\\,0.1))";
    let sound = format!("aevalsrc={}:s=44100:c=5.1", [tone; 6].join("|"));
    run(
        "ffmpeg",
        &[
            "-nostdin",
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            flash,
            "-f",
            "lavfi",
            "-i",
            &sound,
            "-t",
            &SECONDS.to_string(),
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "45",
            "-bf",
            "0",
            "-c:a",
            "aac",
            "-b:a",
            "256k",
            "-y",
            path.to_str().unwrap(),
        ],
    );
}

fn attribute(line: &str, name: &str) -> Option<String> {
    let quoted = line.split(&format!("{name}=\"")).nth(1)?;
    quoted.split('"').next().map(str::to_owned)
}

/// The playlist of a variant's pictures or sound; renditions with the same sound name one playlist.
fn address_of(master: &str, name: &str, kind: &str) -> Option<String> {
    let lines: Vec<&str> = master.lines().collect();
    let at = lines.iter().position(|line| line.starts_with(&format!("{name}/")))?;
    let address = lines[at].split('?').next()?;
    if address.starts_with(&format!("{name}/{kind}")) {
        return Some(address.to_owned());
    }
    let group = format!("GROUP-ID=\"{}\"", attribute(lines.get(at.checked_sub(1)?)?, "AUDIO")?);
    attribute(lines.iter().find(|line| line.starts_with("#EXT-X-MEDIA:TYPE=AUDIO") && line.contains(&group))?, "URI")
}

/// A rendition's pictures or sound as one file.
fn download(base: &str, name: &str, kind: &str, folder: &Path) -> PathBuf {
    let mut get = player(base);
    let master = String::from_utf8(get("master.m3u8").expect("a master playlist")).unwrap();
    let address = address_of(&master, name, kind).unwrap_or_else(|| panic!("no {kind} of {name}: {master}"));
    let (folder_of, _) = address.rsplit_once('/').unwrap();
    let playlist = String::from_utf8(get(&address).expect("a playlist")).unwrap();
    let map = playlist.lines().find(|line| line.starts_with("#EXT-X-MAP"));
    let map = map.and_then(|line| attribute(line, "URI")).expect("a map");
    let mut media = get(&format!("{folder_of}/{map}")).expect("an init segment");
    for line in playlist.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        media.extend(get(&format!("{folder_of}/{line}")).expect("a segment"));
    }
    let file = folder.join(format!("{name}-{kind}.mp4"));
    std::fs::write(&file, media).unwrap();
    file
}

fn start_ms(file: &Path) -> f64 {
    let start = ffmpeg::probe(file)["streams"][0]["start_time"].as_str().unwrap().parse::<f64>().unwrap();
    start * 1000.0
}

/// The sound in mono at 48 kHz.
fn samples(file: &Path) -> Vec<f32> {
    let args = ["-nostdin", "-v", "error", "-i", file.to_str().unwrap(), "-map", "0:a:0", "-ac", "1", "-ar", "48000"];
    run("ffmpeg", &[&args[..], &["-f", "f32le", "-"]].concat())
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

/// When the sound becomes loud. The quiet part is a quarter of the loud one.
fn beeps_ms(file: &Path) -> Vec<f64> {
    let (start, samples) = (start_ms(file), samples(file));
    let peaks: Vec<f32> =
        samples.chunks(48).map(|ms| ms.iter().fold(0.0f32, |most, sample| most.max(sample.abs()))).collect();
    // A period of the tone is a millisecond. Loudness is compared with the 60 ms before, whatever the gain has become.
    let loud = |at: usize| {
        let before = peaks[at - 60..at - 10].iter().sum::<f32>() / 50.0;
        let now = peaks[at..at + 30].iter().sum::<f32>() / 30.0;
        now > before * 2.0 && peaks[at] > before * 1.6
    };
    let mut beeps: Vec<f64> = Vec::new();
    for at in 60..peaks.len().saturating_sub(30) {
        let ms = start + at as f64;
        if loud(at) && beeps.last().is_none_or(|last| ms - last > 500.0) {
            beeps.push(ms);
        }
    }
    beeps
}

/// When the picture becomes white.
fn flashes_ms(file: &Path) -> Vec<f64> {
    let movie = format!("movie={},signalstats", file.to_str().unwrap());
    let entries = "frame=pts_time:frame_tags=lavfi.signalstats.YAVG";
    let text =
        run("ffprobe", &["-v", "error", "-f", "lavfi", "-i", &movie, "-show_entries", entries, "-of", "csv=p=0"]);
    let text = String::from_utf8(text).unwrap();
    let frames = text.lines().filter_map(|line| {
        let mut parts = line.split(',').filter_map(|part| part.parse::<f64>().ok());
        Some((parts.next()? * 1000.0, parts.next()?))
    });
    let frames: Vec<(f64, f64)> = frames.collect();
    frames.windows(2).filter(|pair| pair[0].1 < 100.0 && pair[1].1 > 100.0).map(|pair| pair[1].0).collect()
}

/// How much later the sound is than the picture, at worst.
fn skew_ms(picture: &Path, sound: &Path) -> f64 {
    let (flashes, beeps) = (flashes_ms(picture), beeps_ms(sound));
    let skews: Vec<f64> = flashes
        .iter()
        .filter_map(|flash| beeps.iter().map(|beep| beep - flash).min_by(|a, b| a.abs().total_cmp(&b.abs())))
        .filter(|skew| skew.abs() < 400.0)
        .collect();
    assert!(skews.len() >= 5, "flashes {flashes:?}, beeps {beeps:?}");
    skews.into_iter().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap()
}

/// The integrated loudness from that second on, as ffmpeg measures it.
fn lufs(file: &Path, from_seconds: u32) -> f64 {
    let from = from_seconds.to_string();
    // The filter follows the input, so that it counts what comes out: the stream's time does not begin at zero.
    let filter = format!("atrim=start={from},ebur128");
    let shifted = format!("asetpts=PTS-STARTPTS,{filter}");
    let args = ["-nostdin", "-hide_banner", "-i", file.to_str().unwrap(), "-map", "0:a:0", "-af", &shifted];
    let text = run("ffmpeg", &[&args[..], &["-f", "null", "-"]].concat());
    let text = String::from_utf8_lossy(&text).into_owned();
    let integrated = text.rsplit("Integrated loudness:").next().unwrap();
    let value = integrated.split("I:").nth(1).and_then(|rest| rest.split("LUFS").next()).unwrap_or_default();
    value.trim().parse().unwrap_or_else(|_| panic!("{text}"))
}

fn streams(file: &Path) -> Vec<(String, String)> {
    let of = |stream: &Value, field: &str| stream[field].as_str().unwrap_or_default().to_owned();
    let probe = ffmpeg::probe(file);
    probe["streams"].as_array().unwrap().iter().map(|it| (of(it, "codec_type"), of(it, "codec_name"))).collect()
}

#[test]
fn sound_alone_opus_loudness_and_skew() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let source = path("source.flv");
    make_source(&source);
    let weir = weir().start();
    let api = weir.api();
    let ladder = json!([
        {"name": "loud", "width": 160, "height": 90, "video_bitrate_kbps": 150, "audio_bitrate_kbps": 96, "loudness_lufs": -23},
        {"name": "opus", "width": 128, "height": 72, "video_bitrate_kbps": 100, "audio_bitrate_kbps": 96, "audio_codec": "opus"},
        {"name": "radio", "audio_bitrate_kbps": 96, "loudness_lufs": -16},
    ]);
    let stream = api.create_stream_with("cam1", &json!({"ladder": ladder}));
    let shown = api.get(&format!("/streams/{}", stream.id)).expect(200);
    assert_eq!(
        shown["ladder"][2],
        json!({"name": "radio", "audio_bitrate_kbps": 96, "audio_codec": "aac", "loudness_lufs": -16.0})
    );

    let (radio, enhanced, plain) = (Destination::new(), Destination::new(), Destination::new());
    let (mut radio_ts, mut opus_ts) =
        (srt::live_transmit("", &path("radio.ts")), srt::live_transmit("", &path("opus.ts")));
    let youtube = json!({"name": "enhanced", "platform": "youtube", "url": enhanced.server_url()});
    let youtube = id_of(&api.post("/destinations", &youtube).expect(201));
    let restream = |name: &str, rendition: &str, mut to: Value| {
        to["rendition"] = rendition.into();
        to["active"] = true.into();
        api.create_restream_with(&stream, name, &to)
    };
    let works = [
        restream("radio", "radio", json!({"uri": radio.url("a")})),
        restream("radio by SRT", "radio", json!({"uri": radio_ts.url("latency=200ms")})),
        restream("opus by SRT", "opus", json!({"uri": opus_ts.url("latency=200ms")})),
        restream("enhanced", "opus", json!({"destination_id": youtube, "stream_key": "b"})),
    ];
    let refused = restream("plain", "opus", json!({"uri": plain.url("c")}));

    // A kept picture has the source's own keyframes; beside other renditions its segments would not match theirs.
    let kept = json!({"ladder": [{"name": "kept", "video": "source", "audio_bitrate_kbps": 64}]});
    let kept = api.create_stream_with("cam2", &kept);
    let mut publisher = ffmpeg::publish(&source, &weir.push_url(&stream.stream_key));
    let mut second = ffmpeg::publish(&source, &weir.push_url(&kept.stream_key));
    api.wait_stream(&stream, "live", SOON);
    for id in works {
        api.wait_restream(id, "streaming", SOON);
    }
    let status = api.wait_restream(refused, "error", SOON);
    assert_eq!(status["reason"]["code"], "unsupported_codec", "{status}");

    let base = format!("{}/play/cam1", weir.http());
    let master = wait_until_some("the master playlist has three variants", SOON, || {
        let text = String::from_utf8(player(&base)("master.m3u8")?).ok()?;
        (text.matches("#EXT-X-STREAM-INF").count() == 3).then_some(text)
    });
    let variant = |name: &str| {
        let lines: Vec<&str> = master.lines().collect();
        let at = lines.iter().position(|line| line.starts_with(&format!("{name}/"))).expect("a variant");
        lines[at - 1].to_owned()
    };
    assert!(variant("opus").contains(",opus\""), "{master}");
    assert!(!variant("radio").contains("RESOLUTION") && variant("radio").contains("CODECS=\"mp4a.40.2\""), "{master}");
    let mut watcher = Watcher::new(player(&base));
    watcher.look_for(Duration::from_secs(4));
    let manifest = String::from_utf8(player(&base)("manifest.mpd").unwrap()).unwrap();
    assert!(manifest.contains("codecs=\"opus\""), "{manifest}");
    // No box that needs TS plays Opus.
    let ts = wait_until_some("TS for old boxes", SOON, || {
        let text = String::from_utf8(player(&base)("ts/master.m3u8")?).ok()?;
        text.contains("radio").then_some(text)
    });
    assert!(ts.contains("loud") && !ts.contains("opus"), "{ts}");
    let status = api.stream_status(&stream);
    let of = |name: &str| {
        let all = status["renditions"].as_array().unwrap();
        all.iter().find(|rendition| rendition["name"] == name).cloned().expect("a rendition")
    };
    assert_eq!((&of("radio")["encoder"], &of("radio")["width"]), (&json!("avenc_aac"), &Value::Null), "{status}");
    assert_eq!(of("radio")["target_bps"], 96_000);
    assert!(publisher.wait_ended(3 * SOON).success());
    watcher.look();
    watcher.assert_valid();
    wait_until("all of it is packaged", SOON, || {
        let last = |name: &str, kind: &str| {
            *ffmpeg::packet_times_ms(&download(&base, name, kind, folder.path()), &kind[..1]).last().unwrap()
        };
        let end = last("loud", "video");
        ["loud", "opus", "radio"].iter().all(|name| (last(name, "audio") - end).abs() < 500)
    });

    for id in works {
        api.post(&format!("/restreams/{id}/stop"), &Value::Null).expect(200);
    }
    for name in ["loud", "opus", "radio"] {
        let sound = download(&base, name, "audio", folder.path());
        assert_eq!(ffmpeg::decode_errors(&sound), "", "{name}");
        let probe = ffmpeg::probe(&sound)["streams"][0].clone();
        assert_eq!((probe["sample_rate"].as_str(), probe["channels"].as_i64()), (Some("48000"), Some(2)), "{name}");
        let codec = if name == "opus" { "opus" } else { "aac" };
        assert_eq!(probe["codec_name"], codec, "{name}");
        let picture = download(&base, if name == "radio" { "loud" } else { name }, "video", folder.path());
        let skew = skew_ms(&picture, &sound);
        println!("{name}: sound is {skew:.1} ms behind the picture, {:.1} LUFS at the end", lufs(&sound, SECONDS - 6));
        assert!(skew.abs() < SKEW_MAX_MS, "{name}: {skew} ms");
    }
    assert!(second.wait_ended(SOON).success());
    let base = format!("{}/play/cam2", weir.http());
    let [picture, sound] = ["video", "audio"].map(|kind| download(&base, "kept", kind, folder.path()));
    let skew = skew_ms(&picture, &sound);
    println!("kept: sound is {skew:.1} ms behind the picture");
    assert!(skew.abs() < SKEW_MAX_MS, "kept: {skew} ms");
    // Six channels become two, and nothing else is done to them.
    let quiet = lufs(&folder.path().join("opus-audio.mp4"), 2);
    for (name, target) in [("loud", -23.0), ("radio", -16.0)] {
        let end = lufs(&folder.path().join(format!("{name}-audio.mp4")), SECONDS - 5);
        // The gain moves by a decibel a second, so a level that was further away is on its way.
        let reached = quiet + f64::from(SECONDS - 5) > target + 2.0;
        assert!(!reached || (end - target).abs() < 1.5, "{name}: {end} LUFS");
        assert!(end > quiet + 5.0, "{name}: {end} LUFS");
    }

    assert!(radio.received().iter().all(|received| received.tag.kind != FlvTagKind::Video));
    radio.save_flv(0, &path("radio.flv"));
    let kinds = streams(&path("radio.flv"));
    assert!(kinds.contains(&("audio".to_owned(), "aac".to_owned())), "{kinds:?}");
    assert!(kinds.iter().all(|(kind, _)| kind != "video"), "{kinds:?}");
    assert_eq!(ffmpeg::decode_errors(&path("radio.flv")), "");
    let opus = enhanced.received().iter().filter(|received| received.tag.body.get(1..5) == Some(b"Opus")).count();
    assert!(opus > 100, "{opus} messages of Opus");
    radio_ts.child.kill();
    opus_ts.child.kill();
    assert_eq!(streams(&path("radio.ts")), [("audio".to_owned(), "aac".to_owned())]);
    let mut both = streams(&path("opus.ts"));
    both.sort();
    assert_eq!(both, [("audio".to_owned(), "opus".to_owned()), ("video".to_owned(), "h264".to_owned())]);
}

/// The worker is limited by a control group where the kernel lets us, and otherwise by its own limits; what it takes is measured.
fn assert_worker_is_limited(weir: &Weir) {
    let pid = run("pgrep", &["-x", "weir-worker", "-P", &weir.pid().to_string()]);
    let pid = String::from_utf8(pid).unwrap().trim().to_owned();
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    if read("cgroup").contains("weir-worker-") {
        println!("held by a control group");
    } else {
        let limits = read("limits");
        let data = limits.lines().find(|line| line.starts_with("Max data size")).unwrap();
        // The limit is twice what it may use, as not all that is reserved is used.
        assert!(data.contains(&(2u64 << 29).to_string()), "{data}");
        let stat = read("stat");
        let nice = stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap();
        assert_eq!(nice, "10", "{stat}");
    }
    let metrics = player(&weir.http())("metrics").expect("metrics");
    let metrics = String::from_utf8(metrics).unwrap();
    for name in ["weir_worker_cpu_percent", "weir_worker_rss_bytes"] {
        assert!(metrics.contains(&format!("{name}{{stream=\"radio\"}}")), "{name}");
    }
}

/// Makes sound alone, as a radio station sends it.
fn make_tone(seconds: u32, path: &Path) {
    let tone = format!("sine=frequency=440:sample_rate=44100:duration={seconds}");
    run(
        "ffmpeg",
        &["-nostdin", "-v", "error", "-f", "lavfi", "-i", &tone, "-c:a", "aac", "-y", path.to_str().unwrap()],
    );
}

#[test]
fn a_source_without_a_picture_has_its_ladder_of_sound() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("radio.flv");
    make_tone(60, &source);
    let weir = weir().set("transcode.worker_memory_mb", "512").set("transcode.worker_cpu_percent", "400").start();
    let api = weir.api();
    let stream = api.create_stream_with("radio", &json!({"ladder": "audio-only"}));
    let publisher = ffmpeg::publish(&source, &weir.push_url(&stream.stream_key));
    let base = format!("{}/play/radio", weir.http());
    wait_until("both renditions are offered", SOON, || {
        let master = player(&base)("master.m3u8").map(|text| String::from_utf8(text).unwrap()).unwrap_or_default();
        ["audio-128/audio", "audio-64/audio"].iter().all(|name| master.contains(name))
    });
    assert_worker_is_limited(&weir);
    let mut watcher = Watcher::new(player(&base));
    // Eight seconds from when the renditions are offered, however late that is on a busy machine.
    watcher.look_for(Duration::from_secs(8));
    drop(publisher);
    watcher.look();
    watcher.assert_valid();
    for name in ["audio-128", "audio-64"] {
        let file = download(&base, name, "audio", folder.path());
        assert_eq!(ffmpeg::decode_errors(&file), "", "{name}");
        let times = ffmpeg::packet_times_ms(&file, "a");
        println!("{name}: {} frames", times.len());
        // A frame of sound takes 23 ms, and the last segment may not be whole yet.
        assert!(times.len() > 150, "{name}: {}", times.len());
        assert!(times.windows(2).all(|pair| (20..=23).contains(&(pair[1] - pair[0]))), "{name}: {times:?}");
    }
}

#[test]
fn renditions_with_pictures_wait_for_one_and_sound_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let voice = folder.path().join("voice.flv");
    make_tone(20, &voice);
    let weir = weir().start();
    let api = weir.api();
    let small = json!({"name": "small", "width": 160, "height": 90, "video_bitrate_kbps": 150});
    let ladder = json!([small, {"name": "quiet", "audio_bitrate_kbps": 64}]);
    let mixed = api.create_stream_with("mixed", &json!({"ladder": ladder}));
    let states = || {
        let status = api.stream_status(&mixed);
        let all = status["renditions"].as_array().cloned().unwrap_or_default();
        let of = |name: &str| all.iter().find(|it| it["name"] == name).cloned().unwrap_or_default();
        (of("small"), of("quiet"))
    };
    let said = ffmpeg::publish(&voice, &weir.push_url(&mixed.stream_key));
    wait_until("the sound is made, and the picture is missed", SOON, || {
        let (small, quiet) = states();
        quiet["state"] == "live" && small["state"] == "failed" && small["reason"] == "the source has no picture"
    });
    drop(said);
    let filmed = Clip { size: "160x90", seconds: 6, ..Clip::default() }.make(&folder.path().join("filmed.flv"));
    let _film = ffmpeg::publish(&filmed, &weir.push_url(&mixed.stream_key));
    wait_until("both are made", SOON, || {
        let (small, quiet) = states();
        quiet["state"] == "live" && small["state"] == "live"
    });
}

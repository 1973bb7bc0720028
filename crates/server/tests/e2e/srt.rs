//! SRT in and out beside RTMP and RTMPS: every pairing, what the states say, and a port that hostile callers can't close.

use crate::common;

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{clip, weir, weir_with_tls};
use serde_json::{Value, json};
use weir_testkit::api::TestStream;
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};
use weir_testkit::publisher::Feed;
use weir_testkit::srt::{self, SrtFeeds};
use weir_testkit::{Api, Child, Destination, WeirOptions, wait_until};

/// The time is generous: two cores run the servers, encoders and listeners of several tests at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

const PASSPHRASE: &str = "correct-horse-battery";

pub(crate) fn srt_weir() -> WeirOptions {
    weir().set("srt.listen", "127.0.0.1:0")
}

pub(crate) fn source(video_bitrate_bps: u32) -> SyntheticSource {
    let config = SyntheticConfig { gop_frames: 30, video_bitrate_bps: Some(video_bitrate_bps), ..Default::default() };
    SyntheticSource::new(config)
}

pub(crate) fn codes(status: &Value) -> Vec<&str> {
    status["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

/// RTMP, RTMPS and SRT come in, and each goes out by RTMP, RTMPS and SRT. All nine pairings leave the payloads intact.
#[test]
fn nine_pairings_carry_the_same_media() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let source = Clip { seconds: 4, size: "320x180", b_frames: 2, video_kbps: 300, ..Clip::default() };
    let source = source.make(&path("source.flv"));
    let receiving = weir_with_tls().start();
    let certificate = receiving.data().join("self-signed.crt");
    let options = weir_with_tls().set("srt.listen", "127.0.0.1:0");
    let weir = options.set("tls.ca", certificate.to_str().unwrap()).start();
    let (api, far) = (weir.api(), receiving.api());

    let mut pairings = Vec::new();
    for input in ["rtmp", "rtmps", "srt"] {
        let stream = api.create_stream(&format!("from-{input}"));
        let (by_rtmp, by_rtmps) = (Destination::new(), Destination::new());
        let relayed = far.create_stream(&format!("relayed-{input}"));
        far.create_restream(&relayed, "on", &by_rtmps.url("key"));
        let file = path(&format!("{input}-srt.ts"));
        let by_srt = srt::live_transmit("", &file);
        // The certificate is for the name `localhost`, not for the address.
        let rtmps = format!("{}/live/{}", receiving.rtmps().replace("127.0.0.1", "localhost"), relayed.stream_key);
        let restreams = [
            api.create_restream(&stream, "rtmp", &by_rtmp.url("key")),
            api.create_restream(&stream, "rtmps", &rtmps),
            api.create_restream(&stream, "srt", &by_srt.url("latency=300ms")),
        ];
        let publisher = match input {
            "rtmp" => ffmpeg::publish(&source, &weir.push_url(&stream.stream_key)),
            "rtmps" => ffmpeg::publish(&source, &format!("{}/live/{}", weir.rtmps(), stream.stream_key)),
            _ => srt::publish(&source, &weir.srt_push_url(&stream.stream_key)),
        };
        pairings.push((input, stream, restreams, publisher, by_rtmp, by_rtmps, by_srt, file));
    }
    // All restreams are looked at while media flows, which is for four seconds: later there may be nothing to see.
    for (input, stream, restreams, ..) in &pairings {
        for id in restreams {
            let acked = |status: &Value| status["acked_bytes"].as_u64() > Some(0);
            api.wait_restream_where(*id, "has had media acknowledged", SOON, acked);
        }
        let ingest = api.stream_status(stream)["ingest"].clone();
        assert!(ingest.is_null() || ingest["protocol"] == *input, "{ingest}");
    }
    let sent = Frames::of(&source);
    for (input, _, restreams, publisher, by_rtmp, by_rtmps, mut by_srt, file) in pairings {
        let mut publisher: Child = publisher;
        assert!(publisher.wait_ended(SOON).success(), "{input}: {:?}", publisher.output());
        // ffmpeg hangs up an SRT call without waiting for its last packets to leave.
        let pictures = if input == "srt" { 120 - LAST_PICTURES } else { 120 };
        by_rtmp.wait_video_frames(pictures, SOON);
        by_rtmps.wait_video_frames(pictures, SOON);
        // A push that is stopped says goodbye when everything has arrived.
        api.post(&format!("/restreams/{}/stop", restreams[2]), &Value::Null).expect(200);
        wait_until(&format!("{input} to SRT had arrived"), SOON, || {
            file.exists() && ffmpeg::packet_times_ms(&file, "v").len() >= pictures
        });
        by_srt.child.kill();
        let (rtmp, rtmps) = (path(&format!("{input}-rtmp.flv")), path(&format!("{input}-rtmps.flv")));
        by_rtmp.save_flv(0, &rtmp);
        by_rtmps.save_flv(0, &rtmps);
        for received in [&rtmp, &rtmps, &file] {
            assert_same_media(&sent, received, pictures);
        }
        assert_eq!(srt::counts(&file).continuity_errors, 0, "{input}");
    }
}

/// So many pictures may be missing at the end of what ffmpeg sends by SRT. They are a quarter of a second.
const LAST_PICTURES: usize = 8;

/// What a file carries, frame by frame.
struct Frames {
    pictures: Vec<u64>,
    sound: Vec<u64>,
    video_ms: Vec<i64>,
    audio_ms: Vec<i64>,
}

impl Frames {
    fn of(file: &Path) -> Self {
        let (video_ms, audio_ms) = ffmpeg::times_ms(file);
        Self { pictures: ffmpeg::slices(file), sound: ffmpeg::aac_frames(file), video_ms, audio_ms }
    }

    /// How much later the sound begins than the pictures.
    fn skew_ms(&self) -> i64 {
        self.audio_ms[0] - self.video_ms[0]
    }
}

/// Checks that the file has the pictures that were sent, bit for bit and at least `pictures` of them, and the sound that was sent, except
/// for what came before the first picture or after the last.
fn assert_same_media(sent: &Frames, file: &Path, pictures: usize) {
    let (name, came) = (file.display(), Frames::of(file));
    let (sent_pictures, came_pictures) = (sent.pictures.len(), came.pictures.len());
    let same = came_pictures >= pictures && sent.pictures.starts_with(&came.pictures);
    assert!(same, "{name}: {came_pictures} of {sent_pictures} pictures");
    assert_eq!(ffmpeg::decode_errors(file), "", "{name}");
    let (sent_sound, came_sound) = (sent.sound.len(), came.sound.len());
    assert!(came_sound + 25 >= sent_sound, "{name}: {came_sound} frames of sound of {sent_sound}");
    assert!(sent.sound.windows(came_sound).any(|part| part == came.sound), "{name}: the sound is not the same");
    let forward = |times: &[i64]| times.is_sorted_by(|a, b| a < b);
    assert!(forward(&came.video_ms) && forward(&came.audio_ms), "{name}: times go forward");
    // Pictures and sound begin as far apart as they were sent, but sound from before the first picture may be missing.
    let apart = came.skew_ms() - sent.skew_ms();
    assert!((-30..=12 * 22).contains(&apart), "{name}: sound moved by {apart} ms against the pictures");
}

/// Pushes to three listeners that are not ours. Each is asked for the same latency in another unit, and gets the keys, sizes and encryption
/// that were asked for.
#[test]
fn pushes_to_other_listeners_with_every_parameter() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let weir = srt_weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let listeners = [
        (
            srt::live_transmit(&format!("passphrase={PASSPHRASE}&pbkeylen=32&enforcedencryption=1"), &path("slt.ts")),
            format!("latency=2500000&passphrase={PASSPHRASE}&pbkeylen=32"),
            path("slt.ts"),
        ),
        (
            srt::ffmpeg_listener(&format!("passphrase={PASSPHRASE}"), &path("ffmpeg.ts")),
            format!("latency=2500ms&passphrase={PASSPHRASE}&pkt_size=1128&send_buffer_size=4000000"),
            path("ffmpeg.ts"),
        ),
        (srt::gstreamer_listener("", &path("gst.ts")), "latency=2.5s&streamid=cam-1".to_owned(), path("gst.ts")),
    ];
    let mut ids = Vec::new();
    for (number, (listener, query, _)) in listeners.iter().enumerate() {
        // The last one is a push to a platform that asks for a server and a key, where the key is a whole URL.
        let target = if number == 2 {
            json!({ "destination_id": null, "stream_key": listener.url(query) })
        } else {
            json!({ "uri": listener.url(query) })
        };
        ids.push(api.create_restream_with(&stream, &format!("to {number}"), &target));
    }
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(400_000));
    for id in &ids {
        api.wait_restream(*id, "streaming", SOON);
        let status = api.wait_restream_where(*id, "has figures", SOON, |status| {
            status["acked_bytes"].as_u64() > Some(100_000) && status["srt"]["rate_bps"].is_u64()
        });
        assert_eq!(status["latency_ms"], 2500.0, "{status}");
        assert!(status["rtt_ms"].is_number() && status["loss_percent"].is_number(), "{status}");
        assert!(status["acked_bytes"].as_u64() <= status["sent_bytes"].as_u64(), "{status}");
        // The passphrase and the stream id must not be readable anywhere.
        let shown = api.get(&format!("/restreams/{id}")).expect(200).to_string();
        assert!(!shown.contains(PASSPHRASE) && !shown.contains("cam-1"), "{shown}");
    }
    wait_until("each had received some seconds", SOON, || {
        listeners.iter().all(|(_, _, file)| file.exists() && file.metadata().unwrap().len() > 300_000)
    });
    for id in &ids {
        api.post(&format!("/restreams/{id}/stop"), &Value::Null).expect(200);
    }
    drop(feed);
    for (mut listener, _, file) in listeners {
        listener.child.interrupt();
        wait_until("the listener ended", SOON, || listener.child.has_ended());
        assert_eq!(srt::counts(&file).continuity_errors, 0, "{}", file.display());
        assert!(ffmpeg::packet_times_ms(&file, "v").len() > 60, "{}", file.display());
    }
    assert!(!weir.output().join("\n").contains(PASSPHRASE), "a passphrase in the log");
}

/// Each way of failing has a reason of its own, and each push is tried again until it works.
#[test]
fn failures_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.ts");
    let (weir, other) = (srt_weir().start(), srt_weir().start());
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let sealed = srt::live_transmit(&format!("passphrase={PASSPHRASE}"), &file);
    let absent = SocketAddr::from(([127, 0, 0, 1], srt::free_udp_port()));
    let mode = api.post(
        "/restreams",
        &json!({ "name": "x", "stream_id": stream.id, "uri": "srt://127.0.0.1:9000?mode=listener" }),
    );
    mode.expect(422);
    let restream = |name: &str, uri: &str| api.create_restream(&stream, name, uri);
    let wrong = restream("wrong", &sealed.url("latency=300ms&passphrase=another-passphrase"));
    let open = restream("open", &sealed.url("latency=300ms"));
    let rejected = restream("rejected", &format!("{}?streamid=publish:no-such-key&latency=300ms", other.srt()));
    let nobody = restream("nobody", &format!("srt://{absent}?latency=300ms"));
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(300_000));
    for (id, code) in [
        (wrong, "encryption_mismatch"),
        (open, "encryption_mismatch"),
        (rejected, "srt_rejected"),
        (nobody, "unreachable"),
    ] {
        let status =
            api.wait_restream_where(id, &format!("tells of {code}"), SOON, |status| status["reason"]["code"] == code);
        assert_eq!(status["state"], "error", "{status}");
    }
    let reason = api.wait_restream_where(rejected, "tells the code", SOON, |status| !status["reason"].is_null());
    assert!(reason["reason"]["message"].as_str().unwrap().contains("1403"), "{reason}");
    // Now somebody listens. The push finds them soon, though its attempts are far apart by now.
    let mut came = srt::live_transmit_on(absent, "", &folder.path().join("came.ts"));
    api.wait_restream(nobody, "streaming", Duration::from_secs(30));
    // The listener freezes: it says not a word more, though nothing was closed.
    came.child.freeze();
    api.wait_restream_where(nobody, "tells of the silence", Duration::from_secs(20), |status| {
        status["reason"]["code"] == "stalled"
    });
    came.child.thaw();
    // The thawed listener takes the next call, or it finds its connection broken and ends. If it ends, another listener comes in its place.
    let mut instead = None;
    wait_until("it was streaming again", Duration::from_secs(40), || {
        if came.child.has_ended() && instead.is_none() {
            instead = Some(srt::live_transmit_on(absent, "", &folder.path().join("instead.ts")));
        }
        api.restream_status(nobody)["state"] == "streaming"
    });
    // The listener leaves. That is told within three seconds, and a busy machine takes some more.
    drop((came, instead));
    let left = srt::live_transmit_on(absent, "", &folder.path().join("left.ts"));
    api.wait_restream(nobody, "streaming", SOON);
    left.child.terminate();
    wait_until("the end was told", Duration::from_secs(8), || api.restream_status(nobody)["state"] != "streaming");
}

/// HEVC passes to SRT. It can't go to a plain RTMP destination, and the status says so.
#[test]
fn hevc_passes_and_rtmp_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let source = Clip { seconds: 4, size: "320x180", video_codec: "libx265", ..Clip::default() };
    let source = source.make(&path("source.ts"));
    let weir = srt_weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let (listener, rtmp) = (srt::live_transmit("", &path("out.ts")), Destination::new());
    let by_srt = api.create_restream(&stream, "srt", &listener.url("latency=300ms"));
    let by_rtmp = api.create_restream(&stream, "rtmp", &rtmp.url("key"));
    let mut publisher = srt::publish(&source, &weir.srt_push_url(&stream.stream_key));
    api.wait_restream(by_srt, "streaming", SOON);
    let status = api.wait_restream(by_rtmp, "error", SOON);
    assert_eq!(status["reason"]["code"], "unsupported_codec", "{status}");
    assert_eq!(api.stream_status(&stream)["ingest"]["video_codec"], "h265");
    assert!(publisher.wait_ended(SOON).success());
    api.post(&format!("/restreams/{by_srt}/stop"), &Value::Null).expect(200);
    let pictures = 120 - LAST_PICTURES;
    wait_until("all pictures had arrived", SOON, || ffmpeg::packet_times_ms(&path("out.ts"), "v").len() >= pictures);
    assert!(ffmpeg::slices(&source).starts_with(&ffmpeg::slices(&path("out.ts"))), "other pictures than were sent");
}

/// Every sound that broadcasters send is taken, or a warning tells what browsers do not play and what nothing here reads.
#[test]
fn sound_is_carried_or_its_absence_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let weir = srt_weir().start();
    let api = weir.api();
    let clip = Clip { seconds: 20, size: "320x180", video_kbps: 200, ..Clip::default() };
    let clip = clip.make(&folder.path().join("clip.ts"));
    let mut publishers = Vec::new();
    for (name, encoder, carried, warning) in [
        ("ac3", "-c:a ac3", json!("ac3"), None),
        ("mp2", "-c:a mp2", json!("mp2"), Some(("codec_not_playable", "MP2"))),
        ("surround", "-c:a libopus -ac 6 -mapping_family 1", Value::Null, Some(("codec_not_carried", "Opus"))),
    ] {
        let stream = api.create_stream(name);
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-re", "-i"]).arg(&clip).args(["-c:v", "copy"]);
        command.args(encoder.split(' ')).args(["-f", "mpegts", &weir.srt_push_url(&stream.stream_key)]);
        publishers.push((Child::start(command), stream, carried, warning));
    }
    for (_publisher, stream, carried, warning) in &publishers {
        let status = api.wait_stream(stream, "live", SOON);
        assert_eq!(status["ingest"]["video_codec"], "h264", "{status}");
        wait_until("the sound is shown", SOON, || api.stream_status(stream)["ingest"]["audio_codec"] == *carried);
        let of_codecs = |status: &Value| -> Vec<(String, String)> {
            let warnings = status["warnings"].as_array().unwrap().iter();
            let warnings = warnings.map(|it| (it["code"].as_str().unwrap().to_owned(), it["message"].to_string()));
            warnings.filter(|(code, _)| code.starts_with("codec_not_")).collect()
        };
        match warning {
            None => assert!(of_codecs(&api.stream_status(stream)).is_empty(), "{carried}"),
            Some((code, word)) => {
                let told =
                    |status: &Value| of_codecs(status).iter().any(|(is, what)| is == code && what.contains(word));
                wait_until("a warning tells it", SOON, || told(&api.stream_status(stream)));
            }
        }
    }
}

/// Players ask for a stream by its name. Streams that are unknown, offline or protected are refused.
#[test]
fn players_get_what_they_ask_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("played.ts");
    let weir = srt_weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let protected = api.create_stream_with("secret", &json!({ "protected": true }));
    let ask = |stream_id: &str| srt::try_call(&srt::target(&weir.srt(), stream_id, None));
    let refused = |code| Err(weir_srt::CallError::Rejected { code });
    assert_eq!(ask("request:cam1"), refused(1404), "not live yet");
    let _feeds = SrtFeeds::start(
        vec![
            srt::target(&weir.srt(), &format!("publish:{}", stream.stream_key), None),
            srt::target(&weir.srt(), &format!("#!::m=publish,r={}", protected.stream_key), None),
        ],
        || source(300_000),
    );
    api.wait_stream(&stream, "live", SOON);
    api.wait_stream(&protected, "live", SOON);
    for (stream_id, expected) in [
        ("request:nobody", refused(1404)),
        ("request:cam1/720p", refused(1404)),
        ("request:secret", refused(1401)),
        ("publish:nobody", refused(1403)),
        (stream.stream_key.as_str(), refused(1409)),
        ("", refused(1400)),
        ("request:cam1/source", Ok(())),
    ] {
        assert_eq!(ask(stream_id), expected, "{stream_id}");
    }
    let token = json!({ "expires_in_seconds": 600, "ip": null });
    let token = api.post(&format!("/streams/{}/tokens", protected.id), &token).expect(201);
    let token = token["token"].as_str().unwrap();
    assert_eq!(ask(&format!("request:secret?token={token}")), Ok(()));

    let player = ffmpeg::play(&format!("{}?mode=caller&streamid=request:cam1", weir.srt()), 3, &file);
    wait_until("the player was counted", SOON, || api.stream_status(&stream)["viewers"]["srt"] == 1);
    let mut player: Child = player;
    assert!(player.wait_ended(SOON).success());
    assert_eq!(ffmpeg::decode_errors(&file), "");
    wait_until("the player was counted no more", SOON, || api.stream_status(&stream)["viewers"]["srt"] == 0);
    assert!(api.get("/events").expect(200).to_string().contains("ingest_refused"));
}

/// Fifty publishers come to one port at once, without encryption and with keys of all sizes. A wrong passphrase gets nobody in.
#[test]
fn fifty_publishers_on_one_port() {
    let weir = srt_weir().start();
    let api = weir.api();
    let mut streams = Vec::new();
    let mut targets = Vec::new();
    for number in 0..50 {
        let key_bytes = [None, Some(16), Some(24), Some(32)][number % 4];
        let passphrase = key_bytes.map(|_| PASSPHRASE);
        let stream = api.create_stream_with(&format!("cam{number}"), &json!({ "srt_passphrase": passphrase }));
        let stream_id = match number % 3 {
            0 => format!("publish:{}", stream.stream_key),
            1 => format!("#!::m=publish,r={}", stream.stream_key),
            _ => stream.stream_key.clone(),
        };
        targets.push(srt::target(&weir.srt(), &stream_id, key_bytes.map(|bytes| (PASSPHRASE, bytes))));
        streams.push(stream);
    }
    let mismatch = |code| Err(weir_srt::CallError::EncryptionMismatch { code });
    let sealed = &streams[1].stream_key;
    let wrong = srt::target(&weir.srt(), sealed, Some(("another-passphrase", 16)));
    assert_eq!(srt::try_call(&wrong), mismatch(10));
    assert_eq!(srt::try_call(&srt::target(&weir.srt(), sealed, None)), mismatch(11));
    let needless = srt::target(&weir.srt(), &streams[0].stream_key, Some((PASSPHRASE, 16)));
    assert_eq!(srt::try_call(&needless), mismatch(11));

    let before = weir.stats();
    let feeds = SrtFeeds::start(targets, || source(100_000));
    for stream in &streams {
        api.wait_stream(stream, "live", SOON);
    }
    let frames = feeds.frames();
    wait_until("each had sent three seconds more", SOON, || feeds.frames() > frames + 50 * 77 * 3);
    assert_eq!((feeds.connected(), feeds.lost()), (50, 0));
    let after = weir.stats();
    println!(
        "50 SRT publishers: {} MB more, {} threads more",
        after.rss_bytes.saturating_sub(before.rss_bytes) / 1_000_000,
        after.threads - before.threads
    );
    for stream in &streams {
        let status = api.stream_status(stream);
        let ingest = &status["ingest"];
        assert_eq!(ingest["continuity_errors"], 0, "{status}");
        assert_eq!((&status["state"], &ingest["protocol"]), (&"live".into(), &"srt".into()), "{status}");
    }
}

/// Sixty thousand broken packets, file transfers and callers with forward error correction come. A live stream does not notice.
#[test]
fn hostile_callers_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let weir = srt_weir().start();
    let api = weir.api();
    let (stream, second) = (api.create_stream("cam1"), api.create_stream("cam2"));
    let of = |stream: &TestStream| srt::target(&weir.srt(), &stream.stream_key, None);
    let feeds = SrtFeeds::start(vec![of(&stream)], || source(300_000));
    api.wait_stream(&stream, "live", SOON);
    let address = weir.srt().replace("srt://", "");

    throw_broken_packets(&address, 60_000);
    let file = folder.path().join("clip.ts");
    Clip { seconds: 3, size: "320x180", ..Clip::default() }.make(&file);
    let calls = |query: &str| -> Child {
        let url = format!("srt://{address}?streamid={}&{query}", second.stream_key);
        let mut command = Command::new("sh");
        command.args(["-c", "cat \"$1\" | timeout 8 srt-live-transmit -q -a:no file://con \"$0\"", &url]).arg(&file);
        Child::start(command)
    };
    calls("transtype=file&messageapi=0").wait_ended(SOON);
    assert_eq!(api.stream_status(&second)["state"], "offline", "a file transfer is no publisher");
    // The caller reads its file as fast as it can, so it may be gone soon. What counts is that it was let in.
    let before = connections(&api);
    calls("packetfilter=fec,cols:10").wait_ended(SOON);
    wait_until("the caller with FEC was let in", SOON, || connections(&api) > before);

    let status = api.stream_status(&stream);
    assert_eq!(status["state"], "live", "{status}");
    assert_eq!(feeds.lost(), 0);
    let late = SrtFeeds::start(vec![of(&second)], || source(300_000));
    api.wait_stream(&second, "live", SOON);
    assert_eq!((late.connected(), late.lost()), (1, 0), "the port still lets callers in");
}

fn connections(api: &Api) -> u64 {
    let metrics = api.get("//metrics").body;
    let line = metrics.as_str().unwrap().lines().find(|line| line.starts_with("weir_srt_connections_total "));
    line.and_then(|line| line.rsplit(' ').next()).unwrap().parse::<f64>().unwrap() as u64
}

/// Sends handshakes, data and control packets with anything in them, from many ports.
fn throw_broken_packets(address: &str, count: usize) {
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..count {
        if number % 500 == 0 {
            socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        }
        let length = [0, 3, 16, 40, 64, 68, 120, 700, 1472][next() as usize % 9];
        let mut packet: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        // Half of the packets begin like a control packet of a known type, and many of these are handshakes.
        if let Some(head) = packet.first_chunk_mut::<16>().filter(|_| number % 2 == 0) {
            *head = [0; 16];
            head[0] = 0x80;
            head[1] = if number % 4 == 0 { 0 } else { next() as u8 % 9 };
        }
        if packet.len() >= 64 && number % 4 == 0 {
            packet[16..20].copy_from_slice(&(4 + (next() as u32 % 2)).to_be_bytes());
            let kind: u32 = [1, 0xFFFF_FFFF, 0xFFFF_FFFE, 0, 7][next() as usize % 5];
            packet[36..40].copy_from_slice(&kind.to_be_bytes());
        }
        // A full buffer loses the packet, which does no harm here.
        let _ = socket.send_to(&packet, address);
    }
}

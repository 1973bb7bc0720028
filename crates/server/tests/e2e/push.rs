//! One publish to ten destinations of three kinds, and a chain of servers: what arrives is what was sent, bit for bit and in time.

use crate::common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{SOON, clip, frame_numbers, weir, weir_with_tls};
use serde_json::json;
use weir_testkit::api::TestStream;
use weir_testkit::ffmpeg::{self, Clip, Media};
use weir_testkit::publisher::Feed;
use weir_testkit::{Api, Destination, Nginx, wait_until};

#[test]
fn ten_pushes_carry_the_same_media() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // With B-frames, presentation and decode times differ, and both must survive.
    let source = Clip { seconds: 6, b_frames: 2, ..Clip::default() }.make(&path("source.flv"));
    let (weir, other, nginx) = (weir().start(), weir().start(), Nginx::recorder());
    let (api, other_api) = (weir.api(), other.api());
    let stream = api.create_stream("cam1");

    let mut restreams = Vec::new();
    let mut push = |name: &str, uri: &str| restreams.push(api.create_restream(&stream, name, uri));
    // There are 3 x ffmpeg -listen, 3 x nginx-rtmp, 3 x Weir itself (each passes on to a recorder), and 1 x our own recorder.
    let mut listeners = Vec::new();
    let mut recordings = Vec::new();
    for number in 0..3 {
        let file = path(&format!("ffmpeg{number}.flv"));
        let (url, child) = ffmpeg::listen(&file);
        push(&format!("ffmpeg {number}"), &url);
        listeners.push(child);
        recordings.push(file);
    }
    for number in 0..3 {
        push(&format!("nginx {number}"), &nginx.url(&format!("k{number}")));
        recordings.push(nginx.recording(&format!("k{number}")));
    }
    let mut recorders = Vec::new();
    for number in 0..3 {
        let relayed = other_api.create_stream(&format!("relayed{number}"));
        let recorder = Destination::new();
        other_api.create_restream(&relayed, "on", &recorder.url("key"));
        push(&format!("weir {number}"), &other.push_url(&relayed.stream_key));
        recorders.push((recorder, path(&format!("weir{number}.flv"))));
    }
    let own = Destination::new();
    push("own", &own.url("key"));
    recorders.push((own, path("own.flv")));

    let mut publisher = ffmpeg::publish(&source, &weir.push_url(&stream.stream_key));
    for id in &restreams {
        api.wait_restream(*id, "streaming", SOON);
    }
    assert!(publisher.wait_ended(SOON).success());
    for (recorder, _) in &recorders {
        recorder.wait_video_frames(180, SOON);
    }
    wait_until("nginx had written everything", SOON, || {
        (0..3).all(|number| ffmpeg::packet_times_ms(&nginx.recording(&format!("k{number}")), "v").len() == 180)
    });
    // Stopping a restream ends its push properly, so ffmpeg finishes its file.
    for id in &restreams {
        api.post(&format!("/restreams/{id}/stop"), &serde_json::Value::Null).expect(200);
    }
    for child in &mut listeners {
        child.wait_ended(SOON);
    }
    for (recorder, file) in &recorders {
        recorder.save_flv(0, file);
        recordings.push(file.clone());
    }
    assert_eq!(recordings.len(), 10);
    let source = Media::of(&source);
    for recording in &recordings {
        assert_same_media(&source, recording);
    }
}

/// The payload is equal, the distances in time within and between the tracks are equal, and a decoder has nothing to say.
fn assert_same_media(source: &Media, file: &Path) {
    let (name, received) = (file.display(), Media::of(file));
    assert_eq!(received.sha256, source.sha256, "{name}: payload of pictures and sound");
    assert_eq!(received.decode_errors, "", "{name}");
    // Both tracks have one offset, which the first video frame's time removes.
    let relative = |times: &[i64], media: &Media| times.iter().map(|time| time - media.video_ms[0]).collect::<Vec<_>>();
    assert_eq!(relative(&received.video_ms, &received), relative(&source.video_ms, source), "{name}: video times");
    let (sound, source_sound) = (relative(&received.audio_ms, &received), relative(&source.audio_ms, source));
    assert_eq!(sound, source_sound, "{name}: audio against video");
    let forward = |times: &[i64]| times.is_sorted_by(|a, b| a < b);
    assert!(forward(&received.video_ms) && forward(&received.audio_ms), "{name}: times go forward");
}

#[test]
fn a_hundred_restreams_to_one_sink() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let sink = Destination::new();
    let restreams: Vec<i64> = (0..100)
        .map(|number| api.create_restream(&stream, &format!("r{number}"), &sink.url(&format!("k{number}"))))
        .collect();
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(400_000));
    for id in &restreams {
        api.wait_restream(*id, "streaming", SOON);
    }
    assert_eq!(sink.stream_keys().len(), 100, "each key was published");

    let (before, frames) = (weir.stats(), sink.video_frames());
    sink.wait_video_frames(frames + 100 * 30 * 4, SOON);
    let cpu = weir.stats().cpu - before.cpu;
    // Nothing is thrown away and nothing repeated: each destination has the same frames.
    println!(
        "100 restreams of 500 kbps: {:.2} ms CPU per destination-second (debug build), {} MB RSS, {} fds",
        cpu.as_secs_f64() * 1000.0 / 400.0,
        before.rss_bytes / 1_000_000,
        before.fds
    );
    for id in &restreams {
        let status = api.restream_status(*id);
        assert_eq!((&status["state"], &status["dropped_frames"]), (&"streaming".into(), &0.into()), "{status}");
    }
    drop(feed);
}

#[test]
fn a_chain_of_two_servers_ends_in_a_sink() {
    let (first, second) = (weir().start(), weir().start());
    let sink = Destination::new();
    let on = second.api().create_stream("on");
    let last = second.api().create_restream(&on, "to the sink", &sink.url("key"));
    let source = first.api().create_stream("source");
    let hop = first.api().create_restream(&source, "to the second", &second.push_url(&on.stream_key));
    assert_eq!(second.api().restream_status(last)["state"], "awaiting_stream");

    let feed = Feed::live(&first.rtmp_address(), &source.stream_key, &clip(300_000));
    first.api().wait_restream(hop, "streaming", SOON);
    second.api().wait_restream(last, "streaming", SOON);
    sink.wait_video_frames(90, SOON);
    let numbers = frame_numbers(sink.received().iter().map(|received| &received.tag));
    assert_eq!(numbers[0], 0, "the first GOP is not lost over two hops");
    assert!(numbers.is_sorted_by(|a, b| b - a == 1), "no frame is missing: {numbers:?}");
    drop(feed);
    second.api().wait_restream(last, "awaiting_stream", Duration::from_secs(20));
}

/// A platform inside the house signs its own certificate, and only `tls.ca` makes it trusted.
#[test]
fn rtmps_is_pushed_to_whom_the_private_ca_vouches_for() {
    let receiving = weir_with_tls().start();
    let certificate = receiving.data().join("self-signed.crt");
    let trusting = weir().set("tls.ca", certificate.to_str().unwrap()).start();
    let relayed = receiving.api().create_stream("relayed");
    let stream = trusting.api().create_stream("cam1");
    // The URL has a name, since a certificate is for a name.
    let url = format!("{}/live/{}", receiving.rtmps().replace("127.0.0.1", "localhost"), relayed.stream_key);
    let id = trusting.api().create_restream(&stream, "push", &url);
    let _feed = Feed::live(&trusting.rtmp_address(), &stream.stream_key, &clip(300_000));
    trusting.api().wait_restream(id, "streaming", SOON);
    let ingest = receiving.api().wait_stream(&relayed, "live", SOON);
    assert_eq!(ingest["ingest"]["protocol"], "rtmps");
}

/// Makes a certificate and its key as operators do: self-signed, and CA:TRUE because that is openssl's default.
fn openssl_certificate(folder: &Path, subject: &str, more: &[&str]) -> (String, String) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("server.crt"), path("server.key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", subject])
        .args(["-keyout", &key, "-out", &certificate])
        .args(more)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

#[test]
fn a_certificate_as_openssl_makes_it_is_trusted_where_it_is_listed_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["-addext", "subjectAltName=DNS:localhost"];
    // Without names in its subjectAltName a certificate is for its common name.
    for (subject, more) in [("/CN=ingest", &names[..]), ("/CN=localhost", &[][..])] {
        let (certificate, key) = openssl_certificate(folder.path(), subject, more);
        let receiving =
            weir().set("tls.cert", &certificate).set("tls.key", &key).set("rtmps.listen", "127.0.0.1:0").start();
        let relayed = receiving.api().create_stream("relayed");
        let trusting = weir().set("tls.ca", &certificate).start();
        let stream = trusting.api().create_stream("cam1");
        let push = |api: &Api, stream: &TestStream, name: &str, host: &str| {
            let server = receiving.rtmps().replace("127.0.0.1", host);
            api.create_restream(stream, name, &format!("{server}/live/{}", relayed.stream_key))
        };
        let right = push(&trusting.api(), &stream, "right", "localhost");
        let wrong = push(&trusting.api(), &stream, "by another name", "127.0.0.1");
        let _feed = Feed::live(&trusting.rtmp_address(), &stream.stream_key, &clip(300_000));
        trusting.api().wait_restream(right, "streaming", SOON);
        let status = trusting.api().wait_restream(wrong, "error", SOON);
        assert_eq!(status["reason"]["code"], "tls_failed", "{status}");
        let words = status["reason"]["message"].as_str().unwrap_or_default();
        assert!(words.contains("for localhost, not for 127.0.0.1") || words.contains("names no host"), "{words}");

        // This server does not list the certificate.
        let other = weir().start();
        let stream = other.api().create_stream("cam1");
        let id = push(&other.api(), &stream, "push", "localhost");
        let _feed = Feed::live(&other.rtmp_address(), &stream.stream_key, &clip(300_000));
        let status = other.api().wait_restream(id, "error", SOON);
        let words = status["reason"]["message"].as_str().unwrap_or_default();
        assert!(status["reason"]["code"] == "tls_failed" && words.contains("add it to tls.ca"), "{status}");
    }
}

#[test]
fn the_backup_is_fed_beside_the_primary_and_goes_on_alone() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let (primary, backup) = (Destination::new(), Destination::new());
    let uris = json!({ "uri": primary.url("key"), "backup_uri": backup.url("key") });
    let id = api.create_restream_with(&stream, "push", &uris);
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(300_000));
    primary.wait_video_frames(30, SOON);
    backup.wait_video_frames(30, SOON);
    api.wait_restream_where(id, "streams to both", SOON, |status| {
        status["state"] == "streaming" && status["backup"]["state"] == "streaming"
    });
    primary.stop();
    api.wait_restream_where(id, "tells of the primary alone", SOON, |status| {
        status["state"] == "error" && status["backup"]["state"] == "streaming"
    });
    let before = backup.video_frames();
    backup.wait_video_frames(before + 60, SOON);
    assert_eq!(backup.connections(), 1);
}

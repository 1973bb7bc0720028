//! The engine `webrtcbin`: a process of its own serves viewers once it has proved itself, keeps strangers out, and costs only its viewers
//! when it dies.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use weir_testkit::destination::Destination;
use weir_testkit::{Api, ProcessStats, Weir, wait_until, wait_until_some};
use weir_webrtc::viewer::{AUDIO, VIDEO};

use crate::common::{SOON, frame_numbers, weir};
use crate::whep_viewers::{GONE_WITHIN, SDP, Watcher, ask, live};

/// The proof takes four seconds on a machine that is not busy.
const PROVED_WITHIN: Duration = Duration::from_secs(60);

fn started() -> (Weir, Api) {
    let weir = weir()
        .set("webrtc.engine", "webrtcbin")
        .set("webrtc.udp_ports", "20000-40000")
        .set("webrtc.udp_listen", "127.0.0.1:0")
        .set("webrtc.tcp_listen", "")
        .start();
    let api = weir.api();
    wait_until("webrtcbin serves", PROVED_WITHIN, || serves(&api));
    (weir, api)
}

/// Whether new viewers go to `webrtcbin`.
fn serves(api: &Api) -> bool {
    let webrtc = api.get("/system").expect(200)["webrtc"].clone();
    let reason = webrtc["engine_reason"].as_str().expect("a reason").to_owned();
    assert!(!reason.contains("refused"), "{reason}");
    webrtc["engine"] == "webrtcbin"
}

/// The process of `webrtcbin`, if there is one.
fn process(weir: &Weir) -> Option<u32> {
    let output = Command::new("pgrep").args(["-x", "weir-webrtc", "-P", &weir.pid().to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().next().map(|pid| pid.parse().unwrap())
}

fn viewers(api: &Api, id: &str) -> serde_json::Value {
    api.get(&format!("/streams/{id}")).expect(200)["status"]["viewers"]["webrtc"].clone()
}

#[test]
fn a_process_of_its_own_serves_pictures_and_sound_and_hears_who_lost_them() {
    let (weir, api) = started();
    let (id, _feed) = live(&api, &weir);
    assert!(process(&weir).is_some());
    let mut watcher = Watcher::answered(&weir, true, str::to_owned);
    assert!(!watcher.answer.contains("ice-lite") && !watcher.answer.contains("typ host tcptype"), "{}", watcher.answer);
    let ports = watcher.answer.lines().filter_map(|line| line.strip_prefix("a=candidate:")?.split(' ').nth(5));
    let ports: Vec<u16> = ports.map(|port| port.parse().unwrap()).collect();
    assert!(!ports.is_empty() && ports.iter().all(|port| (20_000..=40_000).contains(port)), "{ports:?}");
    let (mut pictures, mut sounds) = (0, 0);
    let both = watcher.watch_until(2 * SOON, |packet| {
        pictures += usize::from(packet.marker && packet.payload_type == VIDEO);
        sounds += usize::from(packet.payload_type == AUDIO);
        pictures >= 30 && sounds >= 50
    });
    assert!(both, "{pictures} pictures and {sounds} packets of sound came");
    assert_eq!(viewers(&api, &id), json!(1));
    let asked = || api.get(&format!("/streams/{id}")).expect(200)["status"]["webrtc"]["keyframes_asked"].clone();
    assert_eq!(asked(), json!(0));
    watcher.viewer.ask_for_keyframe(false, Instant::now());
    let begun = Instant::now();
    watcher.watch_until(SOON, |_| begun.elapsed() > Duration::from_millis(500) && asked() == json!(1));
    assert_eq!(asked(), json!(1));
    assert_eq!(ask(&weir, "DELETE", &watcher.path, SDP, b"").status, 200);
    wait_until("the viewer is gone", SOON, || viewers(&api, &id) == json!(0));
}

#[test]
fn who_shows_another_certificate_than_the_offer_names_gets_nothing() {
    let (weir, api) = started();
    let (id, _feed) = live(&api, &weir);
    let forged = |offer: &str| {
        let (head, tail) = offer.split_once("a=fingerprint:sha-256 ").unwrap();
        let (first, rest) = tail.split_at(2);
        format!("{head}a=fingerprint:sha-256 {}{rest}", if first == "00" { "01" } else { "00" })
    };
    let mut stranger = Watcher::answered(&weir, false, forged);
    assert!(!stranger.answer.contains("ice-lite"), "webrtcbin has it");
    assert!(!stranger.watch_until(Duration::from_secs(3), |_| true), "a stranger got a packet");
    assert!(!stranger.viewer.is_connected());
    wait_until("the stranger is gone", SOON, || viewers(&api, &id) == json!(0));
    weir.wait_logged("the viewer is not who its offer says", SOON);
    // Who comes then is served.
    Watcher::start(&weir);
}

#[test]
fn a_process_that_is_killed_costs_only_its_viewers_and_is_back() {
    let (weir, api) = started();
    let destination = Destination::new();
    let stream = api.create_stream_with("cam1", &json!({ "hls": false, "dash": false }));
    api.create_restream(&stream, "push", &destination.url("key"));
    let _feed =
        weir_testkit::publisher::Feed::live(&weir.rtmp_address(), &stream.stream_key, &crate::common::clip(200_000));
    api.wait_stream(&stream, "live", SOON);
    destination.wait_video_frames(30, SOON);
    let mut watcher = Watcher::start(&weir);
    let first = process(&weir).expect("it runs");
    assert!(Command::new("kill").args(["-9", &first.to_string()]).status().unwrap().success());
    let killed = Instant::now();
    assert!(!watcher.watch_until(Duration::from_secs(2), |_| killed.elapsed() > Duration::from_secs(1)), "it is dead");
    // The page posts again, and is served at once.
    Watcher::start(&weir);
    assert!(killed.elapsed() < Duration::from_secs(5) + SOON);
    wait_until("its viewer is known to be gone", SOON, || viewers(&api, &stream.id.to_string()) != json!(2));
    let second = wait_until_some("another process", PROVED_WITHIN, || process(&weir).filter(|pid| *pid != first));
    assert_ne!(first, second);
    wait_until("webrtcbin serves again", PROVED_WITHIN, || serves(&api));
    let watcher = Watcher::start(&weir);
    assert!(!watcher.answer.contains("ice-lite"));
    weir.wait_logged("the process of webrtcbin is gone", SOON);
    let numbers = frame_numbers(destination.received().iter().map(|received| &received.tag));
    assert!(numbers.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 300 || pair[1] == pair[0] + 1), "{numbers:?}");
}

#[test]
fn viewers_of_the_process_come_and_go_without_a_trace() {
    come_and_go(50, 50);
}

/// Every second viewer goes without a word.
fn come_and_go(warm_up: usize, cycles: usize) {
    let (weir, api) = started();
    let (id, _feed) = live(&api, &weir);
    let pid = process(&weir).expect("it runs");
    // Libraries keep some threads for what comes next.
    let threads_max = ProcessStats::of(pid).threads + 16;
    let cycle = |count: usize| -> ProcessStats {
        for number in 0..count {
            let watcher = Watcher::start(&weir);
            if number % 2 == 0 {
                assert_eq!(ask(&weir, "DELETE", &watcher.path, SDP, b"").status, 200);
            }
        }
        wait_until("those who vanished are gone", GONE_WITHIN, || viewers(&api, &id) == json!(0));
        // Threads of libraries end a moment after the viewer's end is taken down.
        let idle = wait_until_some("their threads are gone", SOON, || {
            Some(ProcessStats::of(pid)).filter(|stats| stats.threads <= threads_max)
        });
        assert_eq!(process(&weir), Some(pid), "it did not die");
        idle
    };
    let before = cycle(warm_up);
    let after = cycle(cycles);
    println!("{cycles} viewers came and went: {before:?} {after:?}");
    assert!(after.fds <= before.fds + 3, "{before:?} {after:?}");
    // A viewer holds 1.6 MiB.
    assert!(after.rss_bytes < before.rss_bytes + 8_000_000 + cycles as u64 * 40_000, "{before:?} {after:?}");
}

//! Several sources of one stream: another one comes on air when the first is lost, and nobody who follows the stream reconnects.

use crate::common;
use crate::srt::srt_weir;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::SOON;
use serde_json::{Value, json};
use weir_mux::flv::file::{FlvTag, FlvTagKind};
use weir_testkit::api::TestStream;
use weir_testkit::destination::{is_keyframe, is_video_frame};
use weir_testkit::ffmpeg::{self, Clip};
use weir_testkit::srt;
use weir_testkit::{Api, Destination, Weir, wait_until, wait_until_some};

/// What ffmpeg starts and switches take on a busy machine.
const LATER: Duration = Duration::from_secs(60);

/// A stream with a primary and a backup source.
fn two_sources(api: &Api, failover: &Value) -> TestStream {
    let sources = json!([{"slot": "primary", "kind": "push"}, {"slot": "backup", "kind": "push"}]);
    api.create_stream_with("cam1", &json!({"sources": sources, "failover": failover}))
}

/// The address that the backup's encoder sends to.
fn backup_url(api: &Api, stream: &TestStream) -> String {
    let shown = api.get(&format!("/streams/{}?reveal=true", stream.id)).expect(200);
    shown["push_urls"]["backup"]["srt"].as_str().expect("an address for SRT").to_owned()
}

fn wait_on_air(api: &Api, stream: &TestStream, slot: &str) -> Value {
    wait_until_some(&format!("{slot} is on air and live"), LATER, || {
        let status = api.stream_status(stream);
        (status["on_air"] == slot && status["state"] == "live").then_some(status)
    })
}

fn wait_source(api: &Api, stream: &TestStream, slot: &str, state: &str) {
    wait_until(&format!("{slot} is {state}"), LATER, || {
        let status = api.stream_status(stream);
        let sources = status["sources"].as_array().unwrap();
        sources.iter().any(|source| source["slot"] == slot && source["state"] == state)
    });
}

/// Two clips of different sizes, so that it shows which one a destination gets.
fn clips(folder: &Path) -> (PathBuf, PathBuf) {
    let large = Clip { seconds: 4, size: "320x180", video_kbps: 300, ..Clip::default() };
    let small = Clip { size: "160x90", video_kbps: 150, ..large.clone() };
    (large.make(&folder.join("primary.flv")), small.make(&folder.join("backup.flv")))
}

/// Whether the tag is the decoder's configuration, which stands in front of each source's pictures.
fn is_video_config(tag: &FlvTag) -> bool {
    tag.kind == FlvTagKind::Video && tag.body.get(1) == Some(&0)
}

/// The times of what a destination got, checked: they never fall, in each kind of media, and a configuration is followed by a keyframe. Where
/// ffmpeg begins its file again, two frames may have one time. Returns the times of the pictures.
#[track_caller]
fn checked_times(sink: &Destination) -> Vec<u32> {
    let received = sink.received();
    let mut last = [None; 2];
    let mut awaits_keyframe = false;
    for received in &received {
        let tag = &received.tag;
        let kind = match tag.kind {
            FlvTagKind::Video if is_video_frame(tag) => 0,
            FlvTagKind::Audio if tag.body.get(1) == Some(&1) => 1,
            _ => {
                awaits_keyframe |= is_video_config(tag);
                continue;
            }
        };
        if kind == 0 && std::mem::take(&mut awaits_keyframe) {
            assert!(is_keyframe(tag), "a picture of another source is no keyframe, at {} ms", tag.timestamp_ms);
        }
        let before = last[kind].replace(tag.timestamp_ms);
        assert!(before.is_none_or(|before| before <= tag.timestamp_ms), "{before:?} ms, then {} ms", tag.timestamp_ms);
    }
    received.iter().filter(|it| is_video_frame(&it.tag)).map(|it| it.tag.timestamp_ms).collect()
}

fn configs(sink: &Destination) -> usize {
    sink.received().iter().filter(|received| is_video_config(&received.tag)).count()
}

struct Rig {
    weir: Weir,
    api: Api,
    stream: TestStream,
    sink: Destination,
    restream: i64,
    _folder: tempfile::TempDir,
    primary: PathBuf,
    backup: PathBuf,
}

fn rig(failover: &Value) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let (primary, backup) = clips(folder.path());
    let weir = srt_weir().start();
    let api = weir.api();
    let stream = two_sources(&api, failover);
    let sink = Destination::new();
    let restream = api.create_restream(&stream, "tube", &sink.url("key"));
    Rig { weir, api, stream, sink, restream, _folder: folder, primary, backup }
}

impl Rig {
    /// Whether the push has been one connection all the time.
    #[track_caller]
    fn assert_never_reconnected(&self) {
        assert_eq!(self.sink.connections(), 1, "{:?}", self.api.restream_status(self.restream));
    }

    /// Waits for more pictures than the destination has now.
    fn wait_pictures(&self) {
        self.sink.wait_video_frames(self.sink.video_frames() + 30, LATER);
    }

    fn switch(&self, slot: &str) {
        let asked = json!({ "slot": slot });
        self.api.post(&format!("/streams/{}/switch", self.stream.id), &asked).expect(200);
        wait_on_air(&self.api, &self.stream, slot);
    }
}

#[test]
fn a_backup_takes_over_and_gives_back_and_no_push_reconnects() {
    let rig = rig(&json!({"return_seconds": 1}));
    let Rig { weir, api, stream, sink, .. } = &rig;
    let events = api.events(None);
    let mut primary = ffmpeg::publish_looped(&rig.primary, &weir.push_url(&stream.stream_key));
    wait_on_air(api, stream, "primary");
    let _backup = srt::publish_looped(&rig.backup, &backup_url(api, stream));
    wait_source(api, stream, "backup", "live");
    let status = api.stream_status(stream);
    assert_eq!((&status["ingest"]["protocol"], &status["ingest"]["width"]), (&json!("rtmp"), &json!(320)));
    assert_eq!(status["sources"][1]["ingest"]["protocol"], "srt", "a source that is not on air is measured, too");
    rig.wait_pictures();

    let killed_at = Instant::now();
    primary.kill();
    let status = wait_on_air(api, stream, "backup");
    assert_eq!((&status["ingest"]["width"], &status["sources"][0]["state"]), (&json!(160), &json!("absent")));
    rig.wait_pictures();
    let first = |sink: &Destination, number: usize| {
        let received = sink.received();
        let config = received.iter().filter(|it| is_video_config(&it.tag)).nth(number)?.at;
        received.iter().find(|it| it.at >= config && is_video_frame(&it.tag)).map(|it| it.at)
    };
    let took = first(sink, 1).expect("the backup's first picture").duration_since(killed_at);
    println!("the backup's first picture came {took:?} after the primary was killed");
    if std::env::var_os("WEIR_LONG").is_some() {
        assert!(took <= Duration::from_secs(2), "{took:?}");
    }

    let _primary = ffmpeg::publish_looped(&rig.primary, &weir.push_url(&stream.stream_key));
    wait_on_air(api, stream, "primary");
    rig.wait_pictures();
    rig.assert_never_reconnected();
    assert_eq!(configs(sink), 3, "each source in turn");
    let times = checked_times(sink);
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    println!("the longest gap between two pictures was {longest} ms");
    let switched = |cause: &str, to: &str| {
        events.wait_for(&format!("{to} is switched to: {cause}"), SOON, |event| {
            event.kind == "source_switched" && event.data["cause"] == cause && event.data["to"] == to
        })
    };
    assert_eq!(switched("lost", "backup").data["from"], "primary");
    assert_eq!(switched("returned", "primary").data["from"], "backup");
}

#[test]
fn sources_are_swapped_by_hand_and_time_goes_on() {
    let rig = rig(&json!({"return": false}));
    let Rig { weir, api, stream, sink, .. } = &rig;
    let _primary = ffmpeg::publish_looped(&rig.primary, &weir.push_url(&stream.stream_key));
    wait_on_air(api, stream, "primary");
    let refused = api.post(&format!("/streams/{}/switch", stream.id), &json!({"slot": "backup"}));
    assert_eq!(refused.status, 409, "nobody publishes there");
    let _backup = srt::publish_looped(&rig.backup, &backup_url(api, stream));
    wait_source(api, stream, "backup", "live");
    let swaps = if std::env::var_os("WEIR_LONG").is_some() { 100 } else { 10 };
    let rss_mib = |weir: &Weir| weir.stats().rss_bytes >> 20;
    rig.wait_pictures();
    let began = (Instant::now(), sink.received().last().unwrap().tag.timestamp_ms);
    let mut warm_mib = 0;
    for swap in 0..swaps {
        rig.switch(if swap % 2 == 0 { "backup" } else { "primary" });
        rig.wait_pictures();
        if swap == 9 {
            warm_mib = rss_mib(weir);
        }
    }
    rig.assert_never_reconnected();
    let times = checked_times(sink);
    assert_eq!(configs(sink), swaps + 1, "one configuration for each switch");
    let (passed, ended) = (began.0.elapsed(), sink.received().last().unwrap().tag.timestamp_ms);
    let drift_ms = i128::from(ended - began.1) - i128::try_from(passed.as_millis()).unwrap();
    println!(
        "{swaps} swaps: {drift_ms} ms between the program's time and the clock, memory {warm_mib} then {} MiB",
        rss_mib(weir)
    );
    let grown_mib = rss_mib(weir).saturating_sub(warm_mib);
    assert!(grown_mib <= 32, "memory grew by {grown_mib} MiB");
    // A switch waits for a keyframe, and the source before stays on air until then: no picture is missing.
    let missing = times.windows(2).filter(|pair| pair[1] - pair[0] > 500).count();
    assert_eq!(missing, 0, "pauses of more than half a second in {} pictures", times.len());

    let automatic = api.post(&format!("/streams/{}/switch", stream.id), &json!({"slot": null})).expect(200);
    assert_eq!(automatic["id"], stream.id);
    wait_until("the choice is taken back", SOON, || api.stream_status(stream)["by_hand"].is_null());
}

#[test]
fn both_keys_publish_at_once_and_each_only_once() {
    let rig = rig(&json!({}));
    let Rig { weir, api, stream, .. } = &rig;
    let _primary = ffmpeg::publish_looped(&rig.primary, &weir.push_url(&stream.stream_key));
    wait_on_air(api, stream, "primary");
    let shown = api.get(&format!("/streams/{}?reveal=true", stream.id)).expect(200);
    let backup = shown["push_urls"]["backup"]["rtmp"].as_str().unwrap().to_owned();
    let mut second = ffmpeg::publish_looped(&rig.primary, &weir.push_url(&stream.stream_key));
    assert!(!second.wait_ended(LATER).success(), "the slot is taken");
    let mut other = ffmpeg::publish_looped(&rig.backup, &backup);
    wait_source(api, stream, "backup", "live");
    assert_eq!(api.stream_status(stream)["on_air"], "primary");

    // A new key sends away whoever is in that slot, and nobody else.
    api.post(&format!("/streams/{}/rotate-key", stream.id), &json!({"slot": "backup"})).expect(200);
    assert!(!other.wait_ended(LATER).success(), "its key is gone");
    wait_source(api, stream, "backup", "absent");
    let status = wait_on_air(api, stream, "primary");
    assert_eq!(status["sources"][0]["state"], "live");
    rig.wait_pictures();
    rig.assert_never_reconnected();
}

//! Tests parts by tables, and by the rule that carrying out the steps leaves nothing to do.

use super::*;

use weir_model::{
    Audio, AudioCodec, ConfigFault, EncoderPolicy, Ladder, PushUrl, RenditionWish, RetryBudget, RetryRules, Slot,
    SoundSettings, Source, SourceKind, StreamId, StreamName, Video,
};

const A: &str = "rtmp://a/live/k";
const B: &str = "rtmp://b/live/k";

fn stream() -> Stream {
    Stream { id: StreamId(1), dash: false, ..Stream::draft(StreamName::new("cam1").unwrap()) }
}

fn spec(id: i64, uri: &str) -> RestreamSpec {
    RestreamSpec {
        id: RestreamId(id),
        stream_id: StreamId(1),
        name: format!("restream {id}"),
        primary: PushUrl::parse(uri).unwrap(),
        backup: None,
        rendition: RenditionWish::AsIs,
        audio_language: None,
        retry: RetryRules::default(),
        budget: RetryBudget::default(),
        enhanced_rtmp: false,
    }
}

/// Restreams, each with a URL, or with None for a fault in its settings.
fn restreams(list: &[(i64, Option<&str>)]) -> Vec<Restream> {
    let fault = |id| Misconfigured { id: RestreamId(id), fault: ConfigFault::DestinationMissing };
    list.iter().map(|(id, uri)| uri.map(|uri| spec(*id, uri)).ok_or_else(|| fault(*id))).collect()
}

fn wanted(stream: &Stream, list: &[(i64, Option<&str>)]) -> BTreeMap<PartKey, PartSpec> {
    parts(stream, restreams(list), Facts::default())
}

fn named(key: &PartKey) -> String {
    match key {
        PartKey::Packaging { name, in_hub } => format!("packaging {name}={in_hub}"),
        PartKey::Restream(id) => format!("restream {id}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn steps(wanted: &BTreeMap<PartKey, PartSpec>, runs: &BTreeMap<PartKey, PartSpec>) -> Vec<String> {
    let said = |step: &Step| match step {
        Step::Stop(key) => format!("stop {}", named(key)),
        Step::Start(key, PartSpec::Fault(_)) => format!("fault {}", named(key)),
        Step::Start(key, _) => format!("start {}", named(key)),
        Step::Retune(key, _) => format!("retune {}", named(key)),
    };
    diff(wanted, runs.iter()).iter().map(said).collect()
}

#[test]
fn what_runs_is_made_what_is_wanted() {
    type Restreams<'a> = &'a [(i64, Option<&'a str>)];
    let cases: [(&str, Restreams<'_>, Restreams<'_>, &[&str]); 8] = [
        ("nothing", &[], &[], &[]),
        ("all as wanted", &[(7, Some(A))], &[(7, Some(A))], &[]),
        ("one more disturbs none", &[(7, Some(A)), (8, Some(B))], &[(7, Some(A))], &["start restream 8"]),
        ("one less disturbs none", &[(7, Some(A))], &[(7, Some(A)), (8, Some(B))], &["stop restream 8"]),
        (
            "a changed one leaves first",
            &[(7, Some(B)), (8, Some(B))],
            &[(7, Some(A)), (8, Some(B))],
            &["stop restream 7", "start restream 7"],
        ),
        ("a fault is shown", &[(7, None)], &[(7, Some(A))], &["stop restream 7", "fault restream 7"]),
        ("a fault is mended", &[(7, Some(A))], &[(7, None)], &["stop restream 7", "start restream 7"]),
        ("a fault stays", &[(7, None)], &[(7, None)], &[]),
    ];
    for (name, now, before, expected) in cases {
        assert_eq!(steps(&wanted(&stream(), now), &wanted(&stream(), before)), expected, "{name}");
    }
    let all = ["transcoder", "status", "packager", "packaging source=source", "restream 7"];
    let all = all.map(|part| format!("start {part}"));
    assert_eq!(
        steps(&wanted(&stream(), &[(7, Some(A))]), &BTreeMap::new()),
        all,
        "whoever needs another comes behind it"
    );
}

#[test]
fn a_setting_touches_what_it_is_about() {
    type Change = fn(&mut Stream);
    let ladder = || Some(Ladder::Named("hd".to_owned()));
    let before = Stream { ladder: ladder(), ..stream() };
    let count = Ladder::Named("hd".to_owned()).renditions().len();
    let cases: [(&str, Change, &[&str]); 8] = [
        ("a version", |stream| stream.version = 9, &[]),
        ("protection", |stream| stream.protected = true, &[]),
        (
            "a key",
            |stream| {
                stream.sources =
                    vec![Source { slot: Slot::primary(), kind: SourceKind::Push { stream_key: "new".into() } }];
            },
            &[],
        ),
        ("an encoder policy", |stream| stream.encoder_policy = EncoderPolicy::SoftwareOnly, &["retune transcoder"]),
        ("it is stopped", |stream| stream.active = false, &["retune transcoder"]),
        ("recording", |stream| stream.record = true, &["start recording"]),
        ("a name", |stream| stream.name = StreamName::new("cam2").unwrap(), &["stop status", "start status"]),
        ("no HLS", |stream| stream.hls = false, &["stop packager", "start packager"]),
    ];
    for (name, change, expected) in cases {
        let mut after = before.clone();
        change(&mut after);
        let steps = steps(&wanted(&after, &[(7, Some(A))]), &wanted(&before, &[(7, Some(A))]));
        let steps: Vec<_> = steps.into_iter().filter(|step| !step.contains("packaging")).collect();
        assert_eq!(steps, expected, "{name}");
    }
    // Another window needs another packager, and with it everything that the packager follows; a restream notices nothing.
    let longer = Stream { dvr_seconds: before.dvr_seconds + 60, ..before.clone() };
    let steps = steps(&wanted(&longer, &[(7, Some(A))]), &wanted(&before, &[(7, Some(A))]));
    assert_eq!(steps.len(), 2 * (count + 1), "{steps:?}");
    assert!(steps[..count].iter().all(|step| step.starts_with("stop packaging")), "{steps:?}");
    assert_eq!(steps[count..count + 2], ["stop packager", "start packager"]);
}

#[test]
fn what_a_playlist_announced_of_keyframes_holds() {
    let slow = |gop_seconds: f64| {
        let mut renditions = Ladder::Named("hd".to_owned()).renditions();
        for rendition in &mut renditions {
            if let Video::Encode(picture) = &mut rendition.video {
                picture.gop_seconds = gop_seconds;
            }
        }
        Stream { ladder: Some(Ladder::Inline(renditions)), ..stream() }
    };
    let packager = |parts: &BTreeMap<PartKey, PartSpec>| match parts.get(&PartKey::Packager) {
        Some(PartSpec::Packager(config)) => *config,
        other => unreachable!("{other:?}"),
    };
    let runs = wanted(&slow(2.0), &[]);
    let facts = Facts { packager: Some(packager(&runs)), ..Facts::default() };
    let now = parts(&slow(8.0), Vec::new(), facts.clone());
    assert_eq!(steps(&now, &runs), ["retune transcoder"], "the encodes are others, and the window stays");
    let longer = Stream { dvr_seconds: 999, ..slow(8.0) };
    let anew = packager(&parts(&longer, Vec::new(), facts));
    assert_eq!(anew.keyframes_apart, Duration::from_secs(8), "another window announces anew");
}

#[test]
fn what_is_made_for_those_who_watch_disturbs_nothing_and_is_offered_to_nobody_else() {
    let sound = SoundSettings { bitrate_kbps: 128, codec: AudioCodec::Opus, loudness_lufs: None };
    let opus = Rendition { name: "~opus".to_owned(), video: Video::Source, audio: Audio::Encode(sound) };
    let watched = || Facts { demanded: vec![opus.clone()], ..Facts::default() };
    for before in [
        Stream { record: true, ..stream() },
        Stream { ladder: Some(Ladder::Named("hd".to_owned())), dash: true, ..stream() },
        Stream { hls: false, ..stream() },
    ] {
        let with = |facts| parts(&before, restreams(&[(7, Some(A))]), facts);
        let (alone, while_watched) = (with(Facts::default()), with(watched()));
        assert_eq!(steps(&while_watched, &alone), ["retune transcoder"]);
        assert_eq!(steps(&alone, &while_watched), ["retune transcoder"]);
        let wants = |parts: &BTreeMap<PartKey, PartSpec>| match parts.get(&PartKey::Transcoder) {
            Some(PartSpec::Transcoder(wants)) => wants.renditions.clone(),
            other => unreachable!("{other:?}"),
        };
        let (mut expected, now) = (wants(&alone), wants(&while_watched));
        expected.push(opus.clone());
        assert_eq!(now, expected, "the others come first");
    }
    let stopped = Stream { active: false, ..stream() };
    let parts = parts(&stopped, Vec::new(), watched());
    assert_eq!(parts.get(&PartKey::Transcoder), Some(&PartSpec::Transcoder(Wants::default())));
}

#[test]
fn a_new_name_or_another_language_reconnects_nothing() {
    let runs = wanted(&stream(), &[(7, Some(A)), (8, Some(B))]);
    let renamed = RestreamSpec { name: "renamed".to_owned(), ..spec(7, A) };
    let spoken = RestreamSpec { audio_language: Some("deu".to_owned()), ..spec(7, A) };
    for changed in [renamed, spoken] {
        let now = parts(&stream(), vec![Ok(changed), Ok(spec(8, B))], Facts::default());
        assert_eq!(steps(&now, &runs), ["retune restream 7"]);
    }
}

#[test]
fn a_rendition_that_becomes_an_encoded_one_is_another_restream() {
    let wish = |name: &str| RestreamSpec { rendition: RenditionWish::Named(name.to_owned()), ..spec(7, A) };
    let hd = Ladder::Named("hd".to_owned()).renditions();
    let mut asis = Ladder::Named("hd".to_owned()).renditions();
    let name = hd[0].name.clone();
    asis[0] = Rendition::passthrough(name.clone());
    let with = |renditions: Vec<Rendition>| Stream { ladder: Some(Ladder::Inline(renditions)), ..stream() };
    let runs = parts(&with(asis), vec![Ok(wish(&name))], Facts::default());
    let now = parts(&with(hd), vec![Ok(wish(&name))], Facts::default());
    let steps = steps(&now, &runs);
    assert!(
        steps.contains(&"stop restream 7".to_owned()) && steps.contains(&"start restream 7".to_owned()),
        "{steps:?}"
    );
    let gone = parts(&stream(), vec![Ok(wish("720p"))], Facts::default());
    assert!(matches!(gone.get(&PartKey::Restream(RestreamId(7))), Some(PartSpec::Fault(_))), "no such rendition");
}

#[test]
fn doing_the_steps_leaves_nothing_to_do() {
    let lists: [&[(i64, Option<&str>)]; 4] =
        [&[], &[(7, Some(A))], &[(7, Some(B)), (8, None)], &[(8, Some(B)), (9, Some(A))]];
    let streams =
        [stream(), Stream { hls: false, record: true, ladder: Some(Ladder::Named("hd".to_owned())), ..stream() }];
    let all: Vec<_> = streams.iter().flat_map(|stream| lists.map(|list| wanted(stream, list))).collect();
    for from in &all {
        for to in &all {
            let mut runs = from.clone();
            for step in diff(to, from.iter()) {
                match step {
                    Step::Stop(key) => assert!(runs.remove(&key).is_some(), "{key:?} did not run"),
                    Step::Start(key, spec) => assert!(runs.insert(key.clone(), spec).is_none(), "{key:?} runs twice"),
                    Step::Retune(key, spec) => assert!(runs.insert(key.clone(), spec).is_some(), "{key:?} did not run"),
                }
            }
            assert_eq!(&runs, to);
            assert_eq!(diff(to, runs.iter()), []);
        }
    }
}

#[test]
fn a_source_is_fetched_while_its_stream_is_active() {
    let pulled = |uri: &str| {
        let kind = SourceKind::Pull { uri: uri.into() };
        Stream { sources: vec![Source { slot: Slot::primary(), kind }], ..stream() }
    };
    let steps = |to: &Stream, from: &Stream| {
        let steps = steps(&wanted(to, &[(7, Some(A))]), &wanted(from, &[(7, Some(A))]));
        steps.into_iter().filter(|step| !step.ends_with(" status")).collect::<Vec<_>>()
    };
    let (near, far) = (pulled("rtmp://near/live/cam"), pulled("rtmp://far/live/cam"));
    let stopped = Stream { active: false, ..near.clone() };
    assert_eq!(steps(&near, &stream()), ["start pull(primary)"]);
    assert_eq!(steps(&far, &near), ["stop pull(primary)", "start pull(primary)"]);
    assert_eq!(steps(&stopped, &near), ["stop pull(primary)"]);
    assert_eq!(steps(&near, &near), [] as [&str; 0]);
    let renamed = Stream { hls: false, ..near.clone() };
    assert!(steps(&renamed, &near).iter().all(|step| !step.contains("pull")), "another setting disturbs no source");
}

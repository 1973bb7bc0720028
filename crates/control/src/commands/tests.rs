//! Changes against a real store, with a runtime that is only kicked.

use super::*;
use time::{Duration, OffsetDateTime};
use weir_model::{ReasonCode, Restream, Slot, Source, SourceKind, StreamId, StreamName};
use weir_store::SealingKey;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

async fn fresh() -> (tempfile::TempDir, Commands) {
    let dir = tempfile::tempdir().unwrap();
    let key = SealingKey::load_or_create(dir.path()).unwrap();
    let store = Store::open(&dir.path().join("weir.db"), &key).await.unwrap();
    let commands = Commands::new(store, Platforms::load().unwrap(), Runtime::new()).await.unwrap();
    (dir, commands)
}

fn stream(name: &str) -> Stream {
    Stream::draft(StreamName::new(name).unwrap())
}

fn key_of(stream: &Stream, slot: Slot) -> String {
    match &stream.source(slot).unwrap().kind {
        SourceKind::Push { stream_key } => stream_key.expose().to_owned(),
        other => unreachable!("{other:?}"),
    }
}

fn field(error: CommandError) -> String {
    match error {
        CommandError::Invalid { field, .. } => field,
        other => unreachable!("{other}"),
    }
}

#[tokio::test]
async fn keys_publish_until_rotated_or_stopped() {
    let (_dir, commands) = fresh().await;
    let made = commands.create_stream(stream("cam1")).await.unwrap();
    let key = key_of(&made, Slot::Primary);
    assert_eq!(key.len(), 28);
    let grant = commands.authorise_publish(&key, HERE).unwrap();
    assert_eq!((grant.stream_id, grant.slot), (made.id, Slot::Primary));
    assert_eq!(commands.authorise_publish("nonsense", HERE), Err(PublishRefusal::Unknown));

    // Adding a backup keeps the primary's key.
    let two = commands
        .update_stream(made.id, Some(1), |stream| {
            stream.sources = vec![Source::push(Slot::Backup), Source::push(Slot::Primary)];
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(key_of(&two, Slot::Primary), key);
    let backup = key_of(&two, Slot::Backup);
    assert_eq!(commands.authorise_publish(&backup, HERE).unwrap().slot, Slot::Backup);

    let rotated = commands.rotate_stream_key(made.id, Some(Slot::Primary)).await.unwrap();
    assert_eq!(commands.authorise_publish(&key, HERE), Err(PublishRefusal::Unknown));
    assert_eq!(key_of(&rotated, Slot::Backup), backup);
    commands.stop_stream(made.id).await.unwrap();
    assert_eq!(commands.authorise_publish(&backup, HERE), Err(PublishRefusal::Disabled));
    assert!(!commands.find_stream("cam1").unwrap().active);
    commands.delete_stream(made.id, None).await.unwrap();
    assert_eq!(commands.authorise_publish(&backup, HERE), Err(PublishRefusal::Unknown));
    assert_eq!(commands.find_stream("cam1"), None);
}

#[tokio::test]
async fn faults_name_their_field() {
    let (_dir, commands) = fresh().await;
    let with = |change: fn(&mut Stream)| {
        let mut draft = stream("x");
        change(&mut draft);
        draft
    };
    let pull = |uri: &str| vec![Source { slot: Slot::Primary, kind: SourceKind::Pull { uri: uri.into() } }];
    let list = |items: &[&str]| {
        let items = items.iter().map(|item| (*item).to_owned()).collect();
        vec![Source { slot: Slot::Primary, kind: SourceKind::Playlist { items, looped: true } }]
    };
    let mut bad = vec![
        (with(|s| s.sources.clear()), "sources"),
        (with(|s| s.sources = vec![Source::push(Slot::Backup)]), "sources"),
        (with(|s| s.sources = vec![Source::push(Slot::Primary); 2]), "sources"),
        (with(|s| s.dvr_seconds = 86_401), "dvr_seconds"),
        (with(|s| s.srt_passphrase = Some("short".into())), "srt_passphrase"),
        (with(|s| s.ladder = Some(weir_model::Ladder::Named("x".into()))), "ladder"),
        (with(|s| s.slate = Some(weir_model::Slate::File("x.png".into()))), "slate"),
    ];
    for uri in ["ftp://h/x", "rtmp://", "http://h/a b", ""] {
        bad.push((Stream { sources: pull(uri), ..stream("x") }, "sources.uri"));
    }
    for items in [&[][..], &["a.mp4"], &["/a.exe"], &["http://h/a.mp4"]] {
        bad.push((Stream { sources: list(items), ..stream("x") }, "sources.items"));
    }
    for (draft, expected) in bad {
        let shown = format!("{draft:?}");
        assert_eq!(field(commands.create_stream(draft).await.unwrap_err()), expected, "{shown}");
    }
    commands.create_stream(Stream { sources: pull("rtsp://u:p@h/1"), ..stream("pull") }).await.unwrap();
    let items = list(&["/a.mp4", "file:///b.TS"]);
    commands.create_stream(Stream { sources: items, ..stream("list") }).await.unwrap();
}

#[tokio::test]
async fn restreams_are_checked_and_resolved() {
    let (_dir, commands) = fresh().await;
    let cam = commands.create_stream(stream("cam1")).await.unwrap();
    let uri = |text: &str| Target::Uri(text.into());
    let mut bad = vec![(Restream::draft(cam.id, " ", uri("rtmp://h/a/k")), "name")];
    for text in ["rtmp://h/k", "srt://h:1?mode=listener", "srt://h:1?x=1", "http://h/a/k"] {
        bad.push((Restream::draft(cam.id, "r", uri(text)), "uri"));
    }
    let keyed = |id: i64, key: &str| Target::Destination { destination_id: DestinationId(id), stream_key: key.into() };
    bad.push((Restream::draft(cam.id, "r", keyed(9, "k")), "destination_id"));
    let saved = commands.create_destination(Destination::draft("yt", "youtube", "rtmp://a/live2")).await.unwrap();
    bad.push((Restream::draft(cam.id, "r", keyed(saved.id.0, "")), "stream_key"));
    let backup = Restream { backup_uri: Some("rtmp://h".into()), ..Restream::draft(cam.id, "r", uri("rtmp://h/a/k")) };
    bad.push((backup, "backup_uri"));
    for (draft, expected) in bad {
        assert_eq!(field(commands.create_restream(draft).await.unwrap_err()), expected);
    }
    let nowhere = commands.create_restream(Restream::draft(StreamId(99), "r", uri("rtmp://h/a/k"))).await;
    assert!(matches!(nowhere, Err(CommandError::Store(StoreError::Dangling { field: "stream_id" }))));

    let made = commands.create_restream(Restream::draft(cam.id, "r", keyed(saved.id.0, "k"))).await.unwrap();
    let specs = || async { commands.desired().await.unwrap().remove(0).restreams };
    assert!(specs().await.is_empty(), "not started yet");
    commands.start_restream(made.id).await.unwrap();
    let spec = specs().await.remove(0).unwrap();
    assert_eq!(spec.primary.masked(), "rtmp://a/live2");
    commands
        .update_destination(saved.id, None, |destination| {
            destination.url = "rtmp://b/live2".into();
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(specs().await.remove(0).unwrap().primary.masked(), "rtmp://b/live2");

    let stopped = commands.stop_restream_for(made.id, ReasonCode::SourceTimeout).await.unwrap();
    assert_eq!((stopped.active, stopped.stop_reason), (false, Some(ReasonCode::SourceTimeout)));
    assert_eq!(commands.start_restream(made.id).await.unwrap().stop_reason, None);
    assert!(!commands.retry_restream(made.id).await.unwrap(), "nothing runs here");
    let in_use = commands.delete_destination(saved.id, None).await;
    assert!(matches!(in_use, Err(CommandError::Store(StoreError::InUse { .. }))));
}

#[tokio::test]
async fn schedules_are_used_up() {
    let (_dir, commands) = fresh().await;
    let cam = commands.create_stream(stream("cam1")).await.unwrap();
    let t0 = OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
    let (start, stop) = (t0 + Duration::seconds(10), t0 + Duration::seconds(20));
    let mut draft = Restream::draft(cam.id, "r", Target::Uri("rtmp://h/a/k".into()));
    draft.schedule.start_at = Some(start);
    draft.schedule.stop_at = Some(stop);
    let id = commands.create_restream(draft).await.unwrap().id;
    let active = || async { commands.store().restream(id).await.unwrap().active };

    assert_eq!(commands.apply_schedules(t0).await.unwrap(), Some(start));
    assert!(!active().await);
    assert_eq!(commands.apply_schedules(start).await.unwrap(), Some(stop));
    assert!(active().await);
    commands.stop_restream(id).await.unwrap();
    assert_eq!(commands.apply_schedules(start).await.unwrap(), Some(stop));
    assert!(!active().await, "stopped by hand, stays stopped");
    commands.start_restream(id).await.unwrap();
    assert_eq!(commands.apply_schedules(stop).await.unwrap(), None);
    assert!(!active().await);
}

#[tokio::test]
async fn an_address_that_guesses_keys_waits_and_nobody_else_does() {
    let (_dir, commands) = fresh().await;
    let made = commands.create_stream(stream("cam1")).await.unwrap();
    let other = commands.create_stream(stream("cam2")).await.unwrap();
    let (key, other_key) = (key_of(&made, Slot::Primary), key_of(&other, Slot::Primary));
    assert!(commands.authorise_publish(&key, HERE).is_ok());
    for _ in 0..1_000 {
        let answer = commands.authorise_publish("an old key in an encoder", HERE);
        assert_eq!(answer, Err(PublishRefusal::Unknown), "the same again is no guess");
    }
    for n in 0..100 {
        let _ = commands.authorise_publish(&format!("guess{n}"), HERE);
    }
    assert_eq!(commands.authorise_publish(&other_key, HERE), Err(PublishRefusal::Guessing), "a right one is not found");
    assert!(commands.authorise_publish(&key, HERE).is_ok(), "who published before goes on");
    assert!(commands.authorise_publish(&other_key, std::net::Ipv4Addr::new(192, 0, 2, 1).into()).is_ok());
}

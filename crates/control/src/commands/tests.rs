//! Changes against a real store, with a runtime that is only woken.

use super::*;
use time::{Duration, OffsetDateTime};
use weir_model::{
    Destination, DestinationId, ReasonCode, Restream, RestreamTarget, Slot, Source, SourceKind, Stream, StreamName,
};
use weir_store::SealingKey;

async fn fresh() -> (tempfile::TempDir, Commands) {
    let dir = tempfile::tempdir().unwrap();
    let key = SealingKey::load_or_create(dir.path()).unwrap();
    let store = Store::open(&dir.path().join("weir.db"), &key).await.unwrap();
    let commands = Commands::new(store, Platforms::load().unwrap(), Runtime::new(), Observe::new()).await.unwrap();
    (dir, commands)
}

fn stream(name: &str) -> Stream {
    Stream::draft(StreamName::new(name).unwrap())
}

fn key_of(stream: &Stream, slot: &Slot) -> String {
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
    let key = key_of(&made, &Slot::primary());
    assert_eq!(key.len(), 28);
    let grant = commands.publish_grant(&commands.key_lookup(&key)).unwrap();
    assert_eq!((grant.stream_id, grant.slot), (made.id, Slot::primary()));
    assert_eq!(commands.publish_grant(&commands.key_lookup("nonsense")), Err(AdmissionRefusal::UnknownKey));

    let two = commands
        .update_stream(made.id, Some(1), |stream| {
            stream.sources = vec![Source::push(Slot::backup()), Source::push(Slot::primary())];
            stream.name = StreamName::new("cam2").unwrap();
            Ok(())
        })
        .await
        .unwrap();
    let order: Vec<&str> = two.sources.iter().map(|source| source.slot.as_str()).collect();
    assert_eq!(order, ["backup", "primary"], "the order is the wish");
    assert_eq!(key_of(&two, &Slot::primary()), key, "what is there already keeps its key");
    let backup = key_of(&two, &Slot::backup());
    assert_eq!(commands.publish_grant(&commands.key_lookup(&backup)).unwrap().slot, Slot::backup());

    let rotated = commands.rotate_stream_key(made.id, Some(Slot::primary())).await.unwrap();
    assert_eq!(commands.publish_grant(&commands.key_lookup(&key)), Err(AdmissionRefusal::UnknownKey));
    assert_eq!(key_of(&rotated, &Slot::backup()), backup);
    commands.stop_stream(made.id).await.unwrap();
    assert_eq!(commands.publish_grant(&commands.key_lookup(&backup)), Err(AdmissionRefusal::Stopped));
    assert!(!commands.find_stream("cam2").unwrap().active);
    commands.delete_stream(made.id, None).await.unwrap();
    assert_eq!(commands.publish_grant(&commands.key_lookup(&backup)), Err(AdmissionRefusal::UnknownKey));
    assert_eq!(commands.find_stream("cam2"), None);
}

#[tokio::test]
async fn faults_name_their_field() {
    let (_dir, commands) = fresh().await;
    let with = |change: fn(&mut Stream)| {
        let mut draft = stream("x");
        change(&mut draft);
        draft
    };
    let bad = vec![
        (with(|s| s.sources.clear()), "sources"),
        (with(|s| s.sources = vec![Source::push(Slot::backup()), Source::push(Slot::backup())]), "sources[1].slot"),
        (with(|s| s.sources = (0..9).map(|n| Source::push(Slot::new(&n.to_string()).unwrap())).collect()), "sources"),
        (with(|s| s.failover.loss_ms = 0), "failover.loss_seconds"),
        (with(|s| s.dvr_seconds = 86_401), "dvr_seconds"),
        (with(|s| s.srt_passphrase = Some("short".into())), "srt_passphrase"),
        (with(|s| s.ladder = Some(weir_model::Ladder::Named("x".into()))), "ladder"),
    ];
    for (draft, expected) in bad {
        let shown = format!("{draft:?}");
        assert_eq!(field(commands.create_stream(draft).await.unwrap_err()), expected, "{shown}");
    }
}

#[tokio::test]
async fn what_nothing_acts_on_is_refused_by_name() {
    let (_dir, commands) = fresh().await;
    let cam = commands.create_stream(stream("cam1")).await.unwrap();
    let pull = || Source { slot: Slot::primary(), kind: SourceKind::Pull { uri: "rtsp://planted@h/1".into() } };
    let playlist = SourceKind::Playlist { items: vec!["/a.mp4".into()], looped: true };
    let playlist = || Source { slot: Slot::primary(), kind: playlist.clone() };
    type Change<'a> = &'a dyn Fn(&mut Stream);
    let changes: [(Change<'_>, &str); 4] = [
        (&|s| s.sources = vec![pull()], "sources[0].uri"),
        (&|s| s.sources = vec![playlist()], "sources[0].kind"),
        (&|s| s.sources = vec![Source::push(Slot::backup()), pull()], "sources[1].uri"),
        (&|s| s.slate = Some(weir_model::Slate::Card), "slate"),
    ];
    for (change, expected) in changes {
        let mut draft = stream("new");
        change(&mut draft);
        let changed = draft.clone();
        let created = commands.create_stream(draft).await.unwrap_err();
        let updated = commands.update_stream(cam.id, None, move |stream| {
            stream.sources.clone_from(&changed.sources);
            stream.slate.clone_from(&changed.slate);
            Ok(())
        });
        for error in [created, updated.await.unwrap_err()] {
            assert!(!error.to_string().contains("planted"));
            assert!(matches!(error, CommandError::NotAvailable { field } if field == expected), "{expected}");
        }
    }
    for uri in ["udp://239.1.1.1:5000", "rtp://10.0.0.1:5000"] {
        let to = Restream::draft(cam.id, "r", RestreamTarget::Uri(uri.into()));
        let error = commands.create_restream(to).await.unwrap_err();
        assert!(matches!(error, CommandError::NotAvailable { field } if field == "uri"));
        let error = commands.create_destination(Destination::draft("d", "generic-rtmp", uri)).await.unwrap_err();
        assert!(matches!(error, CommandError::NotAvailable { field } if field == "url"));
    }
}

/// Earlier versions took these settings and did nothing with them.
#[tokio::test]
async fn streams_of_earlier_versions_become_what_they_were_run_as() {
    let (_dir, commands) = fresh().await;
    let store = commands.store();
    let mut old = stream("old");
    old.slate = Some(weir_model::Slate::Card);
    old.sources = vec![
        Source { slot: Slot::primary(), kind: SourceKind::Pull { uri: "rtsp://u:p@h/1".into() } },
        Source { slot: Slot::backup(), kind: SourceKind::Push { stream_key: "a-second-key".into() } },
    ];
    let old = store.create_stream(old).await.unwrap();
    let fine = commands.create_stream(stream("fine")).await.unwrap();
    let again = Commands::new(store.clone(), Platforms::load().unwrap(), Runtime::new(), Observe::new()).await.unwrap();
    let now = store.stream(old.id).await.unwrap();
    assert_eq!((now.slate.is_none(), now.sources.len(), now.version), (true, 2, old.version + 1));
    let key = key_of(&now, &Slot::primary());
    assert_eq!(again.publish_grant(&again.key_lookup(&key)).unwrap().stream_id, old.id);
    assert_eq!(key_of(&now, &Slot::backup()), "a-second-key", "a key that worked goes on working");
    assert_eq!(store.stream(fine.id).await.unwrap(), fine);
}

#[tokio::test]
async fn restreams_are_checked_and_resolved() {
    let (_dir, commands) = fresh().await;
    let cam = commands.create_stream(stream("cam1")).await.unwrap();
    let uri = |text: &str| RestreamTarget::Uri(text.into());
    let mut bad = vec![(Restream::draft(cam.id, " ", uri("rtmp://h/a/k")), "name")];
    for text in ["rtmp://h/k", "srt://h:1?mode=listener", "srt://h:1?x=1", "http://h/a/k"] {
        bad.push((Restream::draft(cam.id, "r", uri(text)), "uri"));
    }
    let keyed =
        |id: i64, key: &str| RestreamTarget::Destination { destination_id: DestinationId(id), stream_key: key.into() };
    bad.push((Restream::draft(cam.id, "r", keyed(9, "k")), "destination_id"));
    let saved = commands.create_destination(Destination::draft("yt", "youtube", "rtmp://a/live2")).await.unwrap();
    bad.push((Restream::draft(cam.id, "r", keyed(saved.id.0, "")), "stream_key"));
    let backup = Restream { backup_uri: Some("rtmp://h".into()), ..Restream::draft(cam.id, "r", uri("rtmp://h/a/k")) };
    bad.push((backup, "backup_uri"));
    let speaking = |language: &str, to: &str, backup: Option<&str>| Restream {
        audio_language: Some(language.to_owned()),
        backup_uri: backup.map(Into::into),
        ..Restream::draft(cam.id, "spoken", uri(to))
    };
    bad.push((speaking("german", "rtmp://h/a/k", None), "audio_language"));
    // All sounds go by SRT: the field would do nothing.
    bad.push((speaking("deu", "srt://h:1", None), "audio_language"));
    bad.push((speaking("deu", "srt://h:1", Some("srt://h:2")), "audio_language"));
    for (draft, expected) in bad {
        assert_eq!(field(commands.create_restream(draft).await.unwrap_err()), expected);
    }
    for draft in [speaking("de", "rtmp://h/a/k", None), speaking(" GER", "srt://h:1", Some("rtmp://h/a/k"))] {
        let made = commands.create_restream(draft).await.unwrap();
        assert_eq!(made.audio_language.as_deref(), Some("deu"), "one language is kept by one name");
        commands.delete::<Restream>(made.id, None).await.unwrap();
    }
    let nowhere = commands.create_restream(Restream::draft(StreamId(99), "r", uri("rtmp://h/a/k"))).await;
    assert!(matches!(nowhere, Err(CommandError::Store(StoreError::Dangling { field: "stream_id" }))));

    let made = commands.create_restream(Restream::draft(cam.id, "r", keyed(saved.id.0, "k"))).await.unwrap();
    let specs = || async { commands.catalogue().desired(commands.platforms()).remove(0).restreams };
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
    let in_use = commands.delete::<Destination>(saved.id, None).await;
    assert!(matches!(in_use, Err(CommandError::Store(StoreError::InUse { .. }))));
}

#[tokio::test]
async fn schedules_are_used_up() {
    let (_dir, commands) = fresh().await;
    let cam = commands.create_stream(stream("cam1")).await.unwrap();
    let t0 = OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
    let (start, stop) = (t0 + Duration::seconds(10), t0 + Duration::seconds(20));
    let mut draft = Restream::draft(cam.id, "r", RestreamTarget::Uri("rtmp://h/a/k".into()));
    draft.schedule.start_at = Some(start);
    draft.schedule.stop_at = Some(stop);
    let id = commands.create_restream(draft).await.unwrap().id;
    let active = || async { commands.store().get::<Restream>(id).await.unwrap().active };

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

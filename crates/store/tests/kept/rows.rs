//! Rows come back as they went in, and changes that must not happen are refused by name.

use crate::common;

use common::{destination, fresh, restream, stream, uri};
use time::OffsetDateTime;
use weir_model::{
    Corner, Destination, DestinationId, Ladder, LogoImage, ReasonCode, Rendition, RenditionDraft, Restream, RestreamId,
    RestreamRendition, RestreamTarget, Schedule, Slate, Slot, Source, SourceKind, StreamId, StreamName,
};
use weir_store::{Store, StoreError};

#[tokio::test]
async fn streams() {
    let (_dir, store) = fresh().await;
    let made = store.create_stream(stream("cam1")).await.unwrap();
    assert_eq!((made.id, made.version), (StreamId(1), 1));
    assert_eq!(store.stream(made.id).await.unwrap(), made);

    let mut changed = made.clone();
    changed.name = StreamName::new("cam2").unwrap();
    changed.ladder = Some(Ladder::Inline(vec![Rendition::passthrough("source")]));
    changed.slate = Some(Slate::Card);
    changed.play_epoch = u32::MAX;
    changed.srt_passphrase = None;
    changed.sources = vec![
        Source { slot: Slot::primary(), kind: SourceKind::Pull { uri: "rtsp://u:p@h/1".into() } },
        Source {
            slot: Slot::new("a-third").unwrap(),
            kind: SourceKind::Playlist { items: vec!["/a.mp4".into()], looped: true },
        },
    ];
    let changed = store.update_stream(changed).await.unwrap();
    assert_eq!(changed.version, 2);
    assert_eq!(store.stream(made.id).await.unwrap(), changed);
    assert!(matches!(store.update_stream(made.clone()).await, Err(StoreError::Stale)));

    assert!(matches!(store.create_stream(stream("cam2")).await, Err(StoreError::Duplicate { field: "name" })));
    let other = store.create_stream(stream("cam3")).await.unwrap();
    assert_eq!(other.id, StreamId(2), "a failed insert used no id");
    let mut same_key = stream("cam4");
    same_key.sources = other.sources.clone();
    assert!(matches!(store.create_stream(same_key).await, Err(StoreError::Duplicate { field: "stream_key" })));

    assert!(matches!(store.delete_stream(made.id, Some(1)).await, Err(StoreError::Stale)));
    store.delete_stream(made.id, Some(2)).await.unwrap();
    assert!(matches!(store.stream(made.id).await, Err(StoreError::NotFound)));
    assert!(matches!(store.delete_stream(made.id, None).await, Err(StoreError::NotFound)));
    assert!(matches!(store.update_stream(changed).await, Err(StoreError::NotFound)));
    store.delete_stream(other.id, None).await.unwrap();
    assert_eq!(store.create_stream(stream("cam5")).await.unwrap().id, StreamId(3), "ids are never used twice");
}

#[tokio::test]
async fn restreams() {
    let (_dir, store) = fresh().await;
    let one = store.create_stream(stream("one")).await.unwrap();
    let two = store.create_stream(stream("two")).await.unwrap();
    let made = store.create_restream(restream(one.id, "first", uri("rtmp://h/app/k"))).await.unwrap();
    assert_eq!(store.get::<Restream>(made.id).await.unwrap(), made);

    let again = store.create_restream(restream(one.id, "first", uri("rtmp://h/app/k"))).await;
    assert!(matches!(again, Err(StoreError::Duplicate { field: "name" })));
    store.create_restream(restream(two.id, "first", uri("rtmp://h/app/k"))).await.unwrap();

    let nowhere = store.create_restream(restream(StreamId(99), "x", uri("rtmp://h/app/k"))).await;
    assert!(matches!(nowhere, Err(StoreError::Dangling { field: "stream_id" })));
    let saved = store.create(destination("saved")).await.unwrap();
    let keyed =
        |id: DestinationId| RestreamTarget::Destination { destination_id: id, stream_key: "planted-key".into() };
    let nowhere = store.create_restream(restream(one.id, "x", keyed(DestinationId(99)))).await;
    assert!(matches!(nowhere, Err(StoreError::Dangling { field: "destination_id" })));

    let mut changed = made.clone();
    changed.target = keyed(saved.id);
    changed.backup_uri = None;
    changed.audio_language = None;
    // Settings that were left out are not there when the row comes back.
    let size = RenditionDraft { width: Some(1280), height: Some(720), ..RenditionDraft::default() };
    let own = RenditionDraft { name: "own".into(), gop_seconds: Some(1.0), ..size };
    changed.rendition = RestreamRendition::Inline(own);
    changed.stop_reason = Some(ReasonCode::SourceTimeout);
    let at = OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
    changed.schedule = Schedule { start_at: Some(at), stop_at: None };
    let changed = store.update(changed).await.unwrap();
    assert_eq!(store.get::<Restream>(made.id).await.unwrap(), changed);
    assert!(matches!(store.update(made).await, Err(StoreError::Stale)));

    let used = store.delete::<Destination>(saved.id, None).await;
    assert!(matches!(used, Err(StoreError::InUse { used_by }) if used_by == "1 restream"));
    store.delete_stream(one.id, None).await.unwrap();
    assert!(matches!(store.get::<Restream>(changed.id).await, Err(StoreError::NotFound)), "it went with its stream");
    store.delete::<Destination>(saved.id, Some(1)).await.unwrap();
    assert!(matches!(store.get::<Destination>(saved.id).await, Err(StoreError::NotFound)));
    assert!(matches!(store.delete::<Restream>(RestreamId(77), None).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn logos_come_and_go_with_their_stream() {
    let (dir, store) = fresh().await;
    let mut made = store.create_stream(stream("cam1")).await.unwrap();
    assert_eq!((store.logo(made.id).await.unwrap(), &made.logo_image), (None, &None));
    made.logo.position = Corner::BottomLeft;
    let placed = store.update_stream(made).await.unwrap();
    let picture = |bytes: &[u8]| LogoImage { digest: "d1".to_owned(), width: 3, height: 2, png: bytes.into() };
    let with = store.set_logo(placed.id, Some(&picture(b"PNG"))).await.unwrap();
    assert_eq!((with.version, with.logo.position, &with.logo_image), (3, Corner::BottomLeft, &Some(picture(b""))));
    assert!(with.logo_image.unwrap().png.is_empty(), "a stream does not carry its picture");
    store.set_logo(placed.id, Some(&picture(b"other"))).await.unwrap();
    let again: Store = common::open(dir.path()).await;
    assert_eq!(again.logo(placed.id).await.unwrap().as_deref(), Some(&b"other"[..]));
    assert_eq!(store.set_logo(placed.id, None).await.unwrap().logo_image, None);
    assert_eq!(store.logo(placed.id).await.unwrap(), None);

    store.set_logo(placed.id, Some(&picture(b"PNG"))).await.unwrap();
    store.delete_stream(placed.id, None).await.unwrap();
    assert_eq!(store.logo(placed.id).await.unwrap(), None, "it went with its stream");
    assert!(matches!(store.set_logo(placed.id, None).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn destinations() {
    let (_dir, store) = fresh().await;
    let made = store.create(destination("a")).await.unwrap();
    assert_eq!(store.get::<Destination>(made.id).await.unwrap(), made);
    let mut changed = made.clone();
    changed.backup_url = Some("rtmp://b/app".into());
    let changed = store.update(changed).await.unwrap();
    assert_eq!(store.page::<Destination>(0, 10).await.unwrap().items, [changed]);
    assert!(matches!(store.update(made).await, Err(StoreError::Stale)));
    assert!(matches!(store.create(destination("a")).await, Err(StoreError::Duplicate { field: "name" })));
}

#[tokio::test]
async fn pages_end_and_hold_their_own_sources() {
    let (_dir, store) = fresh().await;
    for i in 0..5 {
        store.create_stream(stream(&format!("s{i}"))).await.unwrap();
    }
    let mut names = Vec::new();
    let mut after = 0;
    loop {
        let page = store.streams(after, 2).await.unwrap();
        assert!(page.items.len() <= 2);
        for stream in &page.items {
            let SourceKind::Push { stream_key } = &stream.sources[0].kind else { unreachable!() };
            assert_eq!(stream_key.expose(), format!("planted-ingest-{}", stream.name));
            names.push(stream.name.to_string());
        }
        match page.next_after {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(names, ["s0", "s1", "s2", "s3", "s4"]);
    assert_eq!(store.all_streams().await.unwrap().len(), 5);

    let stream_id = StreamId(2);
    for i in 0..3 {
        store.create_restream(restream(stream_id, &format!("r{i}"), uri("rtmp://h/a/k"))).await.unwrap();
    }
    store.create_restream(restream(StreamId(1), "other", uri("rtmp://h/a/k"))).await.unwrap();
    assert_eq!(store.restreams(Some(stream_id), 0, 2).await.unwrap().next_after, Some(2));
    assert_eq!(store.restreams(Some(stream_id), 2, 2).await.unwrap().items.len(), 1);
    assert_eq!(store.restreams(None, 0, 500).await.unwrap().items.len(), 4);
    assert_eq!(store.all::<Restream>().await.unwrap().len(), 4);
}

#[tokio::test]
async fn writers_at_once_lose_nothing() {
    let (dir, store) = fresh().await;
    let beside: Store = common::open(dir.path()).await;
    let writes = (0..40).map(|i| {
        let store = if i % 2 == 0 { store.clone() } else { beside.clone() };
        tokio::spawn(async move { store.create_stream(stream(&format!("s{i}"))).await.unwrap().id })
    });
    let mut ids: Vec<i64> = Vec::new();
    for write in writes.collect::<Vec<_>>() {
        ids.push(write.await.unwrap().0);
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=40).collect::<Vec<_>>());
}

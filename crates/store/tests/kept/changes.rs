//! The log of changes has every write of a stream, destination, restream or ladder, and nothing that did not happen.

use crate::common;

use common::{destination, fresh, restream, stream, uri};
use weir_model::{Destination, Ladder, LadderId, SavedLadder, StreamId};
use weir_store::Store;

/// The changes after `seq`, as `noun/id`.
async fn told(store: &Store, seq: i64) -> Vec<String> {
    let changes = store.changes_since(seq).await.unwrap().unwrap();
    let numbers: Vec<i64> = changes.iter().map(|change| change.seq).collect();
    assert_eq!(numbers, (seq + 1..).take(changes.len()).collect::<Vec<_>>(), "no number is left out");
    changes.iter().map(|change| format!("{}/{}", change.table, change.row_id)).collect()
}

fn ladder(name: &str) -> SavedLadder {
    let now = time::OffsetDateTime::UNIX_EPOCH;
    let renditions = Ladder::Named("hd".to_owned()).renditions();
    let (name, title) = (name.to_owned(), "Mine".to_owned());
    SavedLadder { id: LadderId(0), version: 0, name, title, renditions, created_at: now, updated_at: now }
}

#[tokio::test]
async fn every_change_is_told_in_order() {
    let (_dir, store) = fresh().await;
    assert_eq!((store.last_change().await.unwrap(), told(&store, 0).await), (0, vec![]));
    let mut mine = store.create(ladder("mine")).await.unwrap();
    let mut named = stream("cam1");
    named.ladder = Some(Ladder::Named("mine".to_owned()));
    let cam = store.create_stream(named).await.unwrap();
    let saved = store.create(destination("d")).await.unwrap();
    let push = store.create_restream(restream(cam.id, "r", uri("rtmp://h/a/k"))).await.unwrap();
    let expected =
        [format!("ladder/{}", mine.id.0), "stream/1".to_owned(), "destination/1".to_owned(), "restream/1".to_owned()];
    assert_eq!(told(&store, 0).await, expected);

    let seq = store.last_change().await.unwrap();
    assert!(store.update(weir_model::Restream { version: 7, ..push.clone() }).await.is_err());
    assert!(store.create_stream(stream("cam1")).await.is_err());
    assert!(store.delete_stream(StreamId(9), None).await.is_err());
    assert_eq!(told(&store, seq).await, [""; 0], "what did not happen is not told");

    store.update(push).await.unwrap();
    mine.name = "ours".to_owned();
    let mine = store.update(mine).await.unwrap();
    let renamed = format!("ladder/{}", mine.id.0);
    assert_eq!(told(&store, seq).await, ["restream/1", &*renamed, "stream/1"], "who names a ladder follows its name");

    let seq = store.last_change().await.unwrap();
    store.delete_stream(cam.id, None).await.unwrap();
    store.delete::<Destination>(saved.id, None).await.unwrap();
    store.delete::<SavedLadder>(mine.id, None).await.unwrap();
    assert_eq!(told(&store, seq).await, ["restream/1", "stream/1", "destination/1", &*renamed]);
}

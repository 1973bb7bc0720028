//! A catalogue that follows the log of changes equals one that is read anew, whatever was changed.

use super::*;
use weir_model::{Destination, DestinationId, SourceKind, StreamName};
use weir_store::SealingKey;

async fn fresh() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let key = SealingKey::load_or_create(dir.path()).unwrap();
    let store = Store::open(&dir.path().join("weir.db"), &key).await.unwrap();
    (dir, store)
}

fn stream(name: &str) -> Stream {
    let mut stream = Stream::draft(StreamName::new(name).unwrap());
    stream.sources[0].kind = SourceKind::Push { stream_key: format!("key-of-{name}").into() };
    stream
}

/// What a catalogue contains, as text that can be compared.
fn said(catalogue: &Catalogue, store: &Store) -> String {
    let Catalogue { seq, streams, restreams, destinations, ladders, directory: _ } = catalogue;
    let mut text = format!("{seq} {streams:?} {restreams:?} {destinations:?} {ladders:?}");
    for stream in catalogue.streams() {
        for source in &stream.sources {
            let SourceKind::Push { stream_key } = &source.kind else { continue };
            let grant = catalogue.publish_grant(&store.stream_key_lookup(stream_key.expose()));
            text += &format!(" {:?}", grant.map(|grant| (grant.stream_id, grant.slot)));
        }
        text +=
            &format!(" {:?} {:?}", catalogue.play_grant_by_name(stream.name.as_str()), catalogue.play_grant(stream.id));
    }
    text
}

#[tokio::test]
async fn what_follows_the_log_is_what_is_stored() {
    let (_dir, store) = fresh().await;
    let mut followed = Catalogue::read(&store).await.unwrap();
    assert!(followed.renewed(&store).await.unwrap().is_none(), "nothing was changed");
    let mut follow = async || {
        followed = followed.renewed(&store).await.unwrap().expect("something was changed");
        let read = Catalogue::read(&store).await.unwrap();
        assert_eq!(said(&followed, &store), said(&read, &store));
        followed.clone()
    };
    let one = store.create_stream(stream("one")).await.unwrap();
    follow().await;
    let two = store.create_stream(stream("two")).await.unwrap();
    let saved = store.create(Destination::draft("d", "generic-rtmp", "rtmp://h/app")).await.unwrap();
    let push =
        store.create_restream(Restream::draft(one.id, "r", RestreamTarget::Uri("rtmp://h/a/k".into()))).await.unwrap();
    let before = follow().await;
    store.update(Restream { name: "s".to_owned(), ..push }).await.unwrap();
    store.delete::<Destination>(saved.id, None).await.unwrap();
    let after = follow().await;
    assert!(after.admits_as(&before) && after.destination(DestinationId(1)).is_none());
    assert!(Arc::ptr_eq(before.stream(two.id).unwrap(), after.stream(two.id).unwrap()), "what stays is not read again");

    // Two names are swapped in what followers see as one step.
    let name = |name: &str| StreamName::new(name).unwrap();
    let one = store.update_stream(Stream { name: name("three"), ..one }).await.unwrap();
    let two = store.update_stream(Stream { name: name("one"), ..two }).await.unwrap();
    let one = store.update_stream(Stream { name: name("two"), active: false, ..one }).await.unwrap();
    let swapped = follow().await;
    assert!(!swapped.admits_as(&after));
    assert_eq!(swapped.play_grant_by_name("one").unwrap().stream_id, two.id);
    assert_eq!(swapped.play_grant_by_name("three"), None);
    let key = store.stream_key_lookup("key-of-one");
    assert_eq!(swapped.publish_grant(&key).unwrap_err(), AdmissionRefusal::Stopped);

    store.delete_stream(one.id, None).await.unwrap();
    let gone = follow().await;
    assert_eq!(gone.publish_grant(&key).unwrap_err(), AdmissionRefusal::UnknownKey);
    assert_eq!(gone.restreams().count(), 0, "its restreams went with it");
}

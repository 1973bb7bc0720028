//! What the database file tells a thief, and whom a key or password lets in.

use crate::common;

use common::{destination, fresh, open, restream, stream, uri};
use std::fs;
use weir_model::{RestreamTarget, Role, Secret, SourceKind, StreamId};
use weir_store::{
    Answer, ApiKeyChange, AuditDraft, AuditFilter, ENVIRONMENT_KEY_NAME, KEY_FILE, Outcome, Reservation, SealingKey,
    Store, StoreError,
};

/// Every byte of every database file, the write-ahead log included.
fn file_bytes(dir: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != KEY_FILE {
            all.extend(fs::read(entry.path()).unwrap());
        }
    }
    all
}

#[tokio::test]
async fn planted_secrets_are_not_in_the_file() {
    let (dir, store) = fresh().await;
    let made = store.create_stream(stream("cam1")).await.unwrap();
    let saved = store.create(destination("d")).await.unwrap();
    store.create_restream(restream(made.id, "a", uri("rtmp://h/app/planted-uri"))).await.unwrap();
    let keyed = RestreamTarget::Destination { destination_id: saved.id, stream_key: "planted-key".into() };
    store.create_restream(restream(made.id, "b", keyed)).await.unwrap();
    store.set_environment_key(Some(&"planted-apikey-of-24-letters".into())).await.unwrap();
    store.create_account("admin", Role::Admin, &"planted-password".into(), None).await.unwrap();
    store.reserve_idempotency("c", "k", b"planted-request").await.unwrap();
    let answer = Answer { status: 201, body: b"planted-answer".to_vec() };
    store.finish_idempotency("c", "k", &answer).await.unwrap();

    let grep = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    let before = file_bytes(dir.path());
    store.close().await;
    for bytes in [before, file_bytes(dir.path())] {
        assert!(grep(&bytes, b"cam1"), "the search itself works");
        assert!(!grep(&bytes, b"planted"));
    }
    assert!(!format!("{made:?}{saved:?}").contains("planted"));
}

#[tokio::test]
async fn another_key_is_refused() {
    let (dir, store) = fresh().await;
    store.close().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let wrong = SealingKey::load_or_create(elsewhere.path()).unwrap();
    let opened = Store::open(&dir.path().join("weir.db"), &wrong).await;
    assert!(matches!(opened, Err(StoreError::WrongSealingKey)));
    let store = open(dir.path()).await;
    assert_eq!(store.all_streams().await.unwrap().len(), 0);
}

#[tokio::test]
async fn secrets_survive_a_reopen() {
    let (dir, store) = fresh().await;
    store.create_stream(stream("cam1")).await.unwrap();
    store.close().await;
    let store = open(dir.path()).await;
    let stream = store.stream(StreamId(1)).await.unwrap();
    let SourceKind::Push { stream_key } = &stream.sources[0].kind else { unreachable!() };
    assert_eq!(stream_key.expose(), "planted-ingest-cam1");
    assert_eq!(stream.srt_passphrase, Some(Secret::new("planted-passphrase")));
}

#[tokio::test]
async fn api_keys() {
    let (_dir, store) = fresh().await;
    let (key, secret) = store.create_api_key("ci", Role::Operator).await.unwrap();
    assert!(secret.expose().len() > 40);
    assert_eq!(store.api_key_of(&secret).await.unwrap(), Some(key.clone()));
    assert_eq!(store.api_key_of(&"nonsense".into()).await.unwrap(), None);
    assert!(matches!(store.create_api_key("ci", Role::Viewer).await, Err(StoreError::Duplicate { field: "name" })));

    let change = ApiKeyChange { role: Some(Role::Viewer), ..ApiKeyChange::default() };
    let (before, now) = store.update_api_key(key.id, change).await.unwrap();
    assert_eq!((&before, now.role), (&key, Role::Viewer));
    assert_eq!(store.api_key_of(&secret).await.unwrap(), Some(now));
    for name in [ENVIRONMENT_KEY_NAME, "taken"] {
        store.create_api_key("taken", Role::Viewer).await.ok();
        let change = ApiKeyChange { name: Some(name.to_owned()), ..ApiKeyChange::default() };
        store.update_api_key(key.id, change).await.unwrap_err();
    }

    store.delete_api_key(key.id).await.unwrap();
    assert_eq!(store.api_key_of(&secret).await.unwrap(), None);
    assert!(matches!(store.delete_api_key(key.id).await, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn the_environment_gives_one_key_or_none() {
    let (_dir, store) = fresh().await;
    let (first, second) = (Secret::new("first-key-of-24-letters!"), Secret::new("other-key-of-24-letters!"));
    let (_, listed) = store.create_api_key("mine", Role::Admin).await.unwrap();
    let (_, lesser) = store.create_api_key("lesser", Role::Viewer).await.unwrap();
    for (given, admins) in [
        (Some(&first), vec![&listed, &first]),
        (Some(&first), vec![&listed, &first]),
        (Some(&second), vec![&listed, &second]),
        // A key that is there under a name of its own is not added a second time.
        (Some(&listed), vec![&listed]),
        (Some(&first), vec![&listed, &first]),
        (None, vec![&listed]),
        (Some(&lesser), vec![&listed, &lesser]),
        (None, vec![&listed]),
    ] {
        store.set_environment_key(given).await.unwrap();
        for key in [&first, &second, &listed, &lesser] {
            let role = store.api_key_of(key).await.unwrap().map(|key| key.role);
            let expected = admins.contains(&key);
            assert_eq!(role == Some(Role::Admin), expected, "{given:?}: {key:?}");
        }
    }
    let short = store.set_environment_key(Some(&"1234567".into())).await;
    assert!(matches!(short, Err(StoreError::Limit { field: "key", .. })));
    let kept = store.create_api_key(ENVIRONMENT_KEY_NAME, Role::Admin).await;
    assert!(matches!(kept, Err(StoreError::Limit { field: "name", .. })));
}

#[tokio::test]
async fn accounts_and_logins() {
    let (_dir, store) = fresh().await;
    assert!(!store.has_accounts().await.unwrap());
    let admin = store.create_account("admin", Role::Admin, &"correct horse".into(), None).await.unwrap();
    assert!(store.has_accounts().await.unwrap());
    assert_eq!(store.check_password("admin", &"correct horse".into()).await.unwrap(), Some(admin.clone()));
    assert_eq!(store.check_password("admin", &"wrong".into()).await.unwrap(), None);
    assert_eq!(store.check_password("nobody", &"correct horse".into()).await.unwrap(), None);
    assert_eq!(store.check_password("admin", &"x".repeat(2000).into()).await.unwrap(), None);

    for bad in [String::new(), "x".repeat(1025)] {
        let refused = store.create_account("other", Role::Viewer, &bad.into(), None).await;
        assert!(matches!(refused, Err(StoreError::Limit { field: "password", .. })));
    }

    let login = store.create_login(&admin).await.unwrap();
    assert_eq!(store.account_of(&login.cookie).await.unwrap(), Some(admin));
    assert_eq!(store.account_of(&"x".into()).await.unwrap(), None);
    store.delete_login(&login.cookie).await.unwrap();
    assert_eq!(store.account_of(&login.cookie).await.unwrap(), None);
}

#[tokio::test]
async fn idempotency() {
    let (_dir, store) = fresh().await;
    let reserve = |caller: &'static str, request: &'static str| {
        let store = store.clone();
        async move { store.reserve_idempotency(caller, "k1", request.as_bytes()).await.unwrap() }
    };
    assert_eq!(reserve("a", "POST /x {}").await, Reservation::Mine);
    assert_eq!(reserve("a", "POST /x {}").await, Reservation::Pending);
    assert_eq!(reserve("b", "POST /x {}").await, Reservation::Mine, "callers don't share keys");
    store.release_idempotency("a", "k1").await.unwrap();
    assert_eq!(reserve("a", "POST /x {}").await, Reservation::Mine);
    let answer = Answer { status: 201, body: b"{}".to_vec() };
    store.finish_idempotency("a", "k1", &answer).await.unwrap();
    store.release_idempotency("a", "k1").await.unwrap();
    assert_eq!(reserve("a", "POST /x {}").await, Reservation::Answered(answer));
    assert_eq!(reserve("a", "POST /y {}").await, Reservation::Mismatch);
}

#[tokio::test]
async fn audit_is_kept_in_order() {
    let (_dir, store) = fresh().await;
    let entry = |actor: &str, subject: &str, outcome| AuditDraft {
        actor: actor.to_owned(),
        action: "reveal".to_owned(),
        subject: subject.to_owned(),
        outcome,
        status: Some(200),
        address: Some("192.0.2.7".to_owned()),
    };
    let first = entry("apikey:ci", "restream/1", Outcome::Ok);
    store.record_audit(first.clone()).await.unwrap();
    let denied = store.record_audit(entry("user:eve", "restream/2", Outcome::Denied)).await.unwrap();
    store.add_to_audit(&[(denied, 41)]).await.unwrap();
    let all = AuditFilter::default();
    let page = store.audit(0, 1, false, &all).await.unwrap();
    assert_eq!((&page.items[0].what, page.items[0].count), (&first, 1));
    let rest = store.audit(page.next_after.unwrap(), 1, false, &all).await.unwrap().items;
    assert_eq!((rest[0].what.subject.as_str(), rest[0].count), ("restream/2", 42));
    for (actor, outcome, ids) in [
        (None, Some(Outcome::Denied), vec![2]),
        (Some("apikey:ci"), None, vec![1]),
        (Some("apikey:ci"), Some(Outcome::Failed), vec![]),
        (None, None, vec![2, 1]),
    ] {
        let filter = AuditFilter { actor: actor.map(str::to_owned), outcome };
        let found: Vec<i64> = store.audit(0, 10, true, &filter).await.unwrap().items.iter().map(|e| e.id).collect();
        assert_eq!(found, ids, "{filter:?}");
    }
}

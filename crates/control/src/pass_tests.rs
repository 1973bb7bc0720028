//! Passes over a real store: each thing that ends one, and what does not.

use super::*;
use weir_model::{Platforms, SourceKind, Stream, StreamName};
use weir_observe::Observe;
use weir_store::{ApiKeyChange, SealingKey, Store};

use crate::admission::Admission;
use crate::playback::Playback;
use crate::runtime::Runtime;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

struct Rig {
    dir: tempfile::TempDir,
    store: Store,
    commands: Commands,
    playback: Playback,
}

impl Rig {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir).await;
        let commands =
            Commands::new(store.clone(), Platforms::load().unwrap(), Runtime::new(), Observe::new()).await.unwrap();
        let playback = Playback::new(Admission::new(commands.clone(), Runtime::new()));
        Self { dir, store, commands, playback }
    }

    async fn stream(&self, protected: bool) -> Stream {
        let draft = Stream { protected, ..Stream::draft(StreamName::new("cam1").unwrap()) };
        self.commands.create_stream(draft).await.unwrap()
    }

    async fn change(&self, stream: &Stream, change: impl Fn(&mut Stream) + Send + Sync) {
        let change = |stream: &mut Stream| {
            change(stream);
            Ok(())
        };
        self.commands.update_stream(stream.id, None, change).await.unwrap();
    }
}

async fn open(dir: &tempfile::TempDir) -> Store {
    let key = SealingKey::load_or_create(dir.path()).unwrap();
    Store::open(&dir.path().join("weir.db"), &key).await.unwrap()
}

/// Why the pass ends after what was done before this call.
async fn end(pass: &Pass) -> PassEnd {
    timeout(Duration::from_secs(5), pass.ended()).await.expect("it still holds")
}

async fn holds(pass: &Pass) -> bool {
    pass.look().await.is_ok()
}

#[tokio::test]
async fn publishers_end_with_their_key() {
    let rig = Rig::start().await;
    let stream = rig.stream(false).await;
    let SourceKind::Push { stream_key } = &stream.sources[0].kind else { unreachable!() };
    let pass = Pass::publisher(&rig.commands, stream.id, stream_key.expose());
    rig.change(&stream, |stream| stream.name = StreamName::new("other").unwrap()).await;
    rig.change(&stream, |stream| stream.protected = true).await;
    rig.commands.revoke_play_tokens(stream.id).await.unwrap();
    assert!(holds(&pass).await, "none of this is about who publishes");
    rig.commands.stop_stream(stream.id).await.unwrap();
    assert_eq!(end(&pass).await, PassEnd::StreamStopped);
    rig.commands.start_stream(stream.id).await.unwrap();
    assert!(holds(&pass).await);
    rig.commands.rotate_stream_key(stream.id, None).await.unwrap();
    assert_eq!(end(&pass).await, PassEnd::StreamKeyChanged);
    rig.commands.delete_stream(stream.id, None).await.unwrap();
    assert_eq!(end(&pass).await, PassEnd::StreamDeleted);
}

#[tokio::test]
async fn viewers_end_with_what_let_them_in() {
    let rig = Rig::start().await;
    let stream = rig.stream(false).await;
    let plain = rig.playback.pass(stream.id, None, HERE);
    rig.commands.rotate_stream_key(stream.id, None).await.unwrap();
    rig.change(&stream, |stream| stream.name = StreamName::new("other").unwrap()).await;
    assert!(holds(&plain).await);
    rig.change(&stream, |stream| stream.protected = true).await;
    assert_eq!(end(&plain).await, PassEnd::Protected);

    let token = async |seconds| {
        let made = rig.commands.issue_play_token(stream.id, None, Duration::from_secs(seconds)).await;
        made.unwrap().token
    };
    let hour = token(3_600).await;
    let by_token = rig.playback.pass(stream.id, Some(hour.expose()), HERE);
    let short = rig.playback.pass(stream.id, Some(token(1).await.expose()), HERE);
    assert_eq!(end(&short).await, PassEnd::TokenExpired);
    assert!(holds(&by_token).await);
    rig.commands.revoke_play_tokens(stream.id).await.unwrap();
    assert_eq!(end(&by_token).await, PassEnd::TokenRevoked);
    let next = token(3_600).await;
    let pass = rig.playback.pass(stream.id, Some(next.expose()), HERE);
    assert!(holds(&pass).await, "tokens made since are good");
    rig.commands.stop_stream(stream.id).await.unwrap();
    assert_eq!(end(&pass).await, PassEnd::StreamStopped);
    rig.commands.delete_stream(stream.id, None).await.unwrap();
    assert_eq!(end(&pass).await, PassEnd::StreamDeleted);
}

#[tokio::test]
async fn callers_end_with_their_key_login_and_role() {
    let rig = Rig::start().await;
    let caller = |credential: &Credential, role| Pass::caller(&rig.commands, credential.clone(), role);
    let key = async |name: &str| {
        let (key, secret) = rig.commands.create_api_key(name, Role::Viewer).await.unwrap();
        (key.id, Credential::ApiKey(secret))
    };
    let ((id, credential), (deleted_id, deleted)) = (key("a").await, key("b").await);
    let pass = caller(&credential, Role::Viewer);
    let deleted = caller(&deleted, Role::Viewer);
    rig.commands.delete_api_key(deleted_id).await.unwrap();
    assert_eq!(end(&deleted).await, PassEnd::CallerGone);
    let renamed = ApiKeyChange { name: Some("c".into()), role: None };
    rig.commands.update_api_key(id, renamed).await.unwrap();
    assert!(holds(&pass).await);
    let role = ApiKeyChange { name: None, role: Some(Role::Admin) };
    rig.commands.update_api_key(id, role).await.unwrap();
    assert_eq!(end(&pass).await, PassEnd::RoleChanged);

    let admin = rig.commands.create_account("root", Role::Admin, &"correct horse".into(), None).await.unwrap();
    let person = rig.commands.create_account("eve", Role::Operator, &"correct horse".into(), None).await.unwrap();
    let login = async || Credential::Cookie(rig.store.create_login(&person).await.unwrap().cookie);
    let (first, second, third) = (login().await, login().await, login().await);
    let pass = caller(&first, Role::Operator);
    let Credential::Cookie(cookie) = &first else { unreachable!() };
    rig.commands.end_login(cookie).await.unwrap();
    assert_eq!(end(&pass).await, PassEnd::CallerGone);
    let pass = caller(&second, Role::Operator);
    let change = weir_store::AccountChange { role: Some(Role::Viewer), ..Default::default() };
    rig.commands.update_account(person.id, None, change).await.unwrap();
    assert_eq!(end(&pass).await, PassEnd::RoleChanged);
    let pass = caller(&third, Role::Viewer);
    rig.commands.delete_account(person.id, None).await.unwrap();
    assert_eq!(end(&pass).await, PassEnd::CallerGone);
    assert_eq!(rig.store.account(admin.id).await.unwrap(), admin);
}

/// What `weir` does beside the running server is a change by another process, which nobody tells the server of.
#[tokio::test]
async fn changes_by_another_process_are_found() {
    let rig = Rig::start().await;
    let stream = rig.stream(false).await;
    let (key, secret) = rig.commands.create_api_key("a", Role::Viewer).await.unwrap();
    let follower = Pass::caller(&rig.commands, Credential::ApiKey(secret), Role::Viewer);
    let viewer = rig.playback.pass(stream.id, None, HERE);
    let other = open(&rig.dir).await;
    other.delete_api_key(key.id).await.unwrap();
    assert_eq!(end(&follower).await, PassEnd::CallerGone);
    other.update_stream(Stream { protected: true, ..stream }).await.unwrap();
    assert!(holds(&viewer).await, "not looked for yet");
    rig.commands.look_for_foreign_changes().await.unwrap();
    assert_eq!(end(&viewer).await, PassEnd::Protected);
}

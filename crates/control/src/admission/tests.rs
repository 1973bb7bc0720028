//! Who may publish and play, tested over a real store with nothing running.

use super::*;
use std::time::Duration;
use weir_model::{Platforms, SourceKind, Stream, StreamName};
use weir_observe::Observe;
use weir_store::{SealingKey, Store};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

struct Rig {
    _dir: tempfile::TempDir,
    commands: Commands,
    admission: Admission,
}

impl Rig {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(dir.path()).unwrap();
        let store = Store::open(&dir.path().join("weir.db"), &key).await.unwrap();
        let runtime = Runtime::new();
        let commands = Commands::new(store, Platforms::load().unwrap(), runtime.clone(), Observe::new()).await.unwrap();
        let admission = Admission::new(commands.clone(), runtime);
        Self { _dir: dir, commands, admission }
    }

    async fn stream(&self, name: &str, protected: bool) -> Stream {
        let draft = Stream { protected, ..Stream::draft(StreamName::new(name).unwrap()) };
        self.commands.create_stream(draft).await.unwrap()
    }

    async fn token(&self, stream: &Stream, ip: Option<IpAddr>) -> String {
        let made = self.commands.issue_play_token(stream.id, ip, Duration::from_secs(600)).await.unwrap();
        made.token.expose().to_owned()
    }
}

fn key_of(stream: &Stream) -> String {
    let SourceKind::Push { stream_key } = &stream.sources[0].kind else { unreachable!() };
    stream_key.expose().to_owned()
}

#[tokio::test]
async fn who_may_play() {
    let rig = Rig::start().await;
    let (open, closed) = (rig.stream("open", false).await, rig.stream("closed", true).await);
    let stopped = rig.stream("stopped", false).await;
    rig.commands.stop_stream(stopped.id).await.unwrap();
    let (free, bound, others) =
        (rig.token(&closed, None).await, rig.token(&closed, Some(HERE)).await, rig.token(&open, None).await);
    let revoked = rig.stream("revoked", true).await;
    let old = rig.token(&revoked, None).await;
    rig.commands.revoke_play_tokens(revoked.id).await.unwrap();
    for (name, token, ip, refusal) in [
        ("open", None, HERE, None),
        ("open", Some("junk"), HERE, None),
        ("closed", None, HERE, Some(AdmissionRefusal::Protected)),
        ("closed", Some(""), HERE, Some(AdmissionRefusal::Protected)),
        ("closed", Some(&*others), HERE, Some(AdmissionRefusal::Protected)),
        ("closed", Some(&*free), THERE, None),
        ("closed", Some(&*bound), HERE, None),
        ("closed", Some(&*bound), THERE, Some(AdmissionRefusal::Protected)),
        ("revoked", Some(&*old), HERE, Some(AdmissionRefusal::Protected)),
        ("stopped", None, HERE, Some(AdmissionRefusal::NoStream)),
        ("nobody", None, HERE, Some(AdmissionRefusal::NoStream)),
    ] {
        assert_eq!(rig.admission.may_play(name, token, ip).err(), refusal, "{name} with {token:?} from {ip}");
    }
    let wish = PlayWish { name: "open", rendition: None, token: None, ip: HERE };
    assert_eq!(rig.admission.would_play(&wish), Err(AdmissionRefusal::NotLive), "nothing runs here");
}

#[tokio::test]
async fn who_may_publish() {
    let rig = Rig::start().await;
    let (cam, stopped) = (rig.stream("cam", false).await, rig.stream("stopped", false).await);
    rig.commands.stop_stream(stopped.id).await.unwrap();
    for (key, answer) in [
        (key_of(&cam), Ok(cam.id)),
        (key_of(&stopped), Err(AdmissionRefusal::Stopped)),
        (String::new(), Err(AdmissionRefusal::UnknownKey)),
        ("cam".to_owned(), Err(AdmissionRefusal::UnknownKey)),
    ] {
        assert_eq!(rig.admission.may_publish(&key, HERE).map(|grant| grant.stream_id), answer, "{key}");
        assert_eq!(rig.admission.would_publish(&key, HERE).map(|grant| grant.stream_id), answer, "{key}");
    }
    let by = ("rtmp", WireClock::RTMP);
    let refusal = rig.admission.publish(&key_of(&cam), by, SocketAddr::new(HERE, 1)).await.err();
    assert_eq!(
        refusal,
        Some(AdmissionRefusal::NotRunning),
        "a stream that never begins is waited for, and not forever"
    );
}

#[tokio::test]
async fn an_address_that_guesses_keys_waits_and_nobody_else_does() {
    let rig = Rig::start().await;
    let (key, other_key) = (key_of(&rig.stream("cam1", false).await), key_of(&rig.stream("cam2", false).await));
    let elsewhere = rig.admission.clone();
    assert!(rig.admission.may_publish(&key, HERE).is_ok());
    for _ in 0..1_000 {
        let answer = rig.admission.may_publish("an old key in an encoder", HERE);
        assert_eq!(answer, Err(AdmissionRefusal::UnknownKey), "the same again is no guess");
    }
    for n in 0..100 {
        let _ = rig.admission.may_publish(&format!("guess{n}"), HERE);
    }
    assert_eq!(elsewhere.may_publish(&other_key, HERE), Err(AdmissionRefusal::Guessing), "a right one is not found");
    assert!(elsewhere.may_publish(&key, HERE).is_ok(), "who published before goes on");
    assert!(elsewhere.may_publish(&other_key, THERE).is_ok());
}

#[test]
fn refusals_can_be_told_apart() {
    let texts: std::collections::BTreeSet<String> = AdmissionRefusal::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), AdmissionRefusal::ALL.len());
}

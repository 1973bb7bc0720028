//! What was let in is sent away when what let it in is taken back: every cause against every kind of connection.

use crate::common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::{SOON, clip, weir};
use serde_json::{Value, json};
use weir_testkit::api::{TestStream, id_of};
use weir_testkit::player::Player;
use weir_testkit::publisher::Feed;
use weir_testkit::{Api, EventStream, Weir, wait_until};

/// The documents promise this.
const WITHIN: Duration = Duration::from_secs(5);

/// Connections that must go on are watched for so long after everything else has ended.
const GOES_ON: Duration = Duration::from_millis(500);

/// A stream with everything that can be connected to it.
struct Stage {
    stream: TestStream,
    feed: Feed,
    token: String,
    /// When the token ends, if there is one.
    expires: Instant,
    players: Vec<(&'static str, Player)>,
    /// A playlist that is followed, and a segment of it.
    files: Vec<(&'static str, String)>,
}

/// Whom a cause ends among those connected to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Viewers,
    Publisher,
    Both,
}

type Revoke = fn(&Api, &TestStream);

/// Each cause: `(name, whether the stream is protected and watched by a token, the token's life, what is done, whom it ends)`
const STREAM_CAUSES: [(&str, bool, u64, Revoke, Ends); 6] = [
    ("protected", false, 600, |api, stream| patch(api, stream, &json!({ "protected": true })), Ends::Viewers),
    ("expired", true, 8, |_, _| {}, Ends::Viewers),
    ("revoked", true, 600, |api, stream| done(api, stream, "tokens/revoke", 204), Ends::Viewers),
    ("deactivated", false, 600, |api, stream| patch(api, stream, &json!({ "active": false })), Ends::Both),
    (
        "deleted",
        true,
        600,
        |api, stream| {
            api.delete(&format!("/streams/{}", stream.id)).expect(204);
        },
        Ends::Both,
    ),
    ("rotated", false, 600, |api, stream| done(api, stream, "rotate-key", 200), Ends::Publisher),
];

fn patch(api: &Api, stream: &TestStream, change: &Value) {
    api.patch(&format!("/streams/{}", stream.id), change).expect(200);
}

fn done(api: &Api, stream: &TestStream, what: &str, status: u16) {
    api.post(&format!("/streams/{}/{what}", stream.id), &json!({})).expect(status);
}

fn get(url: &str) -> (u16, String) {
    let args = ["--silent", "--max-time", "10", "--write-out", "\n%{http_code}", url];
    let output = Command::new("curl").args(args).output().expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    (status.parse().unwrap_or(0), body.to_owned())
}

impl Stage {
    fn set(weir: &Weir, api: &Api, name: &str, protected: bool) -> Self {
        let stream = api.create_stream_with(name, &json!({ "protected": protected }));
        let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
        Self { stream, feed, token: String::new(), expires: Instant::now(), players: Vec::new(), files: Vec::new() }
    }

    /// Watches by every protocol once there is something to watch, with a token of so long a life where one is needed.
    fn watch(&mut self, weir: &Weir, protected: bool, token_life: u64) {
        if protected {
            let input = json!({ "expires_in_seconds": token_life });
            let token = weir.api().post(&format!("/streams/{}/tokens", self.stream.id), &input).expect(201);
            self.token = format!("?token={}", token["token"].as_str().unwrap());
            self.expires = Instant::now() + Duration::from_secs(token_life);
        }
        let name = format!("{}{}", self.stream.name, self.token);
        let rtmp = Player::rtmp(&weir.rtmp_address(), &name).expect("a player is let in");
        self.players = vec![("RTMP", rtmp), ("SRT", Player::srt(&weir.srt(), &name))];
        let base = format!("{}/play/{}", weir.http(), self.stream.name);
        let at = |file: &str| format!("{base}/{file}{}", self.token);
        wait_until("a segment is listed", SOON, || get(&at("source/video.m3u8")).1.contains("#EXTINF"));
        let playlist = get(&at("source/video.m3u8")).1;
        let segment = playlist.lines().rfind(|line| !line.starts_with('#')).expect("a segment");
        let segment = segment.split('?').next().unwrap_or_default();
        let segment = at(&format!("source/{segment}"));
        self.files = vec![("playlist", at("source/video.m3u8")), ("segment", segment), ("DASH", at("manifest.mpd"))];
        self.files.push(("thumbnail", at("thumbnail.jpg")));
        self.files.push(("MPEG-TS", at("ts/source/media.m3u8")));
        for (what, url) in self.files.iter().filter(|(what, _)| *what != "thumbnail") {
            wait_until(&format!("{what} of {} is served", self.stream.name), SOON, || get(url).0 == 200);
        }
        for (what, player) in &self.players {
            wait_until(&format!("{what} plays {}", self.stream.name), SOON, || player.bytes() > 0);
        }
    }

    /// What can still be watched.
    fn left(&self) -> Vec<&'static str> {
        let players = self.players.iter().filter(|(_, player)| !player.was_cut()).map(|(what, _)| *what);
        players
            .chain(self.files.iter().filter(|(_, url)| !matches!(get(url).0, 403 | 404)).map(|(what, _)| *what))
            .collect()
    }
}

#[test]
fn who_watches_or_publishes_is_sent_away_within_the_time_that_is_promised() {
    let weir = weir().set("srt.listen", "127.0.0.1:0").start();
    let api = weir.api();
    let follower = api.events(None);
    let mut stages: Vec<_> =
        STREAM_CAUSES.iter().map(|(name, protected, ..)| Stage::set(&weir, &api, name, *protected)).collect();
    for stage in &stages {
        api.wait_stream(&stage.stream, "live", SOON);
    }
    // The short token is made last, since its time runs.
    for short in [false, true] {
        for (stage, (name, protected, life, ..)) in stages.iter_mut().zip(STREAM_CAUSES) {
            if short == (name == "expired") {
                stage.watch(&weir, protected, life);
            }
        }
    }
    let begun = Instant::now();
    for (stage, (.., revoke, _)) in stages.iter().zip(STREAM_CAUSES) {
        revoke(&api, &stage.stream);
    }
    for (stage, (name, .., ends)) in stages.iter().zip(STREAM_CAUSES) {
        let from = if name == "expired" { stage.expires.max(begun) } else { begun };
        let limit = || (from + WITHIN).saturating_duration_since(Instant::now()) + GOES_ON;
        if ends != Ends::Publisher {
            wait_until(&format!("{name}: viewers are gone, not {:?}", stage.left()), limit(), || {
                stage.left().is_empty()
            });
        }
        if ends != Ends::Viewers {
            wait_until(&format!("{name}: the publisher is gone"), limit(), || stage.feed.was_cut());
        }
    }
    std::thread::sleep(GOES_ON);
    for (stage, (name, .., ends)) in stages.iter().zip(STREAM_CAUSES) {
        assert_eq!(stage.feed.was_cut(), ends != Ends::Viewers, "{name}: the publisher");
    }
    assert!(!follower.was_cut(), "who follows events was let in by something else");

    // What was rotated, stopped or revoked is open to the credentials that are right now.
    let revoked = &stages[2].stream;
    let token = api.post(&format!("/streams/{}/tokens", revoked.id), &json!({})).expect(201);
    let name = format!("{}?token={}", revoked.name, token["token"].as_str().unwrap());
    let player = Player::rtmp(&weir.rtmp_address(), &name).expect("a new token opens");
    wait_until("the new token plays", SOON, || player.bytes() > 0);
    for wrong in [revoked.name.clone(), format!("{}?token=junk", revoked.name), format!("revoked{}", stages[2].token)] {
        let refusal = Player::rtmp(&weir.rtmp_address(), &wrong).expect_err("no other token does");
        assert_eq!(refusal.code, "NetStream.Play.Failed");
    }
}

/// What a caller of the API follows.
struct Follower {
    name: &'static str,
    streams: Vec<EventStream>,
}

impl Follower {
    fn open(name: &'static str, api: &Api) -> Self {
        Self { name, streams: ["/events/stream", "/live"].map(|path| api.follow(path, None)).into() }
    }

    fn is_gone(&self) -> bool {
        self.streams.iter().all(EventStream::was_cut)
    }
}

#[test]
fn who_follows_events_is_sent_away_with_their_key_login_or_role() {
    let weir = weir().start();
    let api = weir.api();
    let key = |name: &str| {
        let made = api.post("/apikeys", &json!({ "name": name, "role": "viewer" })).expect(201);
        (id_of(&made), made["key"].as_str().unwrap().to_owned())
    };
    let person = |name: &str| {
        let body = json!({ "name": name, "password": "correct horse", "role": "operator" });
        id_of(&api.post("/users", &body).expect(201))
    };
    let (deleted, changed, kept) = (key("deleted"), key("changed"), key("kept"));
    let people = ["leaves", "fired", "lowered", "rekeyed"].map(person);
    let browser = |name: &str| api.logged_in(name, "correct horse");
    let leaving = browser("leaves");
    let followers = [
        Follower::open("a deleted key", &api.with_key(&deleted.1)),
        Follower::open("a key of another role", &api.with_key(&changed.1)),
        Follower::open("an ended login", &leaving),
        Follower::open("a deleted person", &browser("fired")),
        Follower::open("a person of another role", &browser("lowered")),
        Follower::open("a person whose password was changed", &browser("rekeyed")),
    ];
    let others = [Follower::open("another key", &api.with_key(&kept.1)), Follower::open("the admin", &api)];
    api.delete(&format!("/apikeys/{}", deleted.0)).expect(204);
    api.patch(&format!("/apikeys/{}", changed.0), &json!({ "role": "operator" })).expect(200);
    leaving.delete("/session").expect(204);
    api.delete(&format!("/users/{}", people[1])).expect(204);
    api.patch(&format!("/users/{}", people[2]), &json!({ "role": "viewer" })).expect(200);
    api.patch(&format!("/users/{}", people[3]), &json!({ "password": "another horse" })).expect(200);
    for follower in &followers {
        wait_until(&format!("{}: no longer followed", follower.name), WITHIN, || follower.is_gone());
    }
    for other in &others {
        assert!(other.streams.iter().all(|stream| !stream.was_cut()), "{} goes on", other.name);
    }
}

/// A key that the environment gave once is no longer valid when the environment gives another or none.
#[test]
fn the_key_of_an_earlier_environment_is_no_admin() {
    let folder = tempfile::tempdir().unwrap();
    let start = |key: &str| weir().data(folder.path()).env("WEIR_ADMIN_APIKEY", key).start();
    let (first, second) = ("first-key-of-the-environment", "second-key-of-the-environment");
    let mut server = start(first);
    let made = server.api().with_key(first).post("/apikeys", &json!({ "name": "mine", "role": "admin" })).expect(201);
    let mine = made["key"].as_str().unwrap().to_owned();
    server.stop(SOON);
    for (given, statuses) in [(second, [401, 200, 200]), ("", [401, 401, 200])] {
        let mut server = start(given);
        for (key, status) in [first, second, &mine].into_iter().zip(statuses) {
            assert_eq!(server.api().with_key(key).get("/apikeys").status, status, "{given:?} is given, {key} asks");
        }
        server.stop(SOON);
    }
}

//! Tests people: they are made, changed, limited and locked out, and it is known what they did.

use crate::common;

use common::{Answer, Api};
use serde_json::json;
use weir_model::Role;

/// A browser in which someone logged in.
struct Browser<'a> {
    api: &'a Api,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    async fn log_in(api: &'a Api, name: &str, password: &str) -> Result<Self, Answer> {
        let body = json!({"name": name, "password": password}).to_string();
        let answer = api.call("POST", "/session", Some(&body), &[]).await;
        if answer.status != 200 {
            return Err(answer);
        }
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        Ok(Self { api, cookie, csrf: answer.json()["csrf_token"].as_str().unwrap().to_owned() })
    }

    async fn call(&self, method: &str, path: &str, body: serde_json::Value) -> Answer {
        let headers = [("cookie", self.cookie.as_str()), ("x-csrf-token", self.csrf.as_str())];
        self.api.call(method, path, Some(&body.to_string()), &headers).await
    }

    async fn is_in(&self) -> bool {
        self.call("GET", "/session", json!({})).await.status == 200
    }
}

async fn with_admin() -> Api {
    let api = Api::start().await;
    api.context.store.create_account("admin", Role::Admin, &"first-password".into(), None).await.unwrap();
    api
}

#[tokio::test]
async fn made_read_changed_and_deleted() {
    let api = with_admin().await;
    let made = api.post("/users", json!({"name": "anna", "password": "anna-s secret", "role": "viewer"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!((made.header("location"), made.header("etag")), ("/api/v1/users/2", "\"1\""));
    assert!(!made.text.contains("secret"), "{}", made.text);
    assert_eq!(made.json()["restream_quota"], json!(null));
    let again = api.post("/users", json!({"name": "anna", "password": "another one", "role": "viewer"})).await;
    assert_eq!((again.status.as_u16(), again.json()["field"].clone()), (409, json!("name")));
    for (body, field) in [
        (json!({"name": "x", "password": "short", "role": "viewer"}), "password"),
        (json!({"name": "x", "password": "x".repeat(1025), "role": "viewer"}), "password"),
        (json!({"name": " ", "password": "long enough", "role": "viewer"}), "name"),
        (json!({"name": "x", "password": "long enough", "role": "king"}), "role"),
        (json!({"name": "x", "password": "long enough", "role": "viewer", "restream_quota": -1}), "restream_quota"),
    ] {
        let refused = api.post("/users", body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.json()["field"].clone()), (422, json!(field)), "{body}");
    }
    let changed = api.patch("/users/2", json!({"role": "operator", "restream_quota": 3, "name": "anne"})).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, "\"2\""));
    assert_eq!(api.get("/users/2").await.json()["restream_quota"], json!(3));
    let stale = api.call("DELETE", "/users/2", None, &[("authorization", &api.admin), ("if-match", "\"1\"")]).await;
    assert_eq!(stale.status, 412);
    let names = |list: Answer| -> Vec<String> {
        list.json()["items"].as_array().unwrap().iter().map(|u| u["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(api.get("/users").await), ["admin", "anne"]);
    assert_eq!(api.delete("/users/2").await.status, 204);
    assert_eq!(api.get("/users/2").await.status, 404);
    for refused in [api.delete("/users/1").await, api.patch("/users/1", json!({"role": "viewer"})).await] {
        assert_eq!((refused.status.as_u16(), refused.json()["code"].clone()), (409, json!("last_admin")));
    }
}

#[tokio::test]
async fn a_new_password_ends_logins_and_a_new_role_counts_at_once() {
    let api = with_admin().await;
    api.post("/users", json!({"name": "anna", "password": "first password", "role": "operator"})).await;
    let (here, there) = (
        Browser::log_in(&api, "anna", "first password").await.ok().unwrap(),
        Browser::log_in(&api, "anna", "first password").await.ok().unwrap(),
    );
    let change = |old: &str, new: &str| json!({"password": old, "new_password": new});
    assert_eq!(here.call("PATCH", "/session", change("wrong", "second password")).await.status, 422);
    assert_eq!(here.call("PATCH", "/session", change("first password", "short")).await.status, 422);
    assert_eq!(here.call("PATCH", "/session", change("first password", "second password")).await.status, 204);
    assert!(here.is_in().await && !there.is_in().await);
    assert_eq!(
        api.call(
            "PATCH",
            "/session",
            Some(r#"{"password":"a","new_password":"long enough"}"#),
            &[("authorization", &api.admin)]
        )
        .await
        .status,
        409
    );
    assert!(Browser::log_in(&api, "anna", "first password").await.is_err());

    assert_eq!(here.call("POST", "/streams", json!({"name": "one"})).await.status, 201);
    api.patch("/users/2", json!({"role": "viewer"})).await;
    assert_eq!(here.call("POST", "/streams", json!({"name": "two"})).await.status, 403);
    api.patch("/users/2", json!({"password": "third password"})).await;
    assert!(!here.is_in().await);
    let last = Browser::log_in(&api, "anna", "third password").await.ok().unwrap();
    api.delete("/users/2").await;
    assert!(!last.is_in().await);
}

#[tokio::test]
async fn quotas_bind_people_and_not_keys() {
    let api = with_admin().await;
    api.stream("cam1").await;
    let user = json!({"name": "anna", "password": "first password", "role": "operator", "restream_quota": 1});
    api.post("/users", user).await;
    let anna = Browser::log_in(&api, "anna", "first password").await.ok().unwrap();
    api.post("/destinations", json!({"name": "d", "platform": "generic-rtmp", "url": "rtmp://h/app"})).await;
    let restream = |name: &str| json!({"name": name, "stream_id": 1, "destination_id": 1, "stream_key": "key"});
    assert_eq!(anna.call("POST", "/restreams", restream("a")).await.status, 201);
    let refused = anna.call("POST", "/restreams", restream("b")).await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].clone()), (403, json!("quota")));
    assert_eq!(api.post("/restreams", restream("c")).await.status, 201, "a key has no quota");
    assert_eq!(anna.call("DELETE", "/restreams/1", json!({})).await.status, 204);
    assert_eq!(anna.call("POST", "/restreams", restream("b")).await.status, 201, "a deleted one does not count");
    api.patch("/users/2", json!({"restream_quota": null})).await;
    assert_eq!(anna.call("POST", "/restreams", restream("d")).await.status, 201);
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let api = with_admin().await;
    for _ in 0..5 {
        let wrong = Browser::log_in(&api, "admin", "guess").await.err().unwrap();
        assert_eq!(wrong.status, 401);
    }
    let locked = Browser::log_in(&api, "admin", "first-password").await.err().unwrap();
    assert_eq!((locked.status.as_u16(), locked.json()["code"].clone()), (429, json!("too_many_tries")));
    assert_eq!(locked.header("retry-after"), "1");
}

#[tokio::test]
async fn the_audit_says_who_did_what_and_no_secret() {
    let api = with_admin().await;
    let admin = Browser::log_in(&api, "admin", "first-password").await.ok().unwrap();
    api.stream("cam1").await;
    admin.call("POST", "/users", json!({"name": "anna", "password": "planted-secret", "role": "viewer"})).await;
    admin.call("GET", "/streams/1?reveal=true", json!({})).await;
    admin.call("PATCH", "/streams/99", json!({})).await;
    let seen = |list: &Answer| -> Vec<String> {
        let entry = |e: &serde_json::Value| {
            format!("{} {} {} {} {}", e["actor"], e["action"], e["subject"], e["outcome"], e["status"]).replace('"', "")
        };
        list.json()["items"].as_array().unwrap().iter().map(entry).collect()
    };
    let all = api.get("/audit").await;
    let expected = [
        "user:admin log_in session ok 200",
        "apikey:admin post streams/1 ok 201",
        "user:admin post users/2 ok 201",
        "user:admin reveal streams/1 ok 200",
        "user:admin patch streams/99 failed 404",
    ];
    assert_eq!(seen(&all), expected);
    let newest = api.get("/audit?newest_first=true&limit=1").await;
    assert_eq!(seen(&newest), expected[4..]);
    let cursor = newest.json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(seen(&api.get(&format!("/audit?newest_first=true&limit=1&cursor={cursor}")).await), expected[3..4]);
    assert_eq!(seen(&api.get("/audit?outcome=failed").await), expected[4..]);
    assert_eq!(seen(&api.get("/audit?actor=apikey:admin").await), expected[1..2]);
    assert_eq!(api.get("/audit?outcome=good").await.status, 400);
    for secret in ["planted-secret", "first-password"] {
        assert!(!all.text.contains(secret));
    }
}

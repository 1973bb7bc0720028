//! Tests who is let in, and how everything else is refused.

use crate::common;

use common::Api;
use serde_json::json;
use weir_api::{RawUriRule, router};
use weir_model::Role;
use weir_store::{AuditFilter, Outcome};

/// Calls every route of the description in every role, and without a key.
#[tokio::test]
async fn every_route_by_every_role() {
    let api = Api::start().await;
    let described: serde_json::Value = serde_json::from_str(&weir_api::openapi_json()).unwrap();
    let mut checked = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_ascii_uppercase();
            let open = ["/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"].contains(&path.as_str())
                || (method == "POST" && path == "/api/v1/session");
            if open || path.ends_with("/events/stream") || path.ends_with("/live") {
                continue;
            }
            let target = path.replace("{id}", "999");
            let call = async |auth: &[(&str, &str)]| api.call(&method, &target, Some("{}"), auth).await.status.as_u16();
            assert_eq!(call(&[]).await, 401, "{method} {path}");
            assert_eq!(call(&[("authorization", "apikey nonsense")]).await, 401);
            let within = |roots: &[&str]| roots.iter().any(|root| path.starts_with(&format!("/api/v1/{root}")));
            let admin_only = within(&["apikeys", "users", "audit", "webhooks"])
                || (within(&["destinations", "ladders", "system"]) && method != "GET");
            let reads = method == "GET" || path == "/api/v1/session";
            let viewer = call(&[("authorization", &api.viewer)]).await;
            assert_eq!(viewer == 403, admin_only || !reads, "{method} {path} as viewer: {viewer}");
            let operator = call(&[("authorization", &api.operator)]).await;
            assert_eq!(operator == 403, admin_only, "{method} {path} as operator: {operator}");
            let admin = call(&[("authorization", &api.admin)]).await;
            assert!(![401, 403, 405, 500].contains(&admin), "{method} {path} as admin: {admin}");
            checked += 1;
        }
    }
    assert!(checked > 25, "{checked}");
}

#[tokio::test]
async fn schemes() {
    let api = Api::start().await;
    let key = api.admin.strip_prefix("apikey ").unwrap().to_owned();
    for (value, status) in [
        (format!("apikey {key}"), 200),
        (format!("Apikey {key}"), 200),
        (format!("Bearer {key}"), 200),
        (format!("bearer  {key}"), 200),
        (format!("Basic {key}"), 401),
        (key.clone(), 401),
        ("apikey ".to_owned(), 401),
        (String::new(), 401),
    ] {
        let answer = api.call("GET", "/streams", None, &[("authorization", &value)]).await;
        assert_eq!(answer.status, status, "{value:?}");
    }
    let made = api.post("/apikeys", json!({"name": "ci", "role": "viewer"})).await;
    assert_eq!(made.status, 201);
    let key = format!("Bearer {}", made.json()["key"].as_str().unwrap());
    assert_eq!(api.call("GET", "/streams", None, &[("authorization", &key)]).await.status, 200);
    assert!(!api.get("/apikeys").await.text.contains("\"key\""));
    assert_eq!(api.delete(&format!("/apikeys/{}", made.json()["id"])).await.status, 204);
    assert_eq!(api.call("GET", "/streams", None, &[("authorization", &key)]).await.status, 401);
}

#[tokio::test]
async fn revealing_needs_operator_and_is_audited() {
    let api = Api::start().await;
    api.stream("cam1").await;
    let reveal = async |auth: &str| api.call("GET", "/streams/1?reveal=true", None, &[("authorization", auth)]).await;
    assert_eq!(reveal(&api.viewer).await.status, 403);
    assert_eq!(reveal(&api.operator).await.status, 200);
    let audit = api.context.store.audit(0, 100, false, &AuditFilter::default()).await.unwrap().items;
    let audit: Vec<_> = audit.into_iter().map(|entry| entry.what).collect();
    let seen: Vec<_> =
        audit.iter().map(|e| (e.actor.as_str(), e.action.as_str(), e.subject.as_str(), e.outcome)).collect();
    let expected = [
        ("apikey:admin", "post", "streams/1", Outcome::Ok),
        ("apikey:viewer", "get", "streams/1", Outcome::Denied),
        ("apikey:operator", "reveal", "streams/1", Outcome::Ok),
    ];
    assert_eq!(seen, expected);
}

/// An operator may not name an address anywhere in a restream, but may keep, start and stop what an admin put there.
#[tokio::test]
async fn an_address_of_ones_own_is_for_those_who_make_destinations() {
    let mut api = Api::start().await;
    api.stream("cam1").await;
    api.post("/destinations", json!({"name": "d", "platform": "generic-srt", "url": "srt://h:1"})).await;
    let raw = |name: &str| json!({"name": name, "stream_id": 1, "uri": "rtmp://h/app/key"});
    assert_eq!(api.post("/restreams", raw("raw")).await.status, 201);
    let saved = json!({"name": "saved", "stream_id": 1, "destination_id": 1, "stream_key": "key"});
    let with = |field: &str, value: &str| {
        let mut body = saved.clone();
        body["name"] = json!("new");
        body[field] = json!(value);
        body
    };
    let as_operator = async |api: &Api, method: &str, path: &str, body: &serde_json::Value| {
        api.call(method, path, Some(&body.to_string()), &[("authorization", &api.operator)]).await
    };
    assert_eq!(as_operator(&api, "POST", "/restreams", &saved).await.status, 201);
    for (method, path, body, field) in [
        ("POST", "/restreams", raw("new"), "uri"),
        ("POST", "/restreams", json!({"name": "new", "stream_id": 1, "stream_key": "Srt://h:1"}), "uri"),
        ("POST", "/restreams", with("stream_key", " srt://h:1"), "stream_key"),
        ("POST", "/restreams", with("backup_uri", "rtmp://h/app/key"), "backup_uri"),
        ("PATCH", "/restreams/1", json!({"uri": "rtmp://other/app/key"}), "uri"),
        ("PATCH", "/restreams/1", json!({"stream_key": "rtmp://other/app/key"}), "uri"),
        ("PATCH", "/restreams/1", json!({"backup_uri": "rtmp://other/app/key"}), "backup_uri"),
        ("PATCH", "/restreams/2", json!({"stream_key": "srt://other:1"}), "stream_key"),
        ("PATCH", "/restreams/2", json!({"uri": "rtmp://other/app/key"}), "uri"),
    ] {
        let refused = as_operator(&api, method, path, &body).await;
        assert_eq!(refused.status, 403, "{method} {path} {body}: {}", refused.text);
        let problem = refused.json();
        assert_eq!((&problem["code"], &problem["field"]), (&json!("forbidden"), &json!(field)), "{body}");
        assert!(problem["detail"].as_str().unwrap().contains("use a destination"), "{problem}");
    }
    for (path, body) in [
        ("/restreams/1", json!({"name": "renamed", "uri": "rtmp://h/app/key"})),
        ("/restreams/1", json!({"destination_id": 1, "stream_key": "key"})),
        ("/restreams/2", json!({"stream_key": "another"})),
    ] {
        assert_eq!(as_operator(&api, "PATCH", path, &body).await.status, 200, "{path} {body}");
    }
    api.context.raw_uris = RawUriRule::OPERATOR;
    api.router = router(api.context.clone());
    assert_eq!(as_operator(&api, "POST", "/restreams", &raw("new")).await.status, 201);
}

#[tokio::test]
async fn everything_else_is_a_problem() {
    let api = Api::start().await;
    let auth: &[(&str, &str)] = &[("authorization", &api.admin)];
    let text: &[(&str, &str)] = &[("authorization", &api.admin), ("content-type", "text/plain")];
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(1024 * 1024));
    for (method, path, body, headers, status, code) in [
        ("GET", "/nothing", None, auth, 404, "not_found"),
        ("GET", "/streams/abc", None, auth, 404, "not_found"),
        ("GET", "/streams/99", None, auth, 404, "not_found"),
        ("PUT", "/streams", None, auth, 405, "method_not_allowed"),
        ("PUT", "/streams", None, &[], 405, "method_not_allowed"),
        ("POST", "/streams", Some("{"), auth, 400, "malformed"),
        ("POST", "/streams", Some("{\"name\":\"a\"} {"), auth, 400, "malformed"),
        ("POST", "/streams", Some(huge.as_str()), auth, 413, "too_large"),
        ("GET", "/streams", None, &[], 401, "unauthorized"),
        ("GET", "/events?since=x", None, auth, 400, "malformed"),
        ("GET", "/events?limit=0", None, auth, 422, "invalid"),
        ("GET", "/events?since=9223372036854775808", None, auth, 422, "invalid"),
        ("GET", "/events/stream?since=9223372036854775808", None, auth, 422, "invalid"),
        ("POST", "/streams", Some("{\"name\":\"a\"}"), text, 415, "unsupported_media_type"),
    ] {
        let answer = api.call(method, path, body, headers).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert_eq!(answer.json()["code"], code, "{method} {path}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let keyed: &[(&str, &str)] = &[("authorization", &api.admin), ("idempotency-key", "k")];
    assert_eq!(api.call("POST", "/streams", Some(&huge), keyed).await.status, 413);
}

#[tokio::test]
async fn browsers_log_in() {
    let api = Api::start().await;
    api.context.store.create_account("admin", Role::Admin, &"planted-password".into(), None).await.unwrap();
    let log_in = async |password: &str| {
        let body = json!({"name": "admin", "password": password}).to_string();
        api.call("POST", "/session", Some(&body), &[]).await
    };
    let wrong = log_in("wrong").await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["code"].clone()), (401, json!("bad_credentials")));
    let session = log_in("planted-password").await;
    assert_eq!(session.status, 200, "{}", session.text);
    let set = session.header("set-cookie").to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let csrf = session.json()["csrf_token"].as_str().unwrap().to_owned();
    assert_eq!(session.json()["user"], json!({"id": 1, "name": "admin", "role": "admin", "may_use_raw_uris": true}));

    let with = |csrf: &'static str| [("cookie", cookie.clone()), ("x-csrf-token", csrf.to_owned())];
    let call = async |method: &str, path: &str, body: Option<&str>, headers: &[(&str, String)]| {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        api.call(method, path, body, &headers).await
    };
    assert_eq!(call("GET", "/session", None, &with("")).await.json()["csrf_token"], json!(csrf));
    let body = Some(r#"{"name":"cam1"}"#);
    assert_eq!(call("POST", "/streams", body, &[("cookie", cookie.clone())]).await.status, 403);
    assert_eq!(call("POST", "/streams", body, &with("wrong")).await.status, 403);
    let right = [("cookie", cookie.clone()), ("x-csrf-token", csrf)];
    assert_eq!(call("POST", "/streams", body, &right).await.status, 201);
    assert_eq!(call("DELETE", "/session", None, &right).await.status, 204);
    assert_eq!(call("GET", "/session", None, &right).await.status, 401);
}

#[tokio::test]
async fn health_without_a_key() {
    let api = Api::start().await;
    let status = async |path: &str| api.call("GET", path, None, &[]).await.status.as_u16();
    assert_eq!((status("/healthz").await, status("/readyz").await), (200, 200));
    assert_eq!(status("/api/v1/openapi.json").await, 200);
    let closed = Api::start().await.with(|context| context.metrics_need_key = true);
    assert_eq!(closed.call("GET", "/metrics", None, &[]).await.status, 401);
    assert_eq!(closed.call("GET", "/metrics", None, &[("authorization", &closed.viewer)]).await.status, 200);
    let metrics = api.call("GET", "/metrics", None, &[]).await;
    assert!(metrics.header("content-type").starts_with("text/plain"), "{}", metrics.text);
    api.context.readiness.drain();
    assert_eq!((status("/healthz").await, status("/readyz").await), (200, 503));
    let system = api.get("/system").await.json();
    assert!(system["version"].is_string() && system["uptime_seconds"].as_f64().unwrap() >= 0.0);
    assert!(system["disk"]["available_bytes"].as_u64().unwrap() > 0 && system["cpu_cores"].as_u64().unwrap() > 0);
    assert_eq!(api.stream("cam1").await, 1);
    assert_eq!(api.get("/streams/1/thumbnail.jpg").await.status, 404, "nothing has been shown");
}

//! Tests that the description is true: whatever an operation is asked, rightly or wrongly, it answers what its description names.

use crate::common;

use std::collections::BTreeSet;

use common::{Answer, Api};
use serde_json::{Value, json};
use weir_model::Role;

/// The answers of event streams never end, so only their refusals are checked.
const ENDLESS: [&str; 2] = ["/api/v1/events/stream", "/api/v1/live"];

/// This one is left out, because it takes seconds.
const PROOF: &str = "/api/v1/system/prove";

fn check(name: &str, described: &Value, operation: &Value, answer: &Answer) {
    let status = answer.status.as_str();
    let response = &operation["responses"][status];
    let named = response["$ref"].as_str().and_then(|name| name.rsplit('/').next());
    let response = named.map_or(response, |name| &described["components"]["responses"][name]);
    assert!(!response.is_null(), "{name} answers {status}, which is not described: {}", answer.text);
    let kind = answer.header("content-type").split(';').next().unwrap_or_default();
    let kinds: BTreeSet<&str> =
        response["content"].as_object().map(|content| content.keys().map(String::as_str).collect()).unwrap_or_default();
    assert!(
        kinds.contains(kind) || kind.is_empty() && kinds.is_empty(),
        "{name} {status} is {kind:?}, described as {kinds:?}"
    );
}

/// Calls each operation with a wrong key, in the lowest role and as an admin, with everything in it that can be wrong.
#[tokio::test]
async fn every_answer_is_described() {
    let api = Api::start().await;
    api.stream("cam1").await;
    let described: Value = serde_json::from_str(&weir_api::openapi_json()).unwrap();
    let mut asked = 0;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_ascii_uppercase();
            let is_endless = ENDLESS.contains(&path.as_str());
            if path == PROOF {
                continue;
            }
            // Each operation gets keys of its own, because a call may delete any other key.
            let key = async |role: Role| {
                let (_, key) = api
                    .context
                    .store
                    .create_api_key(&format!("{} {method} {path}", role.as_str()), role)
                    .await
                    .unwrap();
                format!("apikey {}", key.expose())
            };
            let (admin, viewer) = (key(Role::Admin).await, key(Role::Viewer).await);
            // These ids are found, not found, no number at all, and the largest number.
            let ids = if path.contains('{') { &["1", "999", "x", "9223372036854775808"][..] } else { &[""] };
            for id in ids {
                let target = path.replace("{id}", id);
                let name = format!("{method} {target}");
                let call = async |query: &str, body: Option<&str>, headers: &[(&str, &str)]| {
                    api.call(&method, &format!("{target}{query}"), body, headers).await
                };
                for key in ["apikey nonsense", &viewer] {
                    if !is_endless || key != viewer {
                        check(&name, &described, operation, &call("", None, &[("authorization", key)]).await);
                        asked += 1;
                    }
                }
                let admin = ("authorization", admin.as_str());
                let json = ("content-type", "application/json");
                let mut tries = vec![
                    ("?since=x&limit=0&reveal=x&newest_first=x&stream_id=x&before=x", None, vec![admin]),
                    ("?since=9223372036854775808&limit=501&cursor=x", None, vec![admin]),
                    ("?cursor=-1", None, vec![admin]),
                ];
                if !operation["requestBody"].is_null() {
                    tries.extend([
                        ("", Some("{"), vec![admin, json]),
                        ("", Some("{\"nonsense\":1}"), vec![admin, json]),
                        ("", Some("[]"), vec![admin, json]),
                        ("", Some("{}"), vec![admin, ("content-type", "text/plain")]),
                    ]);
                }
                tries.extend([
                    ("", Some("{}"), vec![admin, json, ("if-match", "\"99\"")]),
                    ("", Some("{}"), vec![admin, json, ("idempotency-key", "one for all")]),
                    ("", Some("{}"), vec![admin, json]),
                ]);
                for (query, body, headers) in tries {
                    let is_refused = is_endless && query.contains("since=x") || query.contains("since=9");
                    if !is_endless || is_refused && path.ends_with("/stream") {
                        let answer = call(query, body, &headers).await;
                        check(&format!("{name}{query} {body:?}"), &described, operation, &answer);
                        asked += 1;
                    }
                }
            }
        }
    }
    assert!(asked > 500, "{asked}");
}

#[tokio::test]
async fn codes_and_types_are_enumerations() {
    let described: Value = serde_json::from_str(&weir_api::openapi_json()).unwrap();
    let schemas = &described["components"]["schemas"];
    for (schema, value) in [
        ("ReasonCode", json!("auth_rejected")),
        ("WarningCode", json!("gop_too_long")),
        ("EventType", json!("stream_state")),
    ] {
        let names = schemas[schema]["enum"].as_array().unwrap_or_else(|| panic!("{schema} is no enumeration"));
        assert!(names.contains(&value), "{schema}: {names:?}");
    }
}

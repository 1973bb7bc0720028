//! Tests what is written down of refusals: who, from where, how often, and never more than a little.

use crate::common;

use common::Api;
use serde_json::{Value, json};
use weir_model::Role;

async fn items(api: &Api, query: &str) -> Vec<Value> {
    api.get(&format!("/audit?limit=500{query}")).await.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn failed_logins_and_guessed_keys_are_counted_in_one_line() {
    let api = Api::start().await;
    api.context.store.create_account("anna", Role::Admin, &"planted-password".into(), None).await.unwrap();
    let log_in = async |name: &str, password: &str| {
        let body = json!({ "name": name, "password": password }).to_string();
        api.call("POST", "/session", Some(&body), &[]).await.status.as_u16()
    };
    for _ in 0..3 {
        assert_eq!(log_in("anna", "planted-wrong").await, 401);
        assert_eq!(log_in("planted-typed-as-name", "planted-wrong").await, 401);
        for id in [1, 2] {
            let guess = [("authorization", "apikey planted-guess")];
            assert_eq!(api.call("GET", &format!("/streams/{id}"), None, &guess).await.status, 401);
        }
    }
    assert_eq!(log_in("anna", "planted-password").await, 200);
    // This is a browser whose login is over, so it shows neither key nor cookie.
    assert_eq!(api.call("GET", "/streams", None, &[]).await.status, 401);

    let all = items(&api, "").await;
    assert!(!json!(all).to_string().contains("planted"));
    let seen: Vec<Value> = all
        .iter()
        .map(|e| json!([e["actor"], e["action"], e["subject"], e["outcome"], e["status"], e["count"]]))
        .collect();
    // The tries of one kind within a minute share a line, but a minute may begin between them.
    let expected = [
        json!(["user:anna", "log_in", "session", "denied", 401, 3]),
        json!(["unknown", "log_in", "session", "denied", 401, 3]),
        json!(["unknown", "get", "streams/{id}", "denied", 401, 6]),
        json!(["user:anna", "log_in", "session", "ok", 200, 1]),
    ];
    if seen.len() == expected.len() {
        assert_eq!(seen, expected);
    } else {
        let total = |action: &str, outcome: &str| -> i64 {
            let fits = |e: &&Value| e["action"] == action && e["outcome"] == outcome;
            all.iter().filter(fits).map(|e| e["count"].as_i64().unwrap()).sum()
        };
        assert_eq!((total("log_in", "denied"), total("get", "denied"), seen.len() <= 7), (6, 6, true), "{seen:?}");
    }
}

#[tokio::test]
async fn nobody_can_fill_the_disk_with_refusals() {
    let api = Api::start().await;
    // An operator's key is in the wrong hands, which try everything that there is.
    for id in 0..300 {
        let refused =
            api.call("DELETE", &format!("/destinations/{id}"), None, &[("authorization", &api.operator)]).await;
        assert_eq!(refused.status, 403);
    }
    let all = items(&api, "&outcome=denied").await;
    assert!((65..=130).contains(&all.len()), "{}: 64 kinds a minute, and one line for the rest", all.len());
    let counted: i64 = all.iter().map(|e| e["count"].as_i64().unwrap()).sum();
    assert_eq!(counted, 300);
    let rest = all.iter().find(|e| e["action"] == "more").unwrap();
    assert_eq!((&rest["actor"], &rest["address"]), (&json!("unknown"), &Value::Null));
}

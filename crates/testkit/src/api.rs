//! A small client of the server's API: it gives every answer with its status, and waits for states.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Response;
use ureq::{Body, Error};

use crate::{EventStream, wait_until_some};

/// No call of the API may take longer than this, whatever the destinations do.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Makes calls with one API key, or as a browser in which somebody logged in.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    /// The header that identifies the caller, and its value, which is empty for nobody.
    credential: (&'static str, String),
    /// The token that a browser sends beside its cookie, with every change.
    csrf_token: String,
    agent: Agent,
}

/// The status and body of one answer. The body is null where there is none, and a text where it is not JSON.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub took: Duration,
}

/// A stream as a test needs it.
#[derive(Clone, Debug)]
pub struct TestStream {
    pub id: i64,
    pub name: String,
    pub stream_key: String,
}

impl Api {
    /// A client of the server at `base`: `http://HOST:PORT`.
    pub fn new(base: &str, api_key: &str) -> Self {
        let agent =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(CALL_LIMIT)).build().new_agent();
        Self { base: base.to_owned(), credential: by_key(api_key), csrf_token: String::new(), agent }
    }

    /// A client of the same server with another key; an empty one sends no `Authorization` at all.
    pub fn with_key(&self, api_key: &str) -> Self {
        Self { credential: by_key(api_key), ..self.clone() }
    }

    /// A client of the same server as a browser in which this person logged in.
    #[track_caller]
    pub fn logged_in(&self, name: &str, password: &str) -> Self {
        let body = json!({ "name": name, "password": password }).to_string();
        let request = self.agent.post(&self.url("/session")).header("content-type", "application/json");
        let mut answer = request.send(body).unwrap_or_else(|error| panic!("log in: {error}"));
        let cookie = answer.headers().get("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"));
        let cookie = cookie.to_str().expect("a cookie is text").split(';').next().unwrap_or_default().to_owned();
        let said: Value = serde_json::from_reader(answer.body_mut().as_reader()).expect("JSON");
        let csrf_token = said["csrf_token"].as_str().unwrap_or_default().to_owned();
        Self { credential: ("cookie", cookie), csrf_token, ..self.clone() }
    }

    /// Fetches `path` below `/api/v1`, or from the root where it begins with two slashes (`//metrics`).
    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body.to_string()))
    }

    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call("PATCH", path, Some(body.to_string()))
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None)
    }

    pub fn put_png(&self, path: &str, png: &[u8]) -> Answer {
        let (url, start) = (self.url(path), Instant::now());
        let request = self.agent.put(&url).header(self.credential.0, &self.credential.1);
        let outcome = request.header("content-type", "image/png").send(png);
        answer(&url, outcome, start)
    }

    /// Sends a body as it is, valid JSON or not.
    pub fn call(&self, method: &str, path: &str, body: Option<String>) -> Answer {
        let url = self.url(path);
        let start = Instant::now();
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        if !self.credential.1.is_empty() {
            request = request.header(self.credential.0, &self.credential.1).header("x-csrf-token", &self.csrf_token);
        }
        let outcome = match body {
            Some(body) => self
                .agent
                .run(request.header("content-type", "application/json").body(body).expect("a well-formed request")),
            None => self.agent.run(request.body(()).expect("a well-formed request")),
        };
        answer(&url, outcome, start)
    }

    fn url(&self, path: &str) -> String {
        match path.strip_prefix("//") {
            Some(from_root) => format!("{}/{from_root}", self.base),
            None => format!("{}/api/v1{path}", self.base),
        }
    }

    /// Follows the events from now on, or those after the event `since`.
    pub fn events(&self, since: Option<i64>) -> EventStream {
        self.follow("/events/stream", since)
    }

    /// Follows any stream of server-sent events.
    pub fn follow(&self, path: &str, since: Option<i64>) -> EventStream {
        EventStream::open(&self.url(path), (self.credential.0, &self.credential.1), since)
    }

    #[track_caller]
    pub fn create_stream(&self, name: &str) -> TestStream {
        self.create_stream_with(name, &json!({}))
    }

    #[track_caller]
    pub fn create_stream_with(&self, name: &str, extra: &Value) -> TestStream {
        let mut body = json!({ "name": name });
        for (key, value) in extra.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let stream = self.post("/streams", &body).expect(201);
        // Only the answer to POST shows the full key, which ends the push URL.
        let push_url =
            stream["push_urls"]["primary"]["rtmp"].as_str().unwrap_or_else(|| panic!("no push URL: {stream}"));
        let stream_key = push_url.rsplit('/').next().unwrap_or_default().to_owned();
        TestStream { id: id_of(&stream), name: name.to_owned(), stream_key }
    }

    /// Creates an active restream to a one-line URL.
    #[track_caller]
    pub fn create_restream(&self, stream: &TestStream, name: &str, uri: &str) -> i64 {
        self.create_restream_with(stream, name, &json!({ "uri": uri }))
    }

    #[track_caller]
    pub fn create_restream_with(&self, stream: &TestStream, name: &str, extra: &Value) -> i64 {
        let mut body = json!({ "name": name, "active": true, "stream_id": stream.id });
        for (key, value) in extra.as_object().expect("an object") {
            body[key] = value.clone();
        }
        id_of(&self.post("/restreams", &body).expect(201))
    }

    #[track_caller]
    pub fn restream_status(&self, id: i64) -> Value {
        self.get(&format!("/restreams/{id}")).expect(200)["status"].clone()
    }

    #[track_caller]
    pub fn stream_status(&self, stream: &TestStream) -> Value {
        self.get(&format!("/streams/{}", stream.id)).expect(200)["status"].clone()
    }

    /// Waits for a restream's state and returns its whole status.
    #[track_caller]
    pub fn wait_restream(&self, id: i64, state: &str, limit: Duration) -> Value {
        self.wait_restream_where(id, &format!("is {state}"), limit, |status| status["state"] == state)
    }

    #[track_caller]
    pub fn wait_restream_where(&self, id: i64, what: &str, limit: Duration, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = String::new();
        let what = format!("restream {id} {what}");
        wait_until_some(&what, limit, || {
            let status = self.restream_status(id);
            let shown = format!("restream {id}: {} {}", status["state"], status["reason"]);
            if shown != last {
                // When the test fails, this shows how it came to that.
                eprintln!("{shown}");
                last = shown;
            }
            holds(&status).then_some(status)
        })
    }

    #[track_caller]
    pub fn wait_stream(&self, stream: &TestStream, state: &str, limit: Duration) -> Value {
        let what = format!("stream {} is {state}", stream.name);
        wait_until_some(&what, limit, || {
            let status = self.stream_status(stream);
            (status["state"] == state).then_some(status)
        })
    }
}

impl Answer {
    /// The body, where the status is the expected one; otherwise the test fails.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

fn by_key(api_key: &str) -> (&'static str, String) {
    ("authorization", if api_key.is_empty() { String::new() } else { format!("apikey {api_key}") })
}

#[track_caller]
pub fn id_of(resource: &Value) -> i64 {
    resource["id"].as_i64().unwrap_or_else(|| panic!("no id in {resource}"))
}

#[track_caller]
fn answer(url: &str, outcome: Result<Response<Body>, Error>, start: Instant) -> Answer {
    let mut response = outcome.unwrap_or_else(|error| panic!("{url}: {error}"));
    // The bytes of a picture are no text, but nobody compares those here.
    let bytes = response.body_mut().read_to_vec().unwrap_or_else(|error| panic!("{url}: {error}"));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
    Answer { status: response.status().as_u16(), body, took: start.elapsed() }
}

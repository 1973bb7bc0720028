//! Writes down what was done, and what was refused and from where. What strangers can repeat at will is one line with a number.

use crate::auth::Caller;
use crate::context::App;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;
use weir_origin::Peer;
use weir_store::{AuditDraft, Outcome, Store, StoreError};

/// How many different refusals within a minute have a line of their own; the rest share one. 65 lines a minute of 150 bytes are 14 MB a
/// day, of which the store keeps the newest 10,000.
const REFUSALS_A_MINUTE: usize = 64;

/// Repetitions are counted here and written at most this often. They are also written before somebody reads them, and at the end.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// The most characters of a subject. The caller may choose any path; ours are shorter.
const SUBJECT_CHARS_MAX: usize = 200;

/// This POST changes nothing, and a form sends it with every pause in typing.
const ASKS_ONLY: &str = "/api/v1/restreams/check";

/// The actor who is not known.
const UNKNOWN: &str = "unknown";

/// Whom an answer was for, and what was really done, as the handler knows it. It travels in the answer's extensions.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) actor: Option<String>,
    /// If there is none, the action is the method in small letters.
    pub(crate) action: Option<&'static str>,
}

/// A clone shares the store and the counts.
#[derive(Debug, Clone)]
pub struct AuditTrail {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    refusals: Mutex<Refusals>,
}

/// The refusals of this minute.
#[derive(Debug)]
struct Refusals {
    minute: i64,
    alike: HashMap<AuditDraft, Alike>,
    written_at: Instant,
}

#[derive(Debug)]
struct Alike {
    id: i64,
    /// Repetitions that are counted and not written yet.
    more: u32,
}

impl AuditTrail {
    pub fn new(store: Store) -> Self {
        let refusals = Refusals { minute: 0, alike: HashMap::new(), written_at: Instant::now() };
        Self { shared: Arc::new(Shared { store, refusals: Mutex::new(refusals) }) }
    }

    /// Records one entry. Returns when it is on disk, or for a repeated refusal when it is counted.
    pub(crate) async fn record(&self, what: AuditDraft) -> Result<(), StoreError> {
        if what.outcome == Outcome::Ok {
            return self.shared.store.record_audit(what).await.map(drop);
        }
        let mut refusals = self.shared.refusals.lock().await;
        let minute = OffsetDateTime::now_utc().unix_timestamp().div_euclid(60);
        if refusals.minute != minute {
            self.write(&mut refusals).await?;
            refusals.alike.clear();
            refusals.minute = minute;
        }
        let full = refusals.alike.len() >= REFUSALS_A_MINUTE;
        let what = if full && !refusals.alike.contains_key(&what) { rest_of_the_minute() } else { what };
        match refusals.alike.get_mut(&what) {
            Some(alike) => alike.more = alike.more.saturating_add(1),
            None => {
                let id = self.shared.store.record_audit(what.clone()).await?;
                refusals.alike.insert(what, Alike { id, more: 0 });
            }
        }
        if refusals.written_at.elapsed() >= WRITE_EVERY { self.write(&mut refusals).await } else { Ok(()) }
    }

    /// Writes what is only counted yet. This is called before somebody reads, and before the end.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let mut refusals = self.shared.refusals.lock().await;
        self.write(&mut refusals).await
    }

    async fn write(&self, refusals: &mut Refusals) -> Result<(), StoreError> {
        let counted = |alike: &Alike| (alike.more > 0).then_some((alike.id, alike.more));
        let more: Vec<(i64, u32)> = refusals.alike.values().filter_map(counted).collect();
        refusals.written_at = Instant::now();
        if more.is_empty() {
            return Ok(());
        }
        self.shared.store.add_to_audit(&more).await?;
        refusals.alike.values_mut().for_each(|alike| alike.more = 0);
        Ok(())
    }
}

fn rest_of_the_minute() -> AuditDraft {
    AuditDraft {
        actor: UNKNOWN.to_owned(),
        action: "more".to_owned(),
        subject: "refused requests of many kinds".to_owned(),
        outcome: Outcome::Denied,
        status: None,
        address: None,
    }
}

/// The address of whoever asks, as the audit writes it.
pub(crate) fn address_of(ip: IpAddr) -> String {
    ip.to_canonical().to_string()
}

/// Records what became of a request: every change, and everything that was refused to a caller who showed a key.
pub(crate) async fn audited(State(app): State<App>, path: MatchedPath, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let subject = request.uri().path();
    let subject: String = subject.strip_prefix("/api/v1/").unwrap_or(subject).chars().take(SUBJECT_CHARS_MAX).collect();
    let address = request.extensions().get::<Peer>().map(|Peer(ip)| address_of(*ip));
    let showed_key = request.headers().contains_key(header::AUTHORIZATION);
    let response = next.run(request).await;

    let status = response.status();
    let outcome = outcome_of(status);
    let deed = response.extensions().get::<Deed>();
    let actor = deed.and_then(|deed| deed.actor.clone());
    let changes = !matches!(method, Method::GET | Method::HEAD) && path.as_str() != ASKS_ONLY;
    let worth = match (&actor, outcome) {
        (Some(_), Outcome::Denied) => true,
        (Some(_), Outcome::Ok | Outcome::Failed) => changes,
        // The caller guessed at a key, or at a password. Others without a key have only lost their way.
        (None, Outcome::Denied) => showed_key || deed.is_some_and(|deed| deed.action.is_some()),
        (None, Outcome::Ok | Outcome::Failed) => false,
    };
    if !worth {
        return response;
    }
    let action = deed.and_then(|deed| deed.action).map_or_else(|| method.as_str().to_ascii_lowercase(), str::to_owned);
    let subject = match (&actor, made_at(&response)) {
        (_, Some(made)) => made,
        (Some(_), None) => subject,
        // Guessed keys are told by where they come from, not by what they were tried on.
        (None, None) => path.as_str().strip_prefix("/api/v1/").unwrap_or(path.as_str()).to_owned(),
    };
    let actor = actor.unwrap_or_else(|| UNKNOWN.to_owned());
    let what = AuditDraft { actor, action, subject, outcome, status: Some(status.as_u16()), address };
    if let Err(error) = app.api.audit.record(what.clone()).await
        && outcome == Outcome::Ok
    {
        // The change is made and acknowledged, so an audit that can't be written must at least be seen. Refusals are not logged here: there
        // may be thousands, and another line says that the database can't be written.
        tracing::error!(%error, actor = what.actor, action = what.action, subject = what.subject, "could not record the audit");
    }
    response
}

fn outcome_of(status: StatusCode) -> Outcome {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => Outcome::Denied,
        status if status.is_client_error() || status.is_server_error() => Outcome::Failed,
        _ => Outcome::Ok,
    }
}

/// The subject of what was made, such as `streams/7`, if the answer says that something was.
fn made_at(response: &Response) -> Option<String> {
    if response.status() != StatusCode::CREATED {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    location.strip_prefix("/api/v1/").map(str::to_owned)
}

/// Records that secrets are about to be shown. The caller has been let in already.
pub(crate) async fn record_reveal(app: &App, caller: &Caller, subject: String) -> Result<(), StoreError> {
    let what = AuditDraft {
        actor: caller.actor.clone(),
        action: "reveal".to_owned(),
        subject,
        outcome: Outcome::Ok,
        status: Some(StatusCode::OK.as_u16()),
        address: caller.remote.map(address_of),
    };
    app.api.audit.record(what).await
}

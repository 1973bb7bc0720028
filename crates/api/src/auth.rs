//! Finds out who is calling: an API key, or a browser by its cookie and a token against cross-site requests.

use crate::audit_trail::Deed;
use crate::context::App;
use crate::problem::Problem;
use crate::rules::{Access, access};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;
use subtle::ConstantTimeEq;
use weir_control::{Credential, Pass, Who};
use weir_model::{Role, Secret, UserId};
use weir_observe::{RefusalKind, RefusalReport};
use weir_origin::Peer;

pub(crate) const COOKIE: &str = "weir_session";
const CSRF_HEADER: &str = "x-csrf-token";

/// The caller whom a request was let in for.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// `apikey:name` or `user:name`, which is what the audit writes.
    pub(crate) actor: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    /// API keys have none.
    pub(crate) user_id: Option<UserId>,
    /// What the caller showed. A caller who stays connected is checked by it again.
    pub(crate) credential: Credential,
    pub(crate) remote: Option<IpAddr>,
}

impl Caller {
    /// The cookie, if a browser called.
    pub(crate) fn cookie(&self) -> Option<&Secret> {
        match &self.credential {
            Credential::Cookie(cookie) => Some(cookie),
            Credential::ApiKey(_) => None,
        }
    }

    /// The pass by which a connection of this caller may go on, if it lasts.
    pub(crate) fn pass(&self, app: &App) -> Pass {
        Pass::caller(&app.api.commands, self.credential.clone(), self.role)
    }

    pub(crate) fn require(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            Ok(())
        } else {
            Err(Problem::forbidden(format!("this needs the role {}", role.as_str())))
        }
    }
}

/// Lets a request in by the table of rules, and tells the handler whom it is for.
pub(crate) async fn authenticate(
    State(app): State<App>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(rule) = access(request.method(), path.as_str()) else {
        return Problem::method_not_allowed().into_response();
    };
    let role = match rule {
        Access::Open => None,
        Access::AtLeast(role) => Some(role),
        Access::Metrics => app.api.metrics_need_key.then_some(Role::Viewer),
    };
    let Some(role) = role else { return next.run(request).await };
    let remote = request.extensions().get::<Peer>().map(|Peer(ip)| *ip);
    let caller = match identify(&app, request.headers(), remote).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let deed = Deed { actor: Some(caller.actor.clone()), action: None };
    let mut response = match let_in(&caller, request.method(), request.headers(), role) {
        Ok(()) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(deed);
    response
}

async fn identify(app: &App, headers: &HeaderMap, remote: Option<IpAddr>) -> Result<Caller, Problem> {
    let from = remote.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let credential = match authorisation(headers) {
        Some(key) => Credential::ApiKey(key?),
        None => Credential::Cookie(session_cookie(headers).ok_or_else(Problem::unauthorised)?),
    };
    let who = match &credential {
        Credential::ApiKey(key) => known_key(app, key, &credential, from).await?,
        Credential::Cookie(_) => app.api.commands.who(&credential).await?.ok_or_else(Problem::unauthorised)?,
    };
    let Who { actor, name, role, user_id } = who;
    Ok(Caller { actor, name, role, user_id, credential, remote })
}

fn let_in(caller: &Caller, method: &Method, headers: &HeaderMap, role: Role) -> Result<(), Problem> {
    let changes = !matches!(*method, Method::GET | Method::HEAD);
    if let Some(cookie) = caller.cookie()
        && changes
        && !csrf_matches(headers, cookie)
    {
        return Err(Problem::forbidden("changes made with the cookie need the header X-CSRF-Token"));
    }
    caller.require(role)
}

/// Finds out whose key this is. If its address has been guessing keys, the key is not even looked for.
async fn known_key(app: &App, key: &Secret, credential: &Credential, from: IpAddr) -> Result<Who, Problem> {
    let (network, now) = (weir_net::network(from), Instant::now());
    let refused = |problem: Problem| {
        let (remote, code, message) = (SocketAddr::new(from, 0), problem.code, &problem.detail);
        app.api.observe.refused(&RefusalReport {
            kind: RefusalKind::Call,
            protocol: "http",
            remote,
            network,
            code,
            message,
        });
        problem
    };
    if let Some(wait) = app.key_guesses.wait(network, key.expose(), now) {
        return Err(refused(Problem::too_many_tries("API keys", wait)));
    }
    match app.api.commands.who(credential).await? {
        Some(known) => {
            app.key_guesses.was_right(network, key.expose(), now);
            Ok(known)
        }
        None => {
            app.key_guesses.was_wrong(network, key.expose(), now);
            Err(refused(Problem::unauthorised()))
        }
    }
}

/// The key of `Authorization: apikey <key>` or `Bearer <key>`. Other schemes are refused rather than ignored.
fn authorisation(headers: &HeaderMap) -> Option<Result<Secret, Problem>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let parsed = value.to_str().ok().and_then(|text| text.trim().split_once(' '));
    Some(match parsed {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("apikey") || scheme.eq_ignore_ascii_case("bearer") => {
            Ok(key.trim().into())
        }
        _ => Err(Problem::unauthorised()),
    })
}

pub(crate) fn session_cookie(headers: &HeaderMap) -> Option<Secret> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.into())
}

/// The token is made from the cookie, which no other site can read. So there is nothing more to store, and the token is the same in every
/// tab.
pub(crate) fn csrf_token(cookie: &Secret) -> String {
    let mut hash = Sha256::new();
    hash.update(b"weir csrf v1\0");
    hash.update(cookie.expose().as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

fn csrf_matches(headers: &HeaderMap, cookie: &Secret) -> bool {
    let given = headers.get(CSRF_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    csrf_token(cookie).as_bytes().ct_eq(given).into()
}

//! WHEP (draft-ietf-wish-whep): a browser posts its offer and gets an answer. Media then goes by ports of its own.

mod admission;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{options, patch};
use weir_control::{AdmissionRefusal, PlayWish};
use weir_media::Language;
use weir_net::Caps;
use weir_webrtc::engine::NoAnswer;
use weir_webrtc::sdp::Transport;
use weir_webrtc::webrtcbin::{State as EngineState, Webrtcbin};

use crate::asked::PREVIEW;
use crate::rtc_sessions::SessionRefusal;
use crate::serve::Peer;
use admission::{More, WhepAnswer, WhepRefusal};

pub use admission::{Came, WhepAdmission, WhepViewer};

/// Why this engine and no other: docs/decisions/0007-webrtc-engine.md has all that was measured.
const WHY_STR0M: &str = "runs in the server itself, at a quarter of the CPU per viewer that GStreamer's webrtcbin took";

pub(crate) const SDP: &str = "application/sdp";
pub(crate) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// The most bytes of a body. It is as much as the reader of offers takes, so more is not even received.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// After so many seconds a browser may ask a full server again.
pub(crate) const COME_AGAIN_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// The header that tells in words what the SDP of the answer does not say.
pub(crate) const NOTICE: HeaderName = HeaderName::from_static("weir-notice");

/// What the routes of WHEP need.
#[derive(Clone, Debug)]
pub struct Whep {
    admission: WhepAdmission,
    /// One `Link` header for each server that helps browsers find their way (STUN, TURN).
    links: Vec<HeaderValue>,
}

/// A server that helps browsers find their way to us.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// The URL is `stun:host:port` or `turn:host:port?transport=udp`.
    pub url: String,
    /// The name and the password, which TURN wants.
    pub login: Option<(String, String)>,
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Where viewers by WebRTC come to, and how many did.
#[derive(Clone, Debug)]
pub struct WebrtcPorts {
    /// What serves viewers, by the name that `webrtc.engine` has for it, and why it does.
    pub engine: &'static str,
    pub engine_reason: String,
    pub udp: SocketAddr,
    /// None: networks without UDP have no way in.
    pub tcp: Option<SocketAddr>,
    /// What viewers are told: `udp` or `tcp`, and an address.
    pub told: Vec<(&'static str, SocketAddr)>,
    /// At this moment, those that are being set up included.
    pub connections: usize,
    pub came: Came,
}

impl Whep {
    /// The ports that are bound, and what viewers are told of them.
    pub fn ports(&self) -> WebrtcPorts {
        let engine = self.admission.engine();
        let told = engine.candidates().iter().map(|candidate| match candidate.transport {
            Transport::Udp => ("udp", candidate.address),
            Transport::Tcp => ("tcp", candidate.address),
        });
        let (name, engine_reason) = serving(engine.webrtcbin());
        WebrtcPorts {
            engine: name,
            engine_reason,
            udp: engine.udp_addr(),
            tcp: engine.tcp_addr(),
            told: told.collect(),
            connections: engine.connections(),
            came: self.admission.came(),
        }
    }

    pub fn new(admission: WhepAdmission, ice_servers: &[IceServer]) -> Self {
        Self { admission, links: links(ice_servers) }
    }

    /// How many viewers there may be, and how many there are.
    pub fn caps(&self) -> &Arc<Caps> {
        self.admission.caps()
    }
}

/// What serves viewers now, and why.
fn serving(webrtcbin: Option<&Webrtcbin>) -> (&'static str, String) {
    let Some(webrtcbin) = webrtcbin else { return ("str0m", WHY_STR0M.to_owned()) };
    let (first, last) = webrtcbin.ports();
    match webrtcbin.state() {
        EngineState::Serving => (
            "webrtcbin",
            format!(
                "webrtc.engine asks for it, and it has proved that whoever shows another certificate stays out. Viewers come to the UDP ports \
                 {first}-{last}; publishers are served by str0m"
            ),
        ),
        EngineState::Proving => {
            ("str0m", "webrtcbin was started, and is proving that it keeps strangers out".to_owned())
        }
        EngineState::Refused(why) => ("str0m", format!("webrtcbin is refused: {why}")),
        EngineState::Gone(why) => ("str0m", format!("the process of webrtcbin is gone, and is started again: {why}")),
    }
}

pub(crate) fn links(ice_servers: &[IceServer]) -> Vec<HeaderValue> {
    ice_servers.iter().filter_map(|server| HeaderValue::from_str(&server.link()).ok()).collect()
}

impl IceServer {
    fn link(&self) -> String {
        let login = self.login.as_ref().map(|(name, password)| {
            format!("; username=\"{name}\"; credential=\"{password}\"; credential-type=\"password\"")
        });
        format!("<{}>; rel=\"ice-server\"{}", self.url, login.unwrap_or_default())
    }
}

/// The routes of `/whep/<name>` and its sessions. Without WebRTC they answer that it is off.
pub fn whep_routes<S: Clone + Send + Sync + 'static>(whep: Option<Whep>) -> Router<S> {
    let Some(whep) = whep else {
        let off = async || refusal(StatusCode::NOT_FOUND, "WebRTC is off on this server");
        return Router::new().route("/whep/{name}", options(preflight).post(off));
    };
    Router::new()
        .route("/whep/{name}", options(preflight).post(offer))
        .route("/whep/{name}/{session}", patch(trickle).delete(end).options(preflight))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(whep)
}

/// What the query of the address may say.
#[derive(Debug, Default, serde::Deserialize)]
struct Parameters {
    rendition: Option<String>,
    /// The language to be heard, in any of its codes. Who names one that is not there hears the default.
    audio: Option<String>,
    token: Option<String>,
}

async fn offer(
    State(whep): State<Whep>,
    peer: axum::Extension<Peer>,
    Path(name): Path<String>,
    Query(parameters): Query<Parameters>,
    asked: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_of(&asked, SDP) {
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "an offer is application/sdp");
    }
    let Ok(text) = std::str::from_utf8(&body) else {
        return refusal(StatusCode::BAD_REQUEST, "the offer is no text");
    };
    let Peer(ip): Peer = *peer;
    let token = parameters.token.as_deref().or_else(|| bearer(&asked));
    let preview = asked.get(PREVIEW).and_then(|value| value.to_str().ok());
    let wish = PlayWish { name: &name, rendition: parameters.rendition.as_deref(), token, ip };
    let language = parameters.audio.as_deref().and_then(Language::parse);
    match whep.admission.offer(&wish, text, &More { language, preview }).await {
        Ok(answer) => answered(&whep, &name, answer),
        Err(why) => {
            let mut response = refusal(status_of(&why), &why.to_string());
            if response.status() == StatusCode::SERVICE_UNAVAILABLE {
                response.headers_mut().insert(header::RETRY_AFTER, COME_AGAIN_SECONDS);
            }
            response
        }
    }
}

fn answered(whep: &Whep, name: &str, answer: WhepAnswer) -> Response {
    let WhepAnswer { sdp, session, tag, notice } = answer;
    let mut response = (StatusCode::CREATED, [(header::CONTENT_TYPE, SDP)], sdp).into_response();
    let headers = response.headers_mut();
    let texts = [
        (header::LOCATION, Some(format!("/whep/{name}/{session}"))),
        (header::ETAG, Some(format!("\"{tag}\""))),
        (NOTICE, notice),
    ];
    for (header, text) in texts {
        if let Some(Ok(value)) = text.map(|text| HeaderValue::from_str(&text)) {
            headers.insert(header, value);
        }
    }
    headers.insert(HeaderName::from_static("accept-patch"), HeaderValue::from_static(FRAGMENT));
    for link in &whep.links {
        headers.append(header::LINK, link.clone());
    }
    open_to_all(response)
}

async fn trickle(
    State(whep): State<Whep>,
    Path((name, session)): Path<(String, String)>,
    asked: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_of(&asked, FRAGMENT) {
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "candidates are application/trickle-ice-sdpfrag");
    }
    let Ok(text) = std::str::from_utf8(&body) else {
        return refusal(StatusCode::BAD_REQUEST, "the fragment is no text");
    };
    let if_match = asked.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    changed(whep.admission.sessions().trickle(&name, &session, if_match, text), StatusCode::NO_CONTENT)
}

async fn end(State(whep): State<Whep>, Path((name, session)): Path<(String, String)>) -> Response {
    changed(whep.admission.sessions().end(&name, &session), StatusCode::OK)
}

/// Answers the question that browsers ask before they post from another site.
pub(crate) async fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, PATCH, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, If-Match"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        (HeaderName::from_static("accept-post"), SDP),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    open_to_all(response)
}

/// Lets pages of every site use the response, because players live on other sites and nothing here depends on a cookie.
pub(crate) fn open_to_all(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = "Location, ETag, Link, Retry-After, Accept-Patch, Weir-Notice";
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    response
}

pub(crate) fn refusal(status: StatusCode, why: &str) -> Response {
    open_to_all((status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{why}\n")).into_response())
}

pub(crate) fn changed(change: Result<(), SessionRefusal>, done: StatusCode) -> Response {
    let Err(why) = change else { return open_to_all(done.into_response()) };
    let status = match why {
        SessionRefusal::NoSession => StatusCode::NOT_FOUND,
        SessionRefusal::OtherTag => StatusCode::PRECONDITION_FAILED,
        SessionRefusal::Fragment(_) => StatusCode::BAD_REQUEST,
        SessionRefusal::OtherUfrag | SessionRefusal::Restart => StatusCode::UNPROCESSABLE_ENTITY,
    };
    refusal(status, &why.to_string())
}

fn status_of(refusal: &WhepRefusal) -> StatusCode {
    match refusal {
        WhepRefusal::Admission(AdmissionRefusal::Protected | AdmissionRefusal::Stopped) => StatusCode::FORBIDDEN,
        WhepRefusal::Admission(_) | WhepRefusal::Off => StatusCode::NOT_FOUND,
        WhepRefusal::Offer(_) => StatusCode::BAD_REQUEST,
        WhepRefusal::NoneFits(_) | WhepRefusal::NothingMade { .. } | WhepRefusal::NoAnswer(NoAnswer::NoCodec) => {
            StatusCode::NOT_ACCEPTABLE
        }
        WhepRefusal::NoAnswer(NoAnswer::Full) | WhepRefusal::Full => StatusCode::SERVICE_UNAVAILABLE,
        WhepRefusal::NoAnswer(NoAnswer::Internal) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether the body is of that type. Parameters behind a semicolon do not matter.
pub(crate) fn is_of(asked: &HeaderMap, wanted: &str) -> bool {
    let said = asked.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().is_some_and(|said| said.trim().eq_ignore_ascii_case(wanted))
}

pub(crate) fn bearer(asked: &HeaderMap) -> Option<&str> {
    let value = asked.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_are_told_as_links() {
        let stun = IceServer { url: "stun:stun.example:3478".to_owned(), login: None };
        assert_eq!(stun.link(), "<stun:stun.example:3478>; rel=\"ice-server\"");
        let login = Some(("weir".to_owned(), "secret".to_owned()));
        let turn = IceServer { url: "turn:turn.example:3478?transport=udp".to_owned(), login };
        assert_eq!(
            turn.link(),
            "<turn:turn.example:3478?transport=udp>; rel=\"ice-server\"; username=\"weir\"; credential=\"secret\"; \
             credential-type=\"password\""
        );
        assert!(!format!("{turn:?}").contains("secret"));
    }

    #[test]
    fn types_and_tokens_are_read_as_browsers_write_them() {
        for (value, expected) in
            [("application/sdp", true), ("Application/SDP; charset=utf-8", true), ("text/plain", false), ("", false)]
        {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(is_of(&headers, SDP), expected, "{value}");
        }
        assert!(!is_of(&HeaderMap::new(), SDP));
        for (value, expected) in
            [("Bearer abc", Some("abc")), ("bearer  abc ", Some("abc")), ("Basic abc", None), ("abc", None)]
        {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(bearer(&headers), expected, "{value}");
        }
    }
}

//! WHIP (RFC 9725): a publisher posts its offer and gets an answer. Media then comes to ports of its own.

mod admission;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{options, patch};
use weir_control::AdmissionRefusal;
use weir_webrtc::engine::{NoAnswer, NotTaken};

use crate::serve::Peer;
use crate::whep::{
    BODY_BYTES_MAX, COME_AGAIN_SECONDS, FRAGMENT, IceServer, NOTICE, SDP, bearer, changed, is_of, links, open_to_all,
    preflight, refusal,
};
use admission::{NO_OWNER, WhipAnswer, WhipRefusal};

pub use admission::{WhipAdmission, WhipSession};

/// The body of a refusal where no key was shown.
const NO_KEY: &str =
    "publish with the stream's key: POST /whip/<stream key>, or POST /whip with \"Authorization: Bearer <stream key>\"";

/// What the routes of WHIP need.
#[derive(Clone, Debug)]
pub struct Whip {
    admission: WhipAdmission,
    /// One `Link` header for each server that helps publishers find their way (STUN, TURN).
    links: Vec<HeaderValue>,
}

impl Whip {
    pub fn new(admission: WhipAdmission, ice_servers: &[IceServer]) -> Self {
        Self { admission, links: links(ice_servers) }
    }
}

/// The routes of `/whip`. Without WebRTC they answer that it is off. A session's address does not hold the stream key.
pub fn whip_routes<S: Clone + Send + Sync + 'static>(whip: Option<Whip>) -> Router<S> {
    let Some(whip) = whip else {
        let off = async || refusal(StatusCode::NOT_FOUND, "WebRTC is off on this server");
        let off = options(preflight).post(off);
        return Router::new().route("/whip", off.clone()).route("/whip/{key}", off);
    };
    Router::new()
        .route("/whip", options(preflight).post(offer_by_bearer))
        .route("/whip/{key}", options(preflight).post(offer))
        .route("/whip/session/{session}", patch(trickle).delete(end).options(preflight))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(whip)
}

async fn offer(
    State(whip): State<Whip>,
    peer: axum::Extension<Peer>,
    Path(key): Path<String>,
    asked: HeaderMap,
    body: Bytes,
) -> Response {
    publish(&whip, *peer, &key, &asked, &body).await
}

async fn offer_by_bearer(
    State(whip): State<Whip>,
    peer: axum::Extension<Peer>,
    asked: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(key) = bearer(&asked).filter(|key| !key.is_empty()) else {
        let mut response = refusal(StatusCode::UNAUTHORIZED, NO_KEY);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    };
    publish(&whip, *peer, key, &asked, &body).await
}

async fn publish(whip: &Whip, Peer(ip): Peer, key: &str, asked: &HeaderMap, body: &[u8]) -> Response {
    if !is_of(asked, SDP) {
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "an offer is application/sdp");
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return refusal(StatusCode::BAD_REQUEST, "the offer is no text");
    };
    match whip.admission.offer(key, ip, text).await {
        Ok(answer) => answered(whip, answer),
        Err(why) => {
            let mut response = refusal(status_of(&why), &why.to_string());
            let come_again = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
            if come_again.contains(&response.status()) {
                response.headers_mut().insert(header::RETRY_AFTER, COME_AGAIN_SECONDS);
            }
            response
        }
    }
}

fn answered(whip: &Whip, answer: WhipAnswer) -> Response {
    let WhipAnswer { sdp, session, tag, notice } = answer;
    let mut response = (StatusCode::CREATED, [(header::CONTENT_TYPE, SDP)], sdp).into_response();
    let texts = [
        (header::LOCATION, Some(format!("/whip/session/{session}"))),
        (header::ETAG, Some(format!("\"{tag}\""))),
        (HeaderName::from_static("accept-patch"), Some(FRAGMENT.to_owned())),
        (NOTICE, notice.map(str::to_owned)),
    ];
    for (header, text) in texts {
        if let Some(Ok(value)) = text.map(|text| HeaderValue::from_str(&text)) {
            response.headers_mut().insert(header, value);
        }
    }
    for link in &whip.links {
        response.headers_mut().append(header::LINK, link.clone());
    }
    open_to_all(response)
}

async fn trickle(State(whip): State<Whip>, Path(session): Path<String>, asked: HeaderMap, body: Bytes) -> Response {
    if !is_of(&asked, FRAGMENT) {
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "candidates are application/trickle-ice-sdpfrag");
    }
    let Ok(text) = std::str::from_utf8(&body) else {
        return refusal(StatusCode::BAD_REQUEST, "the fragment is no text");
    };
    let if_match = asked.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    changed(whip.admission.sessions().trickle(NO_OWNER, &session, if_match, text), StatusCode::NO_CONTENT)
}

async fn end(State(whip): State<Whip>, Path(session): Path<String>) -> Response {
    changed(whip.admission.sessions().end(NO_OWNER, &session), StatusCode::OK)
}

fn status_of(refusal: &WhipRefusal) -> StatusCode {
    match refusal {
        WhipRefusal::Admission(AdmissionRefusal::Occupied) => StatusCode::CONFLICT,
        WhipRefusal::Admission(AdmissionRefusal::Guessing) => StatusCode::TOO_MANY_REQUESTS,
        WhipRefusal::Admission(AdmissionRefusal::NotRunning) => StatusCode::SERVICE_UNAVAILABLE,
        WhipRefusal::Admission(_) => StatusCode::FORBIDDEN,
        WhipRefusal::Offer(_) => StatusCode::BAD_REQUEST,
        WhipRefusal::NotTaken(NotTaken::NeedsLadder(_) | NotTaken::Codecs | NotTaken::NoAnswer(NoAnswer::NoCodec)) => {
            StatusCode::NOT_ACCEPTABLE
        }
        WhipRefusal::NotTaken(NotTaken::NoAnswer(NoAnswer::Full)) => StatusCode::SERVICE_UNAVAILABLE,
        WhipRefusal::NotTaken(NotTaken::NoAnswer(NoAnswer::Internal)) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

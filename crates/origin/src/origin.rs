//! The playback origin answers `/play/<name>/...`, which players ask for without a key, before the router sees the request.
//!
//! Thousands ask for this all the time, so the way of a request is short: it finds the stream by its name, takes the packager's answer, and
//! adds headers to the packager's own bytes. Nothing is copied per viewer, and nothing is compressed twice.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use weir_control::{AdmissionRefusal, Pass, Playback, Watchable};
use weir_model::{StreamId, ViewerKind};
use weir_net::{Client, Visit};
use weir_observe::{Counter, Observe};
use weir_packager::{Answer, Cache};

use crate::asked::{Asked, Verb};
use crate::body::OriginBody;
use crate::complaint::Complaint;
use crate::read_head::{Head, read_head};
use crate::reply::{Dated, Reply};
use crate::respond::respond;
use crate::serve::Guest;
use crate::thumbnails::Thumbnails;

/// The longest query that is answered. A player's query, a token and three short parameters, has 150 bytes.
pub const QUERY_BYTES_MAX: usize = 2_048;

/// The longest path that is answered. Our paths have a stream's name, a rendition's name and a number.
pub const PATH_BYTES_MAX: usize = 512;

/// How long a viewer waits for a thumbnail. A start of GStreamer takes 0.2 s; on a busy machine, where other thumbnails come first, it
/// takes some seconds.
const THUMBNAIL_PATIENCE: Duration = Duration::from_secs(6);

/// The file of `/play/<name>/` that the packager does not have.
const THUMBNAIL: &str = "thumbnail.jpg";

/// A player asks for the playlist once in every target duration. One that has not asked for three of them is gone.
const VIEWER_WINDOW_TARGETS: u32 = 3;
/// The shortest time after which a player is gone. However short the segments are, a player in trouble asks no more often than this.
const VIEWER_WINDOW_MIN: Duration = Duration::from_secs(6);

/// For fuzzing: if these bytes begin with a request that is answered without the HTTP library, returns its length, its path and its query.
pub fn read_plain_request(bytes: &[u8]) -> Option<(usize, &str, Option<&str>)> {
    match read_head(bytes) {
        Head::Plain { asked, length, .. } => Some((length, asked.path, asked.query)),
        Head::Partial | Head::Http2 | Head::Foreign => None,
    }
}

/// Everything that answers viewers. A clone shares it.
#[derive(Clone, Debug)]
pub struct Origin {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    playback: Playback,
    observe: Observe,
    thumbnails: Thumbnails,
    /// Turns viewers into numbers that tell nobody who they are.
    hasher: RandomState,
    odd_paths: Complaint,
    long_queries: Complaint,
    too_many: Complaint,
}

impl Origin {
    pub fn new(playback: Playback, observe: Observe, thumbnails: Thumbnails) -> Self {
        let shared = Shared {
            playback,
            observe,
            thumbnails,
            hasher: RandomState::new(),
            odd_paths: Complaint::new("a playback path that is none of ours"),
            long_queries: Complaint::new("a playback address that is too long"),
            too_many: Complaint::new("too many requests at once from one address"),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether the origin answers requests for this path.
    pub(crate) fn serves(path: &str) -> bool {
        path.starts_with("/play/")
    }

    /// Lets a request begin, whatever it is for. The request lasts until the visit is dropped, which is when its answer has been sent.
    /// There is no visit if too much is under way for its client.
    pub(crate) fn begin(&self, guest: &Guest, client: Client) -> Option<Visit> {
        let visit = guest.begin(client);
        if visit.is_none() {
            self.shared.observe.counters().add(Counter::HttpLimited, 1);
            self.shared.too_many.raise(client.ip);
        }
        visit
    }

    pub(crate) fn busy() -> Response<OriginBody> {
        Reply::busy().into_response()
    }

    /// Answers a request that the HTTP library has read.
    pub(crate) async fn respond(&self, request: &Parts, client: Client) -> Response<OriginBody> {
        self.answer(&Asked::from(request), client).await.into_response()
    }

    pub(crate) fn observe(&self) -> &Observe {
        &self.shared.observe
    }

    pub(crate) async fn answer(&self, asked: &Asked<'_>, client: Client) -> Reply {
        let shared = &*self.shared;
        match asked.verb {
            Verb::Get | Verb::Head => {}
            Verb::Options => return Reply::preflight(),
            Verb::Other => return Reply::refusal(StatusCode::METHOD_NOT_ALLOWED),
        }
        let (path, query) = (asked.path, asked.query);
        if path.len() > PATH_BYTES_MAX || query.is_some_and(|query| query.len() > QUERY_BYTES_MAX) {
            shared.long_queries.raise(client.ip);
            return Reply::refusal(StatusCode::URI_TOO_LONG);
        }
        let Some((name, file)) = split(path) else {
            shared.odd_paths.raise(client.ip);
            return Reply::refusal(StatusCode::NOT_FOUND);
        };
        let token = query.and_then(token);
        let Watchable { stream, packager, protected } = match shared.playback.watch(name, token, client.ip).await {
            Ok(found) => found,
            Err(refusal) => return refused(refusal),
        };
        let pass = || shared.playback.pass(stream, token, client.ip);
        if file == THUMBNAIL {
            return self.thumbnail(stream, asked, (protected, pass)).await;
        }
        if query.is_some_and(|query| is_catch_up(file, query)) {
            return Reply::refusal(StatusCode::UNPROCESSABLE_ENTITY);
        }
        // On a stream that is not protected, a token means nothing: a viewer who makes one up gets what everybody gets, and is counted as
        // everybody is.
        let token = token.filter(|_| protected);
        let mut answering = pin!(packager.answer_to(file, query, token));
        let mut waited = false;
        let answer = std::future::poll_fn(|cx| {
            let answer = answering.as_mut().poll(cx);
            waited |= answer.is_pending();
            answer
        })
        .await;
        // A viewer who was let in some seconds ago may have lost that right since.
        if waited && let Err(refusal) = shared.playback.still_watches(name, token, client.ip) {
            return refused(refusal);
        }
        if let Some(kind) = viewer_kind(file)
            && matches!(answer, Answer::Found { .. })
            && !asked.preview.is_some_and(|pass| shared.playback.is_preview(stream, pass))
            && let Some(book) = shared.observe.board().viewer_book(stream)
        {
            let window = (packager.config().segment_target * VIEWER_WINDOW_TARGETS).max(VIEWER_WINDOW_MIN);
            book.saw(kind, self.viewer(client.ip, asked.user_agent, token), window);
        }
        respond(answer, asked, protected, pass)
    }

    /// Answers with the latest picture, and how old it is.
    async fn thumbnail(
        &self,
        stream: StreamId,
        asked: &Asked<'_>,
        (private, pass): (bool, impl FnOnce() -> Pass),
    ) -> Reply {
        let Some(picture) = self.shared.thumbnails.newest(stream, THUMBNAIL_PATIENCE).await else {
            return Reply::refusal(StatusCode::NOT_FOUND);
        };
        let dated = Dated { age_seconds: picture.age_seconds(), modified: picture.shown_at() };
        let answer = Answer::Found {
            content_type: "image/jpeg",
            body: picture.jpeg,
            cache: Cache::Short,
            tag: picture.tag,
            compressed: None,
        };
        respond(answer, asked, private, pass).dated(dated)
    }

    /// A number for the viewer who asks. There is no cookie, so it is made of the address, the program, and the token if there is one.
    fn viewer(&self, ip: IpAddr, agent: Option<&[u8]>, token: Option<&str>) -> u64 {
        self.shared.hasher.hash_one((ip, agent, token))
    }
}

/// The reply that tells a refusal of admission.
fn refused(refusal: AdmissionRefusal) -> Reply {
    Reply::refusal(match refusal {
        AdmissionRefusal::UnknownKey => StatusCode::UNAUTHORIZED,
        AdmissionRefusal::Guessing => StatusCode::TOO_MANY_REQUESTS,
        AdmissionRefusal::Stopped | AdmissionRefusal::Protected => StatusCode::FORBIDDEN,
        AdmissionRefusal::Occupied => StatusCode::CONFLICT,
        AdmissionRefusal::NotRunning
        | AdmissionRefusal::NoStream
        | AdmissionRefusal::NoRendition
        | AdmissionRefusal::NotLive => StatusCode::NOT_FOUND,
    })
}

/// Splits `/play/<name>/<file>` into its name and its file. Returns none for a path that can't be ours: none of ours needs an escape, and a
/// piece that begins with a dot tries to climb.
fn split(path: &str) -> Option<(&str, &str)> {
    let (name, file) = path.strip_prefix("/play/")?.split_once('/')?;
    let is_odd = |byte: u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_'));
    let odd = name.is_empty() || path.bytes().any(is_odd) || path.contains("/.") || path.contains("//");
    (!odd).then_some((name, file))
}

/// The token in `?token=`. Our tokens need no escapes.
fn token(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// Whether the request asks for the past, or for a delay. An answer with what is live would be another programme than was asked for.
fn is_catch_up(file: &str, query: &str) -> bool {
    const PARAMETERS: [&str; 4] = ["from=", "to=", "duration=", "delay="];
    let asks = |pair: &str| PARAMETERS.iter().any(|name| pair.starts_with(name));
    (file.ends_with("master.m3u8") || file.ends_with(".mpd")) && query.split('&').any(asks)
}

/// The kind of viewer that a request for this file comes from. A viewer is known by following a playlist, because segments are the same for
/// all protocols.
fn viewer_kind(file: &str) -> Option<ViewerKind> {
    if file.ends_with(".mpd") {
        return Some(ViewerKind::Dash);
    }
    (file.ends_with(".m3u8") && !file.ends_with("master.m3u8")).then_some(ViewerKind::Hls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_and_climbing_is_refused() {
        for (path, expected) in [
            ("/play/cam1/master.m3u8", Some(("cam1", "master.m3u8"))),
            ("/play/cam-1_a/source/video/1.2.m4s", Some(("cam-1_a", "source/video/1.2.m4s"))),
            ("/play/cam1", None),
            ("/play//master.m3u8", None),
            ("/play/../secret.key", None),
            ("/play/cam1/../../secret.key", None),
            ("/play/cam1/..%2f..%2fsecret.key", None),
            ("/play/cam1/%2e%2e/secret.key", None),
            ("/play/cam1/.hidden", None),
            ("/play/cam1/a\\b", None),
            ("/play/cam1//etc/passwd", None),
        ] {
            assert_eq!(split(path), expected, "{path}");
        }
    }

    #[test]
    fn tokens_are_found_among_parameters() {
        for (query, expected) in [
            ("token=a", Some("a")),
            ("_HLS_msn=1&token=a.b&x", Some("a.b")),
            ("mytoken=a", None),
            ("token", None),
            ("", None),
        ] {
            assert_eq!(token(query), expected, "{query}");
        }
    }

    #[test]
    fn catch_up_is_known() {
        for (file, query, expected) in [
            ("master.m3u8", "from=2026-01-31T20:00:00Z", true),
            ("ts/master.m3u8", "token=a&delay=30", true),
            ("manifest.mpd", "duration=60", true),
            ("manifest.mpd", "token=from=", false),
            ("master.m3u8", "", false),
            ("source/video.m3u8", "from=1", false),
        ] {
            assert_eq!(is_catch_up(file, query), expected, "{file}?{query}");
        }
    }

    #[test]
    fn followers_of_playlists_are_viewers() {
        for (file, expected) in [
            ("master.m3u8", None),
            ("ts/master.m3u8", None),
            ("source/video.m3u8", Some(ViewerKind::Hls)),
            ("manifest.mpd", Some(ViewerKind::Dash)),
            ("source/video/1.m4s", None),
        ] {
            assert_eq!(viewer_kind(file), expected, "{file}");
        }
    }
}

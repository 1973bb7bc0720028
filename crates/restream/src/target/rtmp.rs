//! Pushes by RTMP: the connection sends what the feed's outlet gives out, and this tells what comes of it.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use weir_hub::{FeedHandle, Feeds, Tracks};
use weir_media::{Language, TrackInfo};
use weir_model::{Fault, Reason, ReasonCode, Secret, UrlLogin};
use weir_net::{Dialer, TcpOptions};
use weir_rtmp::StreamKey;
use weir_rtmp::carried::{carried_sound, check_tracks};
use weir_rtmp::from_frames::RtmpBatcher;
use weir_rtmp::net::{ClientError, ClientOptions, ClientTarget, PublishConnection, PushEvent, connect_publish};
use weir_rtmp::outlet::Outlet;
use weir_rtmp::protocol::is_auth_rejection;
use weir_rtmp::url::{Credentials, RtmpUrl};

use super::{FlowEvent, FlowProgress, OpenPush, Target, Wanted};
use crate::failure::{DOOR_TIMEOUT, of_dial};
use crate::machine::{Failure, Retry};
use crate::push::PushContext;
use crate::tcp_loss::TcpLoss;

/// How many characters of a far end's own words are shown. The words come from outside, so they are cut.
const PEER_TEXT_CHARS_MAX: usize = 300;

#[derive(Debug)]
pub(crate) struct RtmpTarget {
    server: ClientTarget,
}

impl RtmpTarget {
    pub(crate) fn new(
        server: &str,
        login: Option<&UrlLogin>,
        stream_key: &Secret,
        enhanced: bool,
    ) -> Result<Self, Reason> {
        let mut url = RtmpUrl::parse(server)
            .map_err(|error| Reason::new(ReasonCode::Internal, error.to_string()).with_fault(Fault::Config))?;
        url.credentials =
            login.map(|login| Credentials { user: login.user.clone(), password: login.password.expose().to_owned() });
        Ok(Self { server: ClientTarget { url, stream_key: StreamKey::new(stream_key.expose()), enhanced } })
    }

    /// The target that the server sends us to. None if it names none that may be used.
    fn moved(&self, tc_url: Option<&str>) -> Option<Self> {
        let here = &self.server;
        let url = RtmpUrl::parse(tc_url?).ok()?;
        // A key never moves from an encrypted connection to an open one because a server says so.
        (url.tls || !here.url.tls).then(|| Self {
            server: ClientTarget { url: RtmpUrl { credentials: here.url.credentials.clone(), ..url }, ..here.clone() },
        })
    }
}

impl Target for RtmpTarget {
    fn check_tracks(&self, tracks: &Tracks, language: Option<Language>) -> Result<(), String> {
        check_tracks(tracks, language, self.server.enhanced).map_err(|error| error.to_string())
    }

    fn sounds<'a>(&self, tracks: &'a Tracks, language: Option<Language>) -> Vec<&'a TrackInfo> {
        carried_sound(tracks, language).map(|info| &**info).into_iter().collect()
    }

    fn dial(
        self: Arc<Self>,
        context: PushContext,
        wanted: Wanted,
    ) -> BoxFuture<'static, Result<Box<dyn OpenPush>, Failure>> {
        Box::pin(async move {
            let PushContext { feeds, dialer, send_buffer_bytes, .. } = context;
            let options = ClientOptions { send_buffer_bytes, ..ClientOptions::new(dialer) };
            let connection = connect_publish(&self.server, &options).await.map_err(|error| failed(&error))?;
            Ok(Box::new(OpenRtmpPush::new(self, connection, Voices { feeds, wanted })) as Box<dyn OpenPush>)
        })
    }

    fn port_is_open(self: Arc<Self>, dialer: Dialer) -> BoxFuture<'static, bool> {
        Box::pin(async move {
            let RtmpUrl { host, port, .. } = &self.server.url;
            let options = TcpOptions { timeout: DOOR_TIMEOUT, send_buffer_bytes: None };
            dialer.tcp(host, *port, options, tokio::time::Instant::now() + DOOR_TIMEOUT).await.is_ok()
        })
    }
}

/// The feeds of a rendition. Each has the same pictures, and a sound in another language.
#[derive(Debug)]
struct Voices {
    feeds: Feeds,
    wanted: Wanted,
}

impl Voices {
    fn feed(&self) -> FeedHandle<RtmpBatcher> {
        self.feeds.feed(&self.wanted.rendition, self.wanted.language, &Handle::current())
    }
}

#[derive(Debug)]
struct OpenRtmpPush {
    target: Arc<RtmpTarget>,
    connection: PublishConnection,
    outlet: Outlet,
    has_written: bool,
    /// How many bytes connecting alone had written: the handshake and commands are not media.
    written_before_media: u64,
    loss: TcpLoss,
    voices: Voices,
}

impl OpenRtmpPush {
    fn new(target: Arc<RtmpTarget>, connection: PublishConnection, voices: Voices) -> Self {
        Self {
            target,
            outlet: Outlet::new(voices.feed(), connection.stream_id()),
            has_written: false,
            written_before_media: connection.progress().written_bytes,
            connection,
            loss: TcpLoss::default(),
            voices,
        }
    }

    /// Pushes until something is worth knowing. It is cancel-safe, as the connection is.
    async fn push(&mut self) -> Result<FlowEvent, ClientError> {
        loop {
            let event = self.connection.drive(&mut self.outlet).await?;
            if let Some(event) = self.told(event) {
                return Ok(event);
            }
        }
    }

    /// Turns what happened into the event that pushes of every protocol know.
    fn told(&mut self, event: PushEvent) -> Option<FlowEvent> {
        Some(match event {
            PushEvent::Status { level, code, description } if level == "error" => {
                let auth = is_auth_rejection(&code, &description);
                let failure = failed(&ClientError::Rejected { code, description, auth });
                FlowEvent::Unwelcome { failure, instead: None }
            }
            PushEvent::Status { level, code, description } => FlowEvent::Said(format!("{level} {code} {description}")),
            PushEvent::ReconnectRequest { tc_url } => {
                let reason = Reason::new(ReasonCode::Refused, "the destination asked us to connect again");
                let instead = self.target.moved(tc_url.as_deref()).map(|target| Arc::new(target) as Arc<dyn Target>);
                FlowEvent::Unwelcome { failure: Failure { reason, retry: Retry::Backoff }, instead }
            }
            PushEvent::Drained if !std::mem::replace(&mut self.has_written, true) => FlowEvent::FirstWrite,
            PushEvent::Drained => return None,
            PushEvent::MediaEnded => FlowEvent::FeedEnded,
        })
    }
}

impl OpenPush for OpenRtmpPush {
    fn run(&mut self) -> BoxFuture<'_, Result<FlowEvent, Failure>> {
        Box::pin(async { self.push().await.map_err(|error| failed(&error)) })
    }

    fn speak(&mut self, language: Option<Language>) {
        if std::mem::replace(&mut self.voices.wanted.language, language) != language {
            self.outlet.go_over_to(self.voices.feed());
        }
    }

    /// How far media has come, without the handshake and commands.
    fn progress(&mut self) -> FlowProgress {
        let progress = self.connection.progress();
        FlowProgress {
            written_bytes: progress.written_bytes.saturating_sub(self.written_before_media),
            acked_bytes: progress.acked_bytes.saturating_sub(self.written_before_media),
            outstanding: progress.acked_bytes < progress.written_bytes,
            rtt_ms: progress.rtt_us.map(|us| f64::from(us) / 1_000.0),
            tcp_loss_percent: self.loss.look(progress.sent_segments, progress.resent_segments, Instant::now()),
            path: None,
        }
    }

    fn take_dropped_frames(&mut self) -> u64 {
        self.outlet.take_dropped_frames()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(self.connection.close())
    }
}

fn failed(error: &ClientError) -> Failure {
    let message: String = error.to_string().chars().take(PEER_TEXT_CHARS_MAX).collect();
    let code = match error {
        ClientError::Dial(fault) => return of_dial(fault, message),
        ClientError::Timeout { .. } => ReasonCode::Timeout,
        // A push whose key was rejected is retried too: platforms refuse a good key while its last session or event is not over.
        ClientError::Rejected { auth: true, .. } => ReasonCode::AuthRejected,
        ClientError::Rejected { .. } | ClientError::TooManyRedirects | ClientError::Protocol(_) => ReasonCode::Refused,
        // The far end took the connection and went away. A balancer with nobody behind it does the same for ever, so its port is not
        // looked at. If a server is restarting, the next attempt finds its port refusing, and from then on the port is looked at.
        ClientError::Closed | ClientError::Io(_) => ReasonCode::Refused,
    };
    Failure { reason: Reason::new(code, message), retry: Retry::Backoff }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_net::DialFault;
    use weir_rtmp::net::ClientStep;

    #[test]
    fn each_error_has_its_code() {
        let rejected = |auth| ClientError::Rejected { code: "c".into(), description: "d".into(), auth };
        for (error, code, retry) in [
            (ClientError::Dial(DialFault::Refused), ReasonCode::Refused, Retry::BackoffAndWatchDoor),
            (ClientError::Timeout { phase: ClientStep::Publish }, ReasonCode::Timeout, Retry::Backoff),
            (rejected(true), ReasonCode::AuthRejected, Retry::Backoff),
            (rejected(false), ReasonCode::Refused, Retry::Backoff),
            (ClientError::Closed, ReasonCode::Refused, Retry::Backoff),
            (ClientError::Io(std::io::ErrorKind::Other.into()), ReasonCode::Refused, Retry::Backoff),
        ] {
            let failure = failed(&error);
            assert_eq!((failure.reason.code, failure.retry), (code, retry), "{error:?}");
        }
    }

    #[test]
    fn the_far_ends_words_are_shown_but_not_without_end() {
        let failure = failed(&ClientError::Rejected {
            code: "NetStream.Publish.Denied".into(),
            description: "x".repeat(100_000),
            auth: true,
        });
        assert!(failure.reason.message.contains("NetStream.Publish.Denied"));
        assert_eq!(failure.reason.message.chars().count(), PEER_TEXT_CHARS_MAX);
    }

    #[test]
    fn a_key_does_not_move_into_the_open() {
        let target = |server| RtmpTarget::new(server, None, &Secret::from("k"), false).unwrap();
        for (from, to, expected) in [
            ("rtmp://a/live", Some("rtmp://b/live"), Some("rtmp://b:1935/live")),
            ("rtmp://a/live", Some("rtmps://b/live"), Some("rtmps://b:443/live")),
            ("rtmps://a/live", Some("rtmp://b/live"), None),
            ("rtmp://a/live", Some("http://b/live"), None),
            ("rtmp://a/live", None, None),
        ] {
            let moved = target(from).moved(to).map(|target| target.server.url.tc_url());
            assert_eq!(moved.as_deref(), expected, "{from} {to:?}");
        }
    }
}

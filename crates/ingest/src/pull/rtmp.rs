//! A pull by RTMP or RTMPS: we play the stream as a viewer does.

use weir_media::WireClock;
use weir_model::{Fault, Reason, ReasonCode, Secret, UrlLogin};
use weir_net::Dialer;
use weir_rtmp::StreamKey;
use weir_rtmp::net::{
    ClientError, ClientOptions, ClientTarget, PlayConnection, PlayEvent, PublishSession as _, connect_play,
};
use weir_rtmp::url::{Credentials, RtmpUrl};

use super::machine::source_reason;
use super::reasons::{of_dial, of_refusal, shortened};
use super::seat::Seat;
use crate::rtmp::RtmpSession;

/// So many messages are taken in one go before others on this lane get their turn.
const MESSAGES_AT_ONCE: usize = 100;

/// Plays the stream until that ends. Returns why it did.
pub(crate) async fn fetch(source: (&str, Option<&UrlLogin>, &Secret), dialer: &Dialer, seat: &Seat) -> Reason {
    let (server, login, name) = source;
    let mut url = match RtmpUrl::parse(server) {
        Ok(url) => url,
        Err(error) => return Reason::new(ReasonCode::Malformed, error.to_string()).with_fault(Fault::Config),
    };
    url.credentials =
        login.map(|login| Credentials { user: login.user.clone(), password: login.password.expose().to_owned() });
    // Whoever is asked to play sends what it has. It is told that we know the codecs of Enhanced RTMP, which old servers pass over.
    let target = ClientTarget { url, stream_key: StreamKey::new(name.expose()), enhanced: true };
    let connection = match connect_play(&target, &ClientOptions::new(dialer.clone())).await {
        Ok(connection) => connection,
        Err(error) => return of_error(&error),
    };
    match seat.take(WireClock::RTMP) {
        Ok(seated) => {
            let (ticket, mut gone) = seated.into_parts();
            let mut connection = connection;
            let mut session = RtmpSession::new(ticket);
            tokio::select! {
                biased;
                reason = &mut gone => reason,
                reason = pass_on(&mut connection, &mut session) => reason,
            }
        }
        Err(reason) => reason,
    }
}

async fn pass_on(connection: &mut PlayConnection, session: &mut RtmpSession) -> Reason {
    let mut messages = 0;
    loop {
        match connection.next().await {
            Ok(PlayEvent::Media(message)) => {
                if let Err(refusal) = session.media(message) {
                    return of_refusal(refusal);
                }
            }
            Ok(PlayEvent::Ended { code }) => {
                return source_reason(ReasonCode::Ended, shortened(&format!("the source has ended: {code}")));
            }
            Ok(PlayEvent::ReconnectRequest) => {
                return source_reason(ReasonCode::Ended, "the server asked us to connect again");
            }
            Err(error) => return of_error(&error),
        }
        messages += 1;
        if messages == MESSAGES_AT_ONCE {
            messages = 0;
            tokio::task::yield_now().await;
        }
    }
}

fn of_error(error: &ClientError) -> Reason {
    let code = match error {
        ClientError::Dial(fault) => return of_dial(fault),
        ClientError::Timeout { .. } => ReasonCode::Timeout,
        ClientError::Rejected { auth: true, .. } => ReasonCode::AuthRejected,
        ClientError::Rejected { code, .. } if NOT_FOUND.iter().any(|known| known == code) => ReasonCode::NotFound,
        ClientError::Rejected { .. } | ClientError::TooManyRedirects => ReasonCode::Refused,
        ClientError::Protocol(_) => ReasonCode::Malformed,
        ClientError::Closed | ClientError::Io(_) => ReasonCode::Ended,
    };
    source_reason(code, shortened(&error.to_string()))
}

/// What servers say when there is no such stream or application.
const NOT_FOUND: [&str; 3] =
    ["NetStream.Play.StreamNotFound", "NetStream.Play.FileNotFound", "NetConnection.Connect.InvalidApp"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pull::reasons::PEER_TEXT_CHARS_MAX;
    use weir_net::DialFault;
    use weir_rtmp::net::ClientStep;

    #[test]
    fn each_error_has_its_code() {
        let rejected = |code: &str, auth| ClientError::Rejected { code: code.into(), description: "d".into(), auth };
        for (error, code, fault) in [
            (ClientError::Dial(DialFault::Refused), ReasonCode::Refused, Fault::Source),
            (ClientError::Dial(DialFault::Resolve), ReasonCode::Unreachable, Fault::Source),
            (ClientError::Dial(DialFault::NotPermitted), ReasonCode::NotPermitted, Fault::Config),
            (ClientError::Dial(DialFault::Tls("bad certificate".into())), ReasonCode::TlsFailed, Fault::Source),
            (ClientError::Timeout { phase: ClientStep::Play }, ReasonCode::Timeout, Fault::Source),
            (rejected("NetStream.Play.StreamNotFound", false), ReasonCode::NotFound, Fault::Source),
            (rejected("NetStream.Play.Failed", false), ReasonCode::Refused, Fault::Source),
            (rejected("NetConnection.Connect.Rejected", true), ReasonCode::AuthRejected, Fault::Source),
            (ClientError::Closed, ReasonCode::Ended, Fault::Source),
            (ClientError::Protocol("x".repeat(1_000)), ReasonCode::Malformed, Fault::Source),
        ] {
            let reason = of_error(&error);
            assert_eq!((reason.code, reason.fault), (code, fault), "{error:?}");
            assert!(reason.message.chars().count() <= PEER_TEXT_CHARS_MAX);
        }
    }
}

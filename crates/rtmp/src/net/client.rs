//! Opens a push or a pull: it makes connections, follows redirects and authenticates, until the server accepts the publish or the play.

use std::time::Duration;

use tokio::time::Instant;
use weir_net::Dialer;

use super::client_error::ClientError;
use super::dial::dial;
use super::dialogue::{Answer, Dialogue};
use super::play_connection::PlayConnection;
use super::publish_connection::PublishConnection;
use super::random_bytes;
use crate::protocol::{AuthMod, AuthRounds, ClientConfig, ClientIntent, ClientProtocol, Rejection, is_auth_rejection};
use crate::stream_key::StreamKey;
use crate::url::{RtmpUrl, UrlError};

const REDIRECTS_MAX: usize = 3;
/// The most connections for one publish or play, those for redirects and authentication rounds included.
const CONNECTIONS_MAX: usize = 3 * (REDIRECTS_MAX + 1);

/// The place to push to or to pull from.
#[derive(Debug, Clone)]
pub struct ClientTarget {
    pub url: RtmpUrl,
    pub stream_key: StreamKey,
    /// Whether to announce Enhanced RTMP in `connect`. Of servers to push to, only those known to take it are told.
    pub enhanced: bool,
}

/// The limits and rules of a push or a pull.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The dialer of every connection, of those after redirects too.
    pub dialer: Dialer,
    pub tcp_connect_timeout: Duration,
    /// The whole time from the start to `NetStream.Publish.Start` or `NetStream.Play.Start`.
    pub accept_timeout: Duration,
    pub send_buffer_bytes: u32,
}

impl ClientOptions {
    /// The usual limits.
    pub fn new(dialer: Dialer) -> Self {
        Self {
            dialer,
            tcp_connect_timeout: Duration::from_secs(5),
            accept_timeout: Duration::from_secs(10),
            send_buffer_bytes: 256 * 1024,
        }
    }
}

/// Opens a connection and publishes on it. It returns only after `NetStream.Publish.Start`.
///
/// It follows redirects and answers Adobe and Limelight authentication, each on a connection of its own.
pub async fn connect_publish(target: &ClientTarget, options: &ClientOptions) -> Result<PublishConnection, ClientError> {
    Ok(PublishConnection::new(connect(target, ClientIntent::Publish, options).await?))
}

/// Opens a connection and plays on it. It returns once the server has said `NetStream.Play.Start` or has sent media.
///
/// Redirects and authentication are as in [`connect_publish`].
pub async fn connect_play(target: &ClientTarget, options: &ClientOptions) -> Result<PlayConnection, ClientError> {
    Ok(PlayConnection::new(connect(target, ClientIntent::Play, options).await?))
}

async fn connect(
    target: &ClientTarget,
    intent: ClientIntent,
    options: &ClientOptions,
) -> Result<Dialogue, ClientError> {
    let deadline = Instant::now() + options.accept_timeout;
    let mut url = target.url.clone();
    let mut auth = AuthRounds::default();
    let mut auth_query = String::new();
    let mut redirects = 0;
    for _ in 0..CONNECTIONS_MAX {
        let transport = dial(&url, options, deadline).await?;
        let config = ClientConfig {
            app: url.app.clone(),
            tc_url: url.tc_url(),
            auth_query: auth_query.clone(),
            stream_key: target.stream_key.clone(),
            enhanced: target.enhanced,
            intent,
        };
        let protocol = ClientProtocol::new(config, random_bytes()?)?;
        let mut dialogue = Dialogue::new(transport, protocol);
        let rejection = match dialogue.negotiate(deadline).await? {
            Answer::Accepted => return Ok(dialogue),
            Answer::Rejected(rejection) => rejection,
        };
        if let Some(redirect) = &rejection.redirect {
            redirects += 1;
            if redirects > REDIRECTS_MAX {
                return Err(ClientError::TooManyRedirects);
            }
            url = redirected(&url, redirect)?;
            auth = AuthRounds::default();
            auth_query.clear();
        } else if AuthMod::asked_in(&rejection.description).is_some() {
            let nonce = u32::from_ne_bytes(random_bytes()?);
            auth_query = auth
                .next_query(&rejection.description, url.credentials.as_ref(), &url.app, nonce)
                .map_err(|_| rejected(rejection, true))?;
        } else {
            let is_auth = is_auth_rejection(&rejection.code, &rejection.description);
            return Err(rejected(rejection, is_auth));
        }
    }
    Err(ClientError::TooManyRedirects)
}

fn rejected(rejection: Rejection, auth: bool) -> ClientError {
    ClientError::Rejected { code: rejection.code, description: rejection.description, auth }
}

/// The URL to which a redirect leads. An empty redirect leads to the same place.
fn redirected(from: &RtmpUrl, redirect: &str) -> Result<RtmpUrl, ClientError> {
    if redirect.is_empty() {
        return Ok(from.clone());
    }
    let parsed = match RtmpUrl::parse(redirect) {
        // The redirect names only another host, so the application stays the same.
        Err(UrlError::NoApp) => RtmpUrl::parse(&format!("{}/{}", redirect.trim_end_matches('/'), from.app)),
        parsed => parsed,
    };
    let mut to = parsed.map_err(|error| ClientError::Protocol(format!("redirect to an unusable address: {error}")))?;
    if from.tls && !to.tls {
        // The key must not cross the network in the clear only because a server says so.
        return Err(ClientError::Protocol("redirect from rtmps to rtmp".to_owned()));
    }
    to.credentials = to.credentials.or_else(|| from.credentials.clone());
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects() {
        let from = |text: &str| RtmpUrl::parse(text).unwrap();
        let to = |text: &str, redirect: &str| redirected(&from(text), redirect).map(|url| url.tc_url());
        assert_eq!(to("rtmp://a/live", "rtmp://b:1936/other").unwrap(), "rtmp://b:1936/other");
        assert_eq!(to("rtmp://a/live", "rtmp://b").unwrap(), "rtmp://b:1935/live");
        assert_eq!(to("rtmp://a/live", "rtmps://b/live").unwrap(), "rtmps://b:443/live");
        assert_eq!(to("rtmp://a/live", "").unwrap(), "rtmp://a:1935/live");
        assert!(matches!(to("rtmps://a/live", "rtmp://b/live"), Err(ClientError::Protocol(_))));
        assert!(matches!(to("rtmp://a/live", "http://b/live"), Err(ClientError::Protocol(_))));
        let with_user = redirected(&from("rtmp://u:p@a/live"), "rtmp://b/live").unwrap();
        assert_eq!(with_user.credentials.unwrap().user, "u");
    }
}

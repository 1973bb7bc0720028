//! Makes one request to a webhook: signed, to a permitted address, within its time.

use std::fmt::Write as _;
use std::time::Duration;

use axum::http::Uri;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use weir_model::Webhook;
use weir_net::{DialFault, Dialer, TcpOptions};

/// The time from the resolution of the name to the head of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of the answer is read: it is as long as `HTTP/1.1 204`.
const HEAD_BYTES: usize = 12;

/// Why a webhook did not take an event. The words never name the address, which may hold a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFault {
    #[error("the address can't be used")]
    Address,
    #[error(transparent)]
    Dial(#[from] DialFault),
    #[error("the connection broke")]
    Broken,
    #[error("it did not answer in HTTP")]
    NotHttp,
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("it answered {0}")]
    Status(u16),
}

/// Calls webhooks. A clone shares the dialer.
#[derive(Clone, Debug)]
pub struct WebhookCaller {
    dialer: Dialer,
}

impl WebhookCaller {
    pub fn new(dialer: Dialer) -> Self {
        Self { dialer }
    }

    pub(crate) async fn call(&self, webhook: &Webhook, body: &str) -> Result<(), CallFault> {
        let calling = self.call_patiently(webhook, body, OffsetDateTime::now_utc());
        tokio::time::timeout(PATIENCE, calling).await.unwrap_or(Err(CallFault::Timeout))
    }

    async fn call_patiently(&self, webhook: &Webhook, body: &str, now: OffsetDateTime) -> Result<(), CallFault> {
        let uri: Uri = webhook.url.expose().parse().map_err(|_| CallFault::Address)?;
        let host = uri.host().ok_or(CallFault::Address)?.trim_matches(['[', ']']).to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let deadline = Instant::now() + PATIENCE;
        let options = TcpOptions { timeout: PATIENCE, send_buffer_bytes: None };
        let socket = self.dialer.tcp(&host, port, options, deadline).await?;
        let request = request(webhook, &uri, body, now);
        let status = if is_tls {
            send(self.dialer.tls(&host, socket, deadline).await?, &request).await?
        } else {
            send(socket, &request).await?
        };
        // Redirects are not followed: a request that was signed for one address is not for another.
        if (200..300).contains(&status) { Ok(()) } else { Err(CallFault::Status(status)) }
    }
}

/// Writes the request in HTTP/1.1 as plain as can be. The connection is for this one event.
fn request(webhook: &Webhook, uri: &Uri, body: &str, now: OffsetDateTime) -> String {
    let timestamp = now.unix_timestamp().to_string();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // A user before the host is meant for a login, and does not belong in the header.
    let host = uri.authority().map_or("", |authority| authority.as_str()).rsplit('@').next().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let signed = webhook.secret.as_ref().map_or_else(String::new, |secret| {
        format!("Weir-Signature: {}\r\n", signature(secret.expose(), &timestamp, body))
    });
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: weir/{version}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\nWeir-Timestamp: {timestamp}\r\n{signed}\r\n{body}",
        body.len()
    )
}

/// The signature: `v1=` and, in hexadecimal, the HMAC-SHA256 of the timestamp, a point and the body.
fn signature(secret: &str, timestamp: &str, body: &str) -> String {
    let mut text = String::from("v1=");
    // HMAC takes a key of any length, so this never fails.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return text };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    for byte in mac.finalize().into_bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Sends the request and reads the status of the answer, and nothing more of it.
async fn send(mut socket: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Result<u16, CallFault> {
    // A webhook that answers before it has read everything may close its side, which breaks the writing. Its answer counts all the same.
    let written = async {
        socket.write_all(request.as_bytes()).await?;
        socket.flush().await
    }
    .await;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let _ = socket.take(HEAD_BYTES as u64).read_to_end(&mut head).await;
    match status(&head) {
        Some(status) => Ok(status),
        None if written.is_err() => Err(CallFault::Broken),
        None => Err(CallFault::NotHttp),
    }
}

/// The status in a head such as `HTTP/1.1 204 ...`.
fn status(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.")?.get(1..)?.strip_prefix(b" ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| (200..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_as_the_contract_says() {
        // This signature is what `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret` prints.
        let expected = "v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
        assert_eq!(signature("secret", "1700000000", "{}"), expected);
    }

    #[test]
    fn only_http_has_a_status() {
        for (head, expected) in [
            ("HTTP/1.1 204 No Content", Some(204)),
            ("HTTP/1.0 500", Some(500)),
            ("HTTP/1.1 20", None),
            ("SSH-2.0-OpenSSH", None),
            ("", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }

    #[test]
    fn a_request_goes_where_it_should() {
        let hook = Webhook::draft("http://user@h:81/a?b=1", Some("s".into()), None);
        let uri: Uri = hook.url.expose().parse().unwrap();
        let text = request(&hook, &uri, "{}", OffsetDateTime::UNIX_EPOCH);
        for expected in ["POST /a?b=1 HTTP/1.1\r\n", "\r\nHost: h:81\r\n", "\r\nWeir-Timestamp: 0\r\n", "\r\n\r\n{}"] {
            assert!(text.contains(expected), "{text}");
        }
    }
}

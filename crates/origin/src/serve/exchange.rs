//! An exchange is one request over HTTP/2 and its answer, of which the client has to take something now and then.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use hyper::body::Body as _;
use tokio::time::{Instant, timeout};

use super::http2::SEND_BUFFER_BYTES;
use super::received::Received;
use super::{Guest, Shared};
use crate::body::HeldBody;

/// Headers that belong to a connection of HTTP/1.1, and must not be sent over HTTP/2.
const NOT_SAID: [header::HeaderName; 4] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TRAILER];

/// How an exchange came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Answered,
    /// The client took the request back, or is gone.
    Given,
    /// The client took nothing for too long.
    Stalled,
}

/// When the client last took a part of any answer on a connection.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    millis: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self { began: Instant::now(), millis: AtomicU64::new(0) }
    }
}

impl Progress {
    fn note(&self) {
        self.millis.store(millis(self.began.elapsed()), Ordering::Relaxed);
    }

    pub(super) fn silence(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.millis.load(Ordering::Relaxed)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What an exchange shares with the others of its connection.
pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) guest: Arc<Guest>,
    pub(super) progress: Arc<Progress>,
}

impl Exchange {
    pub(super) async fn run(self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Ended {
        let is_head = *request.method() == Method::HEAD;
        let answering = self.shared.answer(request.map(Received::new), &self.guest);
        let response = tokio::select! {
            response = answering => response,
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return Ended::Given,
        };
        let (mut parts, body) = response.into_parts();
        complete(&mut parts.headers, &body, is_head);
        let is_over = is_head || body.is_end_stream();
        let Ok(stream) = respond.send_response(Response::from_parts(parts, ()), is_over) else { return Ended::Given };
        if is_over { Ended::Answered } else { self.send(body, stream).await }
    }

    async fn send(&self, body: HeldBody, mut stream: SendStream<Bytes>) -> Ended {
        let mut body = pin!(body);
        loop {
            let frame = poll_fn(|cx| match stream.poll_reset(cx) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => body.as_mut().poll_frame(cx).map(Some),
            });
            let data = match frame.await {
                None => return Ended::Given,
                Some(None) => return end(&mut stream),
                Some(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                // The body failed, so the answer must not look complete.
                Some(Some(Err(_))) => {
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return Ended::Given;
                }
            };
            let is_last = body.is_end_stream();
            if data.is_empty() && is_last {
                return end(&mut stream);
            }
            match self.send_data(data, is_last, &mut stream).await {
                Ended::Answered if is_last => return Ended::Answered,
                Ended::Answered => {}
                ended => return ended,
            }
        }
    }

    /// Sends as much at a time as the client has room for: what it has not asked for does not lie about in the connection.
    async fn send_data(&self, mut data: Bytes, is_last: bool, stream: &mut SendStream<Bytes>) -> Ended {
        while !data.is_empty() {
            stream.reserve_capacity(data.len().min(SEND_BUFFER_BYTES));
            let room = match timeout(self.shared.limits.stall_timeout, room(stream)).await {
                Ok(Some(room)) => room,
                Ok(None) => return Ended::Given,
                Err(_) => {
                    stream.send_reset(Reason::CANCEL);
                    return Ended::Stalled;
                }
            };
            let piece = data.split_to(room.min(data.len()));
            if stream.send_data(piece, is_last && data.is_empty()).is_err() {
                return Ended::Given;
            }
            self.progress.note();
        }
        Ended::Answered
    }
}

/// Waits until something may be sent, and returns how much. Returns none if the stream is no more.
async fn room(stream: &mut SendStream<Bytes>) -> Option<usize> {
    poll_fn(|cx| {
        loop {
            match stream.capacity() {
                0 => match std::task::ready!(stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Poll::Ready(None),
                },
                room => return Poll::Ready(Some(room)),
            }
        }
    })
    .await
}

fn end(stream: &mut SendStream<Bytes>) -> Ended {
    if stream.send_data(Bytes::new(), true).is_ok() { Ended::Answered } else { Ended::Given }
}

/// Completes the headers as an HTTP library would.
fn complete(headers: &mut HeaderMap, body: &HeldBody, is_head: bool) {
    for name in NOT_SAID {
        headers.remove(name);
    }
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(SystemTime::now())) {
        headers.entry(header::DATE).or_insert(date);
    }
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0 && !is_head) {
        headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
}

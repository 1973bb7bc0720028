//! The body of an answer: the packager's bytes as they are, or whatever the router made.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use weir_net::Visit;

#[derive(Debug)]
pub(crate) enum OriginBody {
    /// The bytes are shared, and are given out once. Once they are taken, the body is at its end.
    Shared(Option<Bytes>),
    Routed(Body),
}

impl OriginBody {
    pub(crate) fn empty() -> Self {
        Self::Shared(None)
    }
}

impl From<Bytes> for OriginBody {
    fn from(bytes: Bytes) -> Self {
        Self::Shared(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl HttpBody for OriginBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Shared(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Routed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Shared(bytes) => bytes.is_none(),
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Shared(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Routed(body) => body.size_hint(),
        }
    }
}

/// An answer's body, with the visit that counts it for its client's address. The visit ends when the body has been sent, not when it was
/// made.
#[derive(Debug)]
pub(crate) struct HeldBody {
    body: OriginBody,
    _visit: Option<Visit>,
}

impl HeldBody {
    pub(crate) fn new(body: OriginBody, visit: Option<Visit>) -> Self {
        Self { body, _visit: visit }
    }
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

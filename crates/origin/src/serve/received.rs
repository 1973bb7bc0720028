//! The body of a request that came over HTTP/2. The client may send more as it is read.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use hyper::body::{Body, Frame};

#[derive(Debug)]
pub(super) struct Received {
    stream: RecvStream,
}

impl Received {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Some(data) = ready!(self.stream.poll_data(cx)) else { return Poll::Ready(None) };
        Poll::Ready(Some(data.and_then(|data| {
            self.stream.flow_control().release_capacity(data.len())?;
            Ok(Frame::data(data))
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}

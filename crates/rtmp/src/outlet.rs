//! One connection's side of a feed: it reads the feed's batches, and turns them into the bytes that this connection must send.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use weir_hub::{Cold, Cursor, FeedHandle, Next};

use crate::from_frames::{Batch, MEDIA_CHUNK_BYTES, MediaOut, RtmpBatcher, SharedBatch, wire_ms, write};
use crate::net::{BoxFuture, Outgoing};
use crate::parcel::{Parcel, ParcelWriter};
use crate::protocol::MessageKind;
use crate::setup::Setup;
use crate::wire::Header;

/// See the module.
#[derive(Debug)]
pub struct Outlet {
    reader: Reader,
    /// The feed to go over to at the start of the next GOP: what goes out is not cut within one.
    next: Option<Reader>,
    /// The time of the keyframe with which it goes on, after it has gone over to another feed.
    resumes_at_ms: Option<i64>,
    framing: Framing,
    dropped_frames: u64,
    until: Option<Cold<BoxFuture<'static, ()>>>,
    has_ended: bool,
}

#[derive(Debug)]
struct Reader {
    cursor: Cursor<SharedBatch>,
    /// Holding this keeps the feed running.
    _feed: FeedHandle<RtmpBatcher>,
}

impl Outlet {
    /// An outlet for the message stream of that id.
    pub fn new(feed: FeedHandle<RtmpBatcher>, stream_id: u32) -> Self {
        Self {
            reader: Reader::new(feed),
            next: None,
            resumes_at_ms: None,
            framing: Framing::new(stream_id),
            dropped_frames: 0,
            until: None,
            has_ended: false,
        }
    }

    /// Ends when that future does, as if the feed had ended then.
    pub fn until(self, end: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { until: Some(Cold::new(Box::pin(end))), ..self }
    }

    /// Goes over to another feed of the same pictures, at the start of the next GOP.
    pub fn go_over_to(&mut self, feed: FeedHandle<RtmpBatcher>) {
        self.next = Some(Reader::new(feed));
    }

    /// The number of pictures that were passed over since the last call.
    pub fn take_dropped_frames(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_frames)
    }

    fn parcel(&mut self, batch: &Batch) -> Option<Parcel> {
        if batch.is_start()
            && let Some(next) = self.next.take()
        {
            self.reader = next;
            self.resumes_at_ms = Some(batch.start_ms);
            // This has the decoders' configurations sent before what comes next.
            self.framing.skipped();
            return None;
        }
        if let Some(at_ms) = self.resumes_at_ms {
            if !batch.is_start() || batch.start_ms < at_ms {
                return None;
            }
            self.resumes_at_ms = None;
        }
        Some(self.framing.parcel(batch)).filter(|parcel| !parcel.is_empty())
    }

    fn skipped(&mut self, batches: u64) {
        // What the cursor skips on the way to where it goes on was to be passed over anyway.
        if self.resumes_at_ms.is_none() {
            // A batch is one picture with its sound.
            self.dropped_frames += batches;
            self.framing.skipped();
        }
    }
}

impl Outgoing for Outlet {
    fn poll_parcel(&mut self, cx: &mut Context<'_>) -> Poll<Option<Parcel>> {
        while !self.has_ended {
            match self.reader.cursor.poll_next(cx) {
                Poll::Ready(Next::Item(batch)) => {
                    if let Some(parcel) = self.parcel(&batch) {
                        return Poll::Ready(Some(parcel));
                    }
                }
                Poll::Ready(Next::Skipped { items }) => self.skipped(items),
                Poll::Ready(Next::Closed) => self.has_ended = true,
                Poll::Pending => match self.until.as_mut().map(|until| Pin::new(until).poll(cx)) {
                    Some(Poll::Ready(())) => self.has_ended = true,
                    Some(Poll::Pending) | None => return Poll::Pending,
                },
            }
        }
        Poll::Ready(None)
    }
}

impl Reader {
    fn new(feed: FeedHandle<RtmpBatcher>) -> Self {
        Self { cursor: feed.subscribe(), _feed: feed }
    }
}

/// What one connection has been told so far. Of a batch it can be sent what all share, unless it lacks something of that.
#[derive(Debug)]
pub struct Framing {
    stream_id: u32,
    /// The connection's time zero, as a time on the stream's timeline.
    zero_ms: Option<i64>,
    setup: Option<Arc<Setup>>,
    /// The number of the batch that was sent last.
    number: Option<u64>,
    video_begun: bool,
    audio_begun: bool,
}

impl Framing {
    pub fn new(stream_id: u32) -> Self {
        Self { stream_id, zero_ms: None, setup: None, number: None, video_begun: false, audio_begun: false }
    }

    /// Whether `parcel` is the shared parcel of `batch`, rather than one made for this connection. Tests ask this.
    pub fn shares(parcel: &Parcel, batch: &Batch) -> bool {
        parcel.shares(&batch.shared)
    }

    /// Notes that batches were passed over, so that the next one gets full headers and the configurations again.
    pub fn skipped(&mut self) {
        self.setup = None;
        self.video_begun = false;
        self.audio_begun = false;
    }

    /// The parcel to send for this batch: the shared one, except around this connection's start. The first batch after the beginning or
    /// after a skip must be a start, which the window's cursor sees to.
    pub fn parcel(&mut self, batch: &Batch) -> Parcel {
        if self.number.replace(batch.number).is_some_and(|last| last + 1 != batch.number) {
            self.skipped();
        }
        let begun = (self.video_begun || !batch.has_video) && (self.audio_begun || !batch.has_audio);
        let same_setup = self.setup.as_ref().is_some_and(|setup| Arc::ptr_eq(setup, &batch.setup));
        if begun && self.setup.is_some() {
            // A setup that has changed is part of the shared bytes of the batch that changed it, so it is not sent again here.
            self.setup = Some(Arc::clone(&batch.setup));
            return batch.shared.clone();
        }
        self.own_parcel(batch, same_setup)
    }

    fn own_parcel(&mut self, batch: &Batch, same_setup: bool) -> Parcel {
        let zero_ms = *self.zero_ms.get_or_insert(batch.start_ms);
        let mut out = ParcelWriter::new(MEDIA_CHUNK_BYTES);
        if !same_setup {
            let at_ms = wire_ms(batch.start_ms, zero_ms);
            let setup = &batch.setup;
            let metadata = (MessageKind::Data, &setup.metadata);
            for (kind, body) in std::iter::once(metadata).chain(setup.configs()) {
                write(&mut out, kind, Header::Full, self.stream_id, at_ms, &[], body);
            }
            self.setup = Some(Arc::clone(setup));
        }
        for MediaOut { kind, timestamp_ms, previous_ms, tag, payload } in &batch.messages {
            let begun = match kind {
                MessageKind::Video => &mut self.video_begun,
                MessageKind::Audio => &mut self.audio_begun,
                MessageKind::Data => continue,
            };
            let header = if *begun {
                Header::Delta { previous_timestamp_ms: wire_ms(*previous_ms, zero_ms) }
            } else if *timestamp_ms >= zero_ms {
                *begun = true;
                Header::Full
            } else {
                // This audio is older than the picture with which the connection begins, so no player could play it in its place.
                continue;
            };
            write(&mut out, *kind, header, self.stream_id, wire_ms(*timestamp_ms, zero_ms), tag, payload);
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Instant;

    use bytes::Bytes;
    use tokio::runtime::Handle;
    use tokio::sync::oneshot;
    use weir_hub::{Feeds, SOURCE_RENDITION, StreamHub, WindowLimits};
    use weir_media::{Codec, Frame, FrameFlags, MediaTime, TrackId};

    use super::*;
    use crate::carried::tests::tracks;

    #[tokio::test]
    async fn it_goes_over_at_a_keyframe_and_ends_when_it_is_told() {
        let hub = StreamHub::new(WindowLimits::FRAMES);
        let mut publisher = hub.publish_source(Instant::now());
        publisher.set_tracks(tracks(&[(Codec::Aac, "deu"), (Codec::Aac, "eng")]));
        let mut picture = |number: i64, keyframe| {
            let dts = MediaTime::from_millis(number * 40);
            let flags = FrameFlags { keyframe, discontinuity: false };
            let payload = Bytes::from_static(&[0; 8]);
            publisher.write(Frame { track: TrackId(0), dts, pts: dts, flags, payload }, Instant::now());
        };
        let feeds = Feeds::new(hub.clone(), Handle::current());
        let feed = |language| feeds.feed(SOURCE_RENDITION, weir_media::Language::parse(language), &Handle::current());
        let (tell, told) = oneshot::channel::<()>();
        let mut outlet = Outlet::new(feed("deu"), 1).until(async { drop(told.await) });
        for (number, goes_over) in [(0, false), (1, true), (2, false), (3, false)] {
            picture(number, number % 3 == 0);
            if goes_over {
                outlet.go_over_to(feed("eng"));
            }
            assert!(poll_fn(|cx| outlet.poll_parcel(cx)).await.is_some(), "picture {number} goes out once");
            assert_eq!(outlet.next.is_some(), (1..3).contains(&number), "after picture {number}");
        }
        assert_eq!(outlet.take_dropped_frames(), 0);
        tell.send(()).unwrap();
        for _ in 0..2 {
            assert!(poll_fn(|cx| outlet.poll_parcel(cx)).await.is_none());
        }
    }
}

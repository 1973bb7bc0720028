//! The short way of a request: it is read off the connection, answered, and the answer is written to the connection, without the HTTP
//! library in between.
//!
//! Half of what a playlist cost was the library's work for requests of every kind, and players send only one kind. A connection that asks
//! for anything else goes over to the library with the bytes that have been read of it, and stays there.

use std::cell::RefCell;
use std::io::{self, IoSlice, Write as _};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::origin::Origin;
use crate::read_head::{Head, SHORT_HEAD_BYTES_MAX, read_head};
use crate::reply::{Reply, ReplyBody};
use crate::rewind_io::RewindIo;
use crate::serve::Guest;
use crate::watched::Watched;

/// Most requests fit into so many bytes, and a connection that waits for its next request holds no more than these.
const INPUT_BYTES: usize = 1024;

/// The head of an answer has some 450 bytes.
const OUTPUT_BYTES: usize = 512;

/// How long a connection may take for its last words.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// The answer to a client that speaks HTTP/2 without having asked for it in a TLS handshake.
const NO_HTTP2_HERE: &[u8] = b"HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: text/plain\r\n\
    content-length: 70\r\nconnection: close\r\n\r\nHTTP/2 is spoken over TLS only, where the client asks for it by ALPN.\n";

impl Origin {
    /// Answers plain requests until the connection ends. If another kind of request comes, returns the connection.
    ///
    /// `head_limit` is the time for the head of a request, counted from the answer before it, so an idle connection ends by it, too.
    pub(crate) async fn serve_short<S>(
        &self,
        mut socket: S,
        guest: &Guest,
        drain: &mut watch::Receiver<bool>,
        head_limit: Duration,
    ) -> Option<RewindIo<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut input, mut filled) = (vec![0; INPUT_BYTES], 0);
        let mut output = Vec::with_capacity(OUTPUT_BYTES);
        let mut deadline = Instant::now() + head_limit;
        // The timer is set for the first request, and the deadline is compared only when it rings: setting it for each request would cost
        // more.
        let mut alarm = pin!(sleep_until(deadline));
        // The guard that `wait_for` returns must be dropped, or it would be held while the connection is awaited below.
        let mut draining = pin!(async { drop(drain.wait_for(|draining| *draining).await) });
        loop {
            let (head, room) = input.split_at_mut(filled);
            match read_head(head) {
                Head::Foreign => {
                    input.truncate(filled);
                    return Some(RewindIo::new(socket, input));
                }
                Head::Partial if room.is_empty() => input.resize(SHORT_HEAD_BYTES_MAX, 0),
                Head::Partial => {
                    let more = std::future::poll_fn(|cx| {
                        if let Poll::Ready(more) = poll_read(&mut socket, cx, room) {
                            return Poll::Ready(more.ok());
                        }
                        while alarm.as_mut().poll(cx).is_ready() {
                            if deadline <= Instant::now() {
                                return Poll::Ready(None);
                            }
                            alarm.as_mut().reset(deadline);
                        }
                        draining.as_mut().poll(cx).map(|()| None)
                    });
                    match more.await {
                        None | Some(0) => return None,
                        Some(more) => filled += more,
                    }
                }
                Head::Http2 => {
                    // This is boxed, so that all other requests do not carry the room for it.
                    let _ = timeout(GOODBYE_TIMEOUT, Box::pin(say_goodbye(socket, NO_HTTP2_HERE))).await;
                    return None;
                }
                Head::Plain { asked, said, length } => {
                    let client = guest.client(&said);
                    if guest.is_sent_to_https(client) {
                        input.truncate(filled);
                        return Some(RewindIo::new(socket, input));
                    }
                    let visit = self.begin(guest, client);
                    let (reply, more) = match &visit {
                        None => (Reply::busy(), 0),
                        Some(_) => while_connected(self.answer(&asked, client), &mut socket, room).await?,
                    };
                    filled += more;
                    output.clear();
                    with_date(|date| reply.write_head(date, &mut output));
                    match reply.body {
                        ReplyBody::Whole(body) => write_all(&mut socket, &output, &body).await.ok()?,
                        ReplyBody::Growing(segment) => {
                            // This is boxed, so that all other requests do not carry the room for it.
                            filled +=
                                Box::pin(write_growing(&mut socket, &output, *segment, &mut room[more..])).await?;
                        }
                    }
                    drop(visit);
                    input.copy_within(length..filled, 0);
                    filled -= length;
                    if filled <= INPUT_BYTES && input.len() > INPUT_BYTES {
                        input.truncate(INPUT_BYTES);
                        input.shrink_to_fit();
                    }
                    deadline = Instant::now() + head_limit;
                }
            }
        }
    }
}

/// Awaits something, and counts the bytes that come into `room` meanwhile, because a client that waits for a part may already send its next
/// request. Returns none if the client has gone.
async fn while_connected<S: AsyncRead + Unpin, T>(
    awaited: impl Future<Output = T>,
    socket: &mut S,
    room: &mut [u8],
) -> Option<(T, usize)> {
    let mut awaited = pin!(awaited);
    let mut filled = 0;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = awaited.as_mut().poll(cx) {
            return Poll::Ready(Some((done, filled)));
        }
        while filled < room.len() {
            match ready!(poll_read(socket, cx, &mut room[filled..])) {
                Ok(more @ 1..) => filled += more,
                Ok(0) | Err(_) => return Poll::Ready(None),
            }
        }
        Poll::Pending
    })
    .await
}

fn poll_read<S: AsyncRead + Unpin>(socket: &mut S, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(room);
    ready!(Pin::new(socket).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Writes head and body, with one system call if the kernel takes both.
async fn write_all<S: AsyncWrite + Unpin>(socket: &mut S, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
    while !head.is_empty() || !body.is_empty() {
        let written = match (head.is_empty(), body.is_empty()) {
            (false, false) => socket.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]).await?,
            (false, true) => socket.write(head).await?,
            (true, _) => socket.write(body).await?,
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_head = written.min(head.len());
        (head, body) = (&head[of_head..], &body[written - of_head..]);
    }
    socket.flush().await
}

/// Says last words. What the client still sends is read until it has closed the connection: if it were left unread, the kernel would throw
/// the words away.
async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, words: &[u8]) -> io::Result<()> {
    write_all(&mut socket, words, &[]).await?;
    socket.shutdown().await?;
    let mut passed_over = [0; INPUT_BYTES];
    while socket.read(&mut passed_over).await? > 0 {}
    Ok(())
}

/// Sends a segment in chunks, one for each part, and returns how many bytes came into `room` meanwhile. Returns none if the client has
/// gone, or if the segment ends before it is whole: then the connection is cut, so that nobody takes the segment for whole.
async fn write_growing<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    head: &[u8],
    mut segment: Watched,
    room: &mut [u8],
) -> Option<usize> {
    let mut filled = 0;
    // These bytes end the chunk before and begin the next one.
    let mut between = head.to_vec();
    loop {
        let (next, more) = while_connected(segment.next(), socket, &mut room[filled..]).await?;
        filled += more;
        let Some(part) = next else {
            between.extend_from_slice(b"0\r\n\r\n");
            write_all(socket, &between, &[]).await.ok()?;
            return Some(filled);
        };
        let part = part.ok()?;
        // Writing to a Vec can't fail.
        let _ = write!(between, "{:x}\r\n", part.len());
        write_all(socket, &between, &part).await.ok()?;
        between.clear();
        between.extend_from_slice(b"\r\n");
    }
}

thread_local! {
    /// The second whose date was written last, and the text of that date.
    static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

fn with_date<T>(tell: impl FnOnce(&[u8]) -> T) -> T {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(written, text)| {
        if *written != second || text.is_empty() {
            (*written, *text) = (second, httpdate::fmt_http_date(now));
        }
        tell(text.as_bytes())
    })
}

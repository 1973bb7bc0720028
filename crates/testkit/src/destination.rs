//! An RTMP destination in this process, on a free port. It records what it is sent, or misbehaves as told.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use socket2::SockRef;
use weir_mux::flv::file::{FlvTag, FlvTagKind, FlvWriter};

use crate::sink_session::{ConnectAnswer, PublishAnswer, SinkEvent, SinkSession};
use crate::{wait_until, wait_until_some};

/// How long a blocked read or accept waits before it checks whether to stop or behave otherwise.
const LOOK_UP: Duration = Duration::from_millis(20);
/// The kernel's buffers hide a stalled reader from its sender; with a small one the stall shows after a fraction of a second of media.
const RECEIVE_BUFFER_BYTES: usize = 64 << 10;

/// How the destination treats each connection that begins from now on.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    pub handshake: HandshakeAnswer,
    pub connect: ConnectAnswer,
    pub publish: PublishAnswer,
    pub media: MediaTreatment,
    /// It sends no acknowledgements, so only TCP tells how far it has read.
    pub no_acks: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandshakeAnswer {
    #[default]
    Whole,
    /// It sends the first half of S0 and S1, and nothing more.
    Half,
    /// TCP accepts the connection, and not a byte comes.
    Silence,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaTreatment {
    #[default]
    Record,
    /// It reads nothing more once the publish is accepted.
    ReadNothing,
    /// It reads this much a second once the publish is accepted.
    Drip { bytes_per_second: usize },
    /// It closes after so many media messages, in the middle of a GOP.
    CloseAfter { messages: usize },
    /// It resets the connection (RST) after so many media messages.
    ResetAfter { messages: usize },
}

/// One recorded message.
#[derive(Clone, Debug)]
pub struct Received {
    /// The number of its connection, from 0.
    pub connection: usize,
    pub tag: FlvTag,
    pub at: Instant,
}

/// What has happened on a connection so far, besides media.
#[derive(Clone, Debug)]
pub struct Push {
    pub app: String,
    pub tc_url: String,
    pub stream_key: Option<String>,
    pub at: Instant,
    pub unpublished: bool,
    pub closed: bool,
}

/// An RTMP destination. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Destination {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<Answers>,
    frozen: AtomicBool,
    stopped: AtomicBool,
    accepted: AtomicUsize,
    pushes: Mutex<Vec<Push>>,
    received: Mutex<Vec<Received>>,
    open: Mutex<Vec<(usize, TcpStream)>>,
}

impl Destination {
    /// A destination that accepts and records everything.
    pub fn new() -> Self {
        Self::with(Answers::default())
    }

    pub fn with(answers: Answers) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a free port"), answers)
    }

    /// A destination that refuses the publish with this code and text, as a platform does with a wrong key.
    pub fn rejecting(code: &str, description: &str) -> Self {
        let publish = PublishAnswer::Reject { code: code.to_owned(), description: description.to_owned() };
        Self::with(Answers { publish, ..Answers::default() })
    }

    pub fn treating_media(media: MediaTreatment) -> Self {
        Self::with(Answers { media, ..Answers::default() })
    }

    /// A destination on a listener that exists already, such as the port of one that was away.
    pub fn on(listener: TcpListener, answers: Answers) -> Self {
        SockRef::from(&listener).set_recv_buffer_size(RECEIVE_BUFFER_BYTES).expect("a buffer can be small");
        listener.set_nonblocking(true).expect("a listener can be polled");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { answers: Mutex::new(answers), ..Shared::default() });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || of_thread.accept(&listener));
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server URL without a key: `rtmp://127.0.0.1:PORT/app`.
    pub fn server_url(&self) -> String {
        format!("rtmp://{}/app", self.address)
    }

    /// The one-line URL with a key.
    pub fn url(&self, stream_key: &str) -> String {
        format!("{}/{stream_key}", self.server_url())
    }

    /// Sets the behaviour for connections that begin from now on.
    pub fn answer(&self, answers: Answers) {
        *self.shared.answers.lock().unwrap() = answers;
    }

    /// Stops reading, on connections that are open too, until [`Self::thaw`].
    pub fn freeze(&self) {
        self.shared.frozen.store(true, Ordering::Relaxed);
    }

    pub fn thaw(&self) {
        self.shared.frozen.store(false, Ordering::Relaxed);
    }

    /// Closes every open connection in an orderly way (FIN), and goes on accepting.
    pub fn close_connections(&self) {
        for (_, stream) in self.shared.open.lock().unwrap().drain(..) {
            // A peer that has gone already is as good as closed.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Closes the port and the connections for good; further attempts are refused.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.close_connections();
    }

    /// The number of TCP connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// The pushes that came as far as `connect`, in order.
    pub fn pushes(&self) -> Vec<Push> {
        self.shared.pushes.lock().unwrap().clone()
    }

    /// The stream keys of all publishes so far, each once.
    pub fn stream_keys(&self) -> HashSet<String> {
        self.pushes().into_iter().filter_map(|push| push.stream_key).collect()
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The number of coded video frames so far, without configurations and ends of sequence.
    pub fn video_frames(&self) -> usize {
        self.shared.received.lock().unwrap().iter().filter(|received| is_video_frame(&received.tag)).count()
    }

    #[track_caller]
    pub fn wait_video_frames(&self, count: usize, limit: Duration) -> Duration {
        let what = format!("the destination had {count} video frames");
        wait_until(&what, limit, || self.video_frames() >= count)
    }

    /// Waits for the first video frame of connection `number` (from 0).
    #[track_caller]
    pub fn wait_first_frame_of(&self, number: usize, limit: Duration) -> Received {
        wait_until_some(&format!("connection {number} brought video"), limit, || {
            let received = self.shared.received.lock().unwrap();
            received.iter().find(|received| received.connection == number && is_video_frame(&received.tag)).cloned()
        })
    }

    /// Writes what connection `number` recorded as an FLV file.
    pub fn save_flv(&self, number: usize, path: &Path) {
        let (mut writer, mut out) = (FlvWriter::new(), BytesMut::new());
        for received in self.received().iter().filter(|received| received.connection == number) {
            writer.write(&mut out, &received.tag).expect("what was received can be written");
        }
        std::fs::write(path, &out).expect("the file can be written");
    }
}

impl Default for Destination {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A coded picture: not the decoder configuration and not the end of the sequence.
pub fn is_video_frame(tag: &FlvTag) -> bool {
    tag.kind == FlvTagKind::Video && tag.body.len() > 5 && tag.body.get(1) == Some(&1)
}

/// A coded picture that a decoder can start with.
pub fn is_keyframe(tag: &FlvTag) -> bool {
    is_video_frame(tag) && tag.body[0] >> 4 == 1
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        while !self.stopped.load(Ordering::Relaxed) {
            let Ok((stream, _)) = listener.accept() else {
                thread::sleep(LOOK_UP / 4);
                continue;
            };
            let number = self.accepted.fetch_add(1, Ordering::Relaxed);
            self.open.lock().unwrap().push((number, stream.try_clone().expect("a socket can be cloned")));
            let shared = Arc::clone(&self);
            thread::spawn(move || shared.serve(stream, number));
        }
    }

    fn serve(&self, mut stream: TcpStream, number: usize) {
        let mut connection = Connection { shared: self, number, push: None, messages: 0 };
        connection.run(&mut stream);
        connection.with_push(|push| push.closed = true);
        self.open.lock().unwrap().retain(|(open, _)| *open != number);
    }

    fn paused(&self) -> bool {
        self.frozen.load(Ordering::Relaxed) && !self.stopped.load(Ordering::Relaxed)
    }
}

/// An accepted connection and its progress.
struct Connection<'a> {
    shared: &'a Shared,
    number: usize,
    push: Option<usize>,
    messages: usize,
}

impl Connection<'_> {
    fn run(&mut self, stream: &mut TcpStream) {
        let answers = self.shared.answers.lock().unwrap().clone();
        stream.set_nonblocking(false).expect("a socket can block");
        stream.set_read_timeout(Some(LOOK_UP)).expect("a socket can time out");
        let mut session = SinkSession::new(answers.connect, answers.publish);
        if answers.no_acks {
            session = session.without_acks();
        }
        let mut buffer = vec![0; 64 << 10];
        let mut published = false;
        while !self.shared.stopped.load(Ordering::Relaxed) {
            if self.shared.paused() || published && answers.media == MediaTreatment::ReadNothing {
                thread::sleep(LOOK_UP);
                continue;
            }
            let limit = match answers.media {
                MediaTreatment::Drip { bytes_per_second } if published => {
                    thread::sleep(Duration::from_secs(1) / u32::try_from(bytes_per_second).expect("a slow drip"));
                    1
                }
                _ => buffer.len(),
            };
            let bytes = match stream.read(&mut buffer[..limit]) {
                Ok(0) => return,
                Ok(length) => &buffer[..length],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => return,
            };
            let Ok(events) = session.feed(bytes) else { return };
            let output = session.take_output();
            let sent = match answers.handshake {
                HandshakeAnswer::Silence => continue,
                HandshakeAnswer::Half if !output.is_empty() => {
                    // The rest never comes; what the peer says meanwhile is read and ignored.
                    let sent = stream.write_all(&output[..output.len().min(700)]);
                    while sent.is_ok() && !self.shared.stopped.load(Ordering::Relaxed) {
                        if matches!(stream.read(&mut buffer), Ok(0)) {
                            return;
                        }
                    }
                    return;
                }
                _ => stream.write_all(&output),
            };
            if sent.is_err() {
                return;
            }
            for event in events {
                published |= matches!(event, SinkEvent::Published { .. });
                if !self.take(event) {
                    return close_after_refusal(stream, &mut buffer);
                }
            }
            match answers.media {
                MediaTreatment::CloseAfter { messages } if self.messages >= messages => return,
                MediaTreatment::ResetAfter { messages } if self.messages >= messages => {
                    // A linger time of zero makes the last close() send RST instead of FIN.
                    SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).expect("a socket can linger");
                    return;
                }
                _ => {}
            }
        }
    }

    /// Handles an event; false where the connection ends here.
    fn take(&mut self, event: SinkEvent) -> bool {
        match event {
            SinkEvent::Connected { app, tc_url, .. } => {
                let mut pushes = self.shared.pushes.lock().unwrap();
                self.push = Some(pushes.len());
                let at = Instant::now();
                pushes.push(Push { app, tc_url, stream_key: None, at, unpublished: false, closed: false });
            }
            SinkEvent::Published { stream_key } => self.with_push(|push| push.stream_key = Some(stream_key)),
            SinkEvent::Unpublished => self.with_push(|push| push.unpublished = true),
            SinkEvent::Refused => return false,
            SinkEvent::Media(tag) => {
                self.messages += 1;
                let received = Received { connection: self.number, tag, at: Instant::now() };
                self.shared.received.lock().unwrap().push(received);
            }
        }
        true
    }

    fn with_push(&self, change: impl FnOnce(&mut Push)) {
        if let Some(number) = self.push {
            change(&mut self.shared.pushes.lock().unwrap()[number]);
        }
    }
}

/// Says the end first, and then reads on for a moment: closing with bytes unread would send RST, which can overtake the refusal.
fn close_after_refusal(stream: &mut TcpStream, buffer: &mut [u8]) {
    let end = Instant::now() + Duration::from_secs(1);
    // The peer may be gone already.
    let _ = stream.shutdown(Shutdown::Write);
    while Instant::now() < end && !matches!(stream.read(buffer), Ok(0)) {}
}

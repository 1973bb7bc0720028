//! A fake RTMP publisher. It sends what it is given with the timestamps it is given, whole or in raw bytes, once or as a live feed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use weir_mux::flv::file::{FlvTag, FlvTagKind};
use weir_rtmp::wire::{
    ChunkReader, ClientHandshake, Header, Message, ReadLimits, Value, decode_all, encode, type_id, write_chunks,
};

const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const CHUNK_BYTES: usize = 4096;
const COMMAND_CSID: u32 = 3;
const AUDIO_CSID: u32 = 4;
const VIDEO_CSID: u32 = 6;

/// A connection on which a publish was accepted.
#[derive(Debug)]
pub struct Publisher {
    stream: TcpStream,
    stream_id: u32,
    heard: Arc<Heard>,
}

/// What the server has said since the publish was accepted.
#[derive(Debug, Default)]
struct Heard {
    closed: AtomicBool,
    statuses: Mutex<Vec<Status>>,
}

/// An `onStatus` of the server, or what ended the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub level: String,
    pub code: String,
    pub description: String,
}

impl Publisher {
    /// Connects to `rtmp://HOST:PORT/APP` and publishes `stream_key`; `Err` is the server's refusal.
    pub fn publish(address: &str, app: &str, stream_key: &str) -> Result<Self, Status> {
        let mut opening = Opening::connect(address, app)?;
        for (transaction, name) in [(2.0, "releaseStream"), (3.0, "FCPublish")] {
            opening
                .command(0, &[text(name), Value::Number(transaction), Value::Null, text(stream_key)])
                .map_err(lost)?;
        }
        let stream_id = opening.create_stream()?;
        let publish = [text("publish"), Value::Number(5.0), Value::Null, text(stream_key), text("live")];
        opening.command(stream_id, &publish).map_err(lost)?;
        opening.answer("onStatus")?;
        Ok(opening.into_publisher(stream_id))
    }

    /// Sends one message now, with the tag's timestamp.
    pub fn send(&mut self, tag: &FlvTag) -> io::Result<()> {
        let (type_id, csid) = match tag.kind {
            FlvTagKind::Audio => (type_id::AUDIO, AUDIO_CSID),
            FlvTagKind::Video => (type_id::VIDEO, VIDEO_CSID),
            FlvTagKind::Script => (type_id::DATA_AMF0, AUDIO_CSID),
        };
        let message =
            Message { type_id, stream_id: self.stream_id, timestamp_ms: tag.timestamp_ms, payload: tag.body.clone() };
        let mut out = BytesMut::new();
        write_chunks(&mut out, csid, Header::Full, &message, CHUNK_BYTES);
        self.stream.write_all(&out)
    }

    /// Sends bytes as they are, in the middle of the connection.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub fn stream_id(&self) -> u32 {
        self.stream_id
    }

    pub fn is_closed(&self) -> bool {
        self.heard.closed.load(Ordering::Relaxed)
    }

    /// What the server has said since the publish was accepted.
    pub fn statuses(&self) -> Vec<Status> {
        self.heard.statuses.lock().unwrap().clone()
    }

    /// Ends the publish in an orderly way, as encoders do when they are stopped.
    pub fn unpublish(mut self) {
        let mut out = BytesMut::new();
        let values = [text("deleteStream"), Value::Number(6.0), Value::Null, Value::Number(self.stream_id.into())];
        command(&mut out, 0, &values);
        // The server may have gone first.
        let _ = self.stream.write_all(&out);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A connection whose handshake is done, with nothing sent yet.
#[derive(Debug)]
pub struct Opening {
    stream: TcpStream,
    reader: ChunkReader,
}

impl Opening {
    pub fn handshake(address: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        let mut handshake = ClientHandshake::new([0x3C; 1528], 0);
        let (mut input, mut out, mut buffer) = (BytesMut::new(), BytesMut::new(), [0; 4096]);
        while !handshake.feed(&mut input, &mut out).map_err(io::Error::other)? {
            stream.write_all(&out.split())?;
            let length = stream.read(&mut buffer)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            input.extend_from_slice(&buffer[..length]);
        }
        stream.write_all(&out)?;
        let mut reader = ChunkReader::new(ReadLimits::default());
        reader.feed(&input);
        Ok(Self { stream, reader })
    }

    /// Opens a connection whose `connect` is answered.
    pub(crate) fn connect(address: &str, app: &str) -> Result<Self, Status> {
        let mut opening = Self::handshake(address).map_err(lost)?;
        let tc_url = format!("rtmp://{address}/{app}");
        let fields = [
            ("app", app),
            ("type", "nonprivate"),
            ("flashVer", "FMLE/3.0 (compatible; weir-testkit)"),
            ("tcUrl", &tc_url),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), text(value))).to_vec();
        opening.send(type_id::SET_CHUNK_SIZE, 0, &(CHUNK_BYTES as u32).to_be_bytes()).map_err(lost)?;
        opening.command(0, &[text("connect"), Value::Number(1.0), Value::Object(fields)]).map_err(lost)?;
        opening.answer("_result")?;
        Ok(opening)
    }

    pub(crate) fn create_stream(&mut self) -> Result<u32, Status> {
        self.command(0, &[text("createStream"), Value::Number(4.0), Value::Null]).map_err(lost)?;
        loop {
            // The server may answer releaseStream and FCPublish, too.
            let values = self.answer("_result")?;
            if values.get(1).and_then(Value::as_f64) == Some(4.0) {
                return Ok(values.get(3).and_then(Value::as_f64).unwrap_or(1.0) as u32);
            }
        }
    }

    /// The socket, for those who do not read what comes.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// The socket, for sending bytes as they are.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub fn command(&mut self, stream_id: u32, values: &[Value]) -> io::Result<()> {
        let mut out = BytesMut::new();
        command(&mut out, stream_id, values);
        self.stream.write_all(&out)
    }

    fn send(&mut self, type_id: u8, stream_id: u32, payload: &[u8]) -> io::Result<()> {
        let mut out = BytesMut::new();
        let message = Message { type_id, stream_id, timestamp_ms: 0, payload: payload.to_vec().into() };
        write_chunks(&mut out, 2, Header::Full, &message, CHUNK_BYTES);
        self.stream.write_all(&out)
    }

    /// Waits for the next command called `name`. A status or error of level `error` that comes instead is the refusal.
    pub(crate) fn answer(&mut self, name: &str) -> Result<Vec<Value>, Status> {
        loop {
            let values = self.next_command().map_err(lost)?;
            let said = values.first().and_then(Value::as_str).unwrap_or_default();
            let status = status_of(&values);
            if said == "_error" || status.level == "error" {
                return Err(status);
            }
            if said == name {
                return Ok(values);
            }
        }
    }

    fn next_command(&mut self) -> io::Result<Vec<Value>> {
        let mut buffer = [0; 4096];
        loop {
            while let Some(message) = self.reader.next().map_err(io::Error::other)? {
                if message.type_id == type_id::COMMAND_AMF0 {
                    return decode_all(&message.payload).map_err(io::Error::other);
                }
            }
            let length = self.stream.read(&mut buffer)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.reader.feed(&buffer[..length]);
        }
    }

    fn into_publisher(self, stream_id: u32) -> Publisher {
        let heard = Arc::new(Heard::default());
        let of_thread = Arc::clone(&heard);
        let stream = self.stream.try_clone().expect("a socket can be cloned");
        stream.set_read_timeout(None).expect("a socket can block");
        let mut listening = self;
        thread::spawn(move || {
            while let Ok(values) = listening.next_command() {
                of_thread.statuses.lock().unwrap().push(status_of(&values));
            }
            of_thread.closed.store(true, Ordering::Relaxed);
        });
        Publisher { stream, stream_id, heard }
    }
}

/// A publisher in a thread of its own, sending a clip over and over in real time.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<FeedShared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct FeedShared {
    stop: AtomicBool,
    ended: AtomicBool,
    frames: AtomicU64,
}

impl Feed {
    /// Starts sending. `stamp` turns a time on the clip's continuous timeline
    /// into the timestamp on the wire, so it can offset, reset, jump and wrap it.
    pub fn start(
        mut publisher: Publisher,
        clip: Vec<FlvTag>,
        mut stamp: impl FnMut(u64) -> u32 + Send + 'static,
    ) -> Self {
        let shared = Arc::new(FeedShared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let start = Instant::now();
            for (at_ms, tag) in looped(&clip) {
                let due = start + Duration::from_millis(at_ms);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if of_thread.stop.load(Ordering::Relaxed) {
                    return publisher.unpublish();
                }
                let tag = FlvTag { timestamp_ms: stamp(at_ms), ..tag.clone() };
                if publisher.send(&tag).is_err() || publisher.is_closed() {
                    break;
                }
                if crate::destination::is_video_frame(&tag) {
                    of_thread.frames.fetch_add(1, Ordering::Relaxed);
                }
            }
            of_thread.ended.store(true, Ordering::Relaxed);
        });
        Self { shared, thread: Some(thread) }
    }

    /// Publishes the clip with its own times.
    #[track_caller]
    pub fn live(address: &str, stream_key: &str, clip: &[FlvTag]) -> Self {
        let publisher = Publisher::publish(address, "live", stream_key).unwrap_or_else(|status| panic!("{status:?}"));
        Self::start(publisher, clip.to_vec(), |at_ms| at_ms as u32)
    }

    /// Coded video frames sent so far.
    pub fn frames(&self) -> u64 {
        self.shared.frames.load(Ordering::Relaxed)
    }

    /// True when the server has closed the connection.
    pub fn was_cut(&self) -> bool {
        self.shared.ended.load(Ordering::Relaxed)
    }

    /// Ends the publish in an orderly way, and returns the number of frames it has sent.
    pub fn stop(mut self) -> u64 {
        self.end();
        self.frames()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread can only have ended by a panic of its own, which has been printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end();
    }
}

/// The clip's tags over and over, each with its time on one timeline. Decoder configuration and metadata come only once.
pub fn looped(clip: &[FlvTag]) -> impl Iterator<Item = (u64, &FlvTag)> {
    let is_media = |tag: &&FlvTag| tag.kind != FlvTagKind::Script && tag.body.get(1) != Some(&0);
    let last = clip.iter().map(|tag| u64::from(tag.timestamp_ms)).max().unwrap_or(0);
    // The clip begins anew one frame of 30 fps after its last one, so there is no gap.
    let length = last + 33;
    let first_round = clip.iter().map(|tag| (u64::from(tag.timestamp_ms), tag));
    let further = (1..).flat_map(move |round| {
        clip.iter().filter(is_media).map(move |tag| (round * length + u64::from(tag.timestamp_ms), tag))
    });
    first_round.chain(further)
}

fn command(out: &mut BytesMut, stream_id: u32, values: &[Value]) {
    let mut payload = BytesMut::new();
    encode(&mut payload, values);
    let message = Message { type_id: type_id::COMMAND_AMF0, stream_id, timestamp_ms: 0, payload: payload.freeze() };
    write_chunks(out, COMMAND_CSID, Header::Full, &message, CHUNK_BYTES);
}

fn status_of(values: &[Value]) -> Status {
    let field = |name: &str| values.iter().find_map(|value| value.get(name)?.as_str()).unwrap_or_default().to_owned();
    Status { level: field("level"), code: field("code"), description: field("description") }
}

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
pub(crate) fn lost(error: io::Error) -> Status {
    Status { level: "error".to_owned(), code: "closed".to_owned(), description: error.to_string() }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

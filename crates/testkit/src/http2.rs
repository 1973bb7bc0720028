//! A rude HTTP/2 client with frames written by hand: it decides itself when it takes how much of an answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::tls::{TlsSocket, tls};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 0x1 | 0x4;
const INITIAL_WINDOW_SIZE: u16 = 4;
const FRAME_HEAD_BYTES: usize = 9;

/// The time between two looks at what has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A frame that the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A connection on which settings were sent.
#[derive(Debug)]
pub struct Http2 {
    socket: TlsSocket,
    received: Vec<u8>,
    next_stream: u32,
    closed: bool,
}

impl Http2 {
    /// Connects over TLS to `HOST:PORT`. Each stream has room for `window` bytes of its answer, until more is given.
    pub fn connect(address: &str, window: u32) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut socket = tls(socket, &[b"h2"]);
        let mut begin = PREFACE.to_vec();
        begin.extend_from_slice(&frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, window)));
        socket.write_all(&begin)?;
        socket.flush()?;
        socket.sock.set_read_timeout(Some(LOOK_EVERY))?;
        Ok(Self { socket, received: Vec::new(), next_stream: 1, closed: false })
    }

    /// Asks for a path with further headers; returns the stream's number.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<u32> {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.send(HEADERS, END_STREAM_AND_HEADERS, stream, &head(path, headers))?;
        Ok(stream)
    }

    /// Lets the server send so much more, on one stream or on all together (0).
    pub fn give_window(&mut self, stream: u32, bytes: u32) -> io::Result<()> {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.socket.write_all(&frame(kind, flags, stream, payload))?;
        self.socket.flush()
    }

    /// Whether the server has ended the connection.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes what comes within `time` or until the connection ends. It answers settings and pings, as a healthy client does.
    pub fn listen(&mut self, time: Duration) -> Vec<Frame> {
        let (end, mut frames) = (Instant::now() + time, Vec::new());
        while !self.closed && Instant::now() < end {
            self.read();
            while let Some(frame) = self.next_frame() {
                if matches!(frame.kind, SETTINGS | PING) && frame.flags & ACK == 0 {
                    let payload = if frame.kind == PING { &frame.payload[..] } else { &[] };
                    self.closed |= self.send(frame.kind, ACK, 0, payload).is_err();
                }
                frames.push(frame);
            }
        }
        frames
    }

    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(0) => self.closed = true,
            Ok(length) => self.received.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.closed = true,
        }
    }

    fn next_frame(&mut self) -> Option<Frame> {
        let head = self.received.get(..FRAME_HEAD_BYTES)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5] & 0x7F, head[6], head[7], head[8]]);
        let payload = self.received.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + length)?.to_vec();
        self.received.drain(..FRAME_HEAD_BYTES + length);
        Some(Frame { kind, flags, stream, payload })
    }
}

/// A whole request as bytes: preface, settings and the head of a GET.
pub fn whole_beginning(path: &str) -> Vec<u8> {
    let settings = frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, 65_535));
    [PREFACE, &settings, &frame(HEADERS, END_STREAM_AND_HEADERS, 1, &head(path, &[]))].concat()
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// The head in HPACK without a table of our own: `:method GET` and `:scheme https` are in the static one, and the rest is spelt out.
fn head(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = vec![0x82, 0x87];
    for (index, value) in [(4, path), (1, "localhost")] {
        head.push(index);
        spell(value, &mut head);
    }
    for (name, value) in headers {
        head.push(0);
        spell(name, &mut head);
        spell(value, &mut head);
    }
    head
}

fn spell(text: &str, out: &mut Vec<u8>) {
    assert!(text.len() < 127, "one byte tells the length");
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

//! The server side of a connection: handshake, connect, and any number of publishes and plays on it.

mod command_rate;
mod commands;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::acks::AckDuty;
use super::command::{Command, Outbox, text, u16_at_front, u32_at};
use super::names::RequestedStream;
use super::status::{Refusal, on_status};
use super::{MediaMessage, MessageKind, ProtocolError, user_control};
use crate::wire::{ChunkReader, Message, ReadLimits, ServerHandshake, Value, type_id};
use command_rate::CommandRate;

/// The most message streams that one connection may have. OBS multi-stream needs a handful.
pub const CREATE_STREAM_MAX: usize = 16;
/// The most publish and play requests of one connection that may wait for an answer.
pub const OPEN_REQUESTS_MAX: usize = 8;
/// The chunk size that is announced to players before media. A message of up to 64 KiB is one chunk.
pub const PLAY_CHUNK_SIZE: u32 = 65_536;
/// The codecs that we take from Enhanced RTMP publishers; the answer to `connect` lists them.
pub const FOUR_CC_LIST: [&str; 5] = ["avc1", "hvc1", "av01", "mp4a", "Opus"];
/// The name `@setDataFrame` as an AMF0 string: marker, 16-bit length, text.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";
const CLEAR_DATA_FRAME: &[u8] = b"\x02\x00\x0f@clearDataFrame";

/// How long a connection may take for each step.
#[derive(Debug, Clone, Copy)]
pub struct ServerTimers {
    /// The time from accept to the end of the RTMP handshake.
    pub handshake: Duration,
    /// The time from accept, or from the end of the last stream, to an accepted publish or play.
    pub intent: Duration,
    /// The time that a publisher may let pass without sending a byte.
    pub idle: Duration,
}

impl Default for ServerTimers {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(5), intent: Duration::from_secs(10), idle: Duration::from_secs(30) }
    }
}

/// What the application has to know or to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// A client wants to publish. Answer with [`ServerProtocol::accept_publish`] or [`ServerProtocol::refuse`].
    Publish { stream_id: u32, name: RequestedStream },
    /// A client wants to play. Answer with [`ServerProtocol::accept_play`] or [`ServerProtocol::refuse`].
    Play { stream_id: u32, name: RequestedStream },
    /// Media came on a stream whose publish was accepted.
    Media { stream_id: u32, message: MediaMessage },
    /// The client ended a publish or a play. The connection goes on.
    Ended { stream_id: u32 },
    /// The protocol itself refused a request, because nobody could grant it. Send the output, then close.
    Refused { refusal: Refusal },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Idle,
    PublishRequested,
    Publishing,
    PlayRequested,
    Playing,
    /// We said no. What the client still sends on the stream is ignored.
    Refused,
}

struct Stream {
    state: StreamState,
    /// The stream key. `FCUnpublish` names its stream by it.
    name: String,
}

/// The server side of one connection.
///
/// Feed it the bytes of one read, call [`next_event`](Self::next_event) until it returns `None`, send [`take_output`](Self::take_output),
/// and only then read again: that bounds its memory.
pub struct ServerProtocol {
    handshake: Option<Box<ServerHandshake>>,
    handshake_input: BytesMut,
    reader: ChunkReader,
    commands: CommandRate,
    out: Outbox,
    ack_duty: AckDuty,
    connect: Option<Vec<(String, Value)>>,
    app: String,
    streams: BTreeMap<u32, Stream>,
    next_stream_id: u32,
    timers: ServerTimers,
    opened_at: Instant,
    intent_since: Instant,
    last_byte_at: Instant,
}

impl ServerProtocol {
    /// Begins a connection. `random` fills the handshake; `now` is when the connection was accepted.
    pub fn new(random: [u8; 1528], timers: ServerTimers, now: Instant) -> Self {
        Self {
            handshake: Some(Box::new(ServerHandshake::new(random, 0))),
            handshake_input: BytesMut::new(),
            reader: ChunkReader::new(ReadLimits::of_strangers()),
            commands: CommandRate::default(),
            out: Outbox::new(),
            ack_duty: AckDuty::default(),
            connect: None,
            app: String::new(),
            streams: BTreeMap::new(),
            next_stream_id: 1,
            timers,
            opened_at: now,
            intent_since: now,
            last_byte_at: now,
        }
    }

    /// Takes the bytes of one read.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> Result<(), ProtocolError> {
        self.last_byte_at = now;
        if let Some(handshake) = &mut self.handshake {
            self.handshake_input.extend_from_slice(bytes);
            if handshake.feed(&mut self.handshake_input, self.out.raw())? {
                self.handshake = None;
                let rest = std::mem::take(&mut self.handshake_input);
                self.reader.feed(&rest);
            }
        } else {
            self.reader.feed(bytes);
        }
        self.acknowledge();
        Ok(())
    }

    /// The next event from what was fed so far.
    pub fn next_event(&mut self, now: Instant) -> Result<Option<ServerEvent>, ProtocolError> {
        while let Some(message) = self.reader.next()? {
            if let Some(event) = self.on_message(message, now)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// The bytes that are still to come of a message that has begun; 0 between messages.
    pub fn missing_bytes(&self) -> usize {
        self.reader.missing_bytes()
    }

    /// The most bytes of the peer that may lie unread without making it wait for an acknowledgement: we send one at half of its window.
    pub fn unacknowledged_bytes_max(&self) -> usize {
        self.ack_duty.slack_bytes()
    }

    /// The bytes that have to be sent; they are whole messages.
    pub fn take_output(&mut self) -> Bytes {
        self.out.take()
    }

    /// All fields of `connect`, in order. Empty before `connect` has come.
    pub fn connect_fields(&self) -> &[(String, Value)] {
        self.connect.as_deref().unwrap_or_default()
    }

    /// Whether the RTMP handshake is over.
    pub fn handshake_done(&self) -> bool {
        self.handshake.is_none()
    }

    /// Accepts a request to publish. Its media follows as events.
    pub fn accept_publish(&mut self, stream_id: u32) {
        if self.answer(stream_id, StreamState::PublishRequested, StreamState::Publishing) {
            self.out.user_control(user_control::STREAM_BEGIN, stream_id);
            let status = on_status("status", "NetStream.Publish.Start", "publishing");
            self.out.command(stream_id, &status);
            // The wider limits stay for good: a client that once had a key may finish a message that is under way when its publish ends.
            self.reader.set_limits(ReadLimits::default());
        }
    }

    /// Accepts a request to play. Media may be written right after this output.
    pub fn accept_play(&mut self, stream_id: u32) {
        if self.answer(stream_id, StreamState::PlayRequested, StreamState::Playing) {
            self.out.set_chunk_size(PLAY_CHUNK_SIZE);
            self.out.user_control(user_control::STREAM_BEGIN, stream_id);
            let reset = on_status("status", "NetStream.Play.Reset", "resetting the stream");
            self.out.command(stream_id, &reset);
            let start = on_status("status", "NetStream.Play.Start", "playing");
            self.out.command(stream_id, &start);
            let access = [text("|RtmpSampleAccess"), Value::Boolean(true), Value::Boolean(true)];
            self.out.data(stream_id, &access);
        }
    }

    /// Refuses a request, or ends an accepted stream. The caller sends the output and then closes: librtmp and rtmp2sink wait for ever on
    /// a refusal that leaves the socket open.
    pub fn refuse(&mut self, stream_id: u32, refusal: &Refusal) {
        let Some(stream) = self.streams.get_mut(&stream_id) else { return };
        let code = match stream.state {
            StreamState::PublishRequested | StreamState::Publishing => refusal.code.publish_code(),
            StreamState::PlayRequested | StreamState::Playing => refusal.code.play_code(),
            StreamState::Idle | StreamState::Refused => return,
        };
        stream.state = StreamState::Refused;
        self.out.command(stream_id, &on_status("error", code, &refusal.description));
    }

    /// Tells a player that its stream is over.
    pub fn end_play(&mut self, stream_id: u32) {
        if self.answer(stream_id, StreamState::Playing, StreamState::Idle) {
            self.out.user_control(user_control::STREAM_EOF, stream_id);
            let status = on_status("status", "NetStream.Play.UnpublishNotify", "the stream has ended");
            self.out.command(stream_id, &status);
        }
    }

    /// When [`on_timeout`](Self::on_timeout) has to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline().map(|(deadline, _)| deadline)
    }

    /// Returns which limit has passed, if one has.
    pub fn on_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        match self.deadline() {
            Some((deadline, error)) if now >= deadline => Err(error),
            _ => Ok(()),
        }
    }

    fn deadline(&self) -> Option<(Instant, ProtocolError)> {
        if self.handshake.is_some() {
            return Some((self.opened_at + self.timers.handshake, ProtocolError::HandshakeTimeout));
        }
        if self.any(StreamState::Publishing) {
            return Some((self.last_byte_at + self.timers.idle, ProtocolError::IdleTimeout));
        }
        if self.any(StreamState::Playing) {
            return None; // A player need not send anything; the stall of our writes ends it.
        }
        Some((self.intent_since + self.timers.intent, ProtocolError::IntentTimeout))
    }

    fn any(&self, state: StreamState) -> bool {
        self.streams.values().any(|stream| stream.state == state)
    }

    fn answer(&mut self, stream_id: u32, from: StreamState, to: StreamState) -> bool {
        match self.streams.get_mut(&stream_id) {
            Some(stream) if stream.state == from => {
                stream.state = to;
                true
            }
            _ => false,
        }
    }

    fn acknowledge(&mut self) {
        if let Some(sequence) = self.ack_duty.due(self.reader.received_bytes()) {
            self.out.control_u32(type_id::ACK, sequence);
        }
    }

    fn on_message(&mut self, message: Message, now: Instant) -> Result<Option<ServerEvent>, ProtocolError> {
        match message.type_id {
            type_id::AUDIO => self.on_media(MessageKind::Audio, message),
            type_id::VIDEO => self.on_media(MessageKind::Video, message),
            type_id::DATA_AMF0 => self.on_data(message),
            type_id::DATA_AMF3 => {
                let payload = match message.payload.first() {
                    Some(0) => message.payload.slice(1..),
                    _ => message.payload,
                };
                self.on_data(Message { payload, ..message })
            }
            // A publisher has a key and is trusted with more commands. The answers that it has to take bound it.
            _ if !self.any(StreamState::Publishing) && !self.commands.may_come(now) => {
                Err(ProtocolError::TooManyCommands)
            }
            type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3 => {
                let command = Command::decode(&message)?;
                self.on_command(message.stream_id, command, now)
            }
            type_id::WINDOW_ACK_SIZE => {
                if let Some(bytes) = u32_at(&message.payload, 0) {
                    self.ack_duty.set_window(bytes);
                }
                Ok(None)
            }
            type_id::USER_CONTROL => {
                if u16_at_front(&message.payload) == Some(user_control::PING_REQUEST)
                    && let Some(time) = u32_at(&message.payload, 2)
                {
                    self.out.user_control(user_control::PING_RESPONSE, time);
                }
                Ok(None)
            }
            // These are acknowledgements, bandwidth wishes, shared objects and unknown types, on which nothing of ours depends.
            _ => Ok(None),
        }
    }

    fn on_media(&mut self, kind: MessageKind, message: Message) -> Result<Option<ServerEvent>, ProtocolError> {
        let stream_id = message.stream_id;
        let publishing = self.streams.get(&stream_id).is_some_and(|stream| stream.state == StreamState::Publishing);
        if !publishing {
            // Some encoders do not wait for the answer, so early media is dropped. A player has no media to send while it plays.
            let is_player = self.any(StreamState::Playing) && !self.any(StreamState::Publishing);
            return if is_player { Err(ProtocolError::MediaFromPlayer) } else { Ok(None) };
        }
        if message.payload.is_empty() {
            return Ok(None);
        }
        let message = MediaMessage { kind, timestamp_ms: message.timestamp_ms, payload: message.payload };
        Ok(Some(ServerEvent::Media { stream_id, message }))
    }

    fn on_data(&mut self, message: Message) -> Result<Option<ServerEvent>, ProtocolError> {
        if message.payload.starts_with(CLEAR_DATA_FRAME) {
            return Ok(None);
        }
        // An FLV script tag holds what follows `@setDataFrame`, which only asks the server to keep it.
        let payload = if message.payload.starts_with(SET_DATA_FRAME) {
            message.payload.slice(SET_DATA_FRAME.len()..)
        } else {
            message.payload
        };
        self.on_media(MessageKind::Data, Message { payload, ..message })
    }
}

impl Stream {
    fn publishes(&self, name: &str) -> bool {
        matches!(self.state, StreamState::PublishRequested | StreamState::Publishing) && self.name == name
    }
}

impl std::fmt::Debug for ServerProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerProtocol")
            .field("handshake_done", &self.handshake_done())
            .field("connected", &self.connect.is_some())
            .field("streams", &self.streams.len())
            .finish_non_exhaustive()
    }
}

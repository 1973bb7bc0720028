//! The server side of a connection: handshake, connect, and any number of publishes and plays on it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::acks::AckDuty;
use super::command::{Command, Outbox, text, u16_at_front, u32_at};
use super::names::{NAME_BYTES_MAX, StreamName};
use super::status::{Refusal, RefusalCode, info, on_status};
use super::{MediaKind, MediaMessage, SessionError, user_control};
use crate::wire::{ChunkReader, Message, ReadLimits, ServerHandshake, Value, type_id};

/// Message streams that one connection may have: OBS multi-stream needs a handful.
pub const CREATE_STREAM_MAX: usize = 16;
/// Publish and play requests of one connection that wait for an answer.
pub const OPEN_REQUESTS_MAX: usize = 8;
/// The chunk size announced to players before media: a message of up to 64 KiB is one chunk.
pub const PLAY_CHUNK_SIZE: u32 = 65_536;
/// What we carry from Enhanced RTMP publishers, told in the answer to `connect`.
pub const FOUR_CC_LIST: [&str; 5] = ["avc1", "hvc1", "av01", "mp4a", "Opus"];
/// E-RTMP v2 `FourCcInfoMask.CanForward`.
const CAN_FORWARD: f64 = 4.0;
/// E-RTMP v2 `CapsExMask.ModEx`: packets with modifiers are understood. Multitrack is not claimed: of several
/// tracks the first is taken.
const CAPS_EX: f64 = 4.0;
/// We ask for an acknowledgement each 2.5 MB, as Adobe's server and the common ones do.
const WINDOW_BYTES: u32 = 2_500_000;
/// `@setDataFrame` as an AMF0 string: marker, 16-bit length, text.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";
const CLEAR_DATA_FRAME: &[u8] = b"\x02\x00\x0f@clearDataFrame";

/// How long a connection may take for each step.
#[derive(Debug, Clone, Copy)]
pub struct ServerTimers {
    /// From accept to the end of the RTMP handshake.
    pub handshake: Duration,
    /// From accept, or the end of the last stream, to an accepted publish or play.
    pub intent: Duration,
    /// Without a byte while publishing.
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
    /// Answer with [`ServerSession::accept_publish`] or [`ServerSession::refuse`].
    Publish { stream_id: u32, name: StreamName },
    /// Answer with [`ServerSession::accept_play`] or [`ServerSession::refuse`].
    Play { stream_id: u32, name: StreamName },
    /// From a stream whose publish was accepted.
    Media { stream_id: u32, message: MediaMessage },
    /// The client ended a publish or play; the connection goes on.
    Ended { stream_id: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Idle,
    PublishRequested,
    Publishing,
    PlayRequested,
    Playing,
    /// We said no; whatever it still sends is ignored.
    Refused,
}

struct Stream {
    state: StreamState,
    /// The key, for `FCUnpublish`, which names its stream by it.
    name: String,
}

/// The server side of one connection.
///
/// Feed it what one read gave, call [`next_event`](Self::next_event) until it says `None`, send
/// [`take_output`](Self::take_output), and only then read again: that bounds its memory.
pub struct ServerSession {
    handshake: Option<Box<ServerHandshake>>,
    handshake_input: BytesMut,
    reader: ChunkReader,
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

impl ServerSession {
    /// `random` fills the handshake; `now` is when the connection was accepted.
    pub fn new(random: [u8; 1528], timers: ServerTimers, now: Instant) -> Self {
        Self {
            handshake: Some(Box::new(ServerHandshake::new(random, 0))),
            handshake_input: BytesMut::new(),
            reader: ChunkReader::new(ReadLimits::default()),
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

    /// Takes what one read gave.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> Result<(), SessionError> {
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

    /// The next thing to know, from what was fed so far.
    pub fn next_event(&mut self, now: Instant) -> Result<Option<ServerEvent>, SessionError> {
        while let Some(message) = self.reader.next()? {
            if let Some(event) = self.on_message(message, now)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// What has to be sent, whole messages.
    pub fn take_output(&mut self) -> Bytes {
        self.out.take()
    }

    /// All fields of `connect`, in order; empty before it came.
    pub fn connect_fields(&self) -> &[(String, Value)] {
        self.connect.as_deref().unwrap_or_default()
    }

    /// Whether the RTMP handshake is over.
    pub fn handshake_done(&self) -> bool {
        self.handshake.is_none()
    }

    /// Says yes to a publish request; its media follows as events.
    pub fn accept_publish(&mut self, stream_id: u32) {
        if self.answer(stream_id, StreamState::PublishRequested, StreamState::Publishing) {
            self.out.user_control(user_control::STREAM_BEGIN, stream_id);
            let status = on_status("status", "NetStream.Publish.Start", "publishing");
            self.out.command(stream_id, &status);
        }
    }

    /// Says yes to a play request; media may be written right after this output.
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

    /// Says no to a request, or ends an accepted stream. The caller sends the output and then closes: librtmp and
    /// rtmp2sink wait for ever on a refusal that leaves the socket open.
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

    /// Says which limit passed, if one did.
    pub fn on_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        match self.deadline() {
            Some((deadline, error)) if now >= deadline => Err(error),
            _ => Ok(()),
        }
    }

    fn deadline(&self) -> Option<(Instant, SessionError)> {
        if self.handshake.is_some() {
            return Some((self.opened_at + self.timers.handshake, SessionError::HandshakeTimeout));
        }
        let any = |state| self.streams.values().any(|stream| stream.state == state);
        if any(StreamState::Publishing) {
            return Some((self.last_byte_at + self.timers.idle, SessionError::IdleTimeout));
        }
        if any(StreamState::Playing) {
            return None; // a player need not send anything; the stall of our writes ends it
        }
        Some((self.intent_since + self.timers.intent, SessionError::IntentTimeout))
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

    fn on_message(&mut self, message: Message, now: Instant) -> Result<Option<ServerEvent>, SessionError> {
        match message.type_id {
            type_id::AUDIO => Ok(self.on_media(MediaKind::Audio, message)),
            type_id::VIDEO => Ok(self.on_media(MediaKind::Video, message)),
            type_id::DATA_AMF0 => Ok(self.on_data(message)),
            type_id::DATA_AMF3 => {
                let payload = match message.payload.first() {
                    Some(0) => message.payload.slice(1..),
                    _ => message.payload,
                };
                Ok(self.on_data(Message { payload, ..message }))
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
            // Acknowledgements, bandwidth wishes, shared objects and the unknown: nothing of ours depends on them.
            _ => Ok(None),
        }
    }

    fn on_media(&mut self, kind: MediaKind, message: Message) -> Option<ServerEvent> {
        let stream_id = message.stream_id;
        let publishing = self.streams.get(&stream_id).is_some_and(|stream| stream.state == StreamState::Publishing);
        if !publishing || message.payload.is_empty() {
            return None;
        }
        let message = MediaMessage { kind, timestamp_ms: message.timestamp_ms, payload: message.payload };
        Some(ServerEvent::Media { stream_id, message })
    }

    fn on_data(&mut self, message: Message) -> Option<ServerEvent> {
        if message.payload.starts_with(CLEAR_DATA_FRAME) {
            return None;
        }
        // "@setDataFrame" asks the server to keep what follows; that is what an FLV script tag holds.
        let payload = if message.payload.starts_with(SET_DATA_FRAME) {
            message.payload.slice(SET_DATA_FRAME.len()..)
        } else {
            message.payload
        };
        self.on_media(MediaKind::Data, Message { payload, ..message })
    }

    fn on_command(
        &mut self,
        stream_id: u32,
        command: Command,
        now: Instant,
    ) -> Result<Option<ServerEvent>, SessionError> {
        if command.name == "connect" {
            self.on_connect(command)?;
            return Ok(None);
        }
        if self.connect.is_none() {
            return Err(SessionError::CommandBeforeConnect);
        }
        match command.name.as_str() {
            "createStream" => self.on_create_stream(command.transaction_id),
            "publish" => return self.on_publish(stream_id, &command, now),
            "play" | "play2" => return self.on_play(stream_id, &command),
            "deleteStream" => {
                // The stream is an argument; the ones that forget it mean the stream they send on.
                let stream_id = command.arguments.first().and_then(Value::as_f64).map_or(stream_id, |id| id as u32);
                let ended = self.end(stream_id, now);
                self.streams.remove(&stream_id);
                return Ok(ended);
            }
            "closeStream" => return Ok(self.end(stream_id, now)),
            "FCUnpublish" => {
                self.result(command.transaction_id, &[Value::Undefined]);
                let named = command.text_argument(0).unwrap_or_default();
                let stream_id = self.streams.iter().find(|(_, stream)| stream.publishes(named)).map(|(id, _)| *id);
                return Ok(stream_id.and_then(|stream_id| self.end(stream_id, now)));
            }
            "FCPublish" => {
                self.result(command.transaction_id, &[Value::Undefined]);
                let start = info("status", "NetStream.Publish.Start", "");
                self.out.command(0, &[text("onFCPublish"), Value::Number(0.0), Value::Null, start]);
            }
            "getStreamLength" => self.result(command.transaction_id, &[Value::Number(0.0)]),
            "releaseStream" | "_checkbw" | "FCSubscribe" => {
                self.result(command.transaction_id, &[Value::Undefined]);
            }
            // A live stream does neither; saying nothing leaves the player playing.
            "pause" | "seek" | "receiveAudio" | "receiveVideo" => {}
            // Answers to calls that we never make.
            "_result" | "_error" | "onStatus" => {}
            _ if command.transaction_id != 0.0 => {
                let error = info("error", "NetConnection.Call.Failed", "no such method");
                self.out.command(0, &[text("_error"), Value::Number(command.transaction_id), Value::Null, error]);
            }
            _ => {}
        }
        Ok(None)
    }

    fn on_connect(&mut self, command: Command) -> Result<(), SessionError> {
        if self.connect.is_some() {
            return Err(SessionError::ConnectTwice);
        }
        let fields = match command.object {
            Value::Object(fields) | Value::EcmaArray(fields) | Value::TypedObject { fields, .. } => fields,
            _ => return Err(SessionError::ConnectWithoutApp),
        };
        let has = |wanted: &str| fields.iter().any(|(name, _)| name == wanted);
        let app = fields.iter().find(|(name, _)| name == "app").and_then(|(_, value)| value.as_str());
        self.app = app.ok_or(SessionError::ConnectWithoutApp)?.to_owned();

        self.out.control_u32(type_id::WINDOW_ACK_SIZE, WINDOW_BYTES);
        self.out.set_peer_bandwidth(WINDOW_BYTES);
        let mut properties =
            vec![("fmsVer".to_owned(), text("FMS/3,5,7,7009")), ("capabilities".to_owned(), Value::Number(31.0))];
        // Only those who speak E-RTMP are answered in it.
        if ["fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"].into_iter().any(has) {
            properties.extend(enhanced_properties());
        }
        let mut success = info("status", "NetConnection.Connect.Success", "connected");
        if let Value::Object(fields) = &mut success {
            fields.push(("objectEncoding".to_owned(), Value::Number(0.0)));
        }
        let transaction_id = Value::Number(command.transaction_id);
        self.out.command(0, &[text("_result"), transaction_id, Value::Object(properties), success]);
        self.connect = Some(fields);
        Ok(())
    }

    fn on_create_stream(&mut self, transaction_id: f64) {
        if self.streams.len() >= CREATE_STREAM_MAX {
            let error = info("error", "NetConnection.Call.Failed", "too many streams on this connection");
            self.out.command(0, &[text("_error"), Value::Number(transaction_id), Value::Null, error]);
            return;
        }
        let stream_id = self.next_stream_id;
        self.next_stream_id = self.next_stream_id.wrapping_add(1).max(1);
        self.streams.insert(stream_id, Stream { state: StreamState::Idle, name: String::new() });
        self.result(transaction_id, &[Value::Number(f64::from(stream_id))]);
    }

    fn on_publish(
        &mut self,
        stream_id: u32,
        command: &Command,
        now: Instant,
    ) -> Result<Option<ServerEvent>, SessionError> {
        // Flash's way to stop: publish(false).
        if command.arguments.first().and_then(Value::as_bool) == Some(false) {
            return Ok(self.end(stream_id, now));
        }
        // The second argument (live, record, append) is optional, and all kinds are live here.
        Ok(self
            .request(stream_id, command, StreamState::PublishRequested)?
            .map(|name| ServerEvent::Publish { stream_id, name }))
    }

    fn on_play(&mut self, stream_id: u32, command: &Command) -> Result<Option<ServerEvent>, SessionError> {
        Ok(self
            .request(stream_id, command, StreamState::PlayRequested)?
            .map(|name| ServerEvent::Play { stream_id, name }))
    }

    /// Notes a request, or refuses it here when nobody could grant it.
    fn request(
        &mut self,
        stream_id: u32,
        command: &Command,
        state: StreamState,
    ) -> Result<Option<StreamName>, SessionError> {
        let open =
            |stream: &&Stream| matches!(stream.state, StreamState::PublishRequested | StreamState::PlayRequested);
        if self.streams.values().filter(open).count() >= OPEN_REQUESTS_MAX {
            return Err(SessionError::TooManyOpenRequests);
        }
        let given = command.text_argument(0).unwrap_or_default();
        let too_long = self.app.len() + given.len() > NAME_BYTES_MAX;
        let stream = self.streams.get_mut(&stream_id).ok_or(SessionError::UnknownStream)?;
        if stream.state != StreamState::Idle {
            return Ok(None); // asked again before the answer, or on a stream in use: the first request stands
        }
        stream.state = state;
        if too_long {
            self.refuse(stream_id, &Refusal::new(RefusalCode::NotFound, "the stream name is too long"));
            return Ok(None);
        }
        given.clone_into(&mut stream.name);
        let name = StreamName::join(&self.app, given);
        if name.key.expose().is_empty() {
            self.refuse(stream_id, &Refusal::new(RefusalCode::NotFound, "no stream name was given"));
            return Ok(None);
        }
        Ok(Some(name))
    }

    /// The client is done with a stream.
    fn end(&mut self, stream_id: u32, now: Instant) -> Option<ServerEvent> {
        let stream = self.streams.get_mut(&stream_id)?;
        let state = std::mem::replace(&mut stream.state, StreamState::Idle);
        let (code, description) = match state {
            StreamState::Idle => return None,
            StreamState::Refused => {
                stream.state = StreamState::Refused;
                return None;
            }
            StreamState::PublishRequested | StreamState::Publishing => ("NetStream.Unpublish.Success", "unpublished"),
            StreamState::PlayRequested | StreamState::Playing => ("NetStream.Play.Stop", "stopped"),
        };
        self.intent_since = now;
        self.out.command(stream_id, &on_status("status", code, description));
        Some(ServerEvent::Ended { stream_id })
    }

    fn result(&mut self, transaction_id: f64, values: &[Value]) {
        if transaction_id == 0.0 {
            return; // the caller wants no answer
        }
        let mut answer = vec![text("_result"), Value::Number(transaction_id), Value::Null];
        answer.extend_from_slice(values);
        self.out.command(0, &answer);
    }
}

impl Stream {
    fn publishes(&self, name: &str) -> bool {
        matches!(self.state, StreamState::PublishRequested | StreamState::Publishing) && self.name == name
    }
}

impl std::fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSession")
            .field("handshake_done", &self.handshake_done())
            .field("connected", &self.connect.is_some())
            .field("streams", &self.streams.len())
            .finish_non_exhaustive()
    }
}

fn enhanced_properties() -> [(String, Value); 4] {
    let can_forward = |codec: &str| (codec.to_owned(), Value::Number(CAN_FORWARD));
    let list = FOUR_CC_LIST.iter().map(|codec| text(*codec)).collect();
    let (video, audio) = FOUR_CC_LIST.split_at(3);
    [
        ("fourCcList".to_owned(), Value::StrictArray(list)),
        ("videoFourCcInfoMap".to_owned(), Value::Object(video.iter().copied().map(can_forward).collect())),
        ("audioFourCcInfoMap".to_owned(), Value::Object(audio.iter().copied().map(can_forward).collect())),
        ("capsEx".to_owned(), Value::Number(CAPS_EX)),
    ]
}

//! The client side of a push or a pull: handshake, connect, createStream, publish or play, and what the server says or sends afterwards.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::acks::AckDuty;
use super::command::{Command, Outbox, object, text, u16_at_front, u32_at};
use super::rejection::{Rejection, shown};
use super::server::FOUR_CC_LIST;
use super::{MediaMessage, MessageKind, PUSH_CHUNK_SIZE, ProtocolError, user_control};
use crate::stream_key::StreamKey;
use crate::wire::{ChunkReader, ClientHandshake, Message, ReadLimits, Value, type_id};

/// The version that we give in `connect`. Servers look at its shape: some platforms turn away a client that does not call itself FMLE.
const FLASH_VERSION: &str = "FMLE/3.0 (compatible; Weir)";
/// The version that a pull gives, which is the one that ffmpeg gives: some servers serve no player that calls itself an encoder.
const PLAYER_VERSION: &str = "LNX 9,0,124,2";
/// How much a pull tells the server to send ahead. Live servers send what they have at once whatever it is.
const PLAY_BUFFER_MS: u32 = 3_000;
/// To a push servers send small commands only, so bigger messages are not accepted.
const READ_LIMITS: ReadLimits = ReadLimits {
    csids_max: 32,
    control_message_bytes_max: 64 * 1024,
    media_message_bytes_max: 256 * 1024,
    partial_bytes_max: 512 * 1024,
    first_reserve_bytes: ReadLimits::FIRST_RESERVE_BYTES,
    chunk_size_max: 16 * 1024 * 1024,
};

/// The transactions of our commands, numbered as ffmpeg numbers them.
mod transaction {
    pub(super) const CONNECT: f64 = 1.0;
    pub(super) const RELEASE_STREAM: f64 = 2.0;
    pub(super) const FC_PUBLISH: f64 = 3.0;
    pub(super) const CREATE_STREAM: f64 = 4.0;
    pub(super) const PUBLISH: f64 = 5.0;
    pub(super) const PLAY: f64 = 5.0;
    pub(super) const FC_UNPUBLISH: f64 = 6.0;
    pub(super) const DELETE_STREAM: f64 = 7.0;
}

/// What a client wants of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientIntent {
    Publish,
    Play,
}

/// The texts that a push or a pull says in `connect`, and in `publish` or `play`.
#[derive(Clone)]
pub struct ClientConfig {
    pub app: String,
    pub tc_url: String,
    /// Text that is appended to app and tcUrl: the `?authmod=...` of [`super::AuthRounds`], or nothing.
    pub auth_query: String,
    pub stream_key: StreamKey,
    /// Whether to announce Enhanced RTMP. Of servers to push to, only those known to take it are told.
    pub enhanced: bool,
    pub intent: ClientIntent,
}

/// How far the push or the pull has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientPhase {
    Handshake,
    Connect,
    CreateStream,
    Publish,
    Published,
    Play,
    Playing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The server said `NetStream.Publish.Start`: media may be written on this message stream.
    Published { stream_id: u32 },
    /// The server said no before it said that. Nothing more will come of this connection.
    Rejected(Rejection),
    /// The server sent an `onStatus` after it had accepted the publish.
    Status { level: String, code: String, description: String },
    /// The server wants us to connect to this URL (E-RTMP v2) or, if it gives none, to the same place again.
    ReconnectRequest { tc_url: Option<String> },
    /// The server said `NetStream.Play.Start`, or media has come without that.
    Playing,
    /// Media came on the stream that we play.
    Media(MediaMessage),
    /// The stream that we play has ended: its publisher left, or the server has no more of it.
    Ended { code: String },
    /// The sequence number of an acknowledgement; see [`super::PeerAcks`].
    Acknowledged { sequence: u32 },
}

/// The client side of one connection. Its calls have the same order as those of [`super::ServerProtocol`].
pub struct ClientProtocol {
    config: ClientConfig,
    handshake: Option<Box<ClientHandshake>>,
    handshake_input: BytesMut,
    reader: ChunkReader,
    out: Outbox,
    ack_duty: AckDuty,
    phase: ClientPhase,
    stream_id: u32,
    /// Media that came before `NetStream.Play.Start`, and is told behind it.
    early: Option<MediaMessage>,
}

impl ClientProtocol {
    /// Begins a connection. The first bytes to send are in [`take_output`](Self::take_output) at once.
    pub fn new(config: ClientConfig, random: [u8; 1528]) -> Result<Self, ProtocolError> {
        let limits = match config.intent {
            ClientIntent::Publish => READ_LIMITS,
            ClientIntent::Play => ReadLimits::default(),
        };
        let mut protocol = Self {
            config,
            handshake: Some(Box::new(ClientHandshake::new(random, 0))),
            handshake_input: BytesMut::new(),
            reader: ChunkReader::new(limits),
            out: Outbox::new(),
            ack_duty: AckDuty::default(),
            phase: ClientPhase::Handshake,
            stream_id: 0,
            early: None,
        };
        protocol.feed(&[])?;
        Ok(protocol)
    }

    /// Takes the bytes of one read.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        if let Some(handshake) = &mut self.handshake {
            self.handshake_input.extend_from_slice(bytes);
            if handshake.feed(&mut self.handshake_input, self.out.raw())? {
                self.handshake = None;
                let rest = std::mem::take(&mut self.handshake_input);
                self.send_connect();
                self.reader.feed(&rest);
            }
        } else {
            self.reader.feed(bytes);
        }
        if let Some(sequence) = self.ack_duty.due(self.reader.received_bytes()) {
            self.out.control_u32(type_id::ACK, sequence);
        }
        Ok(())
    }

    /// The next event from what was fed so far.
    pub fn next_event(&mut self) -> Result<Option<ClientEvent>, ProtocolError> {
        if let Some(media) = self.early.take() {
            return Ok(Some(ClientEvent::Media(media)));
        }
        while let Some(message) = self.reader.next()? {
            if let Some(event) = self.on_message(message)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// The bytes that have to be sent; they are whole messages.
    pub fn take_output(&mut self) -> Bytes {
        self.out.take()
    }

    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    pub fn phase(&self) -> ClientPhase {
        self.phase
    }

    /// The message stream to write media on, once the push is published.
    pub fn stream_id(&self) -> u32 {
        self.stream_id
    }

    /// Tells the server that no more media follows.
    pub fn unpublish(&mut self) {
        if self.phase == ClientPhase::Published {
            let key = text(self.config.stream_key.expose());
            self.call("FCUnpublish", transaction::FC_UNPUBLISH, &[key]);
            self.call("deleteStream", transaction::DELETE_STREAM, &[Value::Number(f64::from(self.stream_id))]);
        }
    }

    /// Tells the server that we want no more media.
    pub fn stop_playing(&mut self) {
        if self.phase == ClientPhase::Playing {
            self.call("deleteStream", transaction::DELETE_STREAM, &[Value::Number(f64::from(self.stream_id))]);
        }
    }

    fn send_connect(&mut self) {
        self.phase = ClientPhase::Connect;
        let ClientConfig { app, tc_url, auth_query, .. } = &self.config;
        let mut connect = object([
            ("app", text(append_query(app, auth_query))),
            ("type", text("nonprivate")),
            ("flashVer", text(if self.plays() { PLAYER_VERSION } else { FLASH_VERSION })),
            ("tcUrl", text(append_query(tc_url, auth_query))),
        ]);
        if self.plays()
            && let Value::Object(fields) = &mut connect
        {
            // Every codec and every way to find it, as Flash players say. Old servers ask before they send.
            let figures =
                [("capabilities", 15.0), ("audioCodecs", 4071.0), ("videoCodecs", 252.0), ("videoFunction", 1.0)];
            fields.push(("fpad".to_owned(), Value::Boolean(false)));
            fields.extend(figures.map(|(name, number)| (name.to_owned(), Value::Number(number))));
        }
        if self.config.enhanced
            && let Value::Object(fields) = &mut connect
        {
            let list = FOUR_CC_LIST.iter().map(|codec| text(*codec)).collect();
            fields.push(("fourCcList".to_owned(), Value::StrictArray(list)));
        }
        self.out.command(0, &[text("connect"), Value::Number(transaction::CONNECT), connect]);
    }

    fn call(&mut self, name: &str, transaction_id: f64, arguments: &[Value]) {
        self.call_on(0, name, transaction_id, arguments);
    }

    fn call_on(&mut self, stream_id: u32, name: &str, transaction_id: f64, arguments: &[Value]) {
        let mut values = vec![text(name), Value::Number(transaction_id), Value::Null];
        values.extend_from_slice(arguments);
        self.out.command(stream_id, &values);
    }

    fn plays(&self) -> bool {
        self.config.intent == ClientIntent::Play
    }

    fn on_message(&mut self, message: Message) -> Result<Option<ClientEvent>, ProtocolError> {
        match message.type_id {
            type_id::AUDIO => Ok(self.on_media(MessageKind::Audio, message)),
            type_id::VIDEO => Ok(self.on_media(MessageKind::Video, message)),
            type_id::DATA_AMF0 => Ok(self.on_media(MessageKind::Data, message)),
            type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3 => self.on_command(&Command::decode(&message)?),
            type_id::ACK => Ok(u32_at(&message.payload, 0).map(|sequence| ClientEvent::Acknowledged { sequence })),
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
            _ => Ok(None),
        }
    }

    fn on_media(&mut self, kind: MessageKind, message: Message) -> Option<ClientEvent> {
        if message.payload.is_empty() {
            return None;
        }
        let media = MediaMessage { kind, timestamp_ms: message.timestamp_ms, payload: message.payload };
        match self.phase {
            ClientPhase::Playing => Some(ClientEvent::Media(media)),
            // Some servers send media and never say that they will.
            ClientPhase::Play if kind != MessageKind::Data => {
                self.phase = ClientPhase::Playing;
                self.early = Some(media);
                Some(ClientEvent::Playing)
            }
            _ => None,
        }
    }

    fn on_command(&mut self, command: &Command) -> Result<Option<ClientEvent>, ProtocolError> {
        let info = command.arguments.first().unwrap_or(&Value::Null);
        match command.name.as_str() {
            "_result" => self.on_result(command.transaction_id, info),
            "_error" => Ok(self.on_error(command.transaction_id, info)),
            "onStatus" => Ok(self.on_status(info)),
            // Some networks refuse a key here and nowhere else. If they accept it here, that is not yet the answer to publish.
            "onFCPublish" if field(info, "level") == "error" => Ok(self.on_status(info)),
            _ => Ok(None),
        }
    }

    fn on_result(&mut self, transaction_id: f64, info: &Value) -> Result<Option<ClientEvent>, ProtocolError> {
        if transaction_id == transaction::CONNECT && self.phase == ClientPhase::Connect {
            self.phase = ClientPhase::CreateStream;
            if self.plays() {
                self.call("createStream", transaction::CREATE_STREAM, &[]);
                return Ok(None);
            }
            self.out.set_chunk_size(PUSH_CHUNK_SIZE);
            let key = text(self.config.stream_key.expose());
            self.call("releaseStream", transaction::RELEASE_STREAM, std::slice::from_ref(&key));
            self.call("FCPublish", transaction::FC_PUBLISH, std::slice::from_ref(&key));
            self.call("createStream", transaction::CREATE_STREAM, &[]);
        } else if transaction_id == transaction::CREATE_STREAM && self.phase == ClientPhase::CreateStream {
            let id = info.as_f64().unwrap_or(0.0);
            if !(1.0..=f64::from(u32::MAX)).contains(&id) {
                return Err(ProtocolError::BadStreamId);
            }
            self.stream_id = id as u32;
            if self.plays() {
                self.phase = ClientPhase::Play;
                // Minus two seconds: the live stream of that name, or else the recorded one.
                let arguments = [text(self.config.stream_key.expose()), Value::Number(-2_000.0)];
                self.call_on(self.stream_id, "play", transaction::PLAY, &arguments);
                self.out.set_buffer_length(self.stream_id, PLAY_BUFFER_MS);
                return Ok(None);
            }
            self.phase = ClientPhase::Publish;
            let arguments = [text(self.config.stream_key.expose()), text("live")];
            self.call_on(self.stream_id, "publish", transaction::PUBLISH, &arguments);
        }
        Ok(None)
    }

    fn on_error(&mut self, transaction_id: f64, info: &Value) -> Option<ClientEvent> {
        let ours = match self.phase {
            ClientPhase::Connect => transaction_id == transaction::CONNECT,
            // The commands releaseStream and FCPublish are courtesies that many servers do not know.
            ClientPhase::CreateStream => transaction_id == transaction::CREATE_STREAM,
            // When rml_rtmp's server refuses a publish, its answer has transaction 0.
            ClientPhase::Publish | ClientPhase::Play => transaction_id == transaction::PUBLISH || transaction_id == 0.0,
            ClientPhase::Handshake | ClientPhase::Published | ClientPhase::Playing => false,
        };
        ours.then(|| ClientEvent::Rejected(self.rejection(info)))
    }

    fn on_status(&mut self, info: &Value) -> Option<ClientEvent> {
        let code = field(info, "code");
        if code == "NetConnection.Connect.ReconnectRequest" {
            let tc_url = info.get("tcUrl").and_then(Value::as_str).map(str::to_owned);
            return Some(ClientEvent::ReconnectRequest { tc_url });
        }
        if self.phase == ClientPhase::Publish && code == "NetStream.Publish.Start" {
            self.phase = ClientPhase::Published;
            return Some(ClientEvent::Published { stream_id: self.stream_id });
        }
        if self.phase == ClientPhase::Play && code == "NetStream.Play.Start" {
            self.phase = ClientPhase::Playing;
            return Some(ClientEvent::Playing);
        }
        let is_error = field(info, "level") == "error" || REJECTED_WITHOUT_LEVEL.contains(&code);
        match self.phase {
            ClientPhase::Playing if is_error || PLAY_ENDED.contains(&code) => {
                Some(ClientEvent::Ended { code: shown(code, &self.config.stream_key) })
            }
            ClientPhase::Playing => None,
            ClientPhase::Published => {
                let shown = |name| shown(field(info, name), &self.config.stream_key);
                let level = shown("level");
                Some(ClientEvent::Status { level, code: shown("code"), description: shown("description") })
            }
            _ if is_error => Some(ClientEvent::Rejected(self.rejection(info))),
            _ => None,
        }
    }

    fn rejection(&self, info: &Value) -> Rejection {
        let key = &self.config.stream_key;
        let redirect = info.get("ex").filter(|ex| ex.get("code").and_then(Value::as_f64) == Some(302.0));
        let redirect = redirect.and_then(|ex| ex.get("redirect")).and_then(Value::as_str);
        Rejection {
            code: shown(field(info, "code"), key),
            description: shown(field(info, "description"), key),
            redirect: redirect.map(str::to_owned),
        }
    }
}

/// A few servers leave out the level of a rejection. These codes are rejections anyway.
const REJECTED_WITHOUT_LEVEL: [&str; 6] = [
    "NetStream.Publish.BadName",
    "NetStream.Publish.Denied",
    "NetStream.Publish.Rejected",
    "NetStream.Play.StreamNotFound",
    "NetStream.Play.FileNotFound",
    "NetStream.Play.Failed",
];

/// What servers say when a stream that is played has no more to come.
const PLAY_ENDED: [&str; 3] = ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop", "NetStream.Play.Complete"];

fn field<'a>(info: &'a Value, name: &str) -> &'a str {
    info.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Appends `auth_query`, which begins with `?`. To an app that already has a query it is appended with `&`.
fn append_query(text: &str, auth_query: &str) -> String {
    match auth_query.strip_prefix('?') {
        Some(query) if text.contains('?') => format!("{text}&{query}"),
        _ => format!("{text}{auth_query}"),
    }
}

impl fmt::Debug for ClientProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientProtocol")
            .field("phase", &self.phase)
            .field("stream_id", &self.stream_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("enhanced", &self.enhanced).finish_non_exhaustive()
    }
}

//! The receiving end of one RTMP push, sans-IO. It answers as it is told to, and hands out what comes.

use std::fmt;

use bytes::{Bytes, BytesMut};
use weir_mux::flv::file::{FlvTag, FlvTagKind};
use weir_rtmp::wire::{
    ChunkReader, ChunkWriter, Message, ReadLimits, ServerHandshake, Value, WireError, decode_all, encode, type_id,
};

use crate::adobe_auth::AdobeAuth;

/// The stream number that `createStream` gives; a push asks for only one per connection.
const STREAM_ID: u32 = 1;
const COMMAND_CSID: u32 = 3;
const STATUS_CSID: u32 = 5;

/// How the destination answers `connect`.
#[derive(Clone, Debug, Default)]
pub enum ConnectAnswer {
    #[default]
    Accept,
    /// It sends `_error` with this code and description, and closes.
    Reject {
        code: String,
        description: String,
    },
    /// It sends `_error` with `ex.code` 302 and this URL, and closes.
    Redirect {
        url: String,
    },
    /// It sends Adobe's two rejections, each with its question, and accepts the right answer.
    AdobeAuth(AdobeAuth),
    Silence,
}

/// How the destination answers `publish`.
#[derive(Clone, Debug, Default)]
pub enum PublishAnswer {
    #[default]
    Accept,
    /// It sends `onStatus` of level `error`, and closes.
    Reject {
        code: String,
        description: String,
    },
    Silence,
}

/// What a push has said or sent.
#[derive(Clone, Debug)]
pub enum SinkEvent {
    Connected {
        app: String,
        tc_url: String,
        fields: Vec<(String, Value)>,
    },
    Published {
        stream_key: String,
    },
    /// Audio, video or metadata as the body of an FLV tag.
    Media(FlvTag),
    /// FCUnpublish, deleteStream or closeStream came: an orderly end.
    Unpublished,
    /// This session has refused: flush the output and close.
    Refused,
}

/// One connection.
pub struct SinkSession {
    connect: ConnectAnswer,
    publish: PublishAnswer,
    handshake: Option<ServerHandshake>,
    input: BytesMut,
    out: BytesMut,
    reader: ChunkReader,
    writer: ChunkWriter,
    /// An acknowledgement is due each time this many bytes have come; nginx-rtmp and the platforms send them, too.
    ack_every_bytes: u64,
    acked_bytes: u64,
}

/// Most servers use a window of 2.5 MB.
const WINDOW_BYTES: u32 = 2_500_000;

impl SinkSession {
    pub fn new(connect: ConnectAnswer, publish: PublishAnswer) -> Self {
        Self {
            connect,
            publish,
            handshake: Some(ServerHandshake::new([0x5A; 1528], 0)),
            input: BytesMut::new(),
            out: BytesMut::new(),
            reader: ChunkReader::new(ReadLimits::default()),
            writer: ChunkWriter::new(),
            ack_every_bytes: u64::from(WINDOW_BYTES),
            acked_bytes: 0,
        }
    }

    /// Sends no acknowledgements, like some servers, so that only TCP tells the pusher how far this end has read.
    pub fn without_acks(mut self) -> Self {
        self.ack_every_bytes = u64::MAX;
        self
    }

    pub fn handshake_done(&self) -> bool {
        self.handshake.is_none()
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<SinkEvent>, WireError> {
        let mut events = Vec::new();
        if let Some(handshake) = &mut self.handshake {
            self.input.extend_from_slice(bytes);
            if handshake.feed(&mut self.input, &mut self.out)? {
                self.handshake = None;
                let rest = self.input.split();
                self.reader.feed(&rest);
            }
        } else {
            self.reader.feed(bytes);
        }
        while let Some(message) = self.reader.next()? {
            self.message(message, &mut events);
        }
        let received = self.reader.received_bytes();
        if received.saturating_sub(self.acked_bytes) >= self.ack_every_bytes {
            self.acked_bytes = received;
            // The specification's count has 32 bits and wraps.
            self.control(type_id::ACK, (received as u32).to_be_bytes().to_vec());
        }
        Ok(events)
    }

    pub fn take_output(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    fn message(&mut self, message: Message, events: &mut Vec<SinkEvent>) {
        let kind = match message.type_id {
            type_id::AUDIO => FlvTagKind::Audio,
            type_id::VIDEO => FlvTagKind::Video,
            type_id::DATA_AMF0 => FlvTagKind::Script,
            type_id::COMMAND_AMF0 => return self.command(&message.payload, events),
            _ => return,
        };
        events.push(SinkEvent::Media(FlvTag { kind, timestamp_ms: message.timestamp_ms, body: message.payload }));
    }

    fn command(&mut self, payload: &[u8], events: &mut Vec<SinkEvent>) {
        let Ok(values) = decode_all(payload) else { return };
        let name = values.first().and_then(Value::as_str).unwrap_or_default();
        let transaction = values.get(1).cloned().unwrap_or(Value::Number(0.0));
        match name {
            "connect" => {
                let fields = values.get(2).map(Value::fields).unwrap_or_default().to_vec();
                self.on_connect(transaction, fields, events);
            }
            "createStream" => {
                self.command_out(0, &[text("_result"), transaction, Value::Null, Value::Number(STREAM_ID.into())]);
            }
            "publish" => {
                let stream_key = values.get(3).and_then(Value::as_str).unwrap_or_default().to_owned();
                events.push(SinkEvent::Published { stream_key });
                match self.publish.clone() {
                    PublishAnswer::Accept => {
                        self.status("status", "NetStream.Publish.Start", "Started publishing stream.");
                    }
                    PublishAnswer::Reject { code, description } => {
                        self.status("error", &code, &description);
                        events.push(SinkEvent::Refused);
                    }
                    PublishAnswer::Silence => {}
                }
            }
            "FCUnpublish" | "deleteStream" | "closeStream" => events.push(SinkEvent::Unpublished),
            _ => {}
        }
    }

    fn on_connect(&mut self, transaction: Value, fields: Vec<(String, Value)>, events: &mut Vec<SinkEvent>) {
        let field = |name: &str| {
            fields
                .iter()
                .find(|(key, _)| key == name)
                .and_then(|(_, value)| value.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let (app, tc_url) = (field("app"), field("tcUrl"));
        let rejection = match &self.connect {
            ConnectAnswer::Silence => None,
            ConnectAnswer::Accept => {
                self.accept(transaction.clone());
                None
            }
            ConnectAnswer::Reject { code, description } => Some((code.clone(), description.clone(), None)),
            ConnectAnswer::Redirect { url } => {
                let ex = vec![("code".to_owned(), Value::Number(302.0)), ("redirect".to_owned(), text(url))];
                Some(("NetConnection.Connect.Rejected".to_owned(), "moved".to_owned(), Some(ex)))
            }
            ConnectAnswer::AdobeAuth(auth) => match auth.rejection(&app) {
                Some(description) => Some(("NetConnection.Connect.Rejected".to_owned(), description, None)),
                None => {
                    self.accept(transaction.clone());
                    None
                }
            },
        };
        events.push(SinkEvent::Connected { app, tc_url, fields });
        if let Some((code, description, ex)) = rejection {
            let mut info = info("error", &code, &description);
            info.extend(ex.map(|ex| ("ex".to_owned(), Value::Object(ex))));
            self.command_out(0, &[text("_error"), transaction, Value::Null, Value::Object(info)]);
            events.push(SinkEvent::Refused);
        }
    }

    fn accept(&mut self, transaction: Value) {
        self.control(type_id::WINDOW_ACK_SIZE, WINDOW_BYTES.to_be_bytes().to_vec());
        self.writer.set_chunk_size(&mut self.out, 4096);
        let properties = Value::Object(vec![("fmsVer".to_owned(), text("FMS/3,0,1,123"))]);
        let info = Value::Object(info("status", "NetConnection.Connect.Success", "Connection succeeded."));
        self.command_out(0, &[text("_result"), transaction, properties, info]);
    }

    fn status(&mut self, level: &str, code: &str, description: &str) {
        let info = Value::Object(info(level, code, description));
        self.command_out(STREAM_ID, &[text("onStatus"), Value::Number(0.0), Value::Null, info]);
    }

    fn command_out(&mut self, stream_id: u32, values: &[Value]) {
        let mut payload = BytesMut::new();
        encode(&mut payload, values);
        let message = Message { type_id: type_id::COMMAND_AMF0, stream_id, timestamp_ms: 0, payload: payload.freeze() };
        let csid = if stream_id == 0 { COMMAND_CSID } else { STATUS_CSID };
        self.writer.write(&mut self.out, csid, &message);
    }

    fn control(&mut self, type_id: u8, payload: Vec<u8>) {
        let message = Message { type_id, stream_id: 0, timestamp_ms: 0, payload: payload.into() };
        self.writer.write(&mut self.out, 2, &message);
    }
}

impl fmt::Debug for SinkSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkSession").field("received_bytes", &self.reader.received_bytes()).finish_non_exhaustive()
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn info(level: &str, code: &str, description: &str) -> Vec<(String, Value)> {
    [("level", level), ("code", code), ("description", description)]
        .map(|(key, value)| (key.to_owned(), text(value)))
        .to_vec()
}

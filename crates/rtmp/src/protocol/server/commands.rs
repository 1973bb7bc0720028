//! What each command of a client does to its connection.

use std::time::Instant;

use super::{CREATE_STREAM_MAX, FOUR_CC_LIST, OPEN_REQUESTS_MAX, ServerEvent, ServerProtocol, Stream, StreamState};
use crate::protocol::ProtocolError;
use crate::protocol::command::{Command, text};
use crate::protocol::names::{NAME_BYTES_MAX, RequestedStream};
use crate::protocol::status::{Refusal, RefusalCode, info, on_status};
use crate::wire::{Value, type_id};

/// E-RTMP v2 calls this `FourCcInfoMask.CanForward`.
const CAN_FORWARD: f64 = 4.0;
/// E-RTMP v2 calls this `CapsExMask.ModEx`: we understand packets with modifiers. Multitrack is not claimed.
const CAPS_EX: f64 = 4.0;
/// We ask for an acknowledgement every 2.5 MB, as Adobe's server and the common ones do.
const WINDOW_BYTES: u32 = 2_500_000;
impl ServerProtocol {
    pub(super) fn on_command(
        &mut self,
        stream_id: u32,
        command: Command,
        now: Instant,
    ) -> Result<Option<ServerEvent>, ProtocolError> {
        if command.name == "connect" {
            self.on_connect(command)?;
            return Ok(None);
        }
        if self.connect.is_none() {
            return Err(ProtocolError::CommandBeforeConnect);
        }
        match command.name.as_str() {
            "createStream" => self.on_create_stream(command.transaction_id),
            "publish" => return self.on_publish(stream_id, &command, now),
            "play" | "play2" => return self.on_play(stream_id, &command),
            "deleteStream" => {
                // The stream is an argument. Clients that forget it mean the stream on which they send.
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
            // A live stream can do neither. To say nothing leaves the player playing.
            "pause" | "seek" | "receiveAudio" | "receiveVideo" => {}
            // These are answers to calls that we never make.
            "_result" | "_error" | "onStatus" => {}
            _ if command.transaction_id != 0.0 => {
                let error = info("error", "NetConnection.Call.Failed", "no such method");
                self.out.command(0, &[text("_error"), Value::Number(command.transaction_id), Value::Null, error]);
            }
            _ => {}
        }
        Ok(None)
    }

    fn on_connect(&mut self, command: Command) -> Result<(), ProtocolError> {
        if self.connect.is_some() {
            return Err(ProtocolError::ConnectTwice);
        }
        let fields = match command.object {
            Value::Object(fields) | Value::EcmaArray(fields) | Value::TypedObject { fields, .. } => fields,
            _ => return Err(ProtocolError::ConnectWithoutApp),
        };
        let has = |wanted: &str| fields.iter().any(|(name, _)| name == wanted);
        let app = fields.iter().find(|(name, _)| name == "app").and_then(|(_, value)| value.as_str());
        self.app = app.ok_or(ProtocolError::ConnectWithoutApp)?.to_owned();

        self.out.control_u32(type_id::WINDOW_ACK_SIZE, WINDOW_BYTES);
        self.out.set_peer_bandwidth(WINDOW_BYTES);
        let mut properties =
            vec![("fmsVer".to_owned(), text("FMS/3,5,7,7009")), ("capabilities".to_owned(), Value::Number(31.0))];
        // Only clients that speak E-RTMP are answered in it.
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
    ) -> Result<Option<ServerEvent>, ProtocolError> {
        // `publish(false)` is Flash's way to stop.
        if command.arguments.first().and_then(Value::as_bool) == Some(false) {
            return Ok(self.end(stream_id, now));
        }
        // The second argument (live, record, append) is optional, and all kinds are live here.
        self.request(stream_id, command, StreamState::PublishRequested)
    }

    fn on_play(&mut self, stream_id: u32, command: &Command) -> Result<Option<ServerEvent>, ProtocolError> {
        self.request(stream_id, command, StreamState::PlayRequested)
    }

    /// Notes a request, or refuses it here when nobody could grant it.
    fn request(
        &mut self,
        stream_id: u32,
        command: &Command,
        state: StreamState,
    ) -> Result<Option<ServerEvent>, ProtocolError> {
        let open =
            |stream: &&Stream| matches!(stream.state, StreamState::PublishRequested | StreamState::PlayRequested);
        if self.streams.values().filter(open).count() >= OPEN_REQUESTS_MAX {
            return Err(ProtocolError::TooManyOpenRequests);
        }
        let given = command.text_argument(0).unwrap_or_default();
        let too_long = self.app.len() + given.len() > NAME_BYTES_MAX;
        let stream = self.streams.get_mut(&stream_id).ok_or(ProtocolError::UnknownStream)?;
        if stream.state != StreamState::Idle {
            return Ok(None); // The stream is in use or its request is unanswered: the first request stands.
        }
        stream.state = state;
        if too_long {
            return Ok(Some(self.refuse_name(stream_id, "the stream name is too long")));
        }
        given.clone_into(&mut stream.name);
        let name = RequestedStream::join(&self.app, given);
        if name.key.expose().is_empty() {
            return Ok(Some(self.refuse_name(stream_id, "no stream name was given")));
        }
        Ok(Some(match state {
            StreamState::PlayRequested => ServerEvent::Play { stream_id, name },
            _ => ServerEvent::Publish { stream_id, name },
        }))
    }

    fn refuse_name(&mut self, stream_id: u32, why: &str) -> ServerEvent {
        let refusal = Refusal::new(RefusalCode::NotFound, why);
        self.refuse(stream_id, &refusal);
        ServerEvent::Refused { refusal }
    }

    /// Ends a stream that the client is done with.
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
            return; // The caller wants no answer.
        }
        let mut answer = vec![text("_result"), Value::Number(transaction_id), Value::Null];
        answer.extend_from_slice(values);
        self.out.command(0, &answer);
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

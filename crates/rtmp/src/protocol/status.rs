//! The `onStatus` messages with which a server accepts, refuses and ends streams.

use super::command::{object, text};
use crate::wire::Value;

/// Why we turn a publisher or player away, and what we tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: RefusalCode,
    /// The text that the person at the encoder sees. It must not hold a stream key.
    pub description: String,
}

impl Refusal {
    pub fn new(code: RefusalCode, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// The key is not accepted.
    Denied,
    /// Somebody publishes with this key already.
    BadName,
    NotFound,
    /// We do not carry media of this form.
    Unsupported,
    ServerFull,
    /// The stream was accepted, and the server wants it to end now.
    Ended,
}

impl RefusalCode {
    /// The status code by which encoders know this reason. ffmpeg and GStreamer tell BadName and Denied apart; OBS knows
    /// Publish.Rejected, Publish.Denied and NetStream.Failed.
    pub fn publish_code(self) -> &'static str {
        match self {
            Self::Denied => "NetStream.Publish.Denied",
            Self::BadName | Self::NotFound => "NetStream.Publish.BadName",
            Self::Unsupported => "NetStream.Publish.Rejected",
            Self::ServerFull | Self::Ended => "NetStream.Failed",
        }
    }

    pub fn play_code(self) -> &'static str {
        match self {
            Self::NotFound | Self::BadName => "NetStream.Play.StreamNotFound",
            Self::Denied | Self::Unsupported | Self::ServerFull | Self::Ended => "NetStream.Play.Failed",
        }
    }
}

/// The values of an `onStatus` command.
pub(super) fn on_status(level: &str, code: &str, description: &str) -> [Value; 4] {
    [text("onStatus"), Value::Number(0.0), Value::Null, info(level, code, description)]
}

/// The information object of `onStatus`, `_result` and `_error`.
pub(super) fn info(level: &str, code: &str, description: &str) -> Value {
    object([("level", text(level)), ("code", text(code)), ("description", text(description))])
}

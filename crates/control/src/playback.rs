//! What viewers may watch over HTTP: a stream's packager by the stream's name, and by token where it is protected.

use std::net::IpAddr;
use std::time::Duration;

use time::OffsetDateTime;
use weir_hub::StreamHub;
use weir_model::StreamId;
use weir_packager::Packager;

use crate::commands::{Commands, PlayGrant};
use crate::pass::{Pass, PassEnd, may_watch};
use crate::preview_pass::{self, PreviewPass};
use crate::runtime::Runtime;

/// A stream that was created a moment ago is waited for this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Clones share it.
#[derive(Clone, Debug)]
pub struct Playback {
    commands: Commands,
    runtime: Runtime,
}

/// What a viewer may watch.
#[derive(Clone, Debug)]
pub struct Watchable {
    pub stream: StreamId,
    pub packager: Packager,
    /// It is for those with a token, and nobody else's to keep.
    pub protected: bool,
}

/// Why a stream can't be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaybackRefusal {
    NotFound,
    /// It is protected, and there was no token that opens it.
    Protected,
}

impl Playback {
    pub fn new(commands: Commands, runtime: Runtime) -> Self {
        Self { commands, runtime }
    }

    /// The stream's packager, for a viewer at `ip` who shows `token`.
    pub async fn watch(&self, name: &str, token: Option<&str>, ip: IpAddr) -> Result<Watchable, PlaybackRefusal> {
        let PlayGrant { stream_id: stream, protected, .. } = self.grant(name, token, ip)?;
        let packager = self.runtime.in_shown(stream, PATIENCE, |shown| shown.packager.clone()).await;
        let packager = packager.ok_or(PlaybackRefusal::NotFound)?;
        Ok(Watchable { stream, packager, protected })
    }

    /// Whether a viewer may watch, by whatever protocol.
    pub fn admit(&self, name: &str, token: Option<&str>, ip: IpAddr) -> Result<StreamId, PlaybackRefusal> {
        self.grant(name, token, ip).map(|grant| grant.stream_id)
    }

    fn grant(&self, name: &str, token: Option<&str>, ip: IpAddr) -> Result<PlayGrant, PlaybackRefusal> {
        let grant = self.commands.find_stream(name).ok_or(PlaybackRefusal::NotFound)?;
        match may_watch(&self.commands, &grant, token, ip, OffsetDateTime::now_utc()) {
            Ok(_) => Ok(grant),
            Err(PassEnd::StreamStopped) => Err(PlaybackRefusal::NotFound),
            Err(_) => Err(PlaybackRefusal::Protected),
        }
    }

    /// What a viewer who was admitted, and whose connection lasts, goes on by.
    pub fn pass(&self, stream: StreamId, token: Option<&str>, ip: IpAddr) -> Pass {
        Pass::viewer(&self.commands, stream, token, ip)
    }

    /// Where the frames of a stream that runs are.
    pub fn hub(&self, id: StreamId) -> Option<StreamHub> {
        self.runtime.look_at_shown(id, |shown| shown.hub.clone())
    }

    /// Whether there is a stream of this name that may be published to.
    pub fn exists(&self, name: &str) -> bool {
        self.commands.find_stream(name).is_some_and(|grant| grant.active)
    }

    /// A pass for somebody who is logged in and looks at a stream without being its viewer.
    pub fn issue_preview_pass(&self, stream: StreamId) -> PreviewPass {
        let sign = |text: &[u8]| self.commands.sign_play_token(text);
        preview_pass::issue(sign, stream, OffsetDateTime::now_utc())
    }

    /// Whether whoever shows this pass is no viewer.
    pub fn is_preview(&self, stream: StreamId, pass: &str) -> bool {
        let sign = |text: &[u8]| self.commands.sign_play_token(text);
        preview_pass::is_valid(sign, stream, pass, OffsetDateTime::now_utc())
    }
}

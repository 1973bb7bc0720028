//! What viewers may watch over HTTP: a stream's packager by the stream's name, and by token where it is protected.

use std::net::IpAddr;
use std::time::Duration;

use time::OffsetDateTime;
use weir_hub::StreamHub;
use weir_model::StreamId;
use weir_packager::Packager;

use crate::commands::Commands;
use crate::play_token::{self, PlayToken};
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

    /// The packager of the stream, for a viewer at `ip` who shows `token`.
    pub async fn packager(
        &self,
        name: &str,
        token: Option<&str>,
        ip: IpAddr,
    ) -> Result<(StreamId, Packager), PlaybackRefusal> {
        let id = self.admit(name, token, ip)?;
        // Nearly always it runs: looked at before anything is set up for waiting.
        if let Some(run) = self.runtime.streams().get(&id) {
            return Ok((id, run.packager.clone()));
        }
        let packager = self.runtime.in_stream(id, PATIENCE, |run| run.packager.clone()).await;
        packager.map(|packager| (id, packager)).ok_or(PlaybackRefusal::NotFound)
    }

    /// Whether a viewer may watch, by whatever protocol.
    pub fn admit(&self, name: &str, token: Option<&str>, ip: IpAddr) -> Result<StreamId, PlaybackRefusal> {
        let grant = self.commands.find_stream(name).filter(|grant| grant.active).ok_or(PlaybackRefusal::NotFound)?;
        let sign = |text: &[u8]| self.commands.sign_play_token(text);
        let opens =
            |token| play_token::opens(sign, token, grant.stream_id, ip.to_canonical(), OffsetDateTime::now_utc());
        if grant.protected && !token.is_some_and(opens) {
            return Err(PlaybackRefusal::Protected);
        }
        Ok(grant.stream_id)
    }

    /// Where the frames of a stream that runs are.
    pub fn hub(&self, id: StreamId) -> Option<StreamHub> {
        self.runtime.streams().get(&id).map(|run| run.hub.clone())
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

    /// A token for a stream, `lifetime` long; None where the system has no random numbers.
    pub fn issue_token(&self, stream: StreamId, ip: Option<IpAddr>, lifetime: Duration) -> Option<PlayToken> {
        let sign = |text: &[u8]| self.commands.sign_play_token(text);
        play_token::issue(sign, stream, ip, OffsetDateTime::now_utc() + lifetime)
    }
}

//! What viewers may watch over HTTP. A stream's packager is found by the
//! stream's name, and opened by a token where the stream is protected.

use std::net::IpAddr;

use time::OffsetDateTime;
use weir_hub::StreamHub;
use weir_model::StreamId;
use weir_packager::Packager;

use crate::admission::{Admission, AdmissionRefusal};
use crate::commands::Commands;
use crate::pass::Pass;
use crate::preview_pass::{self, PreviewPass};

/// All clones share the same admission.
#[derive(Clone, Debug)]
pub struct Playback {
    admission: Admission,
}

/// What a viewer may watch.
#[derive(Clone, Debug)]
pub struct Watchable {
    pub stream: StreamId,
    pub packager: Packager,
    /// True where only holders of a token may see it, so that no cache may keep it for others.
    pub protected: bool,
}

impl Playback {
    pub fn new(admission: Admission) -> Self {
        Self { admission }
    }

    /// The stream's packager, for a viewer at `ip` who shows `token`.
    pub async fn watch(&self, name: &str, token: Option<&str>, ip: IpAddr) -> Result<Watchable, AdmissionRefusal> {
        let grant = self.admission.may_play(name, token, ip)?;
        let runtime = self.admission.runtime();
        let packager = match runtime.look_at(grant.stream_id, |run| run.packager.clone()) {
            Some(packager) => packager,
            None => runtime.stream_soon(grant.stream_id).await.ok_or(AdmissionRefusal::NoStream)?.packager.clone(),
        };
        Ok(Watchable { stream: grant.stream_id, packager, protected: grant.protected })
    }

    /// Whether a viewer who was let in some seconds ago would still be.
    pub fn still_watches(&self, name: &str, token: Option<&str>, ip: IpAddr) -> Result<(), AdmissionRefusal> {
        self.admission.may_play(name, token, ip).map(drop)
    }

    /// The pass of an admitted viewer whose connection lasts.
    pub fn pass(&self, stream: StreamId, token: Option<&str>, ip: IpAddr) -> Pass {
        self.admission.viewer_pass(stream, token, ip)
    }

    /// The frames of a stream that runs.
    pub fn hub(&self, id: StreamId) -> Option<StreamHub> {
        self.admission.runtime().look_at(id, |run| run.hub.clone())
    }

    /// Whether there is a stream of this name that may be published to.
    pub fn exists(&self, name: &str) -> bool {
        self.commands().find_stream(name).is_some_and(|grant| grant.active)
    }

    /// Makes a pass for somebody who is logged in and looks at a stream without being its viewer.
    pub fn issue_preview_pass(&self, stream: StreamId) -> PreviewPass {
        let sign = |text: &[u8]| self.commands().sign_play_token(text);
        preview_pass::issue(sign, stream, OffsetDateTime::now_utc())
    }

    /// Whether the holder of this pass is no viewer.
    pub fn is_preview(&self, stream: StreamId, pass: &str) -> bool {
        let sign = |text: &[u8]| self.commands().sign_play_token(text);
        preview_pass::is_valid(sign, stream, pass, OffsetDateTime::now_utc())
    }

    fn commands(&self) -> &Commands {
        self.admission.commands()
    }
}

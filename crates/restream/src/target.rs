//! What a push is in every protocol: the target that it goes to, and the open push. Each protocol is a file here, and only [`of`] names
//! them.

mod rtmp;
mod srt;

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use weir_hub::Tracks;
use weir_media::{Language, TrackInfo};
use weir_model::{Advice, PathFigures, PushUrl, Reason};
use weir_net::Dialer;

use self::rtmp::RtmpTarget;
use self::srt::SrtTarget;
use crate::machine::Failure;
use crate::push::PushContext;

/// The target that a restream's URL means.
pub(crate) fn of(url: &PushUrl, enhanced_rtmp: bool) -> Result<Arc<dyn Target>, Reason> {
    Ok(match url {
        PushUrl::Rtmp { server, login, stream_key, .. } => {
            Arc::new(RtmpTarget::new(server, login.as_ref(), stream_key, enhanced_rtmp)?)
        }
        PushUrl::Srt { url: srt } => Arc::new(SrtTarget::new(srt, url.advice())),
    })
}

/// What has to go out.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) rendition: String,
    /// The language of the sound, where only one sound can be carried. None means the default sound.
    pub(crate) language: Option<Language>,
}

/// Where a push goes.
pub(crate) trait Target: Debug + Send + Sync {
    /// Whether these tracks can be sent there, or in words why they can't.
    fn check_tracks(&self, tracks: &Tracks, language: Option<Language>) -> Result<(), String>;

    /// Which sounds of these tracks are sent there.
    fn sounds<'a>(&self, tracks: &'a Tracks, language: Option<Language>) -> Vec<&'a TrackInfo>;

    /// What the operator should think about, as far as it is known before anything is measured.
    fn advice(&self) -> &[Advice] {
        &[]
    }

    /// Connects. The connection is returned once the far end has accepted the push.
    fn dial(
        self: Arc<Self>,
        context: PushContext,
        wanted: Wanted,
    ) -> BoxFuture<'static, Result<Box<dyn OpenPush>, Failure>>;

    /// Whether anybody listens on the port now, which says no more than that.
    fn port_is_open(self: Arc<Self>, dialer: Dialer) -> BoxFuture<'static, bool>;
}

/// The open connection of a push.
pub(crate) trait OpenPush: Debug + Send {
    /// Pushes until something is worth knowing. An error is the end of the connection. This is cancel-safe.
    fn run(&mut self) -> BoxFuture<'_, Result<FlowEvent, Failure>>;

    /// Takes note that another language is wished for. A protocol that carries all sounds has nothing to change.
    fn speak(&mut self, _language: Option<Language>) {}

    fn progress(&mut self) -> FlowProgress;

    /// The number of pictures that were passed over since the last call.
    fn take_dropped_frames(&mut self) -> u64;

    /// Says goodbye to the far end, and closes the connection.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// What happened while media flowed.
#[derive(Debug)]
pub(crate) enum FlowEvent {
    /// The first media has left, so it is time to look whether it arrives.
    FirstWrite,
    /// The far end says something that changes nothing.
    Said(String),
    /// The far end wants us to leave, and perhaps to come again elsewhere.
    Unwelcome { failure: Failure, instead: Option<Arc<dyn Target>> },
    /// The rendition ended, because its stream is being taken down.
    FeedEnded,
}

/// How far a push has come. The bytes are those of media.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FlowProgress {
    pub(crate) written_bytes: u64,
    /// This never falls, and is never above `written_bytes`.
    pub(crate) acked_bytes: u64,
    /// Whether more is under way.
    pub(crate) outstanding: bool,
    pub(crate) rtt_ms: Option<f64>,
    /// The loss of TCP's segments. That of SRT is in its figures.
    pub(crate) tcp_loss_percent: Option<f64>,
    /// The figures of SRT's path.
    pub(crate) path: Option<PathFigures>,
}

//! A push as every protocol has it: where to, and the open connection. Each protocol is a file, and named in [`target`] alone.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use weir_hub::Tracks;
use weir_media::{Language, TrackInfo};
use weir_model::{Advice, PathFigures, PushUrl, Reason};
use weir_net::Dialer;

use crate::machine::Failure;
use crate::push::PushContext;
use crate::rtmp::RtmpTarget;
use crate::srt::SrtTarget;

/// What a restream's URL means.
pub(crate) fn target(url: &PushUrl, enhanced_rtmp: bool) -> Result<Arc<dyn Target>, Reason> {
    Ok(match url {
        PushUrl::Rtmp { server, login, stream_key, .. } => {
            Arc::new(RtmpTarget::new(server, login.as_ref(), stream_key, enhanced_rtmp)?)
        }
        PushUrl::Srt { url: srt } => Arc::new(SrtTarget::new(srt, url.advice())),
    })
}

/// What is to go out.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) rendition: String,
    /// Of the sound, where only one can be carried; None: the default.
    pub(crate) language: Option<Language>,
}

/// Where a push goes.
pub(crate) trait Target: Debug + Send + Sync {
    /// Why these tracks can't be sent there, if they can't.
    fn check_tracks(&self, tracks: &Tracks, language: Option<Language>) -> Result<(), String>;

    /// Which sounds of these tracks are sent there.
    fn sounds<'a>(&self, tracks: &'a Tracks, language: Option<Language>) -> Vec<&'a TrackInfo>;

    /// What is to be thought about, before anything is measured.
    fn advice(&self) -> &[Advice] {
        &[]
    }

    /// Connects, and is accepted or not.
    fn dial(
        self: Arc<Self>,
        context: PushContext,
        wanted: Wanted,
    ) -> BoxFuture<'static, Result<Box<dyn Link>, Failure>>;

    /// Whether anybody is there now, without saying more than that.
    fn port_is_open(self: Arc<Self>, dialer: Dialer) -> BoxFuture<'static, bool>;
}

/// An open push.
pub(crate) trait Link: Debug + Send {
    /// Pushes until something is worth knowing; an error is its end. Cancel-safe.
    fn run(&mut self) -> BoxFuture<'_, Result<LinkEvent, Failure>>;

    /// Another language is wished for; who carries all sounds has nothing to change.
    fn speak(&mut self, _language: Option<Language>) {}

    fn progress(&mut self) -> LinkProgress;

    /// Pictures passed over since the last call.
    fn take_dropped_frames(&mut self) -> u64;

    /// Says goodbye.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// What came up while media flowed.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// The first media has left: time to look whether it arrives.
    FirstWrite,
    /// The far end says something that changes nothing.
    Said(String),
    /// The far end wants us to leave; perhaps to come again elsewhere.
    Unwelcome { failure: Failure, instead: Option<Arc<dyn Target>> },
    /// The rendition ended: its stream is being taken down.
    FeedEnded,
}

/// How far a push has come. Bytes are of media.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LinkProgress {
    pub(crate) written_bytes: u64,
    /// Never falls, never above `written_bytes`.
    pub(crate) acked_bytes: u64,
    /// More is under way.
    pub(crate) outstanding: bool,
    pub(crate) rtt_ms: Option<f64>,
    /// Of TCP's segments; SRT's is in its figures.
    pub(crate) tcp_loss_percent: Option<f64>,
    /// SRT's figures.
    pub(crate) path: Option<PathFigures>,
}

//! What the handlers work with.

use crate::audit_trail::AuditTrail;
use crate::live::LiveBoard;
use crate::login_limit::LoginLimit;
use crate::openapi::openapi_json;
use crate::readiness::Readiness;
use crate::rules::RawUriRule;
use crate::webhooks::Webhooks;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;
use weir_control::{Commands, Playback};
use weir_net::{GuessLimit, GuessRules};
use weir_observe::Observe;
use weir_origin::{Thumbnails, Whep};
use weir_packager::Recordings;
use weir_store::Store;
use weir_transcode::EncodingResources;

/// A password check takes 19 MiB and tens of milliseconds of a core: more at once would be a way to wear us out.
const PASSWORD_CHECKS: usize = 2;

/// Each follower of events holds a connection and a task.
const MAX_FOLLOWERS: usize = 256;

/// Everything the API is made from; cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiContext {
    pub commands: Commands,
    pub playback: Playback,
    pub store: Store,
    pub audit: AuditTrail,
    pub observe: Observe,
    pub urls: PublicUrls,
    pub readiness: Readiness,
    /// None where recording is off.
    pub recordings: Option<Recordings>,
    /// Knows what this machine can encode.
    pub encoding: EncodingResources,
    pub thumbnails: Thumbnails,
    /// None where WebRTC is off.
    pub whep: Option<Whep>,
    pub webhooks: Webhooks,
    pub raw_uris: RawUriRule,
    /// Whether `/metrics` is for those with a key only.
    pub metrics_need_key: bool,
    /// Where everything is that has to last.
    pub data: PathBuf,
}

/// How the outside reaches us, without a slash at the end; None where it can't.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublicUrls {
    /// `http://host:8080`: the base of HLS and DASH.
    pub playback: Option<String>,
    /// `http://host:8080`: the base of the watch page, once there is one.
    pub watch: Option<String>,
    /// `http://host:8080`: the base of WHEP; None where WebRTC is off.
    pub whep: Option<String>,
    /// `http://host:8080`: the base of WHIP, once something serves it.
    pub whip: Option<String>,
    /// Where encoders come to, by protocol: `rtmp://host:1935` and its like.
    pub publish: BTreeMap<&'static str, String>,
    /// `https://host`, where that is how everybody is to come: whoever comes in the clear is sent there.
    pub https: Option<String>,
    /// Whether browsers come over TLS only, so that the cookie may say so.
    pub secure_cookies: bool,
}

/// The context with what only the API itself needs.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) api: ApiContext,
    pub(crate) password_checks: Arc<Semaphore>,
    pub(crate) login_limit: Arc<LoginLimit>,
    pub(crate) key_guesses: Arc<GuessLimit>,
    pub(crate) live: Arc<LiveBoard>,
    pub(crate) followers: Arc<Semaphore>,
    /// Shared by all who ask for it: it is 100 kB.
    pub(crate) openapi: Bytes,
}

impl App {
    pub(crate) fn new(api: ApiContext) -> Self {
        Self {
            api,
            live: Arc::new(LiveBoard::new()),
            password_checks: Arc::new(Semaphore::new(PASSWORD_CHECKS)),
            login_limit: Arc::default(),
            key_guesses: Arc::new(GuessLimit::new(GuessRules::KEYS)),
            followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
            openapi: openapi_json().into(),
        }
    }
}

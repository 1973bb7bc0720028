//! The context: everything that the handlers work with.

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
use weir_origin::{Thumbnails, Whep, Whip};
use weir_packager::Recordings;
use weir_store::Store;
use weir_transcode::EncodingResources;

/// The most password checks at once. A check takes 19 MiB and tens of milliseconds of a core, so more at once would be a way to wear the
/// server out.
const PASSWORD_CHECKS: usize = 2;

/// The most followers of events and of the live board. Each holds a connection and a task.
const MAX_FOLLOWERS: usize = 256;

/// Everything that the API is made from. A clone is cheap.
#[derive(Debug, Clone)]
pub struct ApiContext {
    pub commands: Commands,
    pub playback: Playback,
    pub store: Store,
    pub audit: AuditTrail,
    pub observe: Observe,
    pub urls: PublicUrls,
    pub readiness: Readiness,
    /// There are none if recording is off.
    pub recordings: Option<Recordings>,
    /// Knows what this machine can encode.
    pub encoding: EncodingResources,
    pub thumbnails: Thumbnails,
    /// There is none if WebRTC is off.
    pub whep: Option<Whep>,
    pub whip: Option<Whip>,
    pub webhooks: Webhooks,
    pub raw_uris: RawUriRule,
    /// Says that `/metrics` needs a key.
    pub metrics_need_key: bool,
    /// The data directory, which holds everything that has to last.
    pub data: PathBuf,
}

/// The URLs by which the outside reaches us, without a slash at the end. Where it can't reach us there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublicUrls {
    /// The base of HLS and DASH, such as `http://host:8080`.
    pub playback: Option<String>,
    /// The base of the watch page, such as `http://host:8080`.
    pub watch: Option<String>,
    /// The base of WHEP, such as `http://host:8080`. There is none if WebRTC is off.
    pub whep: Option<String>,
    /// The base of WHIP, such as `http://host:8080`, once something serves it.
    pub whip: Option<String>,
    /// The URL that encoders come to, by protocol. None where the server does not listen.
    pub publish: BTreeMap<&'static str, Option<PublishUrl>>,
    /// The URL that everybody is to come by, such as `https://host`, if the configuration says so. Whoever comes in the clear is sent
    /// there.
    pub https: Option<String>,
    /// Says that browsers come over TLS only, so that the cookie may say so, too.
    pub secure_cookies: bool,
}

/// A URL that encoders publish to, without the stream key at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishUrl {
    /// The listener's own address, such as `rtmp://host:1935`.
    pub base: String,
    /// What stands between that and the key.
    pub before_key: &'static str,
}

impl PublishUrl {
    pub fn with_key(&self, key: &str) -> String {
        let Self { base, before_key } = self;
        format!("{base}{before_key}{key}")
    }
}

/// The context, with what only the API itself needs.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) api: ApiContext,
    pub(crate) password_checks: Arc<Semaphore>,
    pub(crate) login_limit: Arc<LoginLimit>,
    pub(crate) key_guesses: Arc<GuessLimit>,
    pub(crate) live: Arc<LiveBoard>,
    pub(crate) followers: Arc<Semaphore>,
    /// All who ask for the description share this text, which has 100 kB.
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

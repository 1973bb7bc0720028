//! The HTTP side: what the API works with, and the threads that carry its connections.

use std::path::Path;

use anyhow::Context as _;
use weir_api::{ApiContext, AuditTrail, PublicUrls, Readiness, Webhooks, http_server};
use weir_control::{Lanes, Playback};
use weir_origin::{HttpLimits, HttpServer, Thumbnails};

use crate::base::Base;
use crate::config::Config;
use crate::webrtc::Signalling;

pub(crate) fn api(
    base: &Base,
    config: &Config,
    data: &Path,
    urls: &PublicUrls,
    webrtc: Option<Signalling>,
) -> ApiContext {
    let (whep, whip) = webrtc.map(|webrtc| (webrtc.whep, webrtc.whip)).unzip();
    let playback = Playback::new(base.admission.clone());
    ApiContext {
        commands: base.commands.clone(),
        thumbnails: Thumbnails::new(playback.clone(), base.encoding.clone()),
        playback,
        whep,
        whip,
        data: data.to_owned(),
        webhooks: Webhooks::new(),
        store: base.store.clone(),
        audit: AuditTrail::new(base.store.clone()),
        observe: base.observe.clone(),
        urls: urls.clone(),
        readiness: Readiness::new(base.observe.heartbeats().clone(), base.store.write_health()),
        recordings: base.shelves.recordings.clone(),
        encoding: base.encoding.clone(),
        raw_uris: config.raw_uris,
        metrics_need_key: config.metrics_need_key,
    }
}

/// Makes the HTTP server. It must be called in the control plane's runtime.
pub(crate) fn server(api: ApiContext, config: &Config, lanes: Lanes) -> HttpServer {
    let limits = HttpLimits {
        connections_max: config.http_connections.max,
        connections_per_ip_max: config.http_connections.per_ip_max,
        requests_per_ip_max: config.http_requests_per_ip_max,
        head_timeout: config.http_head_timeout,
        stall_timeout: config.http_stall_timeout,
    };
    http_server(api, limits, config.trusted_proxies.clone(), lanes)
}

pub(crate) fn lanes() -> anyhow::Result<Lanes> {
    Lanes::start_as("http", Some(threads())).context("cannot start the threads of HTTP")
}

/// Half of the cores answer viewers: the kernel needs the others to send the answers, and media has to go on. With two threads on two
/// cores 40 % more CPU per playlist was measured, spent on going to sleep and waking up.
fn threads() -> usize {
    (std::thread::available_parallelism().map_or(1, std::num::NonZero::get) / 2).max(1)
}

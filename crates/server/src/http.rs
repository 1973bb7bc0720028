//! The HTTP side: what the API works with, and the threads that carry its connections.

use std::path::Path;

use anyhow::Context as _;
use weir_api::{ApiContext, HttpLimits, HttpServer, PublicUrls, Readiness, Thumbnails, Webhooks};
use weir_control::{Lanes, Playback};

use crate::base::Base;

pub(crate) fn api(base: &Base, data: &Path, urls: &PublicUrls) -> ApiContext {
    let playback = Playback::new(base.commands.clone(), base.runtime.clone());
    ApiContext {
        commands: base.commands.clone(),
        thumbnails: Thumbnails::new(playback.clone(), base.workshop.clone()),
        playback,
        data: data.to_owned(),
        webhooks: Webhooks::new(),
        store: base.store.clone(),
        observe: base.observe.clone(),
        urls: urls.clone(),
        readiness: Readiness::new(),
        recordings: base.shelves.recordings.clone(),
        workshop: base.workshop.clone(),
    }
}

/// Must be called in the control plane's runtime.
pub(crate) fn server(api: ApiContext, limits: HttpLimits) -> anyhow::Result<HttpServer> {
    let lanes = Lanes::start_as("http", Some(threads())).context("cannot start the threads of HTTP")?;
    Ok(HttpServer::new(api, limits, lanes))
}

/// Half of the cores answer viewers: the kernel needs the others to send what they are given, and media has to go on.
/// Measured with two threads on two cores: 40 % more CPU per playlist, spent on going to sleep and waking up.
fn threads() -> usize {
    (std::thread::available_parallelism().map_or(1, std::num::NonZero::get) / 2).max(1)
}

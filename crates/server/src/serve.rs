//! `weir serve`: open, bind, start the owners, say that it is ready, run until a signal, drain.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_api::ApiContext;
use weir_control::{RtmpDoor, Supervisor};

use crate::base::Base;
use crate::config::Config;
use crate::owners::{Owners, Stage};
use crate::sockets::Sockets;
use crate::{demo, http, outgoing, ready_line, rtmp_listener, signals, srt_listener};

/// From the signal to the end, whatever hangs.
const DRAIN_MAX: Duration = Duration::from_secs(8);

pub(crate) async fn run(config: Config, data: &Path, with_demo: bool) -> anyhow::Result<()> {
    let base = Base::open(&config, data).await?;
    let sockets = Sockets::bind(&config, data, &base).await?;
    let urls = sockets.urls(config.public_host.as_deref())?;
    let api = http::api(&base, data, &urls);
    let readiness = api.readiness.clone();

    let mut owners = Owners::default();
    start_tellers(&mut owners, &config, &base, &api)?;
    start_supervisor(&mut owners, &config, &base)?;
    start_listeners(&mut owners, &config, &base, api, sockets)?;
    readiness.set_ready();
    ready_line::say(&urls);
    if with_demo {
        let (commands, store) = (base.commands.clone(), base.store.clone());
        owners.start(Stage::Serving, |stop| demo::run(commands, store, urls, stop));
    }

    let signal = signals::wait_for_end().await?;
    tracing::info!(signal, "draining");
    readiness.drain();
    let drain = async {
        owners.stop().await;
        base.store.close().await;
    };
    if tokio::time::timeout(DRAIN_MAX, drain).await.is_err() {
        tracing::warn!("draining took too long; ending anyway");
    }
    Ok(())
}

/// Those who write down what happens, and tell it to webhooks.
fn start_tellers(owners: &mut Owners, config: &Config, base: &Base, api: &ApiContext) -> anyhow::Result<()> {
    let observe = base.observe.clone();
    owners.start(Stage::Telling, |_| observe.keep_history());
    let (webhooks, api, caller) = (api.webhooks.clone(), api.clone(), outgoing::webhook_caller(config)?);
    owners.start(Stage::Telling, |_| webhooks.run(api, caller));
    Ok(())
}

fn start_supervisor(owners: &mut Owners, config: &Config, base: &Base) -> anyhow::Result<()> {
    let supervisor = Supervisor::new(
        base.commands.clone(),
        base.runtime.clone(),
        base.observe.clone(),
        base.lanes.clone(),
        outgoing::push_options(config)?,
        base.shelves.clone(),
        base.workshop.clone(),
    );
    owners.start(Stage::Supervising, |stop| supervisor.run(stop));
    Ok(())
}

fn start_listeners(
    owners: &mut Owners,
    config: &Config,
    base: &Base,
    api: ApiContext,
    sockets: Sockets,
) -> anyhow::Result<()> {
    let door = Arc::new(RtmpDoor::new(base.commands.clone(), base.runtime.clone(), base.observe.clone()));
    for listener in [sockets.rtmp, sockets.rtmps].into_iter().flatten() {
        let (door, lanes, observe) = (Arc::clone(&door), base.lanes.clone(), base.observe.clone());
        owners.start(Stage::Serving, |stop| rtmp_listener::run(listener, door, lanes, observe, stop));
    }
    if let Some(srt) = sockets.srt {
        let (lanes, observe) = (base.lanes.clone(), base.observe.clone());
        owners.start(Stage::Serving, |stop| srt_listener::run(srt.listener, srt.door, lanes, observe, stop));
    }
    let server = http::server(api, config.http_limits)?;
    for socket in sockets.http {
        let server = server.clone();
        owners.start(Stage::Serving, |stop: CancellationToken| {
            server.serve(socket.listener, socket.tls, stop.cancelled_owned())
        });
    }
    Ok(())
}

//! `weir serve`: open, bind, start the owners, say that it is ready, run until a signal or a fault, drain.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use weir_api::{ApiContext, WebhookCaller};
use weir_control::{DRAIN_MAX, Kit, Lanes, Supervisor};
use weir_ingest::pull::UdpPorts;
use weir_net::{CapLimits, Caps, Dialer};
use weir_origin::HttpServer;

use crate::base::Base;
use crate::cli::Locations;
use crate::config::Config;
use crate::logging::Logging;
use crate::owners::{Owner, Owners, Turn};
use crate::reload::{Capped, Reload};
use crate::signals::Signals;
use crate::sockets::Sockets;
use crate::webrtc::WebrtcSocket;
use crate::{demo, http, ready_line, webrtc};

// The graces add up to less than `signals::DRAIN_MAX`: 5.5 s for the longest of the serving owners, 1 s for the telling ones, 1 s for the
// store. The last half second is for threads to end in.

/// Publishers and players are told that it is over; those that do not listen are cut off.
const LISTENER_GRACE: Duration = Duration::from_secs(2);

/// Answers under way are written to their end, of which the longest is a segment on a slow line.
const HTTP_GRACE: Duration = Duration::from_secs(4);

/// The supervisor has its own deadlines, and a moment more to stop what it is doing.
const SUPERVISOR_GRACE: Duration = DRAIN_MAX.saturating_add(Duration::from_millis(500));

/// The last events go out to webhooks that answer.
const TELLER_GRACE: Duration = Duration::from_secs(1);

/// The write-ahead log is folded into the database.
const STORE_GRACE: Duration = Duration::from_secs(1);

pub(crate) async fn run(config: Config, locations: &Locations, with_demo: bool, log: &Logging) -> anyhow::Result<()> {
    let mut signals = Signals::listen(log)?;
    let base = Base::open(&config, &locations.data).await?;
    log.count_drops(&base.observe);
    let sockets = Sockets::bind(&config, &locations.data, &base).await?;
    let listening = sockets.urls(config.public_host.as_deref(), None)?;
    let urls = sockets.urls(config.host(), config.public_url.as_ref())?;
    let signalling = sockets.webrtc.as_ref().map(|webrtc| webrtc.signalling.clone());
    let api = http::api(&base, &config, &locations.data, &urls, signalling);
    let (readiness, audit) = (api.readiness.clone(), api.audit.clone());
    let http_lanes = http::lanes()?;
    let dialer = Dialer::new(config.egress.clone(), weir_net::trusted(config.tls.ca.as_deref())?);

    let mut owners = Owners::new(base.observe.heartbeats().clone());
    watch_lanes(&mut owners, "a media thread", &base.lanes);
    watch_lanes(&mut owners, "a thread of HTTP", &http_lanes);
    start_tellers(&mut owners, &base, &api, WebhookCaller::new(dialer.clone()));
    start_supervisor(&mut owners, &base, dialer.clone(), config.send_buffer_bytes);
    let http = http::server(api, &config, http_lanes);
    let (certificate, capped) = (sockets.certificate.clone(), capped(&http, &sockets));
    start_listeners(&mut owners, &base, &http, sockets);
    let (locations, log, observe) = (locations.clone(), log.clone(), base.observe.clone());
    let reload = Reload { locations, config, log, observe, certificate, dialer, capped };
    start_reload(&mut owners, reload, &signals);
    readiness.set_ready();
    ready_line::say(&listening);
    if with_demo {
        let (commands, store) = (base.commands.clone(), base.store.clone());
        let owner = Owner { name: "the demo", turn: Turn::Serving, grace: LISTENER_GRACE };
        owners.start(owner, |stop, heartbeat| demo::run(commands, store, listening, stop, heartbeat));
    }

    let end = tokio::select! {
        signal = signals.asked_to_end() => {
            tracing::info!(signal, "draining");
            Ok(())
        }
        fallen = owners.fallen() => {
            tracing::error!("{fallen}: draining, then ending with an error, so that the server is started anew");
            Err(fallen.into())
        }
    };
    signals.begin_drain();
    readiness.drain();
    owners.stop().await;
    let close = async {
        if let Err(error) = audit.flush().await {
            tracing::warn!(%error, "the last refusals could not be counted in the audit");
        }
        base.store.close().await;
    };
    if timeout(STORE_GRACE, close).await.is_err() {
        tracing::warn!("the database could not be closed in time: the next start reads its write-ahead log");
    }
    end
}

/// Watches the lanes: a lane is alive while a task on it gets its turn.
fn watch_lanes(owners: &mut Owners, name: &'static str, lanes: &Lanes) {
    for lane in lanes.handles() {
        let owner = Owner { name, turn: Turn::Telling, grace: TELLER_GRACE };
        owners.start_on(lane, owner, |stop, heartbeat| async move { heartbeat.idle(stop.cancelled()).await });
    }
}

/// Starts the owners that record what happens, check whether it can be written, and tell webhooks.
fn start_tellers(owners: &mut Owners, base: &Base, api: &ApiContext, caller: WebhookCaller) {
    let observe = base.observe.clone();
    let history = Owner { name: "the history", turn: Turn::Telling, grace: TELLER_GRACE };
    owners.start(history, |stop, heartbeat| async move {
        stop.run_until_cancelled(observe.keep_history(heartbeat)).await;
    });
    let store = base.store.clone();
    let probing = Owner { name: "the probe of the database", turn: Turn::Telling, grace: TELLER_GRACE };
    owners.start(probing, |stop, heartbeat| async move {
        // This owner counts as alive even where the disk can't be written; the store reports that in words of its own.
        heartbeat.idle(stop.run_until_cancelled(store.watch_writes())).await;
    });
    let (ids, observe) = (base.event_ids.clone(), base.observe.clone());
    let numbering = Owner { name: "the keeper of event ids", turn: Turn::Telling, grace: TELLER_GRACE };
    owners.start(numbering, |stop, heartbeat| ids.keep(observe, stop, heartbeat));
    let (webhooks, api) = (api.webhooks.clone(), api.clone());
    let telling = Owner { name: "the teller of webhooks", turn: Turn::Telling, grace: TELLER_GRACE };
    owners.start(telling, |stop, heartbeat| webhooks.run(api, caller, stop, heartbeat));
}

fn start_supervisor(owners: &mut Owners, base: &Base, dialer: Dialer, send_buffer_bytes: u32) {
    let kit = Kit {
        udp_ports: UdpPorts::default(),
        media_dirs: base.media_dirs.clone(),
        observe: base.observe.clone(),
        shelves: base.shelves.clone(),
        encoding: base.encoding.clone(),
        lanes: base.lanes.clone(),
        dialer,
        send_buffer_bytes,
    };
    let supervisor = Supervisor::new(base.commands.clone(), base.runtime.clone(), kit);
    let owner = Owner { name: "the supervisor", turn: Turn::Serving, grace: SUPERVISOR_GRACE };
    owners.start(owner, |stop, heartbeat| supervisor.run(stop, heartbeat));
}

fn start_reload(owners: &mut Owners, reload: Reload, signals: &Signals) {
    let owner = Owner { name: "the reader of SIGHUP", turn: Turn::Serving, grace: TELLER_GRACE };
    let signals = signals.clone();
    owners.start(owner, |stop, heartbeat| reload.run(signals, stop, heartbeat));
}

/// The limits of each listener, which may be changed while it listens.
fn capped(http: &HttpServer, sockets: &Sockets) -> Vec<Capped> {
    let capped =
        |caps: &Arc<Caps>, limits: Box<dyn Fn(&Config) -> CapLimits + Send>| Capped { caps: Arc::clone(caps), limits };
    let of_http = |config: &Config| config.http_connections.caps(config.http_requests_per_ip_max);
    let of_listeners = sockets.listeners.iter().map(|listener| {
        let protocol = listener.protocol;
        let limits = move |config: &Config| config.connections(protocol).caps(usize::MAX);
        capped(listener.caps(), Box::new(limits))
    });
    let of_webrtc = sockets.webrtc.iter().map(|webrtc| {
        let limits = |config: &Config| config.webrtc.as_ref().map(|webrtc| webrtc.viewers).unwrap_or_default();
        capped(webrtc.signalling.whep.caps(), Box::new(move |config| limits(config).caps(usize::MAX)))
    });
    std::iter::once(capped(http.caps(), Box::new(of_http))).chain(of_listeners).chain(of_webrtc).collect()
}

fn start_listeners(owners: &mut Owners, base: &Base, http: &HttpServer, sockets: Sockets) {
    let listener = |name, grace| Owner { name, turn: Turn::Serving, grace };
    for socket in sockets.listeners {
        owners.start(listener(socket.protocol.owner, LISTENER_GRACE), |stop, heartbeat| socket.run(stop, heartbeat));
    }
    if let Some(WebrtcSocket { engine, viewers, publishers, .. }) = sockets.webrtc {
        if let Some(webrtcbin) = engine.webrtcbin().cloned() {
            let (owner, encoding) = (listener("the process of webrtcbin", LISTENER_GRACE), base.encoding.clone());
            owners.start_on(base.lanes.pick(0), owner, |stop, heartbeat| {
                webrtc::process::keep(webrtcbin, encoding, stop, heartbeat)
            });
        }
        let owner = listener("the WebRTC ports", LISTENER_GRACE);
        owners.start_on(base.lanes.pick(0), owner, |stop, heartbeat| webrtc::listen(engine, stop, heartbeat));
        let owner = listener("the viewers by WebRTC", LISTENER_GRACE);
        owners.start(owner, |stop, heartbeat| webrtc::run(viewers, stop, heartbeat));
        let owner = listener("the publishers by WebRTC", LISTENER_GRACE);
        owners.start(owner, |stop, heartbeat| webrtc::run(publishers, stop, heartbeat));
    }
    for socket in sockets.http {
        let name = if socket.tls.is_some() { "the HTTPS listener" } else { "the HTTP listener" };
        let http = http.clone();
        owners.start(listener(name, HTTP_GRACE), |stop, heartbeat| {
            http.serve(socket.listener, socket.tls, stop.cancelled_owned(), heartbeat)
        });
    }
}

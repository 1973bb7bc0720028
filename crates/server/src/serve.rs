//! `weir serve`: bind, wire, say that it is ready, run until a signal, drain.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_api::{ApiContext, HttpServer, PublicUrls, Readiness, Thumbnails, WebhookCaller, Webhooks};
use weir_control::{Commands, Lanes, Playback, RtmpDoor, Runtime, SrtDoor, Supervisor};
use weir_model::Platforms;
use weir_observe::Observe;
use weir_rtmp::net::{ListenLimits, Listener, PushOptions};
use weir_srt::SrtListener;
use weir_transcode::{Cages, Workshop};

use crate::config::Config;
use crate::{addresses, bootstrap, demo, rtmp_listener, shelves, srt_listener, tls};

/// From the signal to the end, whatever hangs.
const DRAIN_MAX: Duration = Duration::from_secs(8);

pub(crate) async fn run(config: Config, data: &Path, with_demo: bool) -> anyhow::Result<()> {
    let store = bootstrap::open_store(&config, data).await?;
    bootstrap::admit_admin(&store).await?;
    let observe = Observe::new();
    let lanes = Lanes::start(config.lanes).context("cannot start the media threads")?;
    let runtime = Runtime::new();
    let shelves = shelves::open(&config, data, &store).await?;
    let commands = Commands::new(store.clone(), Platforms::load()?, runtime.clone()).await?;

    let server_tls = tls::server_config(&config.tls, data, config.public_host.as_deref())?;
    let sockets = Sockets::bind(&config, server_tls).await?;
    let srt_door = Arc::new(SrtDoor::new(commands.clone(), runtime.clone(), observe.clone()));
    let srt = bind_srt(&config, &srt_door)?;
    let urls = PublicUrls {
        srt: srt.as_ref().map(|srt| addresses::url("srt", srt.local_addr(), config.public_host.as_deref())),
        ..sockets.urls(config.public_host.as_deref())?
    };
    let readiness = Readiness::new();

    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let keeping_history = tokio::spawn(observe.clone().keep_history());
    let push_options = push_options(&config)?;
    let cages = Cages::open();
    tracing::info!("{cages}");
    let workshop = Workshop::with(config.workshop_options(data.join("abilities.json")), cages)?;
    let supervisor = Supervisor::new(
        commands.clone(),
        runtime.clone(),
        observe.clone(),
        lanes.clone(),
        push_options,
        shelves.clone(),
        workshop.clone(),
    );
    // Stopped after the listeners: a publisher that is sent away must not come back through an open door.
    let stop_supervisor = CancellationToken::new();
    let supervising = tokio::spawn(supervisor.run(stop_supervisor.clone()));
    let door = Arc::new(RtmpDoor::new(commands.clone(), runtime.clone(), observe.clone()));
    for listener in [sockets.rtmp, sockets.rtmps].into_iter().flatten() {
        tasks.spawn(rtmp_listener::run(listener, Arc::clone(&door), lanes.clone(), observe.clone(), stop.clone()));
    }
    if let Some(listener) = srt {
        tasks.spawn(srt_listener::run(listener, srt_door, lanes.clone(), observe.clone(), stop.clone()));
    }
    let playback = Playback::new(commands.clone(), runtime.clone());
    let webhooks = Webhooks::new();
    let api = ApiContext {
        commands: commands.clone(),
        thumbnails: Thumbnails::new(playback.clone(), workshop.clone()),
        playback,
        data: data.to_owned(),
        webhooks: webhooks.clone(),
        store: store.clone(),
        observe: observe.clone(),
        urls: urls.clone(),
        readiness: readiness.clone(),
        recordings: shelves.recordings.clone(),
        workshop,
    };
    let egress = config.egress.clone();
    let caller = WebhookCaller::new(tls::client_config(&config.tls)?, Arc::new(move |address| egress.permits(address)));
    let telling_webhooks = tokio::spawn(webhooks.run(api.clone(), caller));
    let http_lanes = Lanes::start_as("http", Some(http_threads())).context("cannot start the threads of HTTP")?;
    let server = HttpServer::new(api, config.http_limits, http_lanes);
    for (listener, tls) in sockets.http {
        let stop = stop.clone();
        tasks.spawn(server.clone().serve(listener, tls, async move { stop.cancelled().await }));
    }
    readiness.set_ready();
    say_ready(&urls, sockets.http_url.as_deref());
    if with_demo {
        tasks.spawn(demo::run(commands, store.clone(), urls, sockets.http_url, stop.clone()));
    }

    let signal = wait_for_signal().await?;
    tracing::info!(signal, "draining");
    readiness.drain();
    keeping_history.abort();
    telling_webhooks.abort();
    stop.cancel();
    let drain = async {
        while tasks.join_next().await.is_some() {}
        stop_supervisor.cancel();
        let _ = supervising.await;
        store.close().await;
    };
    if tokio::time::timeout(DRAIN_MAX, drain).await.is_err() {
        tracing::warn!("draining took too long; ending anyway");
    }
    Ok(())
}

/// Half of the cores answer viewers: the kernel needs the others to send what they are given, and media has to go on.
/// Measured with two threads on two cores: 40 % more CPU per playlist, spent on going to sleep and waking up.
fn http_threads() -> usize {
    (std::thread::available_parallelism().map_or(1, std::num::NonZero::get) / 2).max(1)
}

/// Everything that listens, bound before anything runs: a port that is taken ends the start with a clear word.
struct Sockets {
    http: Vec<(TcpListener, Option<Arc<rustls::ServerConfig>>)>,
    http_url: Option<String>,
    rtmp: Option<Listener>,
    rtmps: Option<Listener>,
}

impl Sockets {
    async fn bind(config: &Config, tls: Option<Arc<rustls::ServerConfig>>) -> anyhow::Result<Self> {
        let mut http = Vec::new();
        for (address, tls) in [(config.http, None), (config.https, tls.clone())] {
            if let Some(address) = address {
                let listener = TcpListener::bind(address).await;
                http.push((listener.with_context(|| format!("cannot listen for HTTP on {address}"))?, tls));
            }
        }
        let limits = ListenLimits {
            connections_max: config.rtmp_connections_max,
            connections_per_ip_max: config.rtmp_connections_per_ip_max,
            ..ListenLimits::default()
        };
        let bind = async |address: Option<std::net::SocketAddr>, tls| match address {
            None => Ok(None),
            Some(address) => {
                let listener = Listener::bind(address, tls, limits).await;
                listener.map(Some).with_context(|| format!("cannot listen for RTMP on {address}"))
            }
        };
        let rtmp = bind(config.rtmp, None).await?;
        let rtmps = bind(config.rtmps.filter(|_| tls.is_some()), tls).await?;
        let mut sockets = Self { http, http_url: None, rtmp, rtmps };
        sockets.http_url = sockets.http_url(config.public_host.as_deref())?;
        Ok(sockets)
    }

    /// Plain HTTP where there is some, else HTTPS.
    fn http_url(&self, public_host: Option<&str>) -> anyhow::Result<Option<String>> {
        let Some((listener, tls)) = self.http.first() else { return Ok(None) };
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Some(addresses::url(scheme, listener.local_addr()?, public_host)))
    }

    fn urls(&self, public_host: Option<&str>) -> anyhow::Result<PublicUrls> {
        let rtmp = |scheme, listener: &Option<Listener>| {
            listener.as_ref().map(|listener| addresses::url(scheme, listener.local_addr(), public_host))
        };
        Ok(PublicUrls {
            rtmp: rtmp("rtmp", &self.rtmp),
            rtmps: rtmp("rtmps", &self.rtmps),
            secure_cookies: self.http.iter().all(|(_, tls)| tls.is_some()),
            playback: self.http_url.clone(),
            watch: self.http_url.clone(),
            // WHIP is not served by this version.
            ..PublicUrls::default()
        })
    }
}

fn bind_srt(config: &Config, door: &Arc<SrtDoor>) -> anyhow::Result<Option<SrtListener>> {
    let Some(address) = config.srt else { return Ok(None) };
    let gate = Arc::clone(door);
    let listener = SrtListener::bind(address, config.srt_limits, gate);
    listener.map(Some).with_context(|| format!("cannot listen for SRT on {address}"))
}

fn push_options(config: &Config) -> anyhow::Result<PushOptions> {
    let egress = config.egress.clone();
    Ok(PushOptions {
        permit: Arc::new(move |address| egress.permits(address)),
        send_buffer_bytes: config.send_buffer_bytes,
        ..PushOptions::new(tls::client_config(&config.tls)?)
    })
}

#[expect(clippy::print_stdout, reason = "the ready line is the contract with whoever started us")]
fn say_ready(urls: &PublicUrls, http_url: Option<&str>) {
    let line = json!({
        "ready": true,
        "http": http_url,
        "rtmp": urls.rtmp,
        "rtmps": urls.rtmps,
        "srt": urls.srt,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    println!("{line}");
}

async fn wait_for_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

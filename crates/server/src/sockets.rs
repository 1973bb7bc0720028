//! Everything that listens, bound before anything runs: a port that is taken ends the start with a clear word.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use weir_api::PublicUrls;
use weir_control::SrtAdmission;
use weir_rtmp::net::{ListenLimits, Listener};
use weir_srt::SrtListener;

use crate::addresses;
use crate::base::Base;
use crate::certificate::{self, Certificate};
use crate::config::Config;
use crate::descriptors::Connections;
use crate::public_url::PublicUrl;

/// Bound and not yet served. What is off is not there.
pub(crate) struct Sockets {
    pub(crate) http: Vec<HttpSocket>,
    pub(crate) rtmp: Option<Listener>,
    pub(crate) rtmps: Option<Listener>,
    pub(crate) srt: Option<SrtSocket>,
    /// What those with TLS show; None where there are none.
    pub(crate) certificate: Option<Certificate>,
}

/// With TLS it is HTTPS.
pub(crate) struct HttpSocket {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// An SRT listener asks its door before it lets a caller in, so the two are made together.
pub(crate) struct SrtSocket {
    pub(crate) listener: SrtListener,
    pub(crate) door: Arc<SrtAdmission>,
}

impl Sockets {
    pub(crate) async fn bind(config: &Config, data: &Path, base: &Base) -> anyhow::Result<Self> {
        let shown = certificate::read(&config.tls, data, config.host())?;
        let certificate = shown.map(Certificate::new);
        let tls = certificate.as_ref().map(Certificate::server_config);
        let mut http = Vec::new();
        for (address, tls) in [(config.http, None), (config.https, tls.clone())] {
            let Some(address) = address else { continue };
            let listener = TcpListener::bind(address).await;
            let listener = listener.with_context(|| format!("cannot listen for HTTP on {address}"))?;
            http.push(HttpSocket { listener, tls });
        }
        Ok(Self {
            http,
            rtmp: bind_rtmp(config.rtmp, config, config.rtmp_connections, None).await?,
            rtmps: bind_rtmp(config.rtmps.filter(|_| tls.is_some()), config, config.rtmps_connections, tls).await?,
            srt: bind_srt(config, base)?,
            certificate,
        })
    }

    /// What is told of the listeners: under this name instead of their own addresses, and browsers under this address.
    pub(crate) fn urls(&self, host: Option<&str>, public_url: Option<&PublicUrl>) -> anyhow::Result<PublicUrls> {
        let rtmp = |scheme, listener: &Option<Listener>| {
            listener.as_ref().map(|listener| addresses::url(scheme, listener.local_addr(), host))
        };
        let http = match public_url {
            Some(url) => Some(url.as_str().to_owned()),
            None => self.http_url(host)?,
        };
        let all_is_tls = self.http.iter().all(|socket| socket.tls.is_some());
        Ok(PublicUrls {
            rtmp: rtmp("rtmp", &self.rtmp),
            rtmps: rtmp("rtmps", &self.rtmps),
            srt: self.srt.as_ref().map(|srt| addresses::url("srt", srt.listener.local_addr(), host)),
            https: public_url.filter(|url| url.is_https()).map(|url| url.as_str().to_owned()),
            secure_cookies: public_url.map_or(all_is_tls, PublicUrl::is_https),
            playback: http.clone(),
            watch: http,
            // WHIP is not served by this version.
            ..PublicUrls::default()
        })
    }

    /// Plain HTTP where there is some, else HTTPS.
    fn http_url(&self, host: Option<&str>) -> anyhow::Result<Option<String>> {
        let Some(HttpSocket { listener, tls }) = self.http.first() else { return Ok(None) };
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Some(addresses::url(scheme, listener.local_addr()?, host)))
    }
}

async fn bind_rtmp(
    address: Option<SocketAddr>,
    config: &Config,
    connections: Connections,
    tls: Option<Arc<ServerConfig>>,
) -> anyhow::Result<Option<Listener>> {
    let Some(address) = address else { return Ok(None) };
    let limits = ListenLimits {
        connections_max: connections.max,
        connections_per_ip_max: connections.per_ip_max,
        ..ListenLimits::default()
    };
    let listener = Listener::bind(address, tls, limits).await;
    let listener = listener.with_context(|| format!("cannot listen for RTMP on {address}"))?;
    Ok(Some(listener.behind(config.trusted_proxies.clone())))
}

fn bind_srt(config: &Config, base: &Base) -> anyhow::Result<Option<SrtSocket>> {
    let Some(address) = config.srt else { return Ok(None) };
    let door = Arc::new(SrtAdmission::new(base.admission.clone(), base.observe.clone()));
    let limits = weir_srt::ListenLimits {
        connections_max: config.srt_connections.max,
        connections_per_ip_max: config.srt_connections.per_ip_max,
        latency: config.srt_latency,
    };
    let listener = SrtListener::bind(address, limits, Arc::clone(&door) as Arc<dyn weir_srt::Gate>)
        .with_context(|| format!("cannot listen for SRT on {address}"))?;
    Ok(Some(SrtSocket { listener, door }))
}

//! Everything that listens. It is bound before anything runs, so that a port that is taken ends the start with a clear message.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use weir_api::{PublicUrls, PublishUrl};

use crate::addresses;
use crate::base::Base;
use crate::certificate::{self, Certificate};
use crate::config::Config;
use crate::listeners::{self, Listener, PROTOCOLS};
use crate::public_url::PublicUrl;
use crate::webrtc::{self, WebrtcSocket};

/// Sockets that are bound and not yet served. Those that are off are missing.
pub(crate) struct Sockets {
    pub(crate) http: Vec<HttpSocket>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) webrtc: Option<WebrtcSocket>,
    /// The certificate that TLS listeners show; None where there are none.
    pub(crate) certificate: Option<Certificate>,
}

/// An HTTP listener, which is HTTPS where it has TLS.
pub(crate) struct HttpSocket {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<ServerConfig>>,
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
        let listeners = listeners::bind(config, base, tls.as_ref())?;
        Ok(Self { http, listeners, webrtc: webrtc::bind(config, base).await?, certificate })
    }

    /// The URLs that are told of the listeners: with this host name instead
    /// of their own addresses, and with this public URL for browsers.
    pub(crate) fn urls(&self, host: Option<&str>, public_url: Option<&PublicUrl>) -> anyhow::Result<PublicUrls> {
        let mut publish: BTreeMap<_, _> = PROTOCOLS.iter().map(|protocol| (protocol.name, None)).collect();
        for listener in &self.listeners {
            let Some(before_key) = listener.protocol.before_key else { continue };
            let base = addresses::url(listener.protocol.name, listener.local_addr(), host);
            publish.insert(listener.protocol.name, Some(PublishUrl { base, before_key }));
        }
        let http = match public_url {
            Some(url) => Some(url.as_str().to_owned()),
            None => self.http_url(host)?,
        };
        let all_is_tls = self.http.iter().all(|socket| socket.tls.is_some());
        Ok(PublicUrls {
            publish,
            https: public_url.filter(|url| url.is_https()).map(|url| url.as_str().to_owned()),
            secure_cookies: public_url.map_or(all_is_tls, PublicUrl::is_https),
            playback: http.clone(),
            whep: self.webrtc.as_ref().and(http.clone()),
            whip: self.webrtc.as_ref().and(http.clone()),
            watch: http,
        })
    }

    /// The URL of plain HTTP where there is some, and otherwise of HTTPS.
    fn http_url(&self, host: Option<&str>) -> anyhow::Result<Option<String>> {
        let Some(HttpSocket { listener, tls }) = self.http.first() else { return Ok(None) };
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Some(addresses::url(scheme, listener.local_addr()?, host)))
    }
}

//! How the server reaches others: pushes and webhooks, by the same rule of who may be called and the same trusted roots.

use rustls::ClientConfig;
use weir_api::WebhookCaller;
use weir_net::InForce;
use weir_rtmp::net::PushOptions;

use crate::config::Config;
use crate::tls;

/// What both go by; clones share it, and a reload replaces it.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) trust: InForce<ClientConfig>,
}

impl Outgoing {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self { trust: InForce::from(tls::client_config(&config.tls)?) })
    }

    pub(crate) fn push_options(&self, config: &Config) -> PushOptions {
        PushOptions {
            egress: config.egress.clone(),
            send_buffer_bytes: config.send_buffer_bytes,
            ..PushOptions::new(self.trust.clone())
        }
    }

    pub(crate) fn webhook_caller(&self, config: &Config) -> WebhookCaller {
        WebhookCaller::new(self.trust.clone(), config.egress.clone())
    }
}

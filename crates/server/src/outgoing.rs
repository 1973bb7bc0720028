//! How the server reaches others: pushes and webhooks, by the same rule of who may be called and the same trusted roots.

use weir_api::WebhookCaller;
use weir_rtmp::net::PushOptions;

use crate::config::Config;
use crate::tls;

pub(crate) fn push_options(config: &Config) -> anyhow::Result<PushOptions> {
    Ok(PushOptions {
        egress: config.egress.clone(),
        send_buffer_bytes: config.send_buffer_bytes,
        ..PushOptions::new(tls::client_config(&config.tls)?)
    })
}

pub(crate) fn webhook_caller(config: &Config) -> anyhow::Result<WebhookCaller> {
    Ok(WebhookCaller::new(tls::client_config(&config.tls)?, config.egress.clone()))
}

//! How the server reaches others: pushes and webhooks, by the same rule of who may be called and the same trusted roots.

use std::sync::Arc;

use weir_api::WebhookCaller;
use weir_rtmp::net::PushOptions;

use crate::config::Config;
use crate::tls;

pub(crate) fn push_options(config: &Config) -> anyhow::Result<PushOptions> {
    let egress = config.egress.clone();
    Ok(PushOptions {
        permit: Arc::new(move |address| egress.permits(address)),
        send_buffer_bytes: config.send_buffer_bytes,
        ..PushOptions::new(tls::client_config(&config.tls)?)
    })
}

pub(crate) fn webhook_caller(config: &Config) -> anyhow::Result<WebhookCaller> {
    let egress = config.egress.clone();
    Ok(WebhookCaller::new(tls::client_config(&config.tls)?, Arc::new(move |address| egress.permits(address))))
}

//! SIGHUP: the configuration is read again. What can change while the server runs is changed at once, what can't is named, and a
//! configuration with a mistake changes nothing.

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use weir_model::EventKind;
use weir_net::{CapLimits, Caps, Dialer};
use weir_observe::{Heartbeat, Observe, fields};

use crate::certificate::{self, Certificate};
use crate::cli::Locations;
use crate::config::{self, Config, is_live};
use crate::descriptors;
use crate::logging::Logging;
use crate::signals::Signals;

/// TLS listeners follow these keys; whether there are such listeners is settled at the start.
const OF_CERTIFICATE: [&str; 3] = ["tls.cert", "tls.key", "tls.self_signed"];

/// What runs, with its configuration and the handles on what can be changed in it.
pub(crate) struct Reload {
    pub(crate) locations: Locations,
    /// The configuration in force: a key that needs a restart keeps the value that the server was started with.
    pub(crate) config: Config,
    pub(crate) log: Logging,
    pub(crate) observe: Observe,
    /// The certificate; None where no listener has TLS.
    pub(crate) certificate: Option<Certificate>,
    pub(crate) dialer: Dialer,
    pub(crate) capped: Vec<Capped>,
}

/// The limits of a listener, and where the configuration has them.
pub(crate) struct Capped {
    pub(crate) caps: Arc<Caps>,
    pub(crate) limits: Box<dyn Fn(&Config) -> CapLimits + Send>,
}

/// What a reload came to: the keys whose values differ from those in force.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    applied: Vec<&'static str>,
    need_restart: Vec<&'static str>,
}

impl Reload {
    /// Runs until told to stop.
    pub(crate) async fn run(mut self, signals: Signals, stop: CancellationToken, heartbeat: Heartbeat) {
        let reloading = async {
            loop {
                heartbeat.idle(signals.asked_to_reload()).await;
                let outcome = self.reload();
                self.tell(outcome);
            }
        };
        stop.run_until_cancelled(reloading).await;
    }

    fn reload(&mut self) -> anyhow::Result<Changes> {
        let mut wanted = config::load(self.locations.config.as_deref())?;
        descriptors::fit(&mut wanted, descriptors::raise_limit()?).tell();
        // Whatever may fail comes first, so that a mistake in the last key does not leave the others half changed.
        let shown = match self.certificate {
            Some(_) => certificate::read(&wanted.tls, &self.locations.data, wanted.host())?,
            None => None,
        };
        let trust = weir_net::trusted(wanted.tls.ca.as_deref())?;
        let mut changes = Changes::default();
        let is_live = |key: &&str| is_live(key) && (shown.is_some() || !OF_CERTIFICATE.contains(key));
        (changes.applied, changes.need_restart) = wanted.values.changed_from(&self.config.values).partition(is_live);
        if changes.applied.contains(&"log.level") {
            self.log.set_filter(&wanted.log_filter)?;
        }
        if let (Some(certificate), Some(shown)) = (&self.certificate, shown) {
            let is_renewed = certificate.replace(shown);
            // This is the usual case: another certificate in the same file.
            if is_renewed && !changes.applied.contains(&"tls.cert") {
                changes.applied.push("tls.cert");
            }
        }
        for Capped { caps, limits } in &self.capped {
            caps.limit(limits(&wanted));
        }
        self.config.trusted_proxies.follow(&wanted.trusted_proxies);
        self.dialer.trust(trust);
        self.config.egress.follow(&wanted.egress);
        self.config.values.take(&changes.applied, &wanted.values);
        Ok(changes)
    }

    fn tell(&self, outcome: anyhow::Result<Changes>) {
        match outcome {
            Ok(Changes { applied, need_restart }) => {
                tracing::info!("the configuration was read again; changed: {}", list(&applied));
                if !need_restart.is_empty() {
                    let keys = list(&need_restart);
                    tracing::warn!("these keys were changed and need a restart of the server: {keys}");
                }
                let about = [("applied", json!(applied)), ("needs_restart", json!(need_restart))];
                self.observe.events().emit(EventKind::ConfigurationReloaded, fields(about));
            }
            Err(error) => {
                tracing::error!("the configuration was read again and has a mistake, so nothing changes: {error:#}");
            }
        }
    }
}

fn list(keys: &[&str]) -> String {
    if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
}

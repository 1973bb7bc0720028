//! File descriptors: the soft limit is raised to the hard one, and the number of connections is fitted to it.
//!
//! Whoever opens connections and says nothing must meet our limit before the system's. At ours, a connection that waits makes room for a
//! newcomer; at the system's, nobody gets in any more, and no file can be opened.

use std::fmt;

use anyhow::Context as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use weir_net::CapLimits;

use crate::config::Config;

/// A quarter is kept for pushes, files, workers and the database, and never less than what twenty streams with ten pushes each need.
const RESERVE_MIN: u64 = 256;
const RESERVE_SHARE: u64 = 4;

/// With fewer descriptors than this the server is of no use.
const LIMIT_MIN: u64 = 512;

/// How many connections there may be at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) max: usize,
    pub(crate) per_ip_max: usize,
}

impl Connections {
    pub(crate) fn caps(self, requests_per_ip_max: usize) -> CapLimits {
        CapLimits { connections_max: self.max, connections_per_ip_max: self.per_ip_max, requests_per_ip_max }
    }

    /// The share that is left where there are fewer than was asked for. One address gets half of it, so that it can't have all.
    fn scaled(self, room: u64, wanted: u64) -> Self {
        let max = usize::try_from(self.max as u64 * room / wanted.max(1)).unwrap_or(self.max).max(2);
        Self { max, per_ip_max: self.per_ip_max.min(max / 2) }
    }
}

/// How the descriptors are shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    limit: u64,
    reserve: u64,
    /// Each listener's share, by its protocol.
    shares: Vec<(&'static str, Connections)>,
    /// True where there are fewer than the configuration asks for.
    is_short: bool,
}

/// Raises the limit as far as that needs no privilege, and gives it.
pub(crate) fn raise_limit() -> anyhow::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of file descriptors")?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of file descriptors")?;
    }
    Ok(hard)
}

/// Fits the configuration to `limit`.
pub(crate) fn fit(config: &mut Config, limit: u64) -> Descriptors {
    let reserve = RESERVE_MIN.max(limit / RESERVE_SHARE);
    let room = limit.saturating_sub(reserve);
    let http = config.http.is_some() || config.https.is_some();
    let webrtc_by_tcp = config.webrtc.as_ref().is_some_and(|webrtc| webrtc.tcp.is_some());
    let webrtc = ("webrtc", webrtc_by_tcp, &mut config.webrtc_connections);
    // SRT's connections share one socket, but each of them takes megabytes, and so their number is limited like all others.
    let listeners = config.listeners.iter_mut();
    let listeners = listeners.map(|listen| (listen.protocol.name, listen.address.is_some(), &mut listen.connections));
    let asked: Vec<_> =
        std::iter::once(("http", http, &mut config.http_connections)).chain(listeners).chain([webrtc]).collect();
    let wanted: u64 =
        asked.iter().filter(|(_, is_on, _)| *is_on).map(|(_, _, connections)| connections.max as u64).sum();
    let is_short = wanted > room;
    let mut shares = Vec::new();
    for (name, is_on, connections) in asked {
        if is_short {
            *connections = connections.scaled(room, wanted);
        }
        if is_on {
            shares.push((name, *connections));
        }
    }
    Descriptors { limit, reserve, shares, is_short }
}

impl Descriptors {
    /// Why the server could not run with this limit.
    pub(crate) fn problem(&self) -> Option<String> {
        (self.limit < LIMIT_MIN).then(|| format!("the limit is {}, it needs {LIMIT_MIN} (ulimit -Hn)", self.limit))
    }

    pub(crate) fn tell(&self) {
        if self.is_short {
            tracing::warn!("{self}; the configuration asks for more: raise the hard limit (LimitNOFILE=, ulimit -Hn)");
        } else {
            tracing::info!("{self}");
        }
    }

    pub(crate) fn json(&self) -> Value {
        let shares = self.shares.iter();
        let shares =
            shares.map(|(name, share)| json!({"protocol": name, "max": share.max, "per_ip_max": share.per_ip_max}));
        json!({
            "limit": self.limit,
            "reserve": self.reserve,
            "connections": shares.collect::<Vec<_>>(),
            "short": self.is_short,
        })
    }
}

impl fmt::Display for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} file descriptors, {} of them kept for pushes, files and workers;", self.limit, self.reserve)?;
        write!(f, " connections at most:")?;
        for (at, (name, share)) in self.shares.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma} {} {name} ({} from one address)", share.max, share.per_ip_max)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_fits_or_is_cut_down() {
        let mut config = crate::config::defaults();
        let plenty = fit(&mut config, 1 << 20);
        assert!(!plenty.is_short && plenty.problem().is_none());
        assert_eq!(config.http_connections, Connections { max: 10_000, per_ip_max: 4_096 });

        for limit in [1_024, 4_096, 20_000] {
            let mut config = crate::config::defaults();
            let short = fit(&mut config, limit);
            assert!(short.is_short && short.problem().is_none());
            let sum: usize = short.shares.iter().map(|(_, share)| share.max).sum();
            assert!(sum as u64 <= limit - short.reserve, "{short}");
            for (name, share) in &short.shares {
                assert!(share.per_ip_max <= share.max / 2 && share.per_ip_max >= 8, "{name}: {share:?}");
            }
            assert!(short.to_string().contains("kept for pushes"), "{short}");
        }
        let tiny = fit(&mut crate::config::defaults(), 100);
        assert!(tiny.problem().is_some() && tiny.shares.iter().all(|(_, share)| share.max >= 2), "{tiny}");
    }
}

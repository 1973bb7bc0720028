//! Which lines of the log are shown: a level for all of Weir, or directives for single parts.

use std::str::FromStr;

use anyhow::{Context as _, bail};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The variable that takes precedence over the configuration.
const VARIABLE: &str = EnvFilter::DEFAULT_ENV;

/// Of libraries, only warnings are useful to somebody who runs a server.
const OF_LIBRARIES: LevelFilter = LevelFilter::WARN;

/// Directives that were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// The filter before the configuration is read. A mistake in `RUST_LOG` is reported by [`Self::to_filter`].
    pub(crate) fn at_start() -> Self {
        match std::env::var(VARIABLE) {
            Ok(directives) if !directives.is_empty() => Self(directives),
            _ => Self::of_level(LevelFilter::INFO),
        }
    }

    pub(crate) fn is_set_by_environment() -> bool {
        std::env::var_os(VARIABLE).is_some_and(|directives| !directives.is_empty())
    }

    pub(crate) fn to_filter(&self) -> anyhow::Result<EnvFilter> {
        EnvFilter::try_new(&self.0).with_context(|| format!("{:?} can't be read as what to log", self.0))
    }

    /// The filter for one level. A directive's target is a prefix, so `weir` means all of our crates, including future ones.
    fn of_level(level: LevelFilter) -> Self {
        Self(format!("{},weir={level}", level.min(OF_LIBRARIES)))
    }
}

impl FromStr for LogFilter {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if let Some(level) = level_of(text) {
            return Ok(Self::of_level(level));
        }
        // A bare word that is no level would be taken for a target, and hide everything else.
        let is_directive = |item: &str| item.contains(['=', '[']) || level_of(item).is_some();
        if !text.split(',').all(|item| is_directive(item.trim())) {
            bail!(
                "{text:?} is neither a level (error, warn, info, debug, trace, off) nor directives such as \"warn,weir_srt=debug\""
            );
        }
        let filter = Self(text.to_owned());
        filter.to_filter()?;
        Ok(filter)
    }
}

/// Parses a level. An empty text is none, though the library takes it for one.
fn level_of(text: &str) -> Option<LevelFilter> {
    text.parse().ok().filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn a_level_is_meant_for_everything_of_ours_and_directives_for_what_they_name() {
        // Each line has a filter, and what it shows: our own at warn, info and debug; srt at debug; a library at warn and info.
        for (text, expected) in [
            ("info", [true, true, false, false, true, false]),
            ("debug", [true, true, true, true, true, false]),
            ("error", [false, false, false, false, false, false]),
            ("off", [false, false, false, false, false, false]),
            ("warn,weir_srt=debug", [true, false, false, true, true, false]),
        ] {
            let filter: LogFilter = text.parse().unwrap();
            let subscriber = tracing_subscriber::registry().with(filter.to_filter().unwrap());
            let shown = with_default(subscriber, || {
                [
                    tracing::enabled!(target: "weir_transcode::stage", tracing::Level::WARN),
                    tracing::enabled!(target: "weir_pipeline::link", tracing::Level::INFO),
                    tracing::enabled!(target: "weir_written_tomorrow", tracing::Level::DEBUG),
                    tracing::enabled!(target: "weir_srt::ffi", tracing::Level::DEBUG),
                    tracing::enabled!(target: "hyper", tracing::Level::WARN),
                    tracing::enabled!(target: "hyper", tracing::Level::INFO),
                ]
            });
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_told() {
        for text in ["", "loud", "weir=loud", "info,loud"] {
            let error = text.parse::<LogFilter>().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}

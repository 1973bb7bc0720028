//! Logs go to stderr; stdout is for the ready line.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// Without `RUST_LOG`: our own lines from info on, of libraries only warnings.
const DEFAULT_FILTER: &str = "warn,weir=info,weir_api=info,weir_control=info,weir_ingest=info,weir_observe=info,weir_restream=info,weir_rtmp=info,weir_store=info";

pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

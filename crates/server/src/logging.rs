//! The log: which lines are shown and in which form, and that writing them
//! never makes anybody wait. It goes to stderr; stdout is for the ready line.

mod filter;
mod lossy;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};
use weir_observe::Observe;

use crate::cli::LogFormat;
pub(crate) use filter::LogFilter;
use lossy::LossyLog;

/// The last lines wait for a reader only this long, as somebody who stops the server waits for its end.
const LAST_LINES_WAIT: Duration = Duration::from_millis(500);

/// The log of this process; all clones write to it.
#[derive(Clone)]
pub(crate) struct Logging {
    lines: LossyLog,
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Starts the log for the whole process, filtered by `RUST_LOG` or by the default.
pub(crate) fn start(format: LogFormat) -> anyhow::Result<Logging> {
    let lines = LossyLog::start(std::io::stderr())?;
    let (filter, handle) = reload::Layer::new(LogFilter::at_start().to_filter()?);
    let layer = fmt::layer().with_writer(lines.clone());
    let layer = match format {
        LogFormat::Text => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(layer).try_init()?;
    let log = Logging { lines, filter: handle };
    let of_panics = log.clone();
    std::panic::set_hook(Box::new(move |panic| of_panics.tell_panic(panic)));
    Ok(log)
}

impl Logging {
    /// Filters the log by this from now on. `RUST_LOG` takes precedence, as the environment does for every key.
    pub(crate) fn set_filter(&self, filter: &LogFilter) -> anyhow::Result<()> {
        if !LogFilter::is_set_by_environment() {
            self.filter.reload(filter.to_filter()?)?;
        }
        Ok(())
    }

    /// Counts the dropped lines there, including those dropped so far.
    pub(crate) fn count_drops(&self, observe: &Observe) {
        self.lines.count_drops(observe.clone());
    }

    /// Ends the log: writes why the process ends, if that is a failure, and whatever is not written yet.
    pub(crate) fn end(&self, outcome: anyhow::Result<ExitCode>) -> ExitCode {
        let code = outcome.unwrap_or_else(|error| {
            // The reason is written whatever the filter says: an end without one helps nobody.
            self.lines.push(format!("Error: {error:?}\n").as_bytes());
            ExitCode::FAILURE
        });
        self.flush();
        code
    }

    /// Gives the reader a moment for what is not written yet.
    pub(crate) fn flush(&self) {
        self.lines.flush(LAST_LINES_WAIT);
    }

    /// Logs a panic. The standard hook would write to stderr itself, and wait there for ever where nobody reads.
    fn tell_panic(&self, panic: &PanicHookInfo<'_>) {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let name = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(thread = name, place, "panicked: {}", panic.payload_as_str().unwrap_or("without words"));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            self.lines.push(format!("{trace}\n").as_bytes());
        }
        self.flush();
    }
}

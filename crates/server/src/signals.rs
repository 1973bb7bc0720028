//! Handles the operator's signals on a thread of its own, so that the process ends when it has to, whatever else hangs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::logging::Logging;

/// The process ends so long after the signal, whatever hangs.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(8);

/// A handle on the thread; all clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    /// The name of the signal that asked for the end.
    end: watch::Receiver<Option<&'static str>>,
    reload: Arc<Notify>,
    draining: CancellationToken,
}

impl Signals {
    /// Catches the signals: from now on none of them ends the process by itself.
    pub(crate) fn listen(log: &Logging) -> anyhow::Result<Self> {
        let (told, end) = watch::channel(None);
        let signals = Self { end, reload: Arc::default(), draining: CancellationToken::new() };
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot wait for signals")?;
        let caught = {
            let _in_runtime = runtime.enter();
            Caught::new()?
        };
        let (watching, log) = (signals.clone(), log.clone());
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(watching.watch(caught, &told));
                log.flush();
                std::process::exit(1);
            })
            .context("cannot start the thread that waits for signals")?;
        Ok(signals)
    }

    /// Waits for the signal that asks for the end, and gives its name. The time for the drain runs from then on.
    pub(crate) async fn asked_to_end(&mut self) -> &'static str {
        let asked = self.end.wait_for(Option::is_some).await.ok().and_then(|name| *name);
        match asked {
            Some(name) => name,
            // The thread holds the other side until the process ends.
            None => std::future::pending().await,
        }
    }

    /// Waits for SIGHUP; several that came meanwhile count as one.
    pub(crate) async fn asked_to_reload(&self) {
        self.reload.notified().await;
    }

    /// Begins the time for the drain when the server ends by itself, as after a signal.
    pub(crate) fn begin_drain(&self) {
        self.draining.cancel();
    }

    /// Waits until the process has to end, whatever still runs.
    async fn watch(self, mut caught: Caught, told: &watch::Sender<Option<&'static str>>) {
        loop {
            tokio::select! {
                () = self.draining.cancelled() => break,
                _ = caught.hangup.recv() => self.reload.notify_one(),
                name = end(&mut caught.terminate, &mut caught.interrupt) => {
                    told.send_replace(Some(name));
                    break;
                }
            }
        }
        let drained_too_long = tokio::time::sleep(DRAIN_MAX);
        tokio::pin!(drained_too_long);
        loop {
            tokio::select! {
                // While the server ends there is nothing to reload.
                _ = caught.hangup.recv() => {}
                name = end(&mut caught.terminate, &mut caught.interrupt) => {
                    tracing::warn!("{name} while the server was stopping: it ends at once, without waiting for the rest");
                    break;
                }
                () = &mut drained_too_long => {
                    tracing::error!("stopping took longer than {} s: it ends now, whatever was left", DRAIN_MAX.as_secs());
                    break;
                }
            }
        }
    }
}

/// The signals as the kernel brings them.
struct Caught {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Caught {
    fn new() -> anyhow::Result<Self> {
        let catch = |kind, name| signal(kind).with_context(|| format!("cannot wait for {name}"));
        Ok(Self {
            terminate: catch(SignalKind::terminate(), "SIGTERM")?,
            interrupt: catch(SignalKind::interrupt(), "SIGINT")?,
            hangup: catch(SignalKind::hangup(), "SIGHUP")?,
        })
    }
}

async fn end(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

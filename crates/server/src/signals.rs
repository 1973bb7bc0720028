//! What the operator's signals ask for, on a thread of its own: whatever else hangs, the process ends when it has to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::logging::Logging;

/// From the signal to the end, whatever hangs.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(8);

/// Handle on the thread; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Signals {
    /// The name of the signal that asked for the end.
    end: watch::Receiver<Option<&'static str>>,
    reload: Arc<Notify>,
    draining: CancellationToken,
}

impl Signals {
    /// From now on no signal that is caught here ends the process by itself.
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

    /// Returns the name of the signal that asks for the end. The time for the drain runs from then on.
    pub(crate) async fn asked_to_end(&mut self) -> &'static str {
        let asked = self.end.wait_for(Option::is_some).await.ok().and_then(|name| *name);
        match asked {
            Some(name) => name,
            // The thread holds the other side until the process ends.
            None => std::future::pending().await,
        }
    }

    /// Returns when SIGHUP came; several that came meanwhile are one.
    pub(crate) async fn asked_to_reload(&self) {
        self.reload.notified().await;
    }

    /// The server ends by itself: the time for its drain runs from now on, as after a signal.
    pub(crate) fn begin_drain(&self) {
        self.draining.cancel();
    }

    /// Returns when the process has to end whatever still runs.
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
                // There is nothing left to reload.
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

//! Keeps a player for a while without a source: as with a push, an encoder that restarts loses no viewer.

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::timeout;
use weir_hub::SourcePulse;

const SOURCE_GONE_MAX: Duration = Duration::from_secs(60);

/// Waits until no publisher has been there for [`SOURCE_GONE_MAX`].
pub(crate) async fn source_gone_too_long(pulse: &mut Receiver<SourcePulse>) {
    loop {
        // The sender lives in the hub, which the caller holds.
        if pulse.wait_for(|pulse| !pulse.attached).await.is_err() {
            return;
        }
        let back = pulse.wait_for(|pulse| pulse.attached);
        if timeout(SOURCE_GONE_MAX, back).await.is_err() {
            return;
        }
    }
}

//! Fetches from a real server, for [`super::Watcher`].

use std::time::Duration;

use ureq::Agent;

/// A segment in a test takes some 100 kB.
const BODY_BYTES_MAX: u64 = 64 << 20;
const LIMIT: Duration = Duration::from_secs(10);

/// Makes a function that gets an address below `base` ("http://127.0.0.1:8080/play/cam1"), and gives the body of a 200.
pub fn player(base: &str) -> impl FnMut(&str) -> Option<Vec<u8>> + use<> {
    let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(LIMIT)).build().new_agent();
    let base = base.to_owned();
    move |path| {
        let mut response = agent.get(format!("{base}/{path}")).call().ok()?;
        if response.status().as_u16() != 200 {
            return None;
        }
        response.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_vec().ok()
    }
}

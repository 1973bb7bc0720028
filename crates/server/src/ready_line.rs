//! The one line on stdout, from which whoever started the server learns that it serves, and where.

use serde_json::json;
use weir_api::PublicUrls;

/// Prints the line. `urls` are those of the listeners, which need not be how others reach them.
#[expect(clippy::print_stdout, reason = "the ready line is the contract with whoever started us")]
pub(crate) fn say(urls: &PublicUrls) {
    let line = json!({
        "ready": true,
        "http": urls.playback,
        "rtmp": urls.publish.get("rtmp"),
        "rtmps": urls.publish.get("rtmps"),
        "srt": urls.publish.get("srt"),
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    println!("{line}");
}

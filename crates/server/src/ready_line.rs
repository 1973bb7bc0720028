//! The one line on stdout: whoever started the server learns that it serves, and where.

use serde_json::json;
use weir_api::PublicUrls;

#[expect(clippy::print_stdout, reason = "the ready line is the contract with whoever started us")]
/// `http_url` is where we listen, which need not be how others reach us.
pub(crate) fn say(urls: &PublicUrls, http_url: Option<&str>) {
    let line = json!({
        "ready": true,
        "http": http_url,
        "rtmp": urls.rtmp,
        "rtmps": urls.rtmps,
        "srt": urls.srt,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    println!("{line}");
}

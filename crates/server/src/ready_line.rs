//! The one line on stdout, from which whoever started the server learns that it serves, and where.

use serde_json::{Value, json};
use weir_api::PublicUrls;

/// Prints the line. `urls` are those of the listeners, which need not be how others reach them.
#[expect(clippy::print_stdout, reason = "the ready line is the contract with whoever started us")]
pub(crate) fn say(urls: &PublicUrls) {
    let mut line = json!({
        "ready": true,
        "http": urls.playback,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    for (protocol, url) in &urls.publish {
        line[*protocol] = url.as_ref().map_or(Value::Null, |url| url.base.as_str().into());
    }
    println!("{line}");
}

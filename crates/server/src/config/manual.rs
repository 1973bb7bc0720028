//! Every key with its default, read from `weir.toml`. The manual of the configuration is the table that the server goes by, so that the two
//! can't say different things.

use std::sync::LazyLock;

const MANUAL: &str = include_str!("../../../../weir.toml");

/// What stands before each key in the manual, where the key is only shown.
const SHOWN: &str = "#: ";

/// What stands behind the keys that SIGHUP applies while the server runs. All others need a restart.
const LIVE: &str = "  # live";

/// A key, by its section and name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// Its value where nobody set it, as text.
    pub(crate) default: String,
    pub(crate) is_live: bool,
}

/// Every key, in the manual's order.
pub(crate) static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| read(MANUAL));

/// Whether SIGHUP applies this key while the server runs.
pub(crate) fn is_live(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name && key.is_live)
}

/// Reads a manual. A line that shows no key is passed over; a test holds that `weir.toml` has none.
fn read(manual: &str) -> Vec<Key> {
    let mut section = "";
    let mut keys = Vec::new();
    for line in manual.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        }
        let Some(Ok(table)) = line.strip_prefix(SHOWN).map(str::parse::<toml::Table>) else { continue };
        let mut shown = Vec::new();
        if super::flatten(section, &table, &mut shown).is_ok() {
            let is_live = line.ends_with(LIVE);
            keys.extend(shown.into_iter().map(|(name, default)| Key { name, default, is_live }));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::webrtc;

    #[test]
    fn every_line_that_shows_a_key_is_read_and_no_key_is_there_twice() {
        let shown = MANUAL.lines().filter(|line| line.starts_with("#:")).count();
        let names: BTreeSet<&str> = KEYS.iter().map(|key| key.name.as_str()).collect();
        assert_eq!((KEYS.len(), names.len()), (shown, shown));
        let default = |name: &str| KEYS.iter().find(|key| key.name == name).map(|key| key.default.as_str());
        for (name, expected) in [
            ("public_url", ""),
            ("rtmp.listen", "0.0.0.0:1935"),
            ("http.trusted_proxies", ""),
            ("tls.self_signed", "false"),
            ("dvr.memory_seconds", "60"),
            ("webrtc.udp_listen", webrtc::DEFAULT_LISTEN),
            ("webrtc.tcp_listen", webrtc::DEFAULT_LISTEN),
        ] {
            assert_eq!(default(name), Some(expected), "{name}");
        }
        let live = KEYS.iter().filter(|key| key.is_live).count();
        assert!(is_live("egress.deny") && !is_live("rtmp.listen") && live * 2 < shown);
    }

    #[test]
    fn what_shows_no_key_is_passed_over() {
        let manual = "# words\n#: a = 1\n[b]\n#: c = [\"x\", \"y\"]  # live\n#: no key\n#: d = 1.5\ne = 2\n";
        let key = |name: &str, default: &str, is_live| Key { name: name.into(), default: default.into(), is_live };
        assert_eq!(read(manual), [key("a", "1", false), key("b.c", "x,y", true)]);
    }
}

//! Which stream a publisher or player asks for: one reading of app and name for all the ways in which clients divide a URL.

use std::fmt;

use crate::stream_key::StreamKey;
use crate::url::cut_query;

/// Longer names are refused. Keys have some dozen bytes, and signed queries stay under 2 KiB.
pub const NAME_BYTES_MAX: usize = 4096;

/// A stream as a client names it. `Debug` shows the app alone, because key and query are secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestedStream {
    /// The first segment of the path.
    pub app: String,
    /// The rest of the path. For a player this is the public name of the stream.
    pub key: StreamKey,
    /// The query without its question mark.
    pub query: String,
}

impl RequestedStream {
    /// Joins what the client split and splits it by our rule: first path segment, rest, query.
    ///
    /// Clients cut `a/b/c/key` in different places, and inside the query (`live/key?x=` + `q`), so where they cut means nothing. Only for
    /// a query on an app without a key (`live?tok=1` + `key`) does their cut matter.
    pub fn join(app: &str, name: &str) -> Self {
        let joined = format!("{app}/{name}");
        let (path, query) = cut_query(&joined);
        let path = path.trim_start_matches('/');
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let rest = rest.trim_matches('/');
        if rest.is_empty() && query.is_some() && app.contains('?') {
            let (_, app_query) = cut_query(app);
            let (key, name_query) = cut_query(name);
            let queries = [app_query, name_query].map(Option::unwrap_or_default);
            let separator = if name_query.is_some() { "&" } else { "" };
            return Self {
                app: first.to_owned(),
                key: StreamKey::from(key.trim_matches('/')),
                query: queries.join(separator),
            };
        }
        Self { app: first.to_owned(), key: StreamKey::from(rest), query: query.unwrap_or_default().to_owned() }
    }
}

impl fmt::Debug for RequestedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestedStream({}/***)", self.app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_cut_anywhere_and_mean_the_same() {
        #[rustfmt::skip]
        let table = [
            // app, name                                    -> app, key, query
            ("live", "key",                                  "live", "key", ""),
            ("live/", "key",                                 "live", "key", ""),
            ("/live/", "/key/",                              "live", "key", ""),
            ("live/x", "y?z=1",                              "live", "x/y", "z=1"),
            ("live", "x/y?z=1",                              "live", "x/y", "z=1"),
            ("a/b", "c/key",                                 "a", "b/c/key", ""),
            ("a/b/c", "key",                                 "a", "b/c/key", ""),
            ("live/key?sig=a%2Fb&x=", "q",                   "live", "key", "sig=a%2Fb&x=/q"),
            ("live?tok=1", "key",                            "live", "key", "tok=1"),
            ("live?tok=1", "key?z=2",                        "live", "key", "tok=1&z=2"),
            ("live?tok=1", "x/key",                          "live", "x/key", "tok=1"),
            ("", "live/key",                                 "live", "key", ""),
            ("live", "",                                     "live", "", ""),
            ("live", "?a=b",                                 "live", "", "a=b"),
            ("live/key", "",                                 "live", "key", ""),
            ("", "",                                         "", "", ""),
            ("play", "cam1?rendition=720p",                  "play", "cam1", "rendition=720p"),
        ];
        for (app, name, wanted_app, wanted_key, wanted_query) in table {
            let joined = RequestedStream::join(app, name);
            assert_eq!(
                (&*joined.app, joined.key.expose(), &*joined.query),
                (wanted_app, wanted_key, wanted_query),
                "{app} + {name}"
            );
        }
    }

    #[test]
    fn debug_shows_the_app_alone() {
        let name = RequestedStream::join("live", "topsecret?token=hush");
        assert_eq!(format!("{name:?}"), "RequestedStream(live/***)");
    }
}

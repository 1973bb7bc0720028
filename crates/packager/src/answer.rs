//! What a request below `/play/<stream>/` gets, in words that every HTTP server understands.

use bytes::Bytes;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Found {
        content_type: &'static str,
        body: Bytes,
        cache: Cache,
    },
    NotFound,
    BadRequest(String),
    /// 503: not yet, or not within the time that a player may be kept waiting. Try again.
    NotReady,
}

/// How long an answer may be kept by players and caches in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// The same for ever under this name: segments, parts, init segments.
    Immutable,
    /// `no-cache`: it changes with every part.
    Playlist,
    /// A second: it changes with every segment.
    Short,
}

//! What a request below `/play/<stream>/` gets, in words that every HTTP server understands.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::growing::Growing;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Found {
        content_type: &'static str,
        body: Bytes,
        cache: Cache,
        /// Other bytes under the same address have another tag.
        tag: u64,
        /// Where whoever compresses a shared text puts the result, for all who ask for the same version; None for what
        /// is one viewer's own, or is compressed already.
        compressed: Option<Arc<OnceLock<Bytes>>>,
    },
    /// A segment that is not finished yet, with the tag that it will have when it is.
    Growing {
        content_type: &'static str,
        segment: Box<Growing>,
        tag: u64,
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

/// A playlist or manifest, written once for all who ask for that version of it.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    body: Bytes,
    tag: u64,
    compressed: Arc<OnceLock<Bytes>>,
}

impl Rendered {
    pub(crate) fn new(text: String) -> Self {
        Self { tag: fnv1a(text.as_bytes()), body: text.into(), compressed: Arc::default() }
    }

    pub(crate) fn answer(&self, content_type: &'static str, cache: Cache) -> Answer {
        let compressed = Some(Arc::clone(&self.compressed));
        Answer::Found { content_type, body: self.body.clone(), cache, tag: self.tag, compressed }
    }

    /// With one viewer's token in it.
    pub(crate) fn answer_to_one(self, content_type: &'static str, cache: Cache) -> Answer {
        Answer::Found { content_type, body: self.body, cache, tag: self.tag, compressed: None }
    }
}

/// FNV-1a: tells versions of one text apart, quickly. Nobody gains by making two that collide.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

//! What a request below `/play/<stream>/` gets, in words that every HTTP server understands.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::addresses;
use crate::growing::Growing;
use crate::store::rendered::{Rendered, fnv1a};

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

impl Rendered {
    /// For everybody.
    pub(crate) fn shared_answer(&self, content_type: &'static str, cache: Cache) -> Answer {
        let (body, compressed) = (self.body.clone(), Some(Arc::clone(&self.compressed)));
        Answer::Found { content_type, body, cache, tag: self.tag, compressed }
    }

    /// For everybody; or with one viewer's token behind each address, which costs a copy and no more.
    pub(crate) fn answer(self, content_type: &'static str, cache: Cache, token: Option<&str>) -> Answer {
        let Some(token) = token else { return self.shared_answer(content_type, cache) };
        let ends = self.addresses.get_or_init(|| addresses::ends(&String::from_utf8_lossy(&self.body)));
        let body = addresses::with_token(&self.body, ends, token);
        Answer::Found { content_type, body, cache, tag: self.tag ^ fnv1a(token.as_bytes()), compressed: None }
    }
}

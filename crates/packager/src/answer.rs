//! What a request below `/play/<stream>/` gets, in terms that every HTTP server understands.

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
        /// The tag of these bytes. Other bytes under the same address have another one.
        tag: u64,
        /// Whoever compresses a shared text puts the result here, for all who ask for the same version. None for a text that is one
        /// viewer's own, and for what is compressed already.
        compressed: Option<Arc<OnceLock<Bytes>>>,
    },
    /// A segment that is not finished yet, with the tag that it will have when it is finished.
    Growing {
        content_type: &'static str,
        segment: Box<Growing>,
        tag: u64,
    },
    NotFound,
    BadRequest(String),
    /// This is answered with 503: what was asked for is not there yet, or did not come while the player could be kept waiting. The player
    /// should try again.
    NotReady,
}

/// How long players, and caches before them, may keep an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Under this name the bytes are the same for ever, as with segments, parts and init segments.
    Immutable,
    /// The header is `no-cache`, because the text changes with every part.
    Playlist,
    /// The answer may be kept for a second, because it changes with every segment.
    Short,
}

impl Rendered {
    /// The answer with this text, for everybody.
    pub(crate) fn shared_answer(&self, content_type: &'static str, cache: Cache) -> Answer {
        let (body, compressed) = (self.body.clone(), Some(Arc::clone(&self.compressed)));
        Answer::Found { content_type, body, cache, tag: self.tag, compressed }
    }

    /// The answer with this text, for everybody if there is no token. One viewer's token is put behind each address, which costs a copy and
    /// no more.
    pub(crate) fn answer(self, content_type: &'static str, cache: Cache, token: Option<&str>) -> Answer {
        let Some(token) = token else { return self.shared_answer(content_type, cache) };
        let ends = self.addresses.get_or_init(|| addresses::ends(&String::from_utf8_lossy(&self.body)));
        let body = addresses::with_token(&self.body, ends, token);
        Answer::Found { content_type, body, cache, tag: self.tag ^ fnv1a(token.as_bytes()), compressed: None }
    }
}

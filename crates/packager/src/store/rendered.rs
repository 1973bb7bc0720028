//! A text as it is kept for all who ask for it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// A playlist or manifest, written once for all who ask for that version of it.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    pub(crate) body: Bytes,
    pub(crate) tag: u64,
    pub(crate) compressed: Arc<OnceLock<Bytes>>,
    /// Where its addresses end, found when the first viewer with a token asks.
    pub(crate) addresses: Arc<OnceLock<Vec<usize>>>,
}

impl Rendered {
    pub(crate) fn new(text: String) -> Self {
        Self { tag: hash(text.as_bytes()), body: text.into(), compressed: Arc::default(), addresses: Arc::default() }
    }
}

/// Tells versions of one text apart: FNV-1a by eight bytes at a time, because a window of a day is a text of megabytes.
fn hash(text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    words.iter().fold(fnv1a(rest), |hash, word| mixed(hash, u64::from_le_bytes(*word)))
}

/// FNV-1a: tells names apart, quickly. Nobody gains by making two that collide.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| mixed(hash, u64::from(*byte)))
}

fn mixed(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x0100_0000_01B3)
}

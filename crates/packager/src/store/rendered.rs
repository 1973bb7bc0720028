//! A text as it is kept for all who ask for it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// One version of a playlist or manifest, which is written once for all who ask for it.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    pub(crate) body: Bytes,
    pub(crate) tag: u64,
    pub(crate) compressed: Arc<OnceLock<Bytes>>,
    /// Where the addresses in the text end. They are looked for when the first viewer with a token asks.
    pub(crate) addresses: Arc<OnceLock<Vec<usize>>>,
}

impl Rendered {
    pub(crate) fn new(text: String) -> Self {
        Self { tag: hash(text.as_bytes()), body: text.into(), compressed: Arc::default(), addresses: Arc::default() }
    }
}

/// A hash that tells the versions of one text apart. It is FNV-1a over eight bytes at a time, because the text of a window of a day has
/// megabytes.
fn hash(text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    words.iter().fold(fnv1a(rest), |hash, word| mixed(hash, u64::from_le_bytes(*word)))
}

/// A hash that tells names apart, and is quick. It is FNV-1a, which is enough, because nobody gains by making two names that collide.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| mixed(hash, u64::from(*byte)))
}

fn mixed(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x0100_0000_01B3)
}

//! A part is a few frames that a player can take by themselves. Its bytes are put together when somebody asks for it.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

/// A part of a segment. Until somebody asks for it, it is its head and the frames as they came from the source. Most parts of most streams
/// are never asked for, and copying frames costs as much as all else that packaging does.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    body: Body,
    pub(crate) bytes: usize,
    pub(crate) duration_ticks: u64,
    /// Whether the part begins with a keyframe.
    pub(crate) independent: bool,
    pub(crate) samples: u32,
    /// Whether playlists may list the part: it must last neither too short nor too long for that.
    pub(crate) listable: bool,
}

#[derive(Clone, Debug)]
enum Body {
    Pieces(Arc<[Bytes]>),
    Whole(Bytes),
}

impl Part {
    /// A part made of pieces that follow one another.
    pub(crate) fn new(pieces: Arc<[Bytes]>, duration_ticks: u64, independent: bool, samples: u32) -> Self {
        let bytes = pieces.iter().map(Bytes::len).sum();
        Self { body: Body::Pieces(pieces), bytes, duration_ticks, independent, samples, listable: true }
    }

    pub(crate) fn listable(self, listable: bool) -> Self {
        Self { listable, ..self }
    }

    /// A copy that says the same of the part, and does not hold its bytes.
    pub(crate) fn without_bytes(&self) -> Self {
        Self { body: Body::Whole(Bytes::new()), ..*self }
    }

    /// The part's bytes as one piece, which is kept for the next who asks.
    pub(crate) fn body(&mut self) -> Bytes {
        if let Body::Whole(whole) = &self.body {
            return whole.clone();
        }
        let mut whole = BytesMut::with_capacity(self.bytes);
        self.put(&mut whole);
        let whole = whole.freeze();
        self.set_body(whole.clone());
        whole
    }

    /// Takes the same bytes, which lie elsewhere now.
    pub(crate) fn set_body(&mut self, whole: Bytes) {
        self.body = Body::Whole(whole);
    }

    pub(crate) fn put(&self, out: &mut BytesMut) {
        self.pieces().iter().for_each(|piece| out.put_slice(piece));
    }

    pub(crate) fn pieces(&self) -> &[Bytes] {
        match &self.body {
            Body::Pieces(pieces) => pieces,
            Body::Whole(whole) => std::slice::from_ref(whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_put_together_once() {
        let pieces = [&b"head"[..], b"one", b"", b"two"].map(Bytes::from_static);
        let mut part = Part::new(pieces.into(), 1, true, 3);
        assert_eq!((part.bytes, part.pieces().len()), (10, 4));
        let body = part.body();
        assert_eq!(&body[..], b"headonetwo");
        assert_eq!((part.body().as_ptr(), part.pieces().len(), part.bytes), (body.as_ptr(), 1, 10));
    }
}

//! TS segments that were asked for, kept for those who ask next: bounded, the longest unasked goes first.

use std::collections::VecDeque;

use bytes::Bytes;

/// Viewers follow the newest segments: of 4 Mbps and 2 s these are a minute. Who plays further back has them made again.
const BYTES_MAX: usize = 32 << 20;

/// Number and run: a number may come again after a crash.
type SegmentId = (u64, u64);

#[derive(Debug, Default)]
pub(crate) struct TsCache {
    /// The one asked for last at the end.
    kept: VecDeque<(String, SegmentId, Bytes)>,
    bytes: usize,
}

impl TsCache {
    pub(crate) fn get(&mut self, rendition: &str, id: SegmentId) -> Option<Bytes> {
        let at = self.kept.iter().rposition(|(name, kept, _)| *kept == id && name == rendition)?;
        let found = self.kept.remove(at)?;
        let body = found.2.clone();
        self.kept.push_back(found);
        Some(body)
    }

    /// Keeps the newest one whatever it takes.
    pub(crate) fn put(&mut self, rendition: &str, id: SegmentId, body: Bytes) {
        self.bytes += body.len();
        self.kept.push_back((rendition.to_owned(), id, body));
        while self.bytes > BYTES_MAX && self.kept.len() > 1 {
            self.bytes -= self.kept.pop_front().map_or(0, |(_, _, body)| body.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_bounded() {
        let (mut cache, body) = (TsCache::default(), Bytes::from(vec![0; BYTES_MAX / 4]));
        for number in 0..4 {
            cache.put("source", (number, 0), body.clone());
        }
        assert!(cache.get("source", (0, 0)).is_some() && cache.get("720p", (0, 0)).is_none());
        cache.put("720p", (0, 0), body.clone());
        assert!(cache.get("source", (1, 0)).is_none(), "the one that nobody asked for longest");
        assert!(cache.get("source", (0, 0)).is_some() && cache.get("720p", (0, 0)).is_some());
        cache.put("source", (9, 0), Bytes::from(vec![0; BYTES_MAX * 2]));
        assert_eq!((cache.kept.len(), cache.bytes), (1, BYTES_MAX * 2));
        cache.put("source", (10, 0), body.clone());
        assert_eq!((cache.kept.len(), cache.bytes), (1, body.len()));
    }
}

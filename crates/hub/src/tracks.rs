//! The tracks of a rendition at one moment: a short list in the order of their numbers.

use std::sync::Arc;

use weir_media::{MediaKind, TrackId, TrackInfo};

/// Every entry points at its own list, which makes a GOP self-contained. No number stands in a list twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracks {
    list: Vec<Arc<TrackInfo>>,
}

impl Tracks {
    /// Adds a track, in place of the one with the same number if there is one.
    pub fn put(&mut self, info: Arc<TrackInfo>) {
        match self.list.binary_search_by_key(&info.id, |known| known.id) {
            Ok(at) => self.list[at] = info,
            Err(at) => self.list.insert(at, info),
        }
    }

    pub fn remove(&mut self, id: TrackId) {
        self.list.retain(|known| known.id != id);
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Arc<TrackInfo>> {
        self.list.iter()
    }

    pub fn by_id(&self, id: TrackId) -> Option<&Arc<TrackInfo>> {
        self.list.iter().find(|info| info.id == id)
    }

    /// The picture, which is the first one.
    pub fn video(&self) -> Option<&Arc<TrackInfo>> {
        self.of_kind(MediaKind::Video).next()
    }

    /// The sound that is played if nobody chose one, which is the first one.
    pub fn audio(&self) -> Option<&Arc<TrackInfo>> {
        self.audios().next()
    }

    pub fn audios(&self) -> impl Iterator<Item = &Arc<TrackInfo>> {
        self.of_kind(MediaKind::Audio)
    }

    fn of_kind(&self, kind: MediaKind) -> impl Iterator<Item = &Arc<TrackInfo>> {
        self.list.iter().filter(move |info| info.kind() == kind)
    }

    pub(crate) fn position(&self, id: TrackId) -> Option<usize> {
        self.list.iter().position(|info| info.id == id)
    }

    pub(crate) fn at(&self, position: usize) -> &Arc<TrackInfo> {
        &self.list[position]
    }
}

impl FromIterator<Arc<TrackInfo>> for Tracks {
    fn from_iter<I: IntoIterator<Item = Arc<TrackInfo>>>(infos: I) -> Self {
        let mut tracks = Self::default();
        infos.into_iter().for_each(|info| tracks.put(info));
        tracks
    }
}

impl<'a> IntoIterator for &'a Tracks {
    type Item = &'a Arc<TrackInfo>;
    type IntoIter = std::slice::Iter<'a, Arc<TrackInfo>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use weir_media::Codec;

    use super::*;

    fn info(id: u32, codec: Codec) -> Arc<TrackInfo> {
        Arc::new(TrackInfo::new(TrackId(id), codec, Bytes::new()))
    }

    #[test]
    fn tracks_stand_in_the_order_of_their_numbers_and_each_once() {
        let mut tracks: Tracks =
            [info(2, Codec::Mp3), info(1, Codec::Opus), info(0, Codec::H264)].into_iter().collect();
        tracks.put(info(1, Codec::Aac));
        let listed: Vec<(u32, Codec)> = tracks.iter().map(|info| (info.id.0, info.codec)).collect();
        assert_eq!(listed, [(0, Codec::H264), (1, Codec::Aac), (2, Codec::Mp3)]);
        assert_eq!(tracks.video().map(|info| info.id), Some(TrackId(0)));
        assert_eq!(tracks.audio().map(|info| info.id), Some(TrackId(1)));
        assert_eq!(tracks.by_id(TrackId(2)).map(|info| info.codec), Some(Codec::Mp3));
        tracks.remove(TrackId(1));
        assert_eq!(tracks.audios().map(|info| info.id.0).collect::<Vec<_>>(), [2], "the next one is the default");
        assert!(!tracks.is_empty() && tracks.by_id(TrackId(1)).is_none());
    }
}

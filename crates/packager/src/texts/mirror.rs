//! A copy of what the store says of its segments, without their bytes. Playlists and manifests are written from it.
//!
//! A window of a day has 43,200 segments a track, and writing them takes milliseconds. The lane that brings frames must not wait for that,
//! so texts are written from this copy. It is brought up to date under the store's lock. How long that takes depends on how much is new,
//! not on how long the window is.

use std::collections::BTreeMap;

use crate::config::PackagerConfig;
use crate::hls;
use crate::hls::listing::Listing;
use crate::store::Store;
use crate::store::track_name::TrackName;

/// So many segments of each track are taken over at once. More are never new, except the first time after a restart. Copying 2,000 takes a
/// third of a millisecond.
const SEGMENTS_AT_ONCE: usize = 2_000;

#[derive(Debug)]
pub(crate) struct Mirror {
    facts: Store,
    /// The listing of each track, by rendition.
    listings: BTreeMap<String, BTreeMap<TrackName, Listing>>,
}

impl Mirror {
    pub(crate) fn new(config: PackagerConfig) -> Self {
        Self { facts: Store::new(config), listings: BTreeMap::new() }
    }

    /// What the store said when the mirror last followed it.
    pub(crate) fn facts(&self) -> &Store {
        &self.facts
    }

    /// Takes over what changed. Returns whether that was all. If it was not, the caller gives the store's lock up, and calls again.
    pub(crate) fn follow(&mut self, live: &Store) -> bool {
        let facts = &mut self.facts;
        (facts.zero_at, facts.target) = (live.zero_at, live.target);
        facts.follow_renditions(live);
        let mut is_all = true;
        for (name, tracks) in &live.renditions {
            for track in tracks {
                is_all &= facts.track_or_new(name, track.name).follow(track, SEGMENTS_AT_ONCE);
            }
        }
        facts.version = live.version;
        is_all
    }

    /// A track's media playlist. None if there is no such track.
    pub(crate) fn media(&mut self, rendition: &str, name: TrackName, skip: bool) -> Option<String> {
        let (target, zero_at) = (self.facts.target_seconds(), self.facts.zero_at);
        let from = self.facts.track(rendition, name)?.parts_from(target);
        self.facts.track_mut(rendition, name)?.forget_parts(from);
        let track = self.facts.track(rendition, name)?;
        let listing = self.listings.entry(rendition.to_owned()).or_default().entry(name).or_default();
        listing.update(track, from, target, zero_at);
        Some(hls::media(&self.facts, rendition, track, listing, skip))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use weir_media::{MediaKind, TrackId};

    use super::*;
    use crate::store::part::Part;
    use crate::store::segment::Segment;
    use crate::store::{Change, Changes};

    const VIDEO: TrackName = TrackName { kind: MediaKind::Video, id: TrackId::SOURCE_VIDEO };

    fn part() -> Part {
        Part::new([Bytes::from_static(b"frame")].into(), 500, true, 1)
    }

    fn apply(store: &mut Store, changes: Vec<Change>) {
        let mut all = Changes::default();
        all.add(&"source".into(), changes);
        store.apply(all);
    }

    /// Adds segments of a second, each in two parts. The last one stays open.
    fn add(store: &mut Store, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let begin = Change::Begin { track: VIDEO, segment: Segment::open(number, 0, number * 1000, 1000) };
            apply(store, vec![Change::End { track: VIDEO }, begin]);
            apply(store, vec![Change::Part { track: VIDEO, part: part() }]);
            apply(store, vec![Change::Part { track: VIDEO, part: part() }]);
        }
    }

    fn said(store: &Store) -> Vec<(u64, bool, usize, u64)> {
        let track = store.track("source", VIDEO).unwrap();
        let of = |segment: &Segment| (segment.number, segment.is_complete(), segment.parts.len(), segment.samples);
        track.listed().map(of).collect()
    }

    #[test]
    fn it_says_what_the_store_says_and_holds_none_of_its_bytes() {
        let config = PackagerConfig { window: std::time::Duration::from_secs(30), ..PackagerConfig::default() };
        let (mut store, mut mirror) = (Store::new(config), Mirror::new(config));
        let store = &mut store;
        for (from, to) in [(0, 1), (1, 2), (2, 40), (40, 41), (41, 300)] {
            add(store, from..to);
            assert!(mirror.follow(store) && mirror.follow(store));
            assert_eq!(said(mirror.facts()), said(store), "after {to}");
            let track = mirror.facts().track("source", VIDEO).unwrap();
            assert!(
                track.segments.iter().flat_map(|segment| &segment.parts).all(|part| part.pieces().concat().is_empty())
            );
        }
        // If nothing of a segment comes, it never was there.
        apply(store, vec![Change::End { track: VIDEO }]);
        let begin = Change::Begin { track: VIDEO, segment: Segment::open(300, 0, 300_000, 1000) };
        apply(store, vec![begin]);
        mirror.follow(store);
        apply(store, vec![Change::End { track: VIDEO }]);
        mirror.follow(store);
        assert_eq!(said(mirror.facts()), said(store));
        let text = mirror.media("source", VIDEO, false).unwrap();
        assert_eq!(text.matches("#EXTINF").count(), mirror.facts().track("source", VIDEO).unwrap().complete().count());
        let in_parts = mirror.facts().track("source", VIDEO).unwrap().segments.iter().filter(|it| !it.parts.is_empty());
        assert!(in_parts.count() <= 7, "old parts are not kept");
    }

    #[test]
    fn a_long_window_is_taken_over_bit_by_bit() {
        let day = std::time::Duration::from_secs(86_400);
        let config = PackagerConfig { window: day, ..PackagerConfig::default() };
        let (mut store, mut mirror) = (Store::new(config), Mirror::new(config));
        add(&mut store, 0..5_000);
        let rounds = (1..).find(|_| mirror.follow(&store)).unwrap();
        assert_eq!(rounds, 5_000 / SEGMENTS_AT_ONCE + 1);
        assert_eq!(said(mirror.facts()), said(&store));
    }
}

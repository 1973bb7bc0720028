//! Looks at everything that a stream serves, again and again as players do, and keeps the faults.

use std::collections::{BTreeMap, BTreeSet};

use super::delta_rules::check_delta;
use super::file_rules::{SegmentFacts, check_follows, check_parts, check_segment};
use super::manifest::Manifest;
use super::manifest_rules::{check_manifest, check_manifest_init, check_manifest_reload};
use super::mp4::Init;
use super::multivariant::Multivariant;
use super::playlist::{MediaPlaylist, Segment};
use super::playlist_rules::check_playlist;
use super::reload_rules::check_reload;
use super::{Rule, Violations};

/// A segment of sound begins with its first frame at or after the picture's beginning; a frame takes 128 ms at 8 kHz.
const BOUNDARY_SLACK_MILLIS: i64 = 130;
/// Playlists are fetched one after the other, so the one that another reports on may have moved on by a segment.
const REPORT_SLACK_SEGMENTS: u64 = 1;

/// Half the length of a part.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(150);

/// Watches one stream. `fetch` takes an address below the stream's own ("source/video.m3u8?x=y") and gives the body of a 200.
pub struct Watcher<F> {
    fetch: F,
    master: String,
    manifests: Vec<String>,
    pub(super) now_millis: fn() -> Option<i64>,
    out: Violations,
    seen: BTreeMap<String, MediaPlaylist>,
    inits: BTreeMap<String, Option<Init>>,
    facts: BTreeMap<String, SegmentFacts>,
    parts_checked: BTreeSet<String>,
    last_manifests: BTreeMap<String, Manifest>,
    /// The first segment that was seen of each playlist.
    firsts: BTreeMap<String, u64>,
}

impl<F: FnMut(&str) -> Option<Vec<u8>>> Watcher<F> {
    /// Watches HLS and DASH with fragmented MP4, and compares wall times with this machine's clock.
    pub fn new(fetch: F) -> Self {
        let now = || {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_millis()).ok()
        };
        Self {
            fetch,
            master: "master.m3u8".to_owned(),
            manifests: vec!["manifest.mpd".to_owned(), "manifest-ll.mpd".to_owned()],
            now_millis: now,
            out: Violations::default(),
            seen: BTreeMap::new(),
            inits: BTreeMap::new(),
            facts: BTreeMap::new(),
            parts_checked: BTreeSet::new(),
            last_manifests: BTreeMap::new(),
            firsts: BTreeMap::new(),
        }
    }

    /// Watches another multivariant playlist and no manifest, as MPEG-TS lists other files.
    pub fn hls_only(self, master: &str) -> Self {
        Self { master: master.to_owned(), manifests: Vec::new(), ..self }
    }

    /// For media that was not made in real time: its wall times are not compared with this machine's.
    pub fn without_clock(self) -> Self {
        Self { now_millis: || None, ..self }
    }

    /// Looks at everything once; false while there is no multivariant playlist.
    pub fn look(&mut self) -> bool {
        let master = self.master.clone();
        let Some(text) = self.text(&master) else { return false };
        let multivariant = Multivariant::parse(&text, self.out.at(&master));
        multivariant.check(self.out.at(&master));
        let playlists: BTreeMap<String, String> =
            multivariant.playlists().into_iter().map(|uri| (uri.to_owned(), resolve(&master, uri))).collect();
        for path in playlists.values() {
            self.look_at_playlist(path);
        }
        for path in playlists.values() {
            self.check_reports(path, playlists.values());
        }
        self.check_boundaries(playlists.values());
        let init_of = |uri: &String, path: &String| {
            let map = self.seen.get(path)?.segments.last()?.map.as_ref()?;
            Some((uri.clone(), self.inits.get(&resolve(path, map))?.clone()?))
        };
        let inits = playlists.iter().filter_map(|(uri, path)| init_of(uri, path)).collect();
        multivariant.check_inits(&inits, self.out.at(&master));
        for path in self.manifests.clone() {
            self.look_at_manifest(&path);
        }
        true
    }

    /// Looks for so long, but at least once, as often as low-latency players do.
    pub fn look_for(&mut self, length: std::time::Duration) {
        let end = std::time::Instant::now() + length;
        loop {
            self.look();
            if std::time::Instant::now() >= end {
                return;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The newest reading of a media playlist, by its address.
    pub fn playlist(&self, path: &str) -> Option<&MediaPlaylist> {
        self.seen.get(path)
    }

    pub fn manifest(&self) -> Option<&Manifest> {
        self.last_manifests.get("manifest.mpd")
    }

    /// The newest manifest of low latency.
    pub fn low_latency_manifest(&self) -> Option<&Manifest> {
        self.last_manifests.get("manifest-ll.mpd")
    }

    pub fn violations(&self) -> &Violations {
        &self.out
    }

    /// How many different segments were fetched and read.
    pub fn segments_checked(&self) -> usize {
        self.facts.len()
    }

    #[track_caller]
    pub fn assert_valid(&self) {
        self.assert_valid_but(&[]);
    }

    /// Fails the test for any fault, except for rules that the source itself makes impossible to keep.
    #[track_caller]
    pub fn assert_valid_but(&self, excused: &[Rule]) {
        let holds = self.out.found().iter().all(|found| excused.contains(&found.rule));
        assert!(holds, "{} violations:\n{}", self.out.found().len(), self.out);
    }

    fn text(&mut self, path: &str) -> Option<String> {
        String::from_utf8((self.fetch)(path)?).ok()
    }

    fn look_at_playlist(&mut self, path: &str) {
        let Some(text) = self.text(path) else {
            return self.out.at(path).add(Rule::Missing, "it is named in the multivariant playlist");
        };
        let playlist = MediaPlaylist::parse(&text, self.out.at(path));
        check_playlist(&playlist, self.out.at(path));
        if let Some(before) = self.seen.get(path) {
            check_reload(before, &playlist, self.out.at(path));
        }
        if playlist.control.get("CAN-SKIP-UNTIL").is_some() {
            self.look_at_delta(path, &text, &playlist);
        }
        self.look_at_files(path, &playlist);
        if let Some(first) = playlist.segments.first() {
            self.firsts.entry(path.to_owned()).or_insert(first.number);
        }
        self.seen.insert(path.to_owned(), playlist);
    }

    fn look_at_delta(&mut self, path: &str, text: &str, full: &MediaPlaylist) {
        let sign = if path.contains('?') { '&' } else { '?' };
        let delta = self.text(&format!("{path}{sign}_HLS_skip=YES"));
        // Something new in between would show as a difference.
        if let Some(delta) = delta.filter(|_| self.text(path).as_deref() == Some(text)) {
            let delta = MediaPlaylist::parse(&delta, self.out.at(path));
            check_playlist_of_delta(&delta, self.out.at(path));
            check_delta(full, &delta, self.out.at(path));
        }
    }

    fn look_at_files(&mut self, path: &str, playlist: &MediaPlaylist) {
        for (index, segment) in playlist.segments.iter().enumerate() {
            let Some(init) = segment.map.as_ref().and_then(|map| self.init(&resolve(path, map))) else { continue };
            let uri = segment.uri.as_ref().map(|uri| resolve(path, uri));
            let known = uri.as_ref().is_some_and(|uri| self.facts.contains_key(uri));
            let body = match uri.as_ref().filter(|_| !known) {
                None => None,
                Some(uri) => {
                    let body = (self.fetch)(uri);
                    if body.is_none() {
                        self.out.at(path).add(Rule::Missing, format!("segment {}", segment.number));
                    }
                    body
                }
            };
            if let (Some(body), Some(uri)) = (&body, uri) {
                let facts = check_segment(&init, segment, playlist.independent, body, self.out.at(path));
                self.facts.extend(facts.map(|facts| (uri, facts)));
            }
            self.check_neighbours(path, &playlist.segments[index.saturating_sub(1)..=index]);
            self.look_at_parts(path, &init, segment, body.as_deref());
        }
    }

    fn check_neighbours(&mut self, path: &str, pair: &[Segment]) {
        let facts = |segment: &Segment| self.facts.get(&resolve(path, segment.uri.as_ref()?));
        if let [before, after] = pair
            && let (Some(before), Some(after)) = (facts(before), facts(after))
        {
            check_follows(before, after, self.out.at(path));
        }
    }

    fn look_at_parts(&mut self, path: &str, init: &Init, segment: &Segment, body: Option<&[u8]>) {
        let is_new = |part: &super::Part| !self.parts_checked.contains(&resolve(path, &part.uri));
        if body.is_none() && !segment.parts.iter().any(is_new) {
            return;
        }
        let mut bodies = Vec::new();
        for part in &segment.parts {
            let uri = resolve(path, &part.uri);
            match (self.fetch)(&uri) {
                Some(body) => bodies.push(body),
                None => return self.out.at(path).add(Rule::Missing, format!("part {}", part.uri)),
            }
            self.parts_checked.insert(uri);
        }
        if !bodies.is_empty() {
            check_parts(init, segment, body, &bodies, self.out.at(path));
        }
    }

    fn init(&mut self, uri: &str) -> Option<Init> {
        if !self.inits.contains_key(uri) {
            let body = (self.fetch)(uri);
            self.out.at(uri).check(body.is_some(), Rule::Missing, || "the initialisation segment".to_owned());
            let init = Init::parse(&body?);
            self.out.at(uri).check(init.is_some(), Rule::InitSegment, || "it can't be read".to_owned());
            self.inits.insert(uri.to_owned(), init);
        }
        self.inits.get(uri)?.clone()
    }

    fn check_reports<'a>(&mut self, path: &str, all: impl Iterator<Item = &'a String>) {
        let Some(playlist) = self.seen.get(path).filter(|playlist| playlist.part_target.is_some()) else { return };
        let out = self.out.at(path);
        for other in all.filter(|other| *other != path) {
            let report = playlist
                .reports
                .iter()
                .find(|report| report.get("URI").is_some_and(|uri| resolve(path, uri) == *other));
            let Some(report) = report else {
                out.add(Rule::Report, format!("{other} is not reported"));
                continue;
            };
            let said: Option<u64> = report.get("LAST-MSN").and_then(|number| number.parse().ok());
            let newest = self.seen.get(other).and_then(MediaPlaylist::newest);
            let holds = said.zip(newest).is_some_and(|(said, newest)| said.abs_diff(newest.0) <= REPORT_SLACK_SEGMENTS);
            let in_parts = newest.is_some_and(|newest| newest.1.is_some() && said == Some(newest.0));
            out.check(holds && (report.number("LAST-PART").is_some() || !in_parts), Rule::Report, || {
                format!("{other} is said to be at {said:?}, it is at {newest:?}")
            });
        }
    }

    fn check_boundaries<'a>(&mut self, all: impl Iterator<Item = &'a String>) {
        let mut starts: BTreeMap<u64, (i64, u64, &String)> = BTreeMap::new();
        for path in all {
            let segments = self.seen.get(path).into_iter().flat_map(|playlist| &playlist.segments);
            // A track that comes in later begins somewhere within a segment of the others.
            let segments = segments.filter(|segment| self.firsts.get(path) != Some(&segment.number));
            for segment in segments {
                let (number, Some(at)) = (segment.number, segment.wall_millis) else { continue };
                let (first, breaks, of) = *starts.entry(number).or_insert((at, segment.breaks, path));
                self.out.at(path).check(breaks == segment.breaks, Rule::BreaksAlike, || {
                    format!(
                        "segment {number} lies behind {} discontinuities, that of {of} behind {breaks}",
                        segment.breaks
                    )
                });
                self.out.at(path).check((at - first).abs() <= BOUNDARY_SLACK_MILLIS, Rule::Boundaries, || {
                    format!("segment {number} begins {} ms after that of {of}", at - first)
                });
            }
        }
    }

    fn look_at_manifest(&mut self, path: &str) {
        let Some(text) = self.text(path) else { return };
        let Some(manifest) = Manifest::parse(&text) else {
            return self.out.at(path).add(Rule::ManifestHeader, "it can't be read");
        };
        check_manifest(&manifest, (self.now_millis)(), self.out.at(path));
        if let Some(before) = self.last_manifests.get(path) {
            check_manifest_reload(before, &manifest, self.out.at(path));
        }
        for found in manifest.periods.iter().flat_map(|period| &period.representations) {
            if let Some(init) = self.init(&found.initialization) {
                check_manifest_init(found, &init, self.out.at(path));
            }
            for segment in &found.segments {
                // Files that no playlist lists yet, or lists any more, are judged when one does.
                let Some(facts) = self.facts.get(&segment.uri) else { continue };
                let length = (facts.end_ticks - facts.start_ticks).cast_signed();
                let holds = (facts.presentation_ticks, length) == (segment.start_ticks, segment.duration_ticks);
                self.out.at(path).check(holds, Rule::ManifestSegments, || {
                    format!("{} begins at {}, lasts {length}: {segment:?}", segment.uri, facts.presentation_ticks)
                });
            }
        }
        self.last_manifests.insert(path.to_owned(), manifest);
    }
}

impl<F> std::fmt::Debug for Watcher<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").field("master", &self.master).field("out", &self.out).finish_non_exhaustive()
    }
}

/// Judges a delta update. It lists what is left, so most rules hold for it as for the whole.
fn check_playlist_of_delta(delta: &MediaPlaylist, out: &mut Violations) {
    let holds = delta.skipped.is_none() || matches!(delta.versions[..], [version] if version >= 9);
    out.check(holds, Rule::DeltaSkip, || format!("versions {:?}", delta.versions));
}

/// Resolves an address in a playlist against the playlist's own.
fn resolve(base: &str, uri: &str) -> String {
    let base = base.split('?').next().unwrap_or_default();
    let mut pieces: Vec<&str> = base.split('/').collect();
    pieces.pop();
    for piece in uri.split('/') {
        match piece {
            ".." => drop(pieces.pop()),
            piece => pieces.push(piece),
        }
    }
    pieces.join("/")
}

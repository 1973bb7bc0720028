//! The rules, each with the place where it is written and what breaking it looks like.

use std::fmt;

macro_rules! rules {
    ($($name:ident = $text:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $($name,)* }

        impl Rule {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

// Numbers are sections of draft-pantos-hls-rfc8216bis. "IOP" is DASH-IF's interoperability points, "DASH" is ISO/IEC 23009-1, and "ours"
// is stricter than any specification, because players differ where it is left open.
rules! {
    Syntax = "4.1: tags are known, attributes are well-formed, an address has its EXTINF",
    Version = "8: EXT-X-VERSION is there once and high enough for the tags that are used",
    TargetDuration = "4.4.3.1: rounded, no segment is longer than the target duration",
    SegmentLength = "4.4.4.1: segments and parts have a length",
    MediaSequence = "4.4.3.2: EXT-X-MEDIA-SEQUENCE is there before the first segment",
    Map = "4.4.4.5: every fragmented MP4 segment has an EXT-X-MAP in force",
    MapChange = "4.4.4.3: another EXT-X-MAP comes with EXT-X-DISCONTINUITY",
    PartTarget = "4.4.3.7: no part is longer than PART-TARGET",
    PartShort = "4.4.4.9: parts, but the last of a segment, last 85 % of PART-TARGET at least",
    PartSum = "4.4.4.9: the parts of a segment last as long as the segment",
    PartsListed = "6.2.2 and ours: parts are listed in the last three target durations, and nowhere else",
    HoldBack = "4.4.3.8: HOLD-BACK is three target durations, PART-HOLD-BACK three PART-TARGETs, CAN-SKIP-UNTIL six target durations",
    BlockingReload = "4.4.3.8: who lists parts lets players wait for them",
    PreloadHint = "4.4.5.3 and ours: one hint, for a part that is not listed yet and follows the last one",
    Independent = "4.4.2.1: with EXT-X-INDEPENDENT-SEGMENTS every segment begins with an independent part",
    DateTime = "4.4.4.6 and ours: every segment has its wall time, and they advance by the segments' lengths",
    ReloadMediaSequence = "6.2.2: the media sequence never goes back",
    ReloadDiscontinuity = "6.2.2: the discontinuity sequence never goes back, and counts what was removed",
    ReloadTarget = "6.2.1: the target duration does not change",
    ReloadPartTarget = "4.4.3.7 and ours: PART-TARGET does not change",
    ReloadSegment = "6.2.1: a segment that was listed does not change",
    ReloadPart = "6.2.1: a part that was listed does not change",
    ReloadHint = "4.4.5.3: the part that was hinted is the one that came",
    ReloadWindow = "6.2.2: nothing is removed from a playlist shorter than three target durations",
    DeltaEqual = "6.3.7: a delta update and the playlist before it make the full playlist",
    DeltaSkip = "6.2.5.1: only what is older than the skip boundary is skipped, and version 9 is said",
    Report = "4.4.5.4: every other rendition is reported, with where it is",
    Variants = "4.4.6.2: a multivariant playlist names variants with BANDWIDTH, not below AVERAGE-BANDWIDTH",
    Groups = "4.4.6.2.1: groups that variants name exist, CLOSED-CAPTIONS is NONE everywhere or nowhere",
    Codecs = "4.4.6.2: CODECS are what the initialisation segments say",
    Resolution = "4.4.6.2: RESOLUTION is what the initialisation segment says",
    Boundaries = "ours: the same number is the same time in every rendition",
    BreaksAlike = "6.2.4: segments of the same time have the same discontinuity sequence number in every rendition",
    Missing = "6.2.1: everything that is listed can be fetched",
    InitSegment = "ISO/IEC 14496-12: an initialisation segment can be read, and describes one track",
    FragmentSyntax = "ISO/IEC 14496-12: a segment is whole boxes, and its samples lie in its mdat",
    DecodeTime = "CMAF 7.3.2.3: every fragment begins where the one before it ended, but after a discontinuity, and never earlier",
    FragmentSequence = "ISO/IEC 14496-12, 8.8.5: mfhd's number rises within a segment",
    MediaLength = "4.4.4.1: samples last as long as the playlist says",
    StartsWithKeyframe = "4.4.2.1: what is independent begins with a sync sample that is an IDR picture",
    PartBytes = "6.2.2: the parts' bytes are the segment's bytes",
    ManifestHeader = "DASH 5.3.1.2, IOP 4.3: a dynamic manifest of profile isoff-live says when it was made, updated, and how much it keeps",
    ManifestClock = "IOP 4.7.2: UTCTiming tells the time, and it is now",
    ManifestReload = "DASH 5.4: availabilityStartTime stays, publishTime does not go back, periods keep their starts",
    ManifestPeriods = "DASH 5.3.2: periods have ids and rising starts, none begins before the one before it ended",
    ManifestTimeline = "IOP 4.2.2: a timeline without gaps or overlaps within a period",
    ManifestSegments = "DASH 5.3.9.6: a timeline's times are those of the segments",
    ManifestPeriodStart = "IOP 4.2.2: a period's media begins and ends with it",
    ManifestEdge = "DASH 5.3.9.5: the newest segment has just ended, none is of the future",
    ManifestLowLatency = "IOP 9.X.4: what is listed before its end comes in chunks, early by less than it lasts, in a manifest that says how far behind to stay",
    ManifestCodecs = "DASH 5.3.7: codecs, size and rate are what the initialisation segment says",
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    /// The address of the playlist, manifest or file.
    pub at: String,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, at, what } = self;
        write!(f, "{at}: {what} [{rule:?}, {}]", rule.text())
    }
}

/// Collects what is wrong at one address.
#[derive(Debug, Default)]
pub struct Violations {
    at: String,
    found: Vec<Violation>,
}

impl Violations {
    pub fn at(&mut self, at: &str) -> &mut Self {
        at.clone_into(&mut self.at);
        self
    }

    pub fn found(&self) -> &[Violation] {
        &self.found
    }

    pub(super) fn add(&mut self, rule: Rule, what: impl Into<String>) {
        let found = Violation { rule, at: self.at.clone(), what: what.into() };
        // The same playlist is read many times, but a fault in it is kept once.
        if !self.found.contains(&found) {
            self.found.push(found);
        }
    }

    pub(super) fn check(&mut self, holds: bool, rule: Rule, what: impl FnOnce() -> String) {
        if !holds {
            self.add(rule, what());
        }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.found.iter().try_for_each(|found| writeln!(f, "{found}"))
    }
}

//! The table of each rule with a change that breaks it, beside a stream that breaks none.

mod site;

use std::collections::BTreeSet;

use weir_media::MediaKind;

use super::{Rule, Violation, Watcher};
use site::{AUDIO, DELTA, MASTER, MPD, NOW_MILLIS, Site, VIDEO, part, segment, site};

fn look(sites: &[&Site]) -> Vec<Violation> {
    let at = std::cell::Cell::new(0);
    let mut watcher = Watcher::new(|path: &str| sites[at.get()].get(path).cloned());
    watcher.now_millis = || Some(NOW_MILLIS);
    for index in 0..sites.len() {
        at.set(index);
        watcher.look();
    }
    assert!(watcher.segments_checked() > 8, "little was looked at");
    watcher.violations().found().to_vec()
}

fn edit(site: &mut Site, path: &str, from: &str, to: &str) {
    let text = String::from_utf8(site[path].clone()).unwrap();
    assert!(text.contains(from), "{path} has no {from:?}:\n{text}");
    site.insert(path.to_owned(), text.replace(from, to).into());
}

fn put(site: &mut Site, path: &str, body: Vec<u8>) {
    assert!(site.insert(path.to_owned(), body).is_some(), "{path} was there");
}

fn drop_lines(site: &mut Site, path: &str, with: &str) {
    let text = String::from_utf8(site[path].clone()).unwrap();
    let kept: String = text.lines().filter(|line| !line.contains(with)).map(|line| format!("{line}\n")).collect();
    assert!(kept.len() < text.len(), "{path} has no {with:?}");
    site.insert(path.to_owned(), kept.into());
}

#[test]
fn a_good_stream_breaks_no_rule() {
    let (now, next, much_later) = (site(10, 18), site(11, 19), site(12, 20));
    assert_eq!(look(&[&now, &now, &next, &much_later]), []);
}

type Row = (Rule, fn(&mut Site));

/// Faults that are seen at the first look.
const AT_ONCE: &[Row] = &[
    (Rule::Syntax, |it| edit(it, VIDEO, "#EXTM3U", "#EXTM3V")),
    (Rule::Syntax, |it| edit(it, VIDEO, "#EXT-X-MAP:", "#EXT-X-MEP:")),
    (Rule::Syntax, |it| edit(it, MASTER, "NAME=\"sound\"", "NAME=\"sound")),
    (Rule::Version, |it| edit(it, VIDEO, "VERSION:9", "VERSION:5")),
    (Rule::Version, |it| edit(it, VIDEO, "#EXT-X-VERSION:9\n", "#EXT-X-VERSION:9\n#EXT-X-VERSION:9\n")),
    (Rule::TargetDuration, |it| edit(it, VIDEO, "1.00000,\nvideo/13", "1.50000,\nvideo/13")),
    (Rule::SegmentLength, |it| edit(it, VIDEO, "0.25000,URI=\"video/18.1", "0.00000,URI=\"video/18.1")),
    (Rule::MediaSequence, |it| drop_lines(it, VIDEO, "MEDIA-SEQUENCE")),
    (Rule::Map, |it| drop_lines(it, VIDEO, "EXT-X-MAP")),
    (Rule::MapChange, |it| {
        edit(
            it,
            VIDEO,
            "#EXTINF:1.00000,\nvideo/15",
            "#EXT-X-MAP:URI=\"audio/init-0.mp4\"\n#EXTINF:1.00000,\nvideo/15",
        );
    }),
    (Rule::PartTarget, |it| edit(it, VIDEO, "PART-TARGET=0.250", "PART-TARGET=0.240")),
    (Rule::PartShort, |it| edit(it, VIDEO, "PART-TARGET=0.250", "PART-TARGET=0.300")),
    (Rule::PartShort, |it| edit(it, VIDEO, "0.25000,URI=\"video/19.1", "0.21000,URI=\"video/19.1")),
    (Rule::PartSum, |it| edit(it, VIDEO, "0.25000,URI=\"video/18.1", "0.24500,URI=\"video/18.1")),
    (Rule::PartsListed, |it| drop_lines(it, VIDEO, "URI=\"video/17.")),
    (Rule::HoldBack, |it| edit(it, VIDEO, ",HOLD-BACK=3.0", ",HOLD-BACK=2.9")),
    (Rule::HoldBack, |it| edit(it, VIDEO, "PART-HOLD-BACK=0.750", "PART-HOLD-BACK=0.700")),
    (Rule::HoldBack, |it| edit(it, VIDEO, "CAN-SKIP-UNTIL=6.0", "CAN-SKIP-UNTIL=5.0")),
    (Rule::BlockingReload, |it| edit(it, VIDEO, "CAN-BLOCK-RELOAD=YES,", "")),
    (Rule::PreloadHint, |it| edit(it, VIDEO, "video/19.2.m4s", "video/19.1.m4s")),
    (Rule::PreloadHint, |it| drop_lines(it, VIDEO, "PRELOAD-HINT")),
    (Rule::Independent, |it| edit(it, VIDEO, "18.0.m4s\",INDEPENDENT=YES", "18.0.m4s\"")),
    (Rule::DateTime, |it| edit(it, VIDEO, "00:00:14.000Z", "00:00:14.100Z")),
    (Rule::DateTime, |it| drop_lines(it, VIDEO, "00:00:14.000Z")),
    (Rule::DeltaEqual, |it| edit(it, DELTA, "video/14.m4s", "video/44.m4s")),
    (Rule::DeltaEqual, |it| drop_lines(it, DELTA, "RENDITION-REPORT")),
    (Rule::DeltaSkip, |it| edit(it, DELTA, "SKIPPED-SEGMENTS=3", "SKIPPED-SEGMENTS=5")),
    (Rule::DeltaSkip, |it| edit(it, DELTA, "VERSION:9", "VERSION:8")),
    (Rule::Report, |it| drop_lines(it, VIDEO, "RENDITION-REPORT")),
    (Rule::Report, |it| edit(it, VIDEO, "LAST-MSN=19", "LAST-MSN=12")),
    (Rule::Variants, |it| edit(it, MASTER, ":BANDWIDTH=1000", ":BANDWIDTH=899")),
    (Rule::Groups, |it| edit(it, MASTER, "GROUP-ID=\"sound\"", "GROUP-ID=\"noise\"")),
    (Rule::Groups, |it| edit(it, MASTER, "AUDIO=\"sound\"\n", "AUDIO=\"sound\",CLOSED-CAPTIONS=\"cc\"\n")),
    (Rule::Codecs, |it| edit(it, MASTER, "mp4a.40.2", "mp4a.40.5")),
    (Rule::Resolution, |it| edit(it, MASTER, "320x180", "320x182")),
    (Rule::Boundaries, |it| edit(it, AUDIO, "00:00:14.000Z", "00:00:14.200Z")),
    (Rule::BreaksAlike, |it| edit(it, AUDIO, "DISCONTINUITY-SEQUENCE:2", "DISCONTINUITY-SEQUENCE:1")),
    (Rule::Missing, |it| drop(it.remove("source/video/13.m4s"))),
    (Rule::Missing, |it| drop(it.remove("source/audio/19.1.m4s"))),
    (Rule::InitSegment, |it| put(it, "source/video/init-0.mp4", vec![0; 30])),
    (Rule::FragmentSyntax, |it| put(it, "source/video/13.m4s", segment(MediaKind::Video, 13, 0, true)[..500].to_vec())),
    (Rule::DecodeTime, |it| put(it, "source/video/13.m4s", segment(MediaKind::Video, 13, 1, true))),
    (Rule::DecodeTime, |it| put(it, "source/audio/18.m4s", segment(MediaKind::Audio, 17, 0, true))),
    (Rule::FragmentSequence, |it| {
        let twice: Vec<u8> = (0..4).flat_map(|_| part(MediaKind::Video, 13, 0, 0, true)).collect();
        put(it, "source/video/13.m4s", twice);
    }),
    (Rule::MediaLength, |it| edit(it, VIDEO, "1.00000,\nvideo/13", "1.01000,\nvideo/13")),
    (Rule::StartsWithKeyframe, |it| put(it, "source/video/13.m4s", segment(MediaKind::Video, 13, 0, false))),
    (Rule::StartsWithKeyframe, |it| put(it, "source/video/19.0.m4s", part(MediaKind::Video, 19, 0, 0, false))),
    (Rule::PartBytes, |it| put(it, "source/video/18.1.m4s", part(MediaKind::Video, 18, 2, 0, true))),
    (Rule::ManifestHeader, |it| edit(it, MPD, "dynamic", "static")),
    (Rule::ManifestHeader, |it| edit(it, MPD, "maxSegmentDuration=\"PT2S\"", "maxSegmentDuration=\"PT0.9S\"")),
    (Rule::ManifestClock, |it| drop_lines(it, MPD, "UTCTiming")),
    (Rule::ManifestClock, |it| edit(it, MPD, "value=\"2026-01-01T00:00:21", "value=\"2026-01-01T00:01:21")),
    (Rule::ManifestPeriods, |it| edit(it, MPD, "</Period>", "</Period><Period id=\"p0\" start=\"PT30S\"></Period>")),
    (Rule::ManifestTimeline, |it| {
        edit(
            it,
            MPD,
            "<S t=\"900000\" d=\"90000\" r=\"8\"/>",
            "<S t=\"900000\" d=\"90000\" r=\"3\"/><S t=\"1270000\" d=\"90000\" r=\"4\"/>",
        );
    }),
    (Rule::ManifestSegments, |it| edit(it, MPD, "t=\"900000\" d=\"90000\"", "t=\"900000\" d=\"90001\"")),
    (Rule::ManifestPeriodStart, |it| edit(it, MPD, "start=\"PT0.000S\"", "start=\"PT0.000S\" duration=\"PT5S\"")),
    (Rule::ManifestEdge, |it| {
        edit(it, MPD, "availabilityStartTime=\"2026-01-01T00:00:00", "availabilityStartTime=\"2025-12-31T00:00:00");
    }),
    (Rule::ManifestEdge, |it| {
        edit(it, MPD, "availabilityStartTime=\"2026-01-01T00:00:00", "availabilityStartTime=\"2026-01-01T00:00:10");
    }),
    (Rule::ManifestLowLatency, |it| {
        edit(it, MPD, "timescale=\"90000\"", "timescale=\"90000\" availabilityTimeOffset=\"0.7\"");
    }),
    (Rule::ManifestLowLatency, |it| {
        let early = "timescale=\"90000\" availabilityTimeOffset=\"0.7\" availabilityTimeComplete=\"false\"";
        edit(it, MPD, "timescale=\"90000\"", early);
        edit(it, MPD, "minimumUpdatePeriod=\"PT1S\"", "minimumUpdatePeriod=\"PT0.5S\"");
    }),
    (Rule::ManifestLowLatency, |it| {
        let early = "timescale=\"90000\" availabilityTimeOffset=\"1.5\" availabilityTimeComplete=\"false\"";
        edit(it, MPD, "timescale=\"90000\"", early);
        let said =
            "<ServiceDescription id=\"0\"><Latency target=\"3000\" min=\"1500\" max=\"6000\"/></ServiceDescription>";
        edit(it, MPD, "<Period", &format!("{said}\n<Period"));
        edit(it, MPD, "minimumUpdatePeriod=\"PT1S\"", "minimumUpdatePeriod=\"PT0.5S\"");
    }),
    (Rule::ManifestCodecs, |it| edit(it, MPD, "mp4a.40.2", "mp4a.40.5")),
    (Rule::ManifestCodecs, |it| edit(it, MPD, "height=\"180\"", "height=\"181\"")),
];

/// Faults that are seen at the second look, where the first saw the good stream.
const ON_RELOAD: &[Row] = &[
    (Rule::ReloadMediaSequence, |it| edit(it, VIDEO, "MEDIA-SEQUENCE:10", "MEDIA-SEQUENCE:9")),
    (Rule::ReloadDiscontinuity, |it| edit(it, VIDEO, "DISCONTINUITY-SEQUENCE:2", "DISCONTINUITY-SEQUENCE:1")),
    (Rule::ReloadDiscontinuity, |it| {
        edit(it, VIDEO, "#EXTINF:1.00000,\nvideo/15", "#EXT-X-DISCONTINUITY\n#EXTINF:1.00000,\nvideo/15");
    }),
    (Rule::ReloadTarget, |it| edit(it, VIDEO, "TARGETDURATION:1", "TARGETDURATION:0")),
    (Rule::ReloadTarget, |it| edit(it, VIDEO, "TARGETDURATION:1", "TARGETDURATION:2")),
    (Rule::ReloadPartTarget, |it| edit(it, VIDEO, "PART-TARGET=0.250", "PART-TARGET=0.260")),
    (Rule::ReloadSegment, |it| edit(it, VIDEO, "1.00000,\nvideo/13", "1.00010,\nvideo/13")),
    (Rule::ReloadSegment, |it| edit(it, VIDEO, "00:00:14.000Z", "00:00:14.001Z")),
    (Rule::ReloadPart, |it| edit(it, VIDEO, "0.25000,URI=\"video/19.1", "0.25010,URI=\"video/19.1")),
    (Rule::ReloadHint, |it| {
        edit(
            it,
            VIDEO,
            "#EXT-X-PRELOAD-HINT",
            "#EXT-X-PART:DURATION=0.25000,URI=\"video/19.3.m4s\"\n#EXT-X-PRELOAD-HINT",
        );
    }),
    (Rule::ReloadWindow, |it| *it = site(17, 18)),
    (Rule::ManifestReload, |it| {
        edit(it, MPD, "publishTime=\"2026-01-01T00:00:20", "publishTime=\"2026-01-01T00:00:19");
    }),
    (Rule::ManifestReload, |it| edit(it, MPD, "start=\"PT0.000S\"", "start=\"PT0.500S\"")),
    (Rule::ManifestReload, |it| {
        edit(it, MPD, "availabilityStartTime=\"2026-01-01T00:00:00", "availabilityStartTime=\"2026-01-01T00:00:01");
    }),
];

#[test]
fn every_rule_has_what_breaks_it() {
    let good = site(10, 18);
    let mut covered = BTreeSet::new();
    let reloads = ON_RELOAD.iter().map(|row| (row, true));
    for (index, ((rule, break_it), reload)) in AT_ONCE.iter().map(|row| (row, false)).chain(reloads).enumerate() {
        let mut broken = good.clone();
        break_it(&mut broken);
        let found = if reload { look(&[&good, &broken]) } else { look(&[&broken]) };
        assert!(found.iter().any(|found| found.rule == *rule), "row {index}, {rule:?}: {found:#?}");
        covered.insert(*rule);
    }
    let missing: Vec<_> = Rule::ALL.iter().filter(|rule| !covered.contains(rule)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// These are just within a rule.
#[test]
fn near_misses_pass() {
    let rows: &[fn(&mut Site)] = &[
        |it| edit(it, VIDEO, "VERSION:9", "VERSION:6"),
        |it| [VIDEO, DELTA].iter().for_each(|path| edit(it, path, ",HOLD-BACK=3.0", ",HOLD-BACK=3.5")),
        |it| {
            for path in [VIDEO, DELTA] {
                edit(it, path, "PART-HOLD-BACK=0.750", "PART-HOLD-BACK=0.880");
                edit(it, path, "PART-TARGET=0.250", "PART-TARGET=0.290");
            }
        },
        |it| edit(it, AUDIO, "LAST-MSN=19", "LAST-MSN=18"),
        |it| edit(it, MASTER, "AVERAGE-BANDWIDTH=900", "AVERAGE-BANDWIDTH=1000"),
        |it| edit(it, MASTER, "AUDIO=\"sound\"\n", "AUDIO=\"sound\",CLOSED-CAPTIONS=NONE\n"),
        |it| edit(it, MPD, "publishTime=\"2026-01-01T00:00:20", "publishTime=\"2026-01-01T00:00:21"),
    ];
    for (index, change) in rows.iter().enumerate() {
        let mut changed = site(10, 18);
        change(&mut changed);
        // Only the sound's playlist was changed, so the sound's delta differs by its report.
        let found = look(&[&changed]);
        let found: Vec<_> =
            found.iter().filter(|found| !(found.at == AUDIO && found.rule == Rule::DeltaEqual)).collect();
        assert!(found.is_empty(), "row {index}: {found:#?}");
    }
}

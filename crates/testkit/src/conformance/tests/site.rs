//! A small stream as files, with sound and picture: each segment is a second long and has four parts. The rows of the table break it.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use weir_media::MediaKind;
use weir_mux::fmp4::{Sample, chunk, init_segment};

use crate::frames::{SyntheticConfig, SyntheticSource};

pub(super) const MASTER: &str = "master.m3u8";
pub(super) const VIDEO: &str = "source/video.m3u8";
pub(super) const AUDIO: &str = "source/audio.m3u8";
pub(super) const DELTA: &str = "source/video.m3u8?_HLS_skip=YES";
pub(super) const MPD: &str = "manifest.mpd";
/// 2026-01-01T00:00:21Z, two seconds after the newest segment's end.
pub(super) const NOW_MILLIS: i64 = 1_767_225_621_000;

const PARTS: u64 = 4;
/// The samples of a part: 5 pictures at 20 fps, and 3 sounds of 4,000 samples.
const SAMPLES: [(u64, u32); 2] = [(5, 4500), (3, 4000)];

pub(super) type Site = BTreeMap<String, Vec<u8>>;

fn timescale(kind: MediaKind) -> u64 {
    if kind == MediaKind::Video { 90_000 } else { 48_000 }
}

/// A part's bytes. `shift` moves its decode time, and `keyframe` makes the first picture of a segment a keyframe.
pub(super) fn part(kind: MediaKind, number: u64, part: u64, shift: u64, keyframe: bool) -> Vec<u8> {
    let (samples, ticks) = SAMPLES[usize::from(kind == MediaKind::Audio)];
    let sample = |index: u64| {
        let is_key = kind == MediaKind::Audio || keyframe && part == 0 && index == 0;
        let header = if is_key { 0x65 } else { 0x41 };
        let payload = Bytes::from(vec![0, 0, 0, 3, header, number as u8, (part * 16 + index) as u8]);
        Sample { duration_ticks: ticks, composition_offset_ticks: 0, keyframe: is_key, payload }
    };
    let decode = number * timescale(kind) + part * samples * u64::from(ticks) + shift;
    let sequence = (number * PARTS + part) as u32;
    chunk(kind, sequence, decode, &(0..samples).map(sample).collect::<Vec<_>>()).to_vec()
}

pub(super) fn segment(kind: MediaKind, number: u64, shift: u64, keyframe: bool) -> Vec<u8> {
    (0..PARTS).flat_map(|index| part(kind, number, index, shift, keyframe)).collect()
}

/// Makes the complete segments from `first` to `last`, and half of the next one.
pub(super) fn site(first: u64, last: u64) -> Site {
    let mut site = Site::new();
    let mut put = |path: &str, body: &[u8]| drop(site.insert(path.to_owned(), body.to_vec()));
    let tracks = SyntheticSource::new(SyntheticConfig::default()).tracks();
    for (kind, name, track) in [(MediaKind::Video, "video", &tracks[0]), (MediaKind::Audio, "audio", &tracks[1])] {
        put(&format!("source/{name}/init-0.mp4"), &init_segment(track).unwrap());
        for number in first..=last + 1 {
            put(&format!("source/{name}/{number}.m4s"), &segment(kind, number, 0, true));
            for index in 0..PARTS {
                put(&format!("source/{name}/{number}.{index}.m4s"), &part(kind, number, index, 0, true));
            }
        }
        let other = if kind == MediaKind::Video { "audio" } else { "video" };
        put(&format!("source/{name}.m3u8"), playlist(name, other, first, last, 0).as_bytes());
        let delta = playlist(name, other, first, last, (last + 1).saturating_sub(first + 6));
        put(&format!("source/{name}.m3u8?_HLS_skip=YES"), delta.as_bytes());
    }
    let codec = &tracks[0].video.as_ref().unwrap().codec_string;
    let master = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"sound\",URI=\"source/audio.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1000,AVERAGE-BANDWIDTH=900,CODECS=\"{codec},mp4a.40.2\",RESOLUTION=320x180,\
         AUDIO=\"sound\"\nsource/video.m3u8\n"
    );
    put(MASTER, master.as_bytes());
    put(MPD, manifest(codec, first, last).as_bytes());
    site
}

fn playlist(name: &str, other: &str, first: u64, last: u64, skipped: u64) -> String {
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,\
         CAN-SKIP-UNTIL=6.0,HOLD-BACK=3.0,PART-HOLD-BACK=0.750\n#EXT-X-PART-INF:PART-TARGET=0.250\n\
         #EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    );
    if skipped > 0 {
        let _ = writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
    }
    let _ = writeln!(out, "#EXT-X-MAP:URI=\"{name}/init-0.mp4\"");
    for number in first + skipped..=last + 1 {
        let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:{number}.000Z");
        let parts = if number + 2 >= last { if number > last { 2 } else { PARTS } } else { 0 };
        for part in 0..parts {
            let independent = if part == 0 { ",INDEPENDENT=YES" } else { "" };
            let _ = writeln!(out, "#EXT-X-PART:DURATION=0.25000,URI=\"{name}/{number}.{part}.m4s\"{independent}");
        }
        if number <= last {
            let _ = writeln!(out, "#EXTINF:1.00000,\n{name}/{number}.m4s");
        }
    }
    let open = last + 1;
    let _ = writeln!(
        out,
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{name}/{open}.2.m4s\"\n\
         #EXT-X-RENDITION-REPORT:URI=\"{other}.m3u8\",LAST-MSN={open},LAST-PART=1"
    );
    out
}

fn manifest(codec: &str, first: u64, last: u64) -> String {
    let set = |name: &str, scale: u64, about: &str| {
        format!(
            "<AdaptationSet contentType=\"{name}\"><Representation id=\"{name}\" bandwidth=\"9\" {about}>\
             <SegmentTemplate timescale=\"{scale}\" presentationTimeOffset=\"0\" startNumber=\"{first}\" \
             initialization=\"source/{name}/init-0.mp4\" media=\"source/{name}/$Number$.m4s\"><SegmentTimeline>\
             <S t=\"{}\" d=\"{scale}\" r=\"{}\"/></SegmentTimeline></SegmentTemplate></Representation></AdaptationSet>\n",
            first * scale,
            last - first
        )
    };
    format!(
        "<MPD profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" type=\"dynamic\" availabilityStartTime=\"2026-01-01T00:00:00.000Z\" \
         publishTime=\"2026-01-01T00:00:20.000Z\" minimumUpdatePeriod=\"PT1S\" timeShiftBufferDepth=\"PT9S\" \
         maxSegmentDuration=\"PT2S\" minBufferTime=\"PT1S\">\n<Period id=\"p0\" start=\"PT0.000S\">\n{}{}</Period>\n\
         <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"2026-01-01T00:00:21.000Z\"/>\n</MPD>\n",
        set("video", 90_000, &format!("codecs=\"{codec}\" width=\"320\" height=\"180\"")),
        set("audio", 48_000, "codecs=\"mp4a.40.2\" audioSamplingRate=\"48000\"")
    )
}

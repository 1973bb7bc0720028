//! Playlists of HLS: whatever is read stays within its limits, and its segments have rising numbers.

use weir_mux::hls::{Playlist, SEGMENT_SECONDS_MAX, SEGMENTS_MAX, URI_BYTES_MAX, VARIANTS_MAX};

use crate::random::Random;

pub fn fuzz_hls_playlist(data: &[u8]) {
    match Playlist::parse(&String::from_utf8_lossy(data)) {
        Ok(Playlist::Variants(variants)) => {
            assert!(variants.len() <= VARIANTS_MAX, "too many variants");
            assert!(variants.iter().all(|variant| variant.uri.len() <= URI_BYTES_MAX), "a long address");
        }
        Ok(Playlist::Segments(segments)) => {
            assert!(segments.list.len() <= SEGMENTS_MAX, "too many segments");
            assert!(segments.list.iter().all(|segment| segment.uri.len() <= URI_BYTES_MAX), "a long address");
            assert!(segments.list.is_sorted_by_key(|segment| segment.number), "numbers go back");
            let longest = segments.list.iter().map(|segment| segment.duration).max().unwrap_or_default();
            assert!(
                longest <= segments.target && segments.target.as_secs_f64() <= SEGMENT_SECONDS_MAX,
                "a long segment"
            );
        }
        Err(fault) => assert!(fault.to_string().len() < 200, "a long fault"),
    }
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const LINES: [&str; 26] = [
        "#EXTINF:2,",
        "#EXTINF:1.5,title",
        "#EXTINF:-1,",
        "#EXTINF:1e300,",
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-TARGETDURATION:x",
        "#EXT-X-MEDIA-SEQUENCE:7",
        "#EXT-X-MEDIA-SEQUENCE:18446744073709551615",
        "#EXT-X-BYTERANGE:10@5",
        "#EXT-X-BYTERANGE:18446744073709551615@1",
        "#EXT-X-BYTERANGE:3",
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k,IV=0xFF",
        "#EXT-X-KEY:METHOD=NONE",
        "#EXT-X-KEY:METHOD=SAMPLE-AES",
        "#EXT-X-MAP:URI=\"i\"",
        "#EXT-X-ENDLIST",
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "#EXT-X-STREAM-INF:AUDIO=\"a\",BANDWIDTH=99",
        "#",
        "",
        "a.ts",
        "b/c.ts?d=e",
        "\u{feff}",
        "é",
    ];
    let mut text = random.pick(&["#EXTM3U\n", "\u{feff}#EXTM3U\r\n", ""]).to_owned();
    for _ in 0..random.length(24) {
        text.push_str(random.pick(&LINES));
        text.push_str(random.pick(&["\n", "\r\n", "\n\n"]));
    }
    text.into_bytes()
}

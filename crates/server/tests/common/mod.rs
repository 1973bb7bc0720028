//! What the end-to-end tests share: the server under test and media to send.

#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use weir_media::MediaTime;
use weir_mux::flv::file::{FlvReader, FlvTag};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};
use weir_testkit::{Weir, WeirOptions};

/// The limit for what takes milliseconds when nothing is wrong: long enough for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// The server under test, not yet started.
pub(crate) fn weir() -> WeirOptions {
    Weir::options(env!("CARGO_BIN_EXE_weir"))
}

/// The server under test with RTMPS, by a certificate of its own making.
pub(crate) fn weir_with_tls() -> WeirOptions {
    weir().set("tls.self_signed", "true").set("rtmps.listen", "127.0.0.1:0")
}

/// Ten seconds of synthetic video and silence: 320x180, 30 fps, a keyframe a second.
pub(crate) fn clip(video_bitrate_bps: u32) -> Vec<FlvTag> {
    let video_bitrate_bps = Some(video_bitrate_bps);
    let mut source =
        SyntheticSource::new(SyntheticConfig { gop_frames: 30, video_bitrate_bps, ..SyntheticConfig::default() });
    let mut reader = FlvReader::new();
    reader.feed(&source.flv_file(MediaTime::from_millis(10_000)));
    std::iter::from_fn(|| reader.next_tag().unwrap()).collect()
}

/// The numbers that the frames of a recording carry, in order of arrival.
pub(crate) fn frame_numbers<'a>(tags: impl Iterator<Item = &'a FlvTag>) -> Vec<u64> {
    tags.filter_map(|tag| weir_testkit::frames::frame_number(&tag.body)).collect()
}

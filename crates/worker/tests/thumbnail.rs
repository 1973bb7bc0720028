//! The real worker process makes a JPEG of a keyframe, and says so when none can be made.

#![allow(clippy::unwrap_used, reason = "a test: its panics are its report")]

use weir_media::{Codec, MediaTime};
use weir_pipeline::{Cages, Launcher, THUMBNAIL_WIDTH, TrackConfig, WorkerBinary, WorkerFrame, thumbnail};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

fn launcher() -> Launcher {
    Launcher::new(WorkerBinary::at(env!("CARGO_BIN_EXE_weir-worker")).unwrap(), Cages::none("a test"))
}

fn wire(payload: bytes::Bytes) -> WorkerFrame {
    let (dts, pts) = (MediaTime::ZERO, MediaTime::ZERO);
    WorkerFrame { track: 0, dts, pts, keyframe: true, discontinuity: false, payload }
}

#[tokio::test]
async fn a_keyframe_becomes_a_jpeg_of_its_shape() {
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    let track = source.tracks().into_iter().find(|track| track.video.is_some()).unwrap();
    let frames = source.frames_until(MediaTime::from_millis(500));
    let frame = frames.into_iter().find(|frame| frame.track == track.id).unwrap();
    assert!(frame.is_keyframe());
    let config = TrackConfig { track: 0, codec: track.codec, config: track.config.clone() };
    let jpeg = thumbnail(&launcher(), config, wire(frame.payload)).await.unwrap();
    assert_eq!(jpeg[..3], [0xFF, 0xD8, 0xFF]);
    // The JPEG's frame header is FF C0, then length, precision, height and width.
    let at = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let number = |at: usize| u32::from(jpeg[at]) << 8 | u32::from(jpeg[at + 1]);
    let (height, width) = (number(at + 5), number(at + 7));
    let shape = track.video.as_ref().unwrap();
    assert_eq!((width, height), (THUMBNAIL_WIDTH, THUMBNAIL_WIDTH * shape.height / shape.width));
}

#[tokio::test]
async fn noise_is_refused_and_not_waited_for() {
    let config = TrackConfig { track: 0, codec: Codec::H264, config: bytes::Bytes::from_static(b"\x01nonsense") };
    let refused = thumbnail(&launcher(), config, wire(bytes::Bytes::from(vec![0x5A; 5_000]))).await;
    assert!(refused.is_err());
}

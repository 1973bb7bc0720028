//! One HLS segment: packets that begin with tables and a keyframe, and join to any other segment without a gap in counters.

use bytes::{Bytes, BytesMut};
use weir_media::{Frame, MediaKind, MediaTime, TrackInfo};

use super::{PACKET_BYTES, TsError, TsWriter};

/// A PES packet of sound holds this much beside pictures: 100 ms, else every second packet is stuffing.
const SOUND_TOGETHER: MediaTime = MediaTime::from_millis(100);
/// Where sound bears the clock: a reference every 40 ms.
const SOUND_TOGETHER_ALONE: MediaTime = MediaTime::from_millis(40);
/// Frames further from where counted samples put them are not one packet's: its one time would be wrong for them.
const SOUND_APART_MAX: MediaTime = MediaTime::from_millis(2);

/// Tables come so often in a segment. Sixteen is where their counters come round; in 2 s it is one each 125 ms.
const TABLES_PER_SEGMENT: usize = 16;

/// A frame and which track's it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsSample {
    pub kind: MediaKind,
    pub frame: Frame,
}

/// A segment of these tracks. Every PID's counter begins with 0 and ends with 15, so that segments made apart, in any order
/// and by any process, follow on one another. `version` is the PMT's: another one where the tracks are others.
pub fn segment(
    video: Option<&TrackInfo>,
    audio: Option<&TrackInfo>,
    version: u8,
    samples: &[TsSample],
) -> Result<Bytes, TsError> {
    let mut writer = TsWriter::new(video, audio)?;
    writer.set_version(version);
    let packets = together(audio, samples, video.is_some());
    let last = |kind| packets.iter().rposition(|(packet, _)| *packet == kind);
    let last = [last(MediaKind::Video), last(MediaKind::Audio)];
    let payload_bytes: usize = samples.iter().map(|sample| sample.frame.payload.len()).sum();
    // A packet's header each 184 bytes, and some more for each frame's beginning and the tables.
    let more = samples.len() / 2 + 2 * TABLES_PER_SEGMENT + 64;
    let mut out = BytesMut::with_capacity(payload_bytes + payload_bytes / 32 + more * PACKET_BYTES);
    let mut tables = 0;
    for (number, (kind, frames)) in packets.iter().enumerate() {
        while tables < TABLES_PER_SEGMENT && tables * packets.len() <= number * TABLES_PER_SEGMENT {
            writer.write_tables(&mut out);
            tables += 1;
        }
        writer.write_frames(*kind, frames, last.contains(&Some(number)), &mut out)?;
    }
    for _ in tables..TABLES_PER_SEGMENT {
        writer.write_tables(&mut out);
    }
    Ok(out.freeze())
}

/// The frames of each PES packet, in decode order.
fn together(audio: Option<&TrackInfo>, samples: &[TsSample], with_pictures: bool) -> Vec<(MediaKind, Vec<Frame>)> {
    let mut sorted: Vec<&TsSample> = samples.iter().collect();
    sorted.sort_by_key(|sample| sample.frame.dts);
    let most = if with_pictures { SOUND_TOGETHER } else { SOUND_TOGETHER_ALONE };
    let length = audio.and_then(|info| info.audio.as_ref()).and_then(|audio| {
        let samples = audio.frame_samples.filter(|samples| *samples > 0)?;
        Some(MediaTime::from_ticks(i64::from(samples), audio.sample_rate_hz))
    });
    let mut packets: Vec<(MediaKind, Vec<Frame>)> = Vec::new();
    let mut open_sound: Option<usize> = None;
    for TsSample { kind, frame } in sorted {
        if *kind == MediaKind::Audio
            && let (Some(open), Some(length)) = (open_sound, length)
            && let (_, frames) = &mut packets[open]
            && let Some(first) = frames.first()
        {
            let count = i64::try_from(frames.len()).unwrap_or(i64::MAX);
            let expected = first.dts + MediaTime::from_nanos(length.as_nanos().saturating_mul(count));
            let apart = expected.max(frame.dts) - expected.min(frame.dts);
            if frame.dts - first.dts < most && apart <= SOUND_APART_MAX {
                frames.push(frame.clone());
                continue;
            }
        }
        if *kind == MediaKind::Audio {
            open_sound = Some(packets.len());
        }
        packets.push((*kind, vec![frame.clone()]));
    }
    packets
}

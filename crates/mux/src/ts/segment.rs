//! One HLS segment: its packets begin with tables and a keyframe, and join to any other segment without a gap in counters.

use bytes::{Bytes, BytesMut};
use weir_media::{Frame, MediaKind, MediaTime, TrackId, TrackInfo};

use super::{PACKET_BYTES, TsError, TsWriter};

/// A PES packet of sound beside pictures holds this much; with a frame each, every second packet would be stuffing.
const SOUND_TOGETHER: MediaTime = MediaTime::from_millis(100);
/// A PES packet of sound holds this much if sound bears the clock, which gives a reference every 40 ms.
const SOUND_TOGETHER_ALONE: MediaTime = MediaTime::from_millis(40);
/// Frames that are further than this from where counted samples put them do not share a packet: its one time would be wrong for them.
const SOUND_APART_MAX: MediaTime = MediaTime::from_millis(2);

/// A segment has its tables this many times. Their counters come round after sixteen; in 2 s it is one each 125 ms.
const TABLES_PER_SEGMENT: usize = 16;

/// A segment of these tracks. Every PID's counter begins with 0 and ends with 15, so that segments made apart, in any order and by any
/// process, follow on one another. `version` is the PMT's: other tracks need another version.
pub fn segment(tracks: &[&TrackInfo], version: u8, frames: &[Frame]) -> Result<Bytes, TsError> {
    let mut writer = TsWriter::new(tracks.iter().copied())?;
    writer.set_version(version);
    let packets = together(tracks, frames);
    let last: Vec<Option<usize>> = tracks
        .iter()
        .map(|info| packets.iter().rposition(|packet| packet.first().is_some_and(|first| first.track == info.id)))
        .collect();
    let payload_bytes: usize = frames.iter().map(|frame| frame.payload.len()).sum();
    // There is a packet's header each 184 bytes, and more for each frame's beginning and for the tables.
    let more = frames.len() / 2 + 2 * TABLES_PER_SEGMENT + 64;
    let mut out = BytesMut::with_capacity(payload_bytes + payload_bytes / 32 + more * PACKET_BYTES);
    let mut tables = 0;
    for (number, frames) in packets.iter().enumerate() {
        while tables < TABLES_PER_SEGMENT && tables * packets.len() <= number * TABLES_PER_SEGMENT {
            writer.write_tables(&mut out);
            tables += 1;
        }
        writer.write_frames(frames, last.contains(&Some(number)), &mut out)?;
    }
    for _ in tables..TABLES_PER_SEGMENT {
        writer.write_tables(&mut out);
    }
    Ok(out.freeze())
}

/// The packet of sound of one track that still takes frames.
struct OpenSound {
    track: TrackId,
    frame_length: MediaTime,
    packet: Option<usize>,
}

/// The frames of each PES packet, in decode order.
fn together(tracks: &[&TrackInfo], frames: &[Frame]) -> Vec<Vec<Frame>> {
    let mut sorted: Vec<&Frame> = frames.iter().collect();
    sorted.sort_by_key(|frame| frame.dts);
    let with_pictures = tracks.iter().any(|info| info.kind() == MediaKind::Video);
    let most = if with_pictures { SOUND_TOGETHER } else { SOUND_TOGETHER_ALONE };
    let mut sounds: Vec<OpenSound> = tracks.iter().filter_map(|info| OpenSound::of(info)).collect();
    let mut packets: Vec<Vec<Frame>> = Vec::new();
    for frame in sorted {
        let sound = sounds.iter_mut().find(|sound| sound.track == frame.track);
        if let Some(sound) = sound {
            if let Some(open) = sound.packet
                && let Some(first) = packets[open].first()
            {
                let count = i64::try_from(packets[open].len()).unwrap_or(i64::MAX);
                let expected = first.dts + MediaTime::from_nanos(sound.frame_length.as_nanos().saturating_mul(count));
                let apart = expected.max(frame.dts) - expected.min(frame.dts);
                if frame.dts - first.dts < most && apart <= SOUND_APART_MAX {
                    packets[open].push(frame.clone());
                    continue;
                }
            }
            sound.packet = Some(packets.len());
        }
        packets.push(vec![frame.clone()]);
    }
    packets
}

impl OpenSound {
    /// The open packet of a sound. Pictures, and sound whose frames have no length of their own, have none: each frame has its own
    /// packet.
    fn of(info: &TrackInfo) -> Option<Self> {
        let audio = info.audio.as_ref()?;
        let samples = audio.frame_samples.filter(|samples| *samples > 0)?;
        let frame_length = MediaTime::from_ticks(i64::from(samples), audio.sample_rate_hz);
        Some(Self { track: info.id, frame_length, packet: None })
    }
}

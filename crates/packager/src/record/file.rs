//! The media of one recording: it makes fragments of all tracks out of frames, and its time begins at zero.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use weir_hub::{Entry, Tracks};
use weir_media::{MediaKind, MediaTime, TrackId, TrackInfo};
use weir_mux::fmp4::{self, Fmp4Error, Sample};

use crate::store::clock::TrackClock;
use crate::store::held::Held;

/// A fragment ends with the next keyframe, and at the latest so long after it began. A crash costs this much at most.
const FRAGMENT_MAX: Duration = Duration::from_secs(2);
/// A fragment also ends when it has so many bytes, which are 2 s at 64 Mbps.
const FRAGMENT_BYTES_MAX: usize = 16 << 20;

#[derive(Debug)]
struct Track {
    /// The track's number in the file.
    number: u32,
    id: TrackId,
    kind: MediaKind,
    clock: TrackClock,
    held: Option<Held>,
    pending: Vec<Sample>,
    pending_start: u64,
    last_ticks: u64,
}

/// Makes the fragments of a file.
#[derive(Debug)]
pub(crate) struct FileWriter {
    tracks: Vec<Track>,
    infos: Arc<Tracks>,
    zero: MediaTime,
    end: MediaTime,
    fragment_start: MediaTime,
    fragment_bytes: usize,
    sequence: u32,
}

impl FileWriter {
    /// The writer of a file that begins with a frame at `zero`, and the file's first bytes. A track that can't be written is left out.
    pub(crate) fn begin(infos: &Arc<Tracks>, zero: MediaTime) -> Result<(Self, Bytes), Fmp4Error> {
        let mut fit: Vec<&TrackInfo> = Vec::new();
        let mut fault = None;
        for info in infos.iter() {
            match fmp4::init_segment(info) {
                Ok(_) => fit.push(info),
                Err(error) => fault = Some(error),
            }
        }
        if let Some(fault) = fault.filter(|_| fit.is_empty()) {
            return Err(fault);
        }
        let head = fmp4::movie(&fit)?;
        let tracks = (1..).zip(&fit).map(|(number, info)| Track {
            number,
            id: info.id,
            kind: info.kind(),
            clock: TrackClock::new(info),
            held: None,
            pending: Vec::new(),
            pending_start: 0,
            last_ticks: TrackClock::new(info).nominal_ticks(),
        });
        let tracks = tracks.collect();
        let infos = Arc::clone(infos);
        let writer = Self { tracks, infos, zero, end: zero, fragment_start: zero, fragment_bytes: 0, sequence: 0 };
        Ok((writer, head))
    }

    /// Whether frames of these tracks can go on in this file.
    pub(crate) fn takes(&self, tracks: &Arc<Tracks>) -> bool {
        // A track that has gone is no hindrance, because it may come back.
        let known = |theirs: &Arc<TrackInfo>| self.infos.by_id(theirs.id).is_some_and(|ours| ours.decodes_as(theirs));
        Arc::ptr_eq(&self.infos, tracks) || tracks.iter().all(known)
    }

    pub(crate) fn duration(&self) -> Duration {
        self.end.since(self.zero)
    }

    /// Takes a frame. If it ends a fragment, the fragment is returned.
    pub(crate) fn push(&mut self, entry: &Entry) -> Option<Bytes> {
        let frame = &entry.frame;
        let has_pictures = self.infos.video().is_some();
        let leads = entry.is_video() || !has_pictures;
        let begins = leads && frame.is_keyframe() && has_pictures;
        let is_full = frame.dts.since(self.fragment_start) >= FRAGMENT_MAX || self.fragment_bytes >= FRAGMENT_BYTES_MAX;
        if frame.dts < self.zero || !self.tracks.iter().any(|track| track.id == frame.track) {
            return None;
        }
        self.hold(entry);
        self.end = self.end.max(frame.dts);
        if !(leads && (begins || is_full)) {
            return None;
        }
        // The frame itself is held, and begins the next fragment.
        let fragment = self.fragment();
        self.fragment_start = frame.dts;
        fragment
    }

    /// The last fragment, which includes what is held.
    pub(crate) fn finish(&mut self) -> Option<Bytes> {
        for track in &mut self.tracks {
            let end = track.held.as_ref().map(|held| held.ticks + track.last_ticks);
            end.into_iter().for_each(|end| track.release(end));
        }
        self.fragment()
    }

    fn hold(&mut self, entry: &Entry) {
        let frame = &entry.frame;
        let since_zero = frame.dts - self.zero;
        let Some(track) = self.tracks.iter_mut().find(|track| track.id == frame.track) else { return };
        let ticks = track.clock.stamp(since_zero);
        track.release(ticks);
        self.fragment_bytes += frame.payload.len();
        track.held = Some(Held::new(frame, ticks, track.clock.timescale()));
    }

    fn fragment(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        for track in self.tracks.iter_mut().filter(|track| !track.pending.is_empty()) {
            self.sequence = self.sequence.wrapping_add(1);
            let samples = std::mem::take(&mut track.pending);
            out.extend_from_slice(&fmp4::track_chunk(
                track.number,
                track.kind,
                self.sequence,
                track.pending_start,
                &samples,
            ));
        }
        self.fragment_bytes = 0;
        (!out.is_empty()).then(|| out.freeze())
    }
}

impl Track {
    /// Releases the frame that is held, which ends where the next frame begins.
    fn release(&mut self, end_ticks: u64) {
        let Some(held) = self.held.take() else { return };
        self.last_ticks = end_ticks.saturating_sub(held.ticks);
        if self.pending.is_empty() {
            self.pending_start = held.ticks;
        }
        self.pending.push(held.lasting(self.last_ticks));
    }
}

/// How many of a file's bytes are whole boxes. What a crash left torn lies behind them.
pub(crate) fn whole_boxes(mut read_at: impl FnMut(u64, &mut [u8]) -> bool, total: u64) -> u64 {
    let mut at = 0;
    let mut whole = 0;
    let mut header = [0_u8; 8];
    while at + 8 <= total && read_at(at, &mut header) {
        let [a, b, c, d, kind @ ..] = header;
        let size = u64::from(u32::from_be_bytes([a, b, c, d]));
        if size < 8 || at + size > total {
            break;
        }
        at += size;
        // A `moof` without its `mdat` is of no use.
        if &kind != b"moof" {
            whole = at;
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(out: &mut Vec<u8>, kind: &[u8; 4], body: usize) {
        out.extend_from_slice(&(body as u32 + 8).to_be_bytes());
        out.extend_from_slice(kind);
        out.resize(out.len() + body, 0xFF);
    }

    #[test]
    fn a_torn_end_is_found() {
        let mut file = Vec::new();
        put(&mut file, b"ftyp", 16);
        put(&mut file, b"moov", 100);
        let head = file.len() as u64;
        put(&mut file, b"moof", 50);
        put(&mut file, b"mdat", 500);
        let first = file.len() as u64;
        put(&mut file, b"moof", 50);
        let moof = file.len() as u64;
        put(&mut file, b"mdat", 500);
        let all = file.len() as u64;
        let whole = |total: u64| {
            let read = |at: u64, into: &mut [u8]| {
                into.copy_from_slice(&file[at as usize..at as usize + into.len()]);
                true
            };
            whole_boxes(read, total)
        };
        for (total, expected) in [
            (0, 0),
            (7, 0),
            (head, head),
            (head + 20, head),
            (first - 1, head),
            (first, first),
            (moof, first),
            (moof + 4, first),
            (all - 1, first),
            (all, all),
        ] {
            assert_eq!(whole(total), expected, "{total}");
        }
        assert_eq!(
            whole_boxes(
                |_, into| {
                    into.fill(0);
                    true
                },
                1 << 40
            ),
            0,
            "zeros are no boxes"
        );
        assert_eq!(whole_boxes(|_, _| false, 100), 0);
    }
}

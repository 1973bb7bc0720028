//! Frames to SRT: one rendition's entries become batches of MPEG-TS packets, which are written once for all connections.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use weir_hub::{Batcher, Entry, Item, Tracks};
use weir_media::{Codec, MediaKind, MediaTime, TrackId, TrackInfo};
use weir_mux::ts::{TsError, TsWriter};

/// A rendition without pictures is sent in batches of this length, as if it had 30 pictures a second.
const AUDIO_BATCH: MediaTime = MediaTime::from_millis(33);

/// A batch never holds more frames than this, whatever the source does. 64 AAC frames are 1.4 s of sound.
const BATCH_FRAMES_MAX: usize = 64;

/// Why a rendition can't go out over SRT.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("{0} can't be carried in MPEG-TS, which SRT carries; choose a rendition that encodes it")]
    Codec(Codec),
    #[error("this kind of {codec} can't be carried in MPEG-TS: {why}")]
    Variant { codec: Codec, why: String },
}

/// Checks that the tracks can be sent as MPEG-TS: the picture, and at least one of the sounds. Other sounds are left out.
pub fn check_tracks(tracks: &Tracks) -> Result<(), Unsupported> {
    if let Some(picture) = tracks.video() {
        check(picture)?;
    }
    let Some(default) = tracks.audio() else { return Ok(()) };
    if tracks.audios().any(|info| check(info).is_ok()) { Ok(()) } else { check(default) }
}

fn check(info: &TrackInfo) -> Result<(), Unsupported> {
    match TsWriter::new([info]) {
        Ok(_) => Ok(()),
        Err(TsError::NotWritable { codec }) => Err(Unsupported::Codec(codec)),
        Err(error) => Err(Unsupported::Variant { codec: info.codec, why: error.to_string() }),
    }
}

/// One picture and the sound before it, as packets. A feed's window holds batches by reference count, and all connections share their
/// bytes.
#[derive(Clone, Debug)]
pub struct TsBatch {
    time: MediaTime,
    start: bool,
    has_video: bool,
    packets: Bytes,
}

impl TsBatch {
    /// The packets, each with 188 bytes.
    pub fn packets(&self) -> &Bytes {
        &self.packets
    }

    pub fn has_video(&self) -> bool {
        self.has_video
    }
}

impl Item for TsBatch {
    fn time(&self) -> MediaTime {
        self.time
    }

    fn is_start(&self) -> bool {
        self.start
    }

    fn size_bytes(&self) -> usize {
        self.packets.len()
    }
}

/// Gathers a rendition's frames into batches. Each video frame ends a batch, which also holds the audio that came before it.
#[derive(Debug, Default)]
pub struct TsBatcher {
    tracks: Option<Arc<Tracks>>,
    /// The writer of the packets. There is none if the tracks can't be carried; then no batches are made.
    writer: Option<TsWriter>,
    carried: Vec<TrackId>,
    out: BytesMut,
    frames: usize,
    time: MediaTime,
    start: bool,
}

impl Batcher for TsBatcher {
    type Batch = TsBatch;
    /// There is no choice, because all sounds go out.
    type Choice = ();

    fn new((): &()) -> Self {
        Self::default()
    }

    fn push(&mut self, entry: &Entry) -> Option<TsBatch> {
        if self.tracks.as_ref().is_none_or(|tracks| !Arc::ptr_eq(tracks, &entry.tracks)) {
            self.change_tracks(&entry.tracks);
        }
        let writer = self.writer.as_mut().filter(|_| self.carried.contains(&entry.frame.track))?;
        if let Err(error) = writer.write(&entry.frame, &mut self.out) {
            tracing::debug!(%error, "a frame can't be written as MPEG-TS");
            return None;
        }
        if self.frames == 0 {
            self.time = entry.frame.dts;
        }
        self.frames += 1;
        self.start |= entry.is_start();
        let is_video = entry.is_video();
        let audio_only = entry.tracks.video().is_none();
        let long = audio_only && entry.frame.dts - self.time >= AUDIO_BATCH;
        if is_video || long || self.frames >= BATCH_FRAMES_MAX { self.take(is_video) } else { None }
    }

    fn has_pending(&self) -> bool {
        self.frames > 0
    }

    /// Ends the batch now, because audio must not wait for a picture that does not come.
    fn flush(&mut self) -> Option<TsBatch> {
        self.take(false)
    }
}

impl TsBatcher {
    fn take(&mut self, has_video: bool) -> Option<TsBatch> {
        if std::mem::take(&mut self.frames) == 0 {
            return None;
        }
        let start = std::mem::take(&mut self.start);
        Some(TsBatch { time: self.time, start, has_video, packets: self.out.split().freeze() })
    }

    fn change_tracks(&mut self, tracks: &Arc<Tracks>) {
        let (infos, left_out): (Vec<&TrackInfo>, Vec<&TrackInfo>) =
            tracks.iter().map(|info| &**info).partition(|info| info.kind() == MediaKind::Video || check(info).is_ok());
        for info in left_out {
            tracing::info!(track = info.id.0, codec = %info.codec, "a sound can't be written as MPEG-TS and is left out");
        }
        self.carried = infos.iter().map(|info| info.id).collect();
        let changed = match &mut self.writer {
            // Counters go on, and a new version of the PMT tells of the change.
            Some(writer) => writer.set_tracks(infos),
            None => TsWriter::new(infos).map(|writer| self.writer = Some(writer)),
        };
        if let Err(error) = changed {
            tracing::info!(%error, "the rendition can't be written as MPEG-TS");
            self.writer = None;
        }
        self.tracks = Some(Arc::clone(tracks));
    }
}

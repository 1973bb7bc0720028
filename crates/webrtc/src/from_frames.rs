//! Frames to RTP: one rendition's entries become batches of payloads, which are cut once for all viewers. What differs from viewer to
//! viewer, the twelve bytes of header and the encryption, is put around them when they are sent.

use std::sync::Arc;

use weir_hub::{Batcher, Entry, Item, RenditionHub, Tracks};
use weir_media::codec::h264::AvcConfig;
use weir_media::{Codec, Language, MediaTime, TrackId, TrackInfo, codec};

use crate::h264;

/// A rendition without pictures is sent as it comes, in batches of this length: one packet of Opus has 20 ms.
const AUDIO_BATCH: MediaTime = MediaTime::from_millis(20);

/// A batch never holds more frames than this, whatever the source does.
const BATCH_FRAMES_MAX: usize = 64;

/// The H.264 profiles that browsers decode, as `profile_idc` numbers them: Baseline, Main, High.
const PROFILES: [u8; 3] = [66, 77, 100];

/// Why a rendition's picture can't go to browsers by WebRTC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("there is no picture and no sound that WebRTC carries here")]
    Nothing,
    #[error("{0} is not sent by WebRTC")]
    Codec(Codec),
    #[error("browsers don't decode H.264 of the profile {0} by WebRTC")]
    Profile(String),
    #[error("the picture may be interlaced, and browsers would show its fields as combs by WebRTC")]
    Interlaced,
    #[error("the picture has B-frames, which no browser shows by WebRTC")]
    Reordered,
}

/// Says which of a rendition's tracks go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The number of the picture's profile, which is the first byte of SDP's `profile-level-id`. There is none if no picture goes out.
    pub profile_idc: Option<u8>,
    pub sound: bool,
    /// The codec of the default sound, if WebRTC can carry no sound of the rendition.
    pub left_out: Option<Codec>,
}

/// Which of these tracks WebRTC carries, or why not.
pub fn carried(tracks: &Tracks) -> Result<Carried, Unsupported> {
    let profile_idc = tracks.video().map(|info| profile(info)).transpose()?;
    let sound = carries_sound(tracks);
    if profile_idc.is_none() && !sound {
        return Err(tracks.audio().map_or(Unsupported::Nothing, |info| Unsupported::Codec(info.codec)));
    }
    Ok(Carried { profile_idc, sound, left_out: tracks.audio().map(|info| info.codec).filter(|_| !sound) })
}

/// Whether a sound of these tracks goes out.
pub fn carries_sound(tracks: &Tracks) -> bool {
    sound(tracks, None).is_some()
}

/// Whether the cached pictures come in another order than they are shown in. The pictures are looked at because the codec's configuration
/// only says that they may be.
pub fn reorders(rendition: &RenditionHub) -> bool {
    let mut entries = rendition.subscribe();
    std::iter::from_fn(|| entries.try_next())
        .filter_map(|next| match next {
            weir_hub::Next::Item(entry) => Some(entry),
            _ => None,
        })
        .any(|entry| is_reordered(&entry))
}

fn is_reordered(entry: &Entry) -> bool {
    entry.is_video() && entry.frame.pts != entry.frame.dts
}

fn profile(info: &TrackInfo) -> Result<u8, Unsupported> {
    if info.codec != Codec::H264 {
        return Err(Unsupported::Codec(info.codec));
    }
    // The second byte of the decoder's configuration (`avcC`) is the number of the profile.
    let idc = info.config.get(1).copied().unwrap_or_default();
    if PROFILES.contains(&idc) {
        return if codec::may_be_interlaced(info) { Err(Unsupported::Interlaced) } else { Ok(idc) };
    }
    Err(Unsupported::Profile(info.video.as_ref().map_or_else(|| idc.to_string(), |video| video.profile.clone())))
}

/// The sound that goes out: Opus of one or two channels, in that language where there is one, else the first. Opus of more channels has a layout
/// that browsers don't know.
fn sound(tracks: &Tracks, language: Option<Language>) -> Option<&Arc<TrackInfo>> {
    let channels = |info: &TrackInfo| info.audio.as_ref().map_or(2, |audio| audio.channels);
    let goes = |info: &&Arc<TrackInfo>| info.codec == Codec::Opus && channels(info) <= 2;
    let spoken = tracks.audios().filter(goes).find(|info| language.is_some() && info.language == language);
    spoken.or_else(|| tracks.audios().find(goes))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpKind {
    Video,
    Audio,
}

/// A payload, and what each viewer's header says of it. The payload itself is shared by all viewers.
#[derive(Clone, Debug)]
pub struct RtpPayload {
    pub kind: RtpKind,
    /// When the payload is shown or heard.
    pub time: MediaTime,
    /// Says that this is the last payload of its picture.
    pub marker: bool,
    pub bytes: Arc<[u8]>,
}

/// A batch: the payloads of one picture and of the sound before it. A clone counts one more reference and copies nothing.
#[derive(Clone, Debug)]
pub struct RtpBatch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    time: MediaTime,
    start: bool,
    reordered: bool,
    bytes: usize,
    payloads: Vec<RtpPayload>,
}

impl RtpBatch {
    /// A batch of these payloads, for tests of what sends them.
    #[cfg(test)]
    pub(crate) fn of(payloads: Vec<RtpPayload>) -> Self {
        let bytes = payloads.iter().map(|payload| payload.bytes.len()).sum();
        Self { shared: Arc::new(Shared { time: MediaTime::ZERO, start: true, reordered: false, bytes, payloads }) }
    }

    pub fn payloads(&self) -> &[RtpPayload] {
        &self.shared.payloads
    }

    /// Whether that is the same batch.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether the picture comes in another order than it is shown in. Browsers can't show such pictures.
    pub fn is_reordered(&self) -> bool {
        self.shared.reordered
    }
}

impl Item for RtpBatch {
    fn time(&self) -> MediaTime {
        self.shared.time
    }

    fn is_start(&self) -> bool {
        self.shared.start
    }

    fn size_bytes(&self) -> usize {
        self.shared.bytes
    }
}

/// Gathers a rendition's frames into batches. Each picture ends a batch, which also holds the sound that came before it.
#[derive(Debug, Default)]
pub struct RtpBatcher {
    /// The language that is heard, where the rendition has it.
    language: Option<Language>,
    tracks: Option<Arc<Tracks>>,
    /// The track of the picture and its parameter sets. There is none if WebRTC can't carry the picture, whose frames are then left out.
    picture: Option<(TrackId, AvcConfig)>,
    sound: Option<TrackId>,
    payloads: Vec<RtpPayload>,
    frames: usize,
    time: MediaTime,
    start: bool,
}

impl Batcher for RtpBatcher {
    type Batch = RtpBatch;
    type Choice = Option<Language>;

    fn new(language: &Option<Language>) -> Self {
        Self { language: *language, ..Self::default() }
    }

    fn push(&mut self, entry: &Entry) -> Option<RtpBatch> {
        if self.tracks.as_ref().is_none_or(|tracks| !Arc::ptr_eq(tracks, &entry.tracks)) {
            self.change_tracks(&entry.tracks);
        }
        let frame = &entry.frame;
        let time = frame.pts;
        if self.frames == 0 {
            self.time = frame.dts;
        }
        match &self.picture {
            Some((id, sets)) if *id == frame.track => {
                let cut = h264::payloads(&frame.payload, frame.is_keyframe().then_some(sets));
                let video = |bytes| RtpPayload { kind: RtpKind::Video, time, marker: false, bytes };
                self.payloads.extend(cut.into_iter().map(video));
                if let Some(last) = self.payloads.last_mut() {
                    last.marker = last.kind == RtpKind::Video;
                }
            }
            _ if self.sound == Some(frame.track) => {
                let bytes = Arc::from(&frame.payload[..]);
                self.payloads.push(RtpPayload { kind: RtpKind::Audio, time, marker: false, bytes });
            }
            _ => return None,
        }
        self.frames += 1;
        self.start |= entry.is_start();
        let is_video = entry.is_video();
        let audio_only = entry.tracks.video().is_none();
        let long = audio_only && frame.dts - self.time >= AUDIO_BATCH;
        if is_video || long || self.frames >= BATCH_FRAMES_MAX { self.take(is_reordered(entry)) } else { None }
    }

    fn has_pending(&self) -> bool {
        self.frames > 0
    }

    fn flush(&mut self) -> Option<RtpBatch> {
        self.take(false)
    }
}

impl RtpBatcher {
    fn take(&mut self, reordered: bool) -> Option<RtpBatch> {
        if std::mem::take(&mut self.frames) == 0 {
            return None;
        }
        let payloads = std::mem::take(&mut self.payloads);
        let bytes = payloads.iter().map(|payload| payload.bytes.len()).sum();
        let start = std::mem::take(&mut self.start);
        Some(RtpBatch { shared: Arc::new(Shared { time: self.time, start, reordered, bytes, payloads }) })
    }

    fn change_tracks(&mut self, tracks: &Arc<Tracks>) {
        let picture = tracks.video().filter(|info| profile(info).is_ok());
        self.picture = picture.and_then(|info| Some((info.id, AvcConfig::parse(&info.config).ok()?)));
        self.sound = sound(tracks, self.language).map(|info| info.id);
        self.tracks = Some(Arc::clone(tracks));
    }
}
